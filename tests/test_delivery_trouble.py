"""What becomes of a letter that the mail server refuses or loses, whose sender is killed, or that is sent by hand."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path

import pytest
import structlog
from sqlalchemy import select

from tests.letter_world import (
    DUE,
    JUNE,
    MAY,
    look,
    mailing,
    moment,
    months,
    set_up,
    trouble,
)
from tests.post_office import BROKEN, ME, PASSWORD, USER, PostOffice
from tests.world import World
from tracker import delivery
from tracker.delivery import Outcome, send_due, send_now
from tracker.errors import ConfigError, UsageError
from tracker.store.database import reading

ROOT = Path(__file__).parents[1]
YOU = "you@example.com"
SENT, LATER, IN_DOUBT, GIVEN_UP = Outcome.SENT, Outcome.LATER, Outcome.IN_DOUBT, Outcome.GIVEN_UP


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with PostOffice() as office:
        yield office


@pytest.fixture
def world(database_url: str, tmp_path: Path, office: PostOffice) -> Iterator[World]:
    with set_up(database_url, tmp_path / "data", office) as world:
        yield world


# --- trouble with the mail server ---


def test_a_refusal_for_now_is_tried_again_later_and_later(world: World, office: PostOffice) -> None:
    office.answers["RCPT"] = "451 4.7.1 greylisted"
    assert look(world, DUE) == [LATER]
    (told,) = trouble(world)
    assert told.message.startswith(f"The letter about 2026-05 to {ME} was not sent: the mail server localhost:")
    assert told.message.endswith("451 4.7.1 greylisted. It is tried again at 2026-06-03 08:05.")
    assert look(world, "06-03 08:04") == []
    assert look(world, "06-03 08:05") == [LATER]
    assert look(world, "06-03 08:14") == []
    office.answers.clear()
    assert look(world, "06-03 08:15") == [SENT]
    assert (months(office), trouble(world)) == ([(ME, MAY)], [])


def test_what_is_refused_for_days_is_given_up_and_told(world: World, office: PostOffice) -> None:
    office.answers["TEXT"] = "452 disk full"
    look(world, DUE)
    outcomes, waits = [LATER], []
    while outcomes[-1] is LATER:
        with reading(world.engine) as conn:
            at = conn.execute(select(delivery.d.next_try_at).where(delivery.d.kind == delivery.LETTER)).scalar_one()
        waits.append(at - world.now)
        outcomes += look(world, at, read=False)
        assert len(outcomes) < 50
    assert (waits[0], waits[1], waits[-1]) == (timedelta(minutes=5), timedelta(minutes=10), timedelta(hours=6))
    assert timedelta(days=5) < world.now - DUE < timedelta(days=6)
    assert outcomes[-1] is GIVEN_UP
    assert look(world, world.now + timedelta(days=1)) == []
    (told,) = trouble(world)
    assert told.message.endswith("452 disk full. To try it: tracker letter 2026-05 --send")
    office.answers.clear()
    assert [told.outcome for told in send_now(world.deps, 202605)] == [SENT]


def test_a_recipient_that_is_refused_does_not_keep_the_letter_from_others(world: World, office: PostOffice) -> None:
    mailing(world, office, letter_to=(YOU, ME))
    send_due(world.deps)
    office.answers["RCPT"] = "550 5.1.1 no such user"
    office.before["MAIL"] = lambda: office.answers.clear() if "RCPT" in office.steps else None
    assert look(world, DUE) == [GIVEN_UP, SENT]
    assert look(world, "06-03 09:00") == []
    (told,) = trouble(world)
    assert "550 5.1.1 no such user. Check TRACKER_LETTER_TO" in told.message
    assert len(office.mails) == 1


def test_wrong_settings_are_told_without_the_password_and_tried_until_they_are_right(
    world: World, office: PostOffice
) -> None:
    mailing(world, office, smtp_user=USER, smtp_password="hush 0815")
    with structlog.testing.capture_logs() as log:
        assert look(world, DUE) == [LATER]
    (line,) = [line for line in log if line["event"] == "letter not sent yet"]
    assert (line["log_level"], line["month"], line["to"]) == ("warning", "2026-05", ME)
    assert "refused the login: 535" in line["message"]
    (told,) = trouble(world)
    assert "Check TRACKER_SMTP_USER and TRACKER_SMTP_PASSWORD" in told.message
    assert "hush" not in f"{log}{told}{world.dump('delivery')}"
    mailing(world, office, smtp_user=USER, smtp_password=PASSWORD)
    assert look(world, "06-03 08:05") == [SENT]


def test_a_connection_that_breaks_before_the_text_is_tried_again(world: World, office: PostOffice) -> None:
    office.answers["DATA"] = BROKEN
    assert look(world, DUE) == [LATER]
    office.answers.clear()
    assert look(world, "06-03 08:05") == [SENT]
    assert len(office.mails) == 1


def test_a_connection_that_breaks_after_the_text_leaves_a_doubt_that_a_person_decides(
    world: World, office: PostOffice
) -> None:
    office.answers["TEXT"] = BROKEN
    with structlog.testing.capture_logs() as log:
        assert look(world, DUE) == [IN_DOUBT]
    assert [line["log_level"] for line in log if line["event"] == "letter in doubt"] == ["error"]
    office.answers.clear()
    for later in ("06-03 08:05", "06-03 09:00", "06-20 12:00"):
        assert look(world, later) == []
    (told,) = trouble(world)
    assert told.message.startswith(f"The letter about 2026-05 may or may not have reached {ME}: it was handed over at")
    assert told.message.endswith("if it is not there: tracker letter 2026-05 --send --again")
    assert send_now(world.deps, 202605) == [told]
    assert len(office.mails) == 1
    assert [one.outcome for one in send_now(world.deps, 202605, again=True)] == [SENT]
    assert trouble(world) == []
    first, second = (message_from_bytes(one.text)["Message-ID"] for one in office.mails)
    assert first == second  # a mail program can tell that it is the same letter


# --- crashes ---

CHILD = """
import sys
from datetime import datetime
from tracker import delivery
from tracker.connect.pace import Pace
from tracker.connections import Deps
from tracker.settings import load_settings
from tracker.store.database import open_engine
from tracker.vault import Vault

