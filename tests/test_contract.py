"""The contract that every connector keeps, whatever its provider: ids, currency, times, overlap, words; and at its
sandbox: a second sync changes nothing, a night in which the clocks change neither, and a killed backfill goes on."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.contract import finest, lost, noted_words, place_of, reachable
from tests.world import World
from tracker import connections
from tracker.connect import catalog
from tracker.connect.connector import Resource
from tracker.connect.fields import Field
from tracker.connect.plans import (
    Axis,
    ChangeFeed,
    Full,
    NewestFirst,
    PerPayout,
    Snapshot,
    WebhookOnly,
    Windows,
    local,
    unix,
)
from tracker.connect.replay import load, replay
from tracker.demo.networks import PLAYED
from tracker.demo.server import Sandbox
from tracker.records import Earning
from tracker.sync import Report

SAMPLES = Path(__file__).parent / "connectors"
ASKED = [slug for slug in catalog.slugs() if not catalog.find(slug).imported]
#: Providers without a sandbox, with the reason: their samples are all there is.
NO_SANDBOX: dict[str, str] = {}
NOW = datetime(2026, 6, 15, 10, tzinfo=UTC)
#: Nights in which clocks change in Europe; a week earlier or later in America.
AUTUMN, SPRING = datetime(2025, 10, 26, 1, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC)
AUTUMN_US, SPRING_US = datetime(2025, 11, 2, 6, tzinfo=UTC), datetime(2026, 3, 8, 7, tzinfo=UTC)

RESOURCES = [(slug, resource) for slug in ASKED for resource in catalog.find(slug).resources]
each_resource = pytest.mark.parametrize(
    ("slug", "resource"), RESOURCES, ids=[f"{slug}-{resource.name}" for slug, resource in RESOURCES]
)


# --- what is declared ---


@each_resource
def test_a_row_has_an_id_and_an_earning_its_currency(slug: str, resource: Resource) -> None:
    assert isinstance(resource.row_id, Field)
    assert resource.makes
    for maker in resource.makes:
        fields = dict(maker.reads)
        if maker.record is Earning:
            assert {"external_id", "currency", "earned_at", "net", "status"} <= fields.keys()
            assert ("sale_amount" in fields) == ("sale_currency" in fields)


@each_resource
def test_a_plan_that_follows_time_reads_what_it_may_have_missed_again(slug: str, resource: Resource) -> None:
    match resource.plan:
        case Windows(axes=axes):
            assert any(axis.backfill for axis in axes)
            assert len({axis.name for axis in axes}) == len(axes)
            for axis in axes:
                assert axis.overlap >= least(resource.plan, axis), axis.name
                assert axis.until or resource.plan.days is None, axis.name
        case NewestFirst(rescan=rescan):
            assert rescan >= timedelta(days=1)
        case ChangeFeed(overlap=overlap, memory=memory):
            assert timedelta(minutes=1) <= overlap < memory
        case _:
            assert isinstance(resource.plan, Full | Snapshot | PerPayout | WebhookOnly)


def least(plan: Windows, axis: Axis) -> timedelta:
    """An hour where an autumn hour comes twice, a day where times are days, a minute anyway."""
    form = axis.form or plan.form
    night = timedelta(hours=1) if place_of(form) is not UTC else timedelta(minutes=1)
    return max(night, finest(form) if finest(form) == timedelta(days=1) else night)


WINDOWED = [(slug, resource) for slug, resource in RESOURCES if isinstance(resource.plan, Windows)]


@pytest.mark.parametrize("night", [AUTUMN, SPRING, AUTUMN_US, SPRING_US], ids=lambda night: f"{night:%Y-%m-%d}")
@pytest.mark.parametrize(("slug", "resource"), WINDOWED, ids=[f"{slug}-{resource.name}" for slug, resource in WINDOWED])
def test_no_row_of_a_night_in_which_clocks_change_falls_between_two_windows(
    slug: str, resource: Resource, night: datetime
) -> None:
    assert isinstance(resource.plan, Windows)
    for syncs in rhythms(night):
        assert lost(resource.plan, syncs, made_in(night), night - timedelta(days=2)) == []
    days = [night + timedelta(days=number) for number in range(9)]
    assert lost(resource.plan, days, made_in(night), night - timedelta(days=100)) == []


def rhythms(night: datetime) -> list[list[datetime]]:
    """Syncs that end on both sides of the hour, and twice at the same time on the wall."""
    return [[night + timedelta(minutes=step * number - 10) for number in range(-30, 31)] for step in (30, 37)]


def made_in(night: datetime) -> list[datetime]:
    return [night + timedelta(minutes=10 * number) for number in range(-72, 72)]


@pytest.mark.parametrize(
    "plan",
    [
        Windows(axes=(Axis(name="a", since="a", until="b", overlap=-timedelta(minutes=30)),), days=30, form=unix),
        Windows(
            axes=(Axis(name="a", since="a", until="b", overlap=timedelta(0)),), days=30, form=local("Europe/Berlin")
        ),
        Windows(
            axes=(Axis(name="a", since="a", until="b", overlap=timedelta(0), exclusive=True),),
            days=30,
            form=local("UTC", "%Y-%m-%d"),
        ),
    ],
    ids=["a gap", "an hour that comes twice", "days that are left out"],
)
def test_a_plan_that_loses_rows_is_found(plan: Windows) -> None:
    assert any(lost(plan, syncs, made_in(AUTUMN), AUTUMN - timedelta(days=2)) for syncs in rhythms(AUTUMN))


# --- what the samples show ---


def samples(slug: str) -> list[Path]:
    return sorted((SAMPLES / slug).glob("*.json"))


@lru_cache(maxsize=64)
def records(slug: str) -> list[tuple[str, dict[str, Any]]]:
    """Type and fields of every record that the samples of a provider make."""
    found = []
    for file in samples(slug):
        for line in file.with_suffix(".expected").read_text("utf-8").splitlines():
            found += [(kind, fields) for kind, fields in json.loads(line).items() if isinstance(fields, dict)]
    return found


@pytest.mark.parametrize("slug", ASKED)
def test_every_time_is_aware_and_every_amount_has_its_currency(slug: str) -> None:
    assert samples(slug)
    for kind, fields in records(slug):
        for name, value in fields.items():
            if name.endswith("_at"):
                assert datetime.fromisoformat(value).utcoffset() == timedelta(0), (kind, name, value)
        if kind == "Earning":
            assert len(fields["currency"]) == 3
            assert fields["external_id"]


@pytest.mark.parametrize("slug", ASKED)
def test_a_row_reads_the_same_in_every_time_zone_and_every_status_word_is_met(
    slug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = catalog.find(slug)
    monkeypatch.setenv("TZ", "Pacific/Apia")  # a day apart from most
    time.tzset()
    try:
        with noted_words(connector) as lists:
            for file in samples(slug):
                found = "".join(replay(connector, load(file.read_bytes())))
                assert found == file.with_suffix(".expected").read_text("utf-8"), file.name
    finally:
        monkeypatch.undo()
        time.tzset()
    met = {(words.source, str(word)) for words in lists for word in words.met}  # 0 and "0" are one word
    never = {f"{words.path}: {word}" for words in lists for word in words if (words.source, str(word)) not in met}
    assert never == set()


def test_words_are_found_in_fields_in_functions_and_in_what_they_call() -> None:
    with noted_words(catalog.find("awin")) as lists:
        assert [(words.path, len(words)) for words in lists] == [("commissionStatus", 5)]
    with noted_words(catalog.find("impact")) as lists:  # the second one is called by name, in a comprehension
        assert {words.path for words in lists} == {"State", "Status"}
    for slug in ASKED:
        assert len(reachable(catalog.find(slug))) > 10


# --- at the sandbox ---


PLAYABLE = sorted(set(ASKED) - NO_SANDBOX.keys())
each_sandbox = pytest.mark.parametrize("slug", PLAYABLE)


def played() -> Sandbox:
    """A sandbox of its own: a token that was used up in one ledger is no good in another."""
    return Sandbox(now=NOW, rate_limits=False)


def connected(sandbox: Sandbox, slug: str, folder: Path, now: datetime) -> World:
    """A ledger with one connection."""
    world = World(f"sqlite:///{folder}/tracker.db", folder)
    world.now = sandbox.now = now
    options = {"base_url": sandbox.url(slug)}
    for name, option in catalog.find(slug).options.items():
        if option.required and name != "base_url":
            assert name == "currency", f"{slug}: what is {name}?"
            options[name] = "EUR"
    since = END - timedelta(days=DAYS)
    connections.add(world.deps, slug, slug, credentials=sandbox.credentials(slug), options=options, since=since)
    return world


def test_every_provider_has_a_sandbox_or_a_reason_for_none() -> None:
    assert {*played().providers, *PLAYED} == set(PLAYABLE)
    assert NO_SANDBOX.keys() <= set(ASKED)


KEPT = ("earning", "earning_change", "payout", "payout_item", "program", "subscription", "invoice", "monthly_income")
#: When the syncs come: around the hour that the clocks show twice, and a day later.
MOMENTS = [AUTUMN + timedelta(minutes=minutes) for minutes in (-45, 15, 75, 22 * 60)]
END = MOMENTS[-1]
DAYS = 20  # how far back a first sync reads


def facts(world: World) -> set[tuple[Any, ...]]:
    """What the ledger knows of the last days: what was earned and how it stands, and who subscribes."""
    words = {"reversed": "declined"}  # who saw it approved knows more
    earned = {
        (row.resource, row.external_id, row.net, row.currency, words.get(row.status, row.status), row.settlement)
        for row in world.earnings().values()
        if row.earned_at >= END - timedelta(days=DAYS - 5)
    }
    return earned | set(world.ask("select external_id, status, amount, currency from subscription"))


class Night(NamedTuple):
    reports: list[Report]
    again: Report
    changed: set[str]  # tables
    facts: set[tuple[Any, ...]]


@pytest.fixture(scope="module")
def through_the_night(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Night]:
    """A provider's syncs through that night and one more at their end; each provider's once."""

    @lru_cache(maxsize=100)
    def run(slug: str) -> Night:
        with played() as sandbox, connected(sandbox, slug, tmp_path_factory.mktemp(slug), MOMENTS[0]) as world:
            reports = []
            for moment in MOMENTS:
                world.now = sandbox.now = moment
                reports.append(world.sync(slug))
            before = world.dump(*KEPT)
            again = world.sync(slug)
            after = world.dump(*KEPT)
            return Night(reports, again, {name for name in KEPT if before[name] != after[name]}, facts(world))

    return run


@each_sandbox
def test_syncs_through_the_night_go_well_and_one_more_changes_nothing(
    slug: str, through_the_night: Callable[[str], Night]
) -> None:
    night = through_the_night(slug)
    assert [(one.outcome, one.quarantined, one.message) for one in night.reports] == [("ok", 0, None)] * len(MOMENTS)
    assert (night.again.outcome, night.again.new, night.again.changed) == ("ok", 0, 0)
    assert night.changed == set()
    assert night.facts


@each_sandbox
def test_a_killed_backfill_goes_on_and_ends_where_the_syncs_through_the_night_ended(
    tmp_path: Path, slug: str, through_the_night: Callable[[str], Night]
) -> None:
    with played() as sandbox, connected(sandbox, slug, tmp_path, END) as world:
        kills = [world.killed_at(statement, slug) for statement in (18, 34, 55)]
        assert any(kills)
        for _ in range(2):  # the second one looks back further than the first was told to
            assert world.sync(slug).outcome == "ok"
        assert facts(world) == through_the_night(slug).facts
