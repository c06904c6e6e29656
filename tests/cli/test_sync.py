"""`tracker sync`: exit codes, what it says, and what is left after Ctrl-C, kill -9 and a second sync at once."""

import json
import signal
from pathlib import Path

import pytest

from tests.cli.conftest import PATH, Command, Held, Process, soon
from tests.pretend import KEY, Reply
from tests.world import World


def test_a_first_sync_reads_everything_and_a_second_says_that_nothing_is_new(
    command: Command, connected: World
) -> None:
    assert command("sync") == (0, "network: ok, 7 rows: 7 new, 0 changed\n", "")
    code, said, _ = command("sync", "network")
    assert (code, said.startswith("network: ok, nothing new in ")) == (0, True)
    code, said, _ = command("sync", "--since", "2026-01-01", "--json")
    found = json.loads(said)
    assert (code, found["slug"], found["outcome"], found["new"], found["changed"]) == (0, "network", "ok", 0, 0)


def test_a_row_in_quarantine_makes_the_exit_code_1(command: Command, connected: World) -> None:
    connected.provider.shelves[PATH]["c3"]["status"] = "perhaps"
    assert command("sync") == (
        1, "network: partial, 7 rows: 6 new, 0 changed, 1 in quarantine (tracker quarantine list)\n", "",
    )  # fmt: skip


def test_a_revoked_key_pauses_the_connection_and_the_others_go_on(command: Command, connected: World) -> None:
    connected.add("network", "other", credentials={"key": "a-revoked-key"})
    code, said, _ = command("sync")
    first, second = said.splitlines()
    assert (code, first) == (2, "network: ok, 7 rows: 7 new, 0 changed")
    assert second.startswith("other: failed. 127.0.0.1 refused the credentials.")
    assert second.endswith("It is paused until then: tracker connection credentials other")
    code, said, error = command("sync")
    assert (code, error) == (0, "Paused and left out: other\n")
    code, said, error = command("sync", "other")
    assert (code, said, error.count("\n"), "a-revoked-key" in error) == (64, "", 1, False)
    assert error.endswith("Go on with: tracker connection credentials other\n")


