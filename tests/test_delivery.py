"""Who gets which letter when: once for each recipient and month, whatever the clock does."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import select, update

from tests.letter_world import (
    DUE,
    JULY,
    JUNE,
    LATE,
    LOSS,
    MAY,
    PATH,
    body,
    look,
    mailing,
    moment,
    months,
    separate,
    set_up,
    trouble,
)
from tests.post_office import ME, PostOffice
from tests.pretend import Asked, Reply, earning
from tests.world import World
from tracker import connections, delivery, jobs
from tracker.connections import Deps
from tracker.delivery import Outcome, send_due
from tracker.settings import Settings
from tracker.store.database import reading

YOU = "you@example.com"
SENT = Outcome.SENT
LATER = Outcome.LATER


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with PostOffice() as office:
        yield office


@pytest.fixture
def world(database_url: str, tmp_path: Path, office: PostOffice) -> Iterator[World]:
    with set_up(database_url, tmp_path / "data", office) as world:
        yield world


# --- when ---


def test_a_letter_is_sent_once_at_its_hour(world: World, office: PostOffice) -> None:
    assert look(world, "06-03 07:59") == []
    assert look(world, "06-03 08:00") == [SENT]
    for later in ("06-03 08:00", "06-03 08:05", "06-04 08:00", "07-03 07:59"):
        assert look(world, later) == []
    assert look(world, "07-03 08:00") == [SENT]
    assert months(office) == [(ME, MAY), (ME, JUNE)]
    assert trouble(world) == []


def test_every_recipient_gets_one_of_their_own(world: World, office: PostOffice) -> None:
    mailing(world, office, letter_to=(ME, YOU))
    send_due(world.deps)
    assert look(world, DUE) == [SENT, SENT]
    assert sorted(months(office)) == [(ME, MAY), (YOU, MAY)]
    ids = {message_from_bytes(one.text)["Message-ID"] for one in office.mails}
    assert len(ids) == 2


def test_the_first_letter_is_about_the_month_in_which_mail_was_set_up(world: World, office: PostOffice) -> None:
    """No letters about the months that a new connection brings along, nor for somebody who joins later."""
    look(world, DUE)
    mailing(world, office, letter_to=(ME, YOU))
    assert look(world, "06-20 12:00") == []
    assert look(world, "07-03 08:00") == [SENT, SENT]
    assert sorted(months(office)) == [(ME, JUNE), (ME, MAY), (YOU, JUNE)]


def test_there_is_no_letter_before_the_first_connection(database_url: str, tmp_path: Path, office: PostOffice) -> None:
    with World(database_url, tmp_path / "data") as world:
        mailing(world, office)
        for text in ("04-10 12:00", "05-03 08:00", "06-03 08:00"):
            world.now = moment(text)
            assert send_due(world.deps) == []
        world.provider.put(PATH, earning("old", moment("05-20 12:00")))
        world.add("network")
        assert look(world, "06-03 09:00") == []
    assert office.mails == []


def test_without_mail_nothing_is_noted_or_said(world: World, office: PostOffice) -> None:
    world.deps.settings = world.deps.settings.model_copy(update={"letter_to": ()})
    before = world.dump("delivery")
    with structlog.testing.capture_logs() as log:
        assert look(world, "07-20 08:00") == []
    assert (world.dump("delivery"), office.steps, log) == (before, [], [])


def test_a_month_after_which_nothing_was_earned_for_a_month_has_no_letter(world: World, office: PostOffice) -> None:
    for month in range(6, 13):
        look(world, f"{month:02d}-03 08:00")
    assert [subject.split()[-2] for _, subject in months(office)] == [
        "May", "June", "July", "August", "September", "October",
    ]  # fmt: skip


# --- late, and what it waits for ---


def test_a_missed_month_is_sent_late_and_says_so(world: World, office: PostOffice) -> None:
    assert look(world, "06-20 10:00") == [SENT]
    assert look(world, "06-21 10:00") == []
    assert months(office) == [(ME, MAY + LATE)]
    assert "the tracker was not running when it was due" in body(office)


def test_several_missed_months_are_sent_the_oldest_first_three_at_most(world: World, office: PostOffice) -> None:
    assert look(world, "09-20 10:00") == [SENT, SENT, SENT]
    assert look(world, "09-20 10:05") == []
    assert months(office) == [(ME, f"Your income in {name} 2026{LATE}") for name in ("June", "July", "August")]


def test_a_letter_waits_for_connections_that_were_not_read_lately(world: World, office: PostOffice) -> None:
    world.now = moment("06-01 12:00")
    world.sync("network")
    assert look(world, DUE, read=False) == []
    assert look(world, "06-03 08:05") == [SENT]
    assert months(office) == [(ME, MAY)]  # not late: the tracker was there


def test_a_connection_that_stays_stale_holds_a_letter_for_a_day(world: World, office: PostOffice) -> None:
    world.provider.always(PATH, Reply(b"", 503))
    assert look(world, DUE, read=False) == []
    assert look(world, DUE + timedelta(hours=23, minutes=55), read=False) == []
    assert look(world, DUE + timedelta(hours=24), read=False) == [SENT]
    assert months(office) == [(ME, MAY)]
    assert "may be out of date" in body(office)


def test_a_paused_connection_holds_nothing(world: World, office: PostOffice) -> None:
    world.now = moment("06-01 12:00")
    world.sync("network")
    connections.pause(world.deps, "network")
    assert look(world, DUE, read=False) == [SENT]


# --- clocks ---


def test_two_clocks_send_one_letter(world: World, office: PostOffice) -> None:
    """While the mail server has the recipient of the one, the other looks."""
    other, seen = separate(world), []
    office.before["RCPT"] = lambda: seen.append(send_due(other))
    assert look(world, DUE) == [SENT]
    assert (seen, len(office.mails)) == ([[]], 1)
    other.engine.dispose()


def test_many_clocks_at_once_send_one_letter(world: World, office: PostOffice) -> None:
    world.now = DUE
    world.sync("network")
    start, done = threading.Barrier(4), []

    def run(deps: Deps) -> None:
        start.wait(20)
        done.extend(send_due(deps) + send_due(deps))

    clocks = [separate(world) for _ in range(4)]
    threads = [threading.Thread(target=run, args=(deps,)) for deps in clocks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for deps in clocks:
        deps.engine.dispose()
    assert [told.outcome for told in done] == [SENT]
    assert months(office) == [(ME, MAY)]


def test_who_read_the_row_before_it_was_sent_does_not_send_it_again(world: World, office: PostOffice) -> None:
    read: list[Any] = []

    def peek() -> None:
        with reading(other.engine) as conn:
            read.append(conn.execute(select(delivery.d_t).where(delivery.d.kind == delivery.LETTER)).one())

    other = separate(world)
    office.before["RCPT"] = peek
    assert look(world, DUE) == [SENT]
    assert delivery._deliver(other, read[0]) is None
    assert len(office.mails) == 1
    other.engine.dispose()


def test_who_lost_the_letter_to_another_while_the_server_dawdled_does_not_send_it(
    world: World, office: PostOffice
) -> None:
    other = separate(world)

    def take_over() -> None:
        with other.engine.begin() as conn:
            conn.execute(update(delivery.d_t).values(leased_by="elsewhere:1:0"))

    office.before["RCPT"] = take_over
    assert look(world, DUE) == []
    assert office.mails == []
    assert world.ask("select leased_by, tries from delivery where kind = 'letter'") == [("elsewhere:1:0", 1)]
    other.engine.dispose()


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=365), timedelta(days=-365)])
def test_a_clock_that_jumps_and_comes_back_sends_every_letter_once(
    jump: timedelta, world: World, office: PostOffice
) -> None:
    for text in ("05-20 12:00", "06-03 07:00", "06-03 08:00", "06-20 12:00", "07-03 08:00"):
        now = moment(text)
        look(world, now)
        look(world, now + jump, read=False)
        look(world, now)
    assert months(office) == [(ME, MAY), (ME, JUNE)]


def test_mail_that_was_set_up_by_a_wrong_clock_is_not_silent_for_a_year(
    database_url: str, tmp_path: Path, office: PostOffice
) -> None:
    with World(database_url, tmp_path / "data") as world:
        world.now = moment("2027-06-10 12:00")
        mailing(world, office)
        assert send_due(world.deps) == []
        world.now = moment("06-10 12:00")
        world.add("network")
        world.provider.put(PATH, earning("c1", moment("06-09 12:00")))
        assert look(world, "06-10 12:00") == []
        assert look(world, "07-03 08:00") == [SENT]


def test_a_try_that_a_wrong_clock_put_off_for_a_year_is_not_waited_for(world: World, office: PostOffice) -> None:
    look(world, DUE - timedelta(hours=1))
    office.answers["RCPT"] = "451 greylisted"
    assert look(world, DUE) == [LATER]
    assert look(world, DUE + timedelta(days=365)) == [LATER]
    office.answers.clear()
    assert look(world, DUE + timedelta(minutes=5)) == [SENT]


@pytest.mark.parametrize("night", ["2026-10-25", "2027-03-28"])
@pytest.mark.parametrize("hour", [0, 1, 3])
def test_a_night_in_which_clocks_change_brings_one_letter(
    night: str, hour: int, world: World, office: PostOffice
) -> None:
    mailing(world, office, letter_day=int(night[-2:]), letter_hour=hour)
    start = datetime.fromisoformat(f"{night}T00:00+00:00") - timedelta(hours=3)
    world.provider.put(PATH, earning("c", start - timedelta(days=40), updated=f"{start - timedelta(days=1):%FT%TZ}"))
    look(world, start - timedelta(minutes=15), read=True)
    office.mails.clear()
    for quarters in range(32):
        look(world, start + timedelta(minutes=15 * quarters), read=False)
    assert len(office.mails) == 1
    sent = datetime.strptime(str(message_from_bytes(office.mails[0].text)["Date"])[5:], "%d %b %Y %H:%M:%S %z")
    assert sent.hour == hour


@pytest.mark.parametrize(
    ("month", "zone", "day", "hour", "at"),
    [
        (202605, "Europe/Berlin", 3, 8, "2026-06-03T06:00+00:00"),
        (202612, "Europe/Berlin", 1, 0, "2026-12-31T23:00+00:00"),
        (202609, "Europe/Berlin", 25, 3, "2026-10-25T02:00+00:00"),
        (202702, "America/New_York", 14, 3, "2027-03-14T07:00+00:00"),
        (202608, "America/Santiago", 6, 0, "2026-09-06T04:00+00:00"),  # has no midnight
        (202605, "Pacific/Kiritimati", 3, 8, "2026-06-02T18:00+00:00"),
    ],
)
def test_the_hour_is_that_of_the_users_zone(
    month: int, zone: str, day: int, hour: int, at: str, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path, time_zone=zone, letter_day=day, letter_hour=hour)
    assert delivery.due_at(month, settings) == datetime.fromisoformat(at)


# --- what stands in it ---


def test_a_loss_between_two_letters_stands_in_the_second_one_and_in_no_other(world: World, office: PostOffice) -> None:
    look(world, DUE)
    lost = earning("c5", moment("05-09 12:00"), status="declined", updated="2026-06-10T09:00:00Z")
    world.provider.put(PATH, lost)
    look(world, "06-10 12:00")
    look(world, "07-03 08:00")
    look(world, "08-03 08:00")
    assert months(office) == [(ME, MAY), (ME, JUNE), (ME, JULY)]
    assert [LOSS in body(office, number) for number in range(3)] == [False, True, False]


def test_a_loss_that_a_sync_was_just_reading_when_a_letter_was_made_stands_in_the_next_one(
    world: World, office: PostOffice
) -> None:
    look(world, "06-03 07:00")
    lost = earning("c5", moment("05-09 12:00"), status="declined", updated="2026-06-03T05:30:00Z")
    world.provider.put(PATH, lost)

    def answer(asked: Asked) -> Reply:
        world.provider.answers.clear()
        assert look(world, DUE, read=False) == [SENT]
        world.later(minutes=1)
        return world.provider.listing(asked)

    world.provider.answers[PATH] = answer
    world.now = moment("06-03 07:59")
    world.sync("network")
    look(world, "07-03 08:00")
    look(world, "08-03 08:00")
    assert [LOSS in body(office, number) for number in range(3)] == [False, True, False]


def test_the_clock_knows_of_letters() -> None:
    assert [job.run for job in jobs.JOBS if job.name == "letters"] == [send_due]
