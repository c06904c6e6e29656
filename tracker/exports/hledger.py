"""An hledger journal (hledger.org/hledger.html#journal)."""

import re
from collections.abc import Iterable, Iterator

from tracker.exports import journal
from tracker.exports.about import About, Row
from tracker.exports.journal import Booking
from tracker.money import decimals, plain


def write(rows: Iterable[Row], about: About) -> Iterator[str]:
    left, known = journal.Left(), set[str]()
    yield "".join(f"; {line}\n" for line in journal.heading(about))
    yield "\ndecimal-mark .\n"
    for booking in journal.bookings(rows, about, left):
        debit, credit = _account(booking.debit), _account(booking.credit)
        places = "0" * decimals(booking.currency)
        for name, line in (
            (booking.currency, f"commodity 1000.{places} {booking.currency}"),
            (debit, f"account {debit}"),
            (credit, f"account {credit}"),
        ):
            if name not in known:
                known.add(name)
                yield f"\n{line}\n"
        yield _transaction(booking, debit, credit)
    yield "".join(f"\n; {line}" for line in journal.ending(left)) + "\n"


def _transaction(booking: Booking, debit: str, credit: str) -> str:
    amount, back = plain(booking.amount), plain(-booking.amount)
    notes = "".join(f"    ; {name.replace('_', '-')}: {_tag(value)}\n" for name, value in booking.notes.items())
    payee, words = (re.sub(r"[;|]", ",", journal.one_line(text)) for text in (booking.payee, booking.words))
    return (
        f"\n{booking.day.isoformat()} * {payee} | {words}\n{notes}"
        f"    {debit}  {amount} {booking.currency}\n    {credit}  {back} {booking.currency}\n"
    )


def _tag(text: str) -> str:
    """A comma would end the value of a tag, and a word with a colon would begin another."""
    return journal.one_line(text).replace(",", " ").replace(":", "-")


def _account(path: tuple[str, ...]) -> str:
    return ":".join(re.sub(r"[^a-z0-9-]", "-", part.lower()) for part in path)
