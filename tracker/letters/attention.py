"""What the letter asks its reader to look after: connections whose figures may be old, rows that nobody understood."""

from collections.abc import Iterator

from tracker.letters.document import Command, Paragraph, Part
from tracker.letters.written import Written
from tracker.summary import MonthlySummary, Trouble, TroubledConnection

#: Connections that are told one by one.
SHOWN = 8
#: The reason of a pause that a person made, as `tracker.connections.pause` keeps it. Others are quoted as they are.
BY_HAND = "you paused it."


def connections(s: MonthlySummary, w: Written) -> Iterator[Part]:
    troubled = [one for one in s.troubled if one.trouble is not Trouble.EARLY]
    for one in troubled[:SHOWN]:
        yield Paragraph(" ".join(_trouble(one, w)))
        yield Command(one.next)
    if rest := len(troubled[SHOWN:]):
        yield Paragraph(
            w.n(
                "And %(count)s more connection. All that is wrong, with what to do:",
                "And %(count)s more connections. All that is wrong, with what to do:",
                rest,
            )
        )
        yield Command("tracker doctor")
    if early := [one for one in s.troubled if one.trouble is Trouble.EARLY]:
        names = w.listed(f"{one.title} ({w.minute(one.as_of)})" if one.as_of else one.title for one in early)
        yield Paragraph(
            w._(
                "Last read before %(month)s was over, so its last hours may be missing: %(names)s.",
                month=w.month,
                names=names,
            )
        )
        yield Command("tracker sync")


def _trouble(one: TroubledConnection, w: Written) -> Iterator[str]:
    if one.trouble is Trouble.STALE:
        if one.as_of:
            yield w._(
                "%(name)s was last read to the end on %(when)s, too long ago.",
                name=one.title,
                when=w.minute(one.as_of),
            )
        else:
            yield w._("%(name)s was never read to the end.", name=one.title)
        yield w._("Nothing is known to be wrong with it.")
        return
    if one.trouble is Trouble.FAILING:
        yield w._("%(name)s fails: %(why)s", name=one.title, why=one.why)
    elif one.why == BY_HAND:
        yield w._("%(name)s is paused: you paused it.", name=one.title)
    else:
        yield w._("%(name)s is paused: %(why)s", name=one.title, why=one.why)
    if one.as_of:
        yield w._("It was last read to the end on %(when)s.", when=w.minute(one.as_of))
    else:
        yield w._("It was never read to the end.")


def quarantine(s: MonthlySummary, w: Written) -> Iterator[Part]:
    if not s.quarantine:
        return
    where = w.listed(
        (
            w._("%(count)s of %(name)s, %(resource)s", count=w.count(one.rows), name=one.title, resource=one.resource)
            for one in s.quarantine
        ),
        5,
    )
    total = w.n(
        "%(count)s row could not be understood and is in no figure: %(where)s.",
        "%(count)s rows could not be understood and are in no figure: %(where)s.",
        sum(one.rows for one in s.quarantine),
        where=where,
    )
    why = w._(
        "One of the reasons: %(why)s. Nothing is lost: see them with",
        why=s.quarantine[0].error.rstrip("."),
    )
    yield Paragraph(f"{total} {why}")
    yield Command("tracker quarantine list")
