"""A beancount journal (beancount.github.io/docs/beancount_language_syntax.html)."""

import re
from collections.abc import Iterable, Iterator

from tracker.exports import journal
from tracker.exports.about import About, Row
from tracker.exports.journal import Booking
from tracker.money import plain

#: Before any earning can be: the tracker takes none from before 1995.
OPENED = "1990-01-01"


def write(rows: Iterable[Row], about: About) -> Iterator[str]:
    left, known = journal.Left(), set[str]()
    yield "".join(f"; {line}\n" for line in journal.heading(about))
    yield f'\noption "title" "Income"\noption "operating_currency" "{about.currency}"\n'
    for booking in journal.bookings(rows, about, left):
        yield from _opened([booking.currency], known, "commodity")
        debit, credit = _account(booking.debit), _account(booking.credit)
        yield from _opened([debit, credit], known, "open")
        yield _transaction(booking, debit, credit)
    yield "".join(f"\n; {line}" for line in journal.ending(left)) + "\n"


def _opened(names: list[str], known: set[str], directive: str) -> Iterator[str]:
    for name in names:
        if name not in known:
            known.add(name)
            yield f"\n{OPENED} {directive} {name}\n"


def _transaction(booking: Booking, debit: str, credit: str) -> str:
    amount, back = plain(booking.amount), plain(-booking.amount)
    notes = "".join(f"  {name.replace('_', '-')}: {_text(value)}\n" for name, value in booking.notes.items())
    return (
        f"\n{booking.day.isoformat()} * {_text(booking.payee)} {_text(booking.words)}\n{notes}"
        f"  {debit}  {amount} {booking.currency}\n  {credit}  {back} {booking.currency}\n"
    )


def _text(text: str) -> str:
    escaped = journal.one_line(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _account(path: tuple[str, ...]) -> str:
    """Every part begins with a capital letter or a digit and has letters, digits and hyphens only."""
    parts = []
    for part in path:
        plain_part = re.sub(r"[^A-Za-z0-9-]", "-", part).lstrip("-") or "X"
        parts.append(plain_part[0].upper() + plain_part[1:])
    return ":".join(parts)