def test_when_all_are_paused_it_says_so(command: Command, connected: World) -> None:
    command("connection", "pause", "network")
    told = "tracker: network is paused: you paused it. Go on with: tracker connection resume network\n"
    assert command("sync") == (64, "", told)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nope",), "tracker: no connection is called 'nope'. There are: network.\n"),
        (("--since", "nope"), "tracker: --since: not a day: 'nope'. Write it as 2026-06-30.\n"),
        (("--sinc", "2026-01-01"), "tracker: No such option: --sinc"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_64(
    command: Command, connected: World, words: tuple[str, ...], told: str
) -> None:
    code, said, error = command("sync", *words)
    assert (code, said, error.count("\n")) == (64, "", 1)
    assert error.startswith(told)


def test_an_empty_ledger_says_how_to_begin(command: Command) -> None:
    code, _, error = command("sync")
    assert (code, error) == (
        64, "tracker: there is nothing to sync. Add a connection: tracker connection add PROVIDER --slug NAME\n",
    )  # fmt: skip


def test_ctrl_c_ends_in_one_line_and_the_next_sync_goes_on(
    process: Process, command: Command, connected: World, held: Held
) -> None:
    running = process("sync")
    assert held.reached.wait(30)
    running.send_signal(signal.SIGINT)
    said, error = running.communicate(timeout=30)
    assert (running.returncode, said, error) == (130, "", "tracker: stopped; what was written is safe.\n")
    assert connected.connection("network").leased_by is None
    [(outcome, finished)] = connected.ask("select outcome, finished_at from sync_run")
    assert (outcome, finished is None) == ("failed", False)
    assert len(connected.earnings()) == 3
    held.go.set()
    code, said, _ = command("sync")
    assert (code, said.endswith(" 4 new, 0 changed\n")) == (0, True)
    assert len(connected.earnings()) == 7


def test_a_slow_provider_keeps_nobody_waiting_and_the_lines_come_in_order(
    process: Process, connected: World, held: Held
) -> None:
    connected.add("bank", "zebra")
    running = process("sync")
    assert held.reached.wait(30)
    assert soon(connected, lambda: connected.connection("zebra").as_of is not None)
    held.go.set()
    first, second = running.communicate(timeout=30)[0].splitlines()
    assert (first.split(":")[0], second.split(":")[0], running.returncode) == ("network", "zebra", 0)


def test_ctrl_c_does_not_wait_for_one_slow_provider_of_several(
    process: Process, command: Command, connected: World, held: Held
) -> None:
    connected.add("bank", "zebra")
    running = process("sync")
    assert held.reached.wait(30)
    assert soon(connected, lambda: connected.connection("zebra").as_of is not None)
    running.send_signal(signal.SIGINT)
    said, error = running.communicate(timeout=30)
    assert (running.returncode, said, error) == (130, "", "tracker: stopped; what was written is safe.\n")
    held.go.set()
    assert command("sync")[0] == 0
    assert len(connected.earnings()) == 7


def test_after_kill_9_the_next_sync_takes_over_at_once(
    process: Process, command: Command, connected: World, held: Held
) -> None:
    running = process("sync")
    assert held.reached.wait(30)
    running.kill()
    running.communicate(timeout=30)
    assert connected.connection("network").leased_by
    held.go.set()
    assert command("sync")[0] == 0
    assert len(connected.earnings()) == 7
    assert connected.ask("select outcome, error from sync_run order by id") == [("failed", "Killed"), ("ok", None)]


def test_of_two_syncs_at_once_one_says_that_the_other_is_at_it(
    process: Process, command: Command, connected: World, held: Held
) -> None:
    connected.add("bank", "zebra")
    running = process("sync", "network")
    assert held.reached.wait(30)
    code, said, _ = command("sync")
    first, second = said.splitlines()
    assert first.startswith("network: failed. network is being synced by another process. Wait for it, or until")
    assert (code, second) == (2, "zebra: ok, nothing new in 0 rows")
    held.go.set()
    said, error = running.communicate(timeout=30)
    assert (running.returncode, said, error) == (0, "network: ok, 7 rows: 7 new, 0 changed\n", "")


def test_a_damaged_database_is_one_line(command: Command, connected: World) -> None:
    connected.engine.dispose()
    (connected.folder / "tracker.db").write_bytes(b"no database " * 1000)
    code, said, error = command("sync")
    assert (code, said, error.count("\n")) == (2, "", 1)
    assert "file is not a database. The file is damaged or no database: restore a backup" in error


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRACKER_DATABASE_URL", "nonsense-with-a-password"),
        ("TRACKER_DATABASE_URL", "postgresql://me:a-password@127.0.0.1:1/ledger"),
        ("TRACKER_DATABASE_URL", "sqlite:////nope/a-password/tracker.db"),
        ("TRACKER_TIME_ZONE", "Mars"),
        ("TRACKER_DATA_DIR", "/proc/nope"),
    ],
)
def test_a_wrong_setting_is_one_line_without_the_password(
    command: Command, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    call = command
    monkeypatch.setenv(name, value)
    code, said, error = call("sync")
    assert (code, said, error.count("\n")) == (2, "", 1)
    assert "me:a-password" not in error


def test_a_page_that_does_not_come_loses_nothing_and_no_key_is_shown(command: Command, connected: World) -> None:
    connected.provider.answers[PATH] = lambda asked: (
        Reply(b"<html>busy") if "cursor" in asked.query else connected.provider.listing(asked)
    )
    code, said, error = command("sync")
    assert (code, KEY in said + error) == (2, False)
    assert said.startswith("network: failed, 3 rows: 3 new, 0 changed. commissions: 127.0.0.1 answered with a web page")
    assert Path(connected.folder / "tracker.db").stat().st_size > 0
    connected.provider.answers.clear()
    assert command("sync")[0] == 0
    assert len(connected.earnings()) == 7
