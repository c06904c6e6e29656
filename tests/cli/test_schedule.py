"""`tracker schedule`, `health` and the agreement on when a connection is synced."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from tests.cli.conftest import PATH, Command
from tests.pretend import KEY, Reply
from tests.world import World
from tracker import jobs
from tracker.cli import ground
from tracker.cli.schedule import Agenda
from tracker.store.writes import connection_t


def put(world: World, slug: str, **values: Any) -> None:
    with world.engine.begin() as conn:
        conn.execute(update(connection_t).where(connection_t.c.slug == slug).values(values))


def test_it_says_in_local_time_what_runs_when_and_why_something_waits(command: Command, connected: World) -> None:
    for slug in ("paused", "running", "queued", "late"):
        connected.add("network", slug)
    assert command("connection", "pause", "paused")[0] == 0
    now = ground.now()
    put(connected, "running", leased_until=now + timedelta(minutes=9), leased_by="elsewhere:1:0")
    put(connected, "queued", queued_until=now + timedelta(minutes=9))
    put(connected, "late", next_sync_at=now + timedelta(days=40), quiet="22:00-06:00", interval_s=86_400)
    connected.provider.answers[PATH] = lambda asked: Reply.json({}, 429, Retry_After="1800")
    assert command("sync", "network")[0] == 2
    code, said, error = command("schedule")
    assert (code, error) == (0, "")
    zone = connected.deps.settings.zone
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert lines[0].startswith("Times are Europe/Berlin; now it is ")
    agenda = Agenda(connected.deps)
    again, late = (connected.connection(slug).next_sync_at for slug in ("network", "late"))
    assert lines[2] == f"late 1d 22:00-06:00 next {late.astimezone(zone):%Y-%m-%d %H:%M}"
    assert lines[3] == f"network 1h next try {agenda.at(again)}"
    assert lines[4:7] == ["paused 1h paused", "queued 1h waits for its turn", "running 1h running"]
    assert f"network: next try {agenda.at(again)}, because 127.0.0.1 asked to slow down (429)." in lines
    assert "paused is paused: you paused it. Go on with: tracker connection resume paused" in lines
    assert any(line.startswith("exchange rates daily at 17:30 ") for line in lines)
    assert lines[-1].startswith("No clock is running, so nothing is synced by itself (it has never run).")


def test_scripts_get_the_same_with_times_in_utc(command: Command, connected: World) -> None:
    found = json.loads(command("schedule", "--json")[1])
    [network] = found["connections"]
    assert (network["slug"], network["state"], network["interval_s"], network["quiet"]) == (
        "network",
        "due",
        3600,
        None,
    )
    assert network["next_sync_at"].endswith("Z")
    assert (found["time_zone"], found["clock_seen_at"]) == ("Europe/Berlin", None)
    assert {"exchange rates": "daily at 17:30"}.items() <= {job["name"]: job["runs"] for job in found["jobs"]}.items()


def test_a_reason_stands_in_the_list_and_beside_the_connection_as_well(command: Command, connected: World) -> None:
    connected.provider.answers[PATH] = lambda asked: Reply.json({}, 429, Retry_After="1800")
    command("sync")
    told = f"next try {Agenda(connected.deps).at(connected.connection('network').next_sync_at)}"
    for words in (("list",), ("show", "network")):
        said = command("connection", *words)[1]
        assert f"network: {told}, because 127.0.0.1 asked to slow down (429)." in said
        assert said.count(told) == 2
    put(connected, "network", next_sync_at=ground.now())
    assert "network: due now; the last try failed: 127.0.0.1" in command("schedule")[1]


# --- agreeing on it ---


def test_interval_and_quiet_hours_are_agreed_on_when_a_connection_is_added(command: Command, world: World) -> None:
    account = ("--slug", "network", "--credential", f"key={KEY}", "--option", f"base_url={world.server.url}")
    assert command("connection", "add", "pretend-network", *account, "--every", "6h", "--quiet", "22:00-6:00")[0] == 0
    row = world.connection("network")
    assert (row.interval_s, row.quiet) == (21_600, "22:00-06:00")
    shown = command("connection", "show", "network")[1]
    assert "every          6h\n" in shown
    assert "quiet          22:00-06:00\n" in shown


def test_they_can_be_changed_and_the_next_time_with_them(command: Command, connected: World) -> None:
    put(connected, "network", next_sync_at=ground.now() + timedelta(hours=20))
    code, said, _ = command("connection", "edit", "network", "--every", "30m", "--quiet", "00:00-12:00")
    assert code == 0
    assert said.startswith("network is synced every 30m, but not from 00:00 to 12:00: next ")
    row = connected.connection("network")
    assert row.next_sync_at <= ground.now() + timedelta(hours=13)
    assert row.next_sync_at.astimezone(connected.deps.settings.zone).hour >= 12
    code, said, _ = command("connection", "edit", "network", "--quiet", "none", "--json")
    assert (json.loads(said)["quiet"], json.loads(said)["interval_s"]) == (None, 1800)
    assert connected.connection("network").next_sync_at <= ground.now() + timedelta(minutes=33)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "there is nothing to change. Give --every 6h, --quiet 22:00-06:00, --quiet none or --option name=value."),
        (("--every", "none"), "--every: not an interval: 'none'. Write minutes, hours or days: 30m, 6h, 1d."),
        (("--every", "1m"), "--every: 1m is not possible. Choose from 5m to 30d."),
        (("--quiet", "at night"), "--quiet: not quiet hours: 'at night'. Write them as 22:00-06:00, in your time zone"),
        (("--quiet", "07:00-06:30"), "--quiet: quiet from 07:00 to 06:30 leaves less than an hour a day."),
    ],
)
def test_what_cannot_be_agreed_on_changes_nothing(
    command: Command, connected: World, words: tuple[str, ...], told: str
) -> None:
    before = connected.connection("network")
    code, said, error = command("connection", "edit", "network", *words)
    assert (code, said, error.count("\n")) == (64, "", 1)
    assert error.startswith(f"tracker: {told}")
    assert connected.connection("network") == before


# --- health ---


def beat(world: World) -> None:
    world.now = ground.now()
    jobs.tick(world.deps, lambda connection_id: None)


def test_a_tracker_whose_clock_runs_is_well(command: Command, connected: World) -> None:
    code, said, _ = command("health")
    assert (code, said.startswith("not well: no clock is running (never seen). Start `tracker serve`")) == (1, True)
    beat(connected)
    assert command("health") == (0, "well\n", "")
    found = json.loads(command("health", "--json")[1])
    assert (found["ok"], found["overdue"], found["problem"]) == (True, [], None)
    assert command("schedule")[1].endswith("A clock is running.\n")


@pytest.mark.parametrize("wrong", [timedelta(minutes=-5), timedelta(days=366)])
def test_a_clock_that_stands_still_or_was_wrong_is_not_well(
    command: Command, connected: World, wrong: timedelta
) -> None:
    connected.now = ground.now() + wrong
    jobs.tick(connected.deps, lambda connection_id: None)
    code, said, _ = command("health")
    assert (code, said.startswith("not well: no clock is running (last seen 20")) == (1, True)
    beat(connected)  # one look of a clock that is right is enough
    assert command("health")[0] == 0


def test_what_nobody_syncs_is_not_well(command: Command, connected: World) -> None:
    put(connected, "network", next_sync_at=ground.now() - timedelta(hours=4))
    beat(connected)
    code, said, _ = command("health")
    assert (code, said) == (
        1, "not well: nobody syncs what is due (network). Check that the workers and Redis run.\n",
    )  # fmt: skip
    connected.add("network", "long")
    put(connected, "long", leased_until=ground.now() + timedelta(minutes=5))
    assert command("health")[0] == 0  # somebody is at work


def test_a_database_that_does_not_answer_is_not_well(command: Command, connected: World) -> None:
    connected.engine.dispose()
    (connected.folder / "tracker.db").write_bytes(b"no database " * 1000)
    code, said, error = command("health")
    assert (code, error, "file is not a database" in said) == (1, "", True)
    assert json.loads(command("health", "--json")[1])["ok"] is False
