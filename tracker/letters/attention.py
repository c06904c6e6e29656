"""What the letter asks its reader to look after: connections whose figures may be old, rows that nobody understood."""

from collections.abc import Iterator

from tracker.letters.document import Command, Paragraph, Part
from tracker.letters.written import Written, listed
from tracker.summary import MonthlySummary, Trouble, TroubledConnection

#: Connections that are told one by one.
SHOWN = 8


def connections(s: MonthlySummary, w: Written) -> Iterator[Part]:
    troubled = [one for one in s.troubled if one.trouble is not Trouble.EARLY]
    for one in troubled[:SHOWN]:
        yield Paragraph(_trouble(one, w))
        yield Command(one.next)
    if rest := troubled[SHOWN:]:
        yield Paragraph(f"And {w.several(len(rest), 'more connection')}. All that is wrong, with what to do:")
        yield Command("tracker doctor")
    if early := [one for one in s.troubled if one.trouble is Trouble.EARLY]:
        names = listed(f"{one.title} ({w.minute(one.as_of)})" if one.as_of else one.title for one in early)
        yield Paragraph(f"Last read before {w.month} was over, so its last hours may be missing: {names}.")
        yield Command("tracker sync")


def _trouble(one: TroubledConnection, w: Written) -> str:
    read = f"was last read to the end on {w.minute(one.as_of)}" if one.as_of else "was never read to the end"
    if one.trouble is Trouble.STALE:
        return f"{one.title} {read}, too long ago. Nothing is known to be wrong with it."
    state = "is paused" if one.trouble is Trouble.PAUSED else "fails"
    return f"{one.title} {state}: {one.why} It {read}."


def quarantine(s: MonthlySummary, w: Written) -> Iterator[Part]:
    if not s.quarantine:
        return
    total = sum(one.rows for one in s.quarantine)
    where = listed((f"{w.count(one.rows)} of {one.title}, {one.resource}" for one in s.quarantine), 5)
    verb = "is" if total == 1 else "are"
    yield Paragraph(
        f"{w.several(total, 'row')} could not be understood and {verb} in no figure: {where}. One of the reasons: "
        f"{s.quarantine[0].error.rstrip('.')}. Nothing is lost: see them with"
    )
    yield Command("tracker quarantine list")