settings, now = load_settings(), datetime.fromisoformat(sys.argv[1])
deps = Deps(engine=open_engine(settings.database_url), settings=settings, vault=Vault.open(settings), pace=Pace(None),
            now=lambda: now)
delivery.send_due(deps)
"""


def killed_at(step: str, world: World, office: PostOffice) -> None:
    """Another process looks for letters and is killed while the mail server is at a step."""
    names = ("data_dir", "database_url", "time_zone", "smtp_host", "smtp_port", "smtp_security", "letter_from")
    environ = {f"TRACKER_{name.upper()}": str(getattr(world.deps.settings, name)) for name in names}
    child: list[subprocess.Popen[bytes]] = []
    started = threading.Event()

    def kill() -> None:
        started.wait(20)
        os.kill(child[0].pid, signal.SIGKILL)
        child[0].wait(20)

    office.before[step] = kill
    environ |= {"TRACKER_LETTER_TO": ME, "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    child.append(subprocess.Popen([sys.executable, "-c", CHILD, world.now.isoformat()], env=environ))
    started.set()
    assert child[0].wait(60) == -signal.SIGKILL
    office.before.clear()


def test_a_process_killed_before_the_text_loses_no_letter(world: World, office: PostOffice) -> None:
    world.now = DUE
    world.sync("network")
    killed_at("RCPT", world, office)
    assert look(world, DUE + timedelta(minutes=5)) == []  # whoever holds it may still be at it
    assert look(world, DUE + delivery.LEASE + timedelta(minutes=1)) == [SENT]
    assert look(world, "06-04 08:00") == []
    assert months(office) == [(ME, MAY)]


def test_a_process_killed_after_the_text_sends_no_second_letter_and_tells(world: World, office: PostOffice) -> None:
    world.now = DUE
    world.sync("network")
    killed_at("TEXT", world, office)
    assert months(office) == [(ME, MAY)]
    assert look(world, DUE + timedelta(minutes=5)) == []
    with structlog.testing.capture_logs() as log:
        assert look(world, DUE + delivery.LEASE + timedelta(minutes=1)) == [IN_DOUBT]
    assert [line["month"] for line in log if line["event"] == "letter in doubt"] == ["2026-05"]
    assert look(world, "06-04 08:00") == []
    assert look(world, "07-03 08:00") == [SENT]
    assert months(office) == [(ME, MAY), (ME, JUNE)]
    (told,) = trouble(world)
    assert "the tracker was stopped before the mail server answered." in told.message
    assert "tracker letter 2026-05 --send --again" in told.message


def test_a_letter_in_doubt_is_told_before_any_clock_has_seen_it(world: World, office: PostOffice) -> None:
    world.now = DUE
    world.sync("network")
    killed_at("TEXT", world, office)
    assert trouble(world) == []  # the process may still be waiting for its answer
    assert [told.outcome for told in send_now(world.deps, 202605)] == [LATER]
    world.later(minutes=31)
    (told,) = trouble(world)
    assert told.outcome is IN_DOUBT
    assert [told.outcome for told in send_now(world.deps, 202605)] == [IN_DOUBT]
    assert len(office.mails) == 1


def test_a_process_killed_under_a_clock_that_was_a_year_ahead_is_not_waited_for(
    world: World, office: PostOffice
) -> None:
    office.answers["RCPT"] = "451 later"
    assert look(world, DUE) == [LATER]
    world.now = DUE + timedelta(days=365)
    killed_at("MAIL", world, office)
    office.answers.clear()
    assert look(world, DUE + timedelta(hours=7)) == [SENT]


# --- by hand ---


def test_a_letter_sent_by_hand_is_not_sent_again_by_the_clock(world: World, office: PostOffice) -> None:
    world.now = moment("06-01 12:00")
    world.sync("network")
    (told,) = send_now(world.deps, 202605)
    assert told.message == f"The letter about 2026-05 was sent to {ME}."
    assert look(world, DUE) == []
    (told,) = send_now(world.deps, 202605)
    assert told.outcome is Outcome.ALREADY
    assert told.message == (
        f"The letter about 2026-05 was sent to {ME} at 2026-06-01 12:00. "
        "To send it again: tracker letter 2026-05 --send --again"
    )
    assert months(office) == [(ME, MAY)]
    assert [told.outcome for told in send_now(world.deps, 202605, again=True)] == [SENT]
    assert len(office.mails) == 2


def test_a_second_copy_that_fails_leaves_the_first_one_sent(world: World, office: PostOffice) -> None:
    look(world, DUE)
    office.answers["RCPT"] = "451 later"
    (told,) = send_now(world.deps, 202605, again=True)
    assert told.outcome is GIVEN_UP
    assert re.match(f"The letter about 2026-05 was not sent to {ME} again: .* 451 later.", told.message)
    office.answers.clear()
    assert look(world, "06-04 08:00") == []
    assert trouble(world) == []
    assert [told.outcome for told in send_now(world.deps, 202605)] == [Outcome.ALREADY]


def test_a_second_copy_that_fails_leaves_the_doubt_about_the_first(world: World, office: PostOffice) -> None:
    office.answers["TEXT"] = BROKEN
    look(world, DUE)
    office.answers = {"RCPT": "451 later"}
    (told,) = send_now(world.deps, 202605, again=True)
    assert told.outcome is IN_DOUBT
    assert "451 later." in told.message
    office.answers.clear()
    assert look(world, "06-04 08:00") == []
    assert trouble(world) == [told]
    assert len(office.mails) == 1


def test_sending_by_hand_says_what_is_still_to_be_set(world: World, office: PostOffice) -> None:
    world.deps.settings = world.deps.settings.model_copy(update={"smtp_host": None, "letter_to": ()})
    with pytest.raises(ConfigError, match=r"no mail is set up: TRACKER_SMTP_HOST, TRACKER_LETTER_TO are not set."):
        send_now(world.deps, 202605)


def test_a_month_that_is_not_over_is_not_sent(world: World, office: PostOffice) -> None:
    world.now = moment("05-31 23:59")
    with pytest.raises(UsageError, match=r"2026-05 is not over. Its letter can be sent from 2026-06-01 on."):
        send_now(world.deps, 202605)
    assert office.steps == []
