"""`tracker letter --send`: sends, says what became of it, and what to do about a letter that is in doubt."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from zoneinfo import ZoneInfo

import pytest

from tests.cli.conftest import Command
from tests.post_office import BROKEN, ME, USER, PostOffice
from tests.world import World
from tracker.months import following, label, month_of

YOU = "you@example.com"
THIS = month_of(datetime.now(UTC), ZoneInfo("Europe/Berlin"))
MONTH = label(following(THIS, -1))


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostOffice]:
    with PostOffice() as office:
        mail = {"SMTP_HOST": "localhost", "SMTP_PORT": str(office.port), "SMTP_SECURITY": "none", "LETTER_FROM": USER}
        for name, value in (mail | {"LETTER_TO": f"{ME}, {YOU}"}).items():
            monkeypatch.setenv(f"TRACKER_{name}", value)
        yield office


def test_it_sends_to_each_once_and_says_when(command: Command, connected: World, office: PostOffice) -> None:
    lines = "".join(f"The letter about {MONTH} was sent to {one}.\n" for one in (ME, YOU))
    assert command("letter", "--send") == (0, lines, "")
    code, said, error = command("letter", MONTH, "--send")
    assert (code, error, len(office.mails)) == (0, "", 2)
    assert said.splitlines()[0].startswith(f"The letter about {MONTH} was sent to {ME} at 2")
    assert said.splitlines()[0].endswith(f"To send it again: tracker letter {MONTH} --send --again")
    assert command("letter", MONTH, "--send", "--again") == (0, lines, "")
    assert len(office.mails) == 4


def test_what_is_sent_can_be_shown_as_well(command: Command, connected: World, office: PostOffice) -> None:
    code, said, error = command("letter", MONTH, "--format", "json", "--send")
    assert (code, json.loads(said)["month"], error.count("was sent to")) == (0, MONTH, 2)
    read = message_from_bytes(office.mails[0].text, policy=policy.default)
    assert (read["To"], read["From"]) == (ME, f"Income tracker <{USER}>")


def test_a_letter_in_doubt_is_told_with_the_command_that_sends_it(
    command: Command, connected: World, office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKER_LETTER_TO", ME)
    office.answers["TEXT"] = BROKEN
    doubt = f"The letter about {MONTH} may or may not have reached {ME}"
    code, said, error = command("letter", "--send")
    assert (code, said[: len(doubt)], error) == (2, doubt, "")
    code, said, error = command("letter")
    assert (code, error[: len(doubt)]) == (0, doubt)
    assert error.endswith(f"tracker letter {MONTH} --send --again\n")
    code, said, _ = command("doctor", "--json")
    (found,) = (finding for finding in json.loads(said)["findings"] if finding["check"] == "letters")
    assert (code, found["state"], found["lines"][0][: len(doubt)]) == (1, "problem", doubt)
    office.answers.clear()
    assert command("letter", MONTH, "--send", "--again")[0] == 0
    assert command("letter")[2] == ""


def test_what_is_refused_ends_in_exit_code_2(command: Command, connected: World, office: PostOffice) -> None:
    office.answers["RCPT"] = "550 no such user"
    code, said, error = command("letter", "--send")
    assert (code, said.count("550 no such user."), error) == (2, 2, "")
    assert office.mails == []


def test_without_mail_it_says_what_to_set(command: Command, connected: World) -> None:
    code, said, error = command("letter", "--send")
    assert (code, said) == (2, "")
    assert "no mail is set up: TRACKER_SMTP_HOST, TRACKER_LETTER_FROM, TRACKER_LETTER_TO are not set." in error


def test_half_set_up_mail_is_found_by_the_doctor(
    command: Command, connected: World, office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def letters() -> tuple[str, str]:
        found = json.loads(command("doctor", "--json")[1])["findings"]
        return next((one["state"], one["message"]) for one in found if one["check"] == "letters")

    assert letters() == ("ok", f"Sent each month from day 3 at 08:00 to {ME}, {YOU}.")
    monkeypatch.setenv("TRACKER_LETTER_FROM", "")
    assert letters() == ("problem", "Mail is set up but for TRACKER_LETTER_FROM, so no letter is sent.")


@pytest.mark.parametrize(
    ("words", "says"),
    [((label(THIS), "--send"), f"{label(THIS)} is not over. Its letter can be sent from"), (("--again",), "--send")],
)
def test_what_cannot_be_sent_is_wrong_usage(
    words: tuple[str, ...], says: str, command: Command, connected: World, office: PostOffice
) -> None:
    code, said, error = command("letter", *words)
    assert (code, said) == (64, "")
    assert says in error
    assert office.steps == []
