"""A ledger that gets its monthly letter: shared by the tests of who gets one when and of what goes wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from tests.post_office import PostOffice
from tests.pretend import earning
from tests.world import World
from tracker.connections import Deps
from tracker.delivery import Outcome, Told, send_due, troubles
from tracker.store.database import open_engine, reading

PATH = "/commissions"
BERLIN = ZoneInfo("Europe/Berlin")


def moment(text: str) -> datetime:
    """Of a clock on a wall in Berlin, in 2026 if no year stands in front."""
    return datetime.fromisoformat(f"{'' if text[4] == '-' else '2026-'}{text}").replace(tzinfo=BERLIN).astimezone(UTC)


DUE = moment("06-03 08:00")


@contextmanager
def set_up(database_url: str, folder: Path, office: PostOffice) -> Iterator[World]:
    """Set up on 10 May with a commission in each of the next months; the clock looks for letters at once."""
    with World(database_url, folder) as world:
        for month in range(5, 10):
            at = moment(f"{month:02d}-09 12:00")
            world.provider.put(
                PATH, earning(f"c{month}", at, status="approved", updated=f"2026-{month:02d}-09T12:00:00Z")
            )
        world.now = moment("05-10 12:00")
        world.add("network")
        mailing(world, office)
        assert look(world, world.now) == []
        yield world


def mailing(world: World, office: PostOffice, **more: Any) -> None:
    world.deps.settings = office.settings(world.deps.settings, **more)


def look(world: World, when: str | datetime, *, read: bool = True) -> list[Outcome]:
    """What the clock does at a time, with the connection just read."""
    world.now = moment(when) if isinstance(when, str) else when
    if read:
        assert world.sync("network").outcome == "ok"
    return [told.outcome for told in send_due(world.deps)]


def months(office: PostOffice) -> list[tuple[str, str]]:
    """Recipient and subject of every mail that was taken."""
    return [
        (one.recipient, str(message_from_bytes(one.text, policy=policy.default)["Subject"])) for one in office.mails
    ]


def body(office: PostOffice, number: int = -1) -> str:
    part = message_from_bytes(office.mails[number].text, policy=policy.default).get_body(("plain",))
    assert part is not None
    return " ".join(part.get_content().split())


def trouble(world: World) -> list[Told]:
    with reading(world.engine) as conn:
        return troubles(conn, world.deps.settings, world.now)


MAY, JUNE, JULY = (f"Your income in {month} 2026" for month in ("May", "June", "July"))
LATE = " (this letter comes late)"
LOSS = "was reversed"


def separate(world: World) -> Deps:
    """Another process on the same ledger; its engine is to be disposed."""
    return msgspec.structs.replace(world.deps, engine=open_engine(world.deps.settings.database_url))
