"""Settings that pages store: the weakest layer, taken up by every process, and safe beside a running sync."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import event, update

from tests.pretend import Asked, Reply, earning
from tests.world import Killed, World, same_sums
from tracker import jobs, keyring, launch, revalue, stored
from tracker.connections import Deps
from tracker.doctor import examine
from tracker.errors import ConfigError, UsageError
from tracker.settings import BadSettings, load_settings
from tracker.store.tables import Setting
from tracker.store.writes import connection_t

PATH = "/commissions"
setting_t: Any = Setting.__table__  # type: ignore[attr-defined]


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        yield world


def opened(world: World, **environ: str) -> Deps:
    """As a process finds the ledger at its start."""
    found = {"TRACKER_DATA_DIR": str(world.folder), "TRACKER_DATABASE_URL": world.deps.settings.database_url}
    deps = launch.open_ledger(load_settings({**found, "TZ": "UTC", **environ}))
    deps.engine.dispose()
    return msgspec.structs.replace(world.deps, settings=deps.settings)


# --- layers ---


def test_what_is_stored_is_known_to_every_process_from_its_start(world: World) -> None:
    assert opened(world).settings.currency == "EUR"
    assert stored.change(
        world.deps, {"currency": "USD", "locale": "de", "letter_to": "me@example.com, you@EXAMPLE.com"}
    )
    found = opened(world).settings
    assert (found.currency, found.locale, found.letter_to) == ("USD", "de", ("me@example.com", "you@example.com"))
    assert world.deps.settings.currency == "USD"  # and at once where it was changed
    assert stored.stored_fields(world.engine) == {"currency", "locale", "letter_to"}


def test_environment_and_file_win_over_what_is_stored(world: World) -> None:
    stored.change(world.deps, {"currency": "USD", "locale": "de", "letter_day": "9"})
    (world.folder / "tracker.toml").write_text('locale = "nb"\n')
    found = opened(world, TRACKER_CURRENCY="SEK").settings
    assert (found.currency, found.locale, found.letter_day) == ("SEK", "nb", 9)
    assert dict(found.places)["currency"] == "TRACKER_CURRENCY"
    assert dict(found.places)["locale"] == f"{world.folder}/tracker.toml: locale"
    assert "letter_day" not in found.places


def test_a_field_that_environment_or_file_decide_is_not_changed(world: World) -> None:
    deps = opened(world, TRACKER_CURRENCY="SEK")
    with pytest.raises(UsageError, match=r"currency is decided by TRACKER_CURRENCY\. Change it there\."):
        stored.change(deps, {"currency": "USD"})
    with pytest.raises(UsageError, match="no setting of the pages"):
        stored.change(deps, {"database_url": "sqlite:////tmp/other.db"})
    assert stored.stored_fields(world.engine) == frozenset()


def test_the_zone_of_the_machine_holds_until_one_is_stored_and_again_when_it_is_emptied(world: World) -> None:
    deps = opened(world, TZ="Asia/Tokyo")
    assert deps.settings.time_zone == "Asia/Tokyo"
    assert stored.change(deps, {"time_zone": "Europe/Oslo"}) == {"time_zone"}
    assert deps.settings.time_zone == "Europe/Oslo"
    assert stored.change(deps, {"time_zone": ""}) == {"time_zone"}
    assert deps.settings.time_zone == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"currency": "EURO"}, {"currency": "'EURO' is not allowed. Expected an ISO 4217 code such as EUR."}),
        (
            {"letter_hour": "2", "locale": "de"},
            {"letter_hour": "'2' is not allowed. Expected an hour, 0 to 23 but not 2"},
        ),
        ({"smtp_host": "mail.example", "smtp_security": "none"}, {"smtp_security": "'none' is not allowed."}),
        ({"smtp_password": "two\nlines"}, {"smtp_password": "this value is not allowed. Expected a password, in one"}),
        ({"letter_to": "me@", "letter_day": "31"}, {"letter_to": "'me@' is not", "letter_day": "'31' is not allowed."}),
    ],
)
def test_a_bad_value_is_refused_by_field_and_nothing_is_stored(
    world: World, given: dict[str, str], told: dict[str, str]
) -> None:
    with pytest.raises(BadSettings) as error:
        stored.change(world.deps, given)
    assert error.value.problems.keys() == told.keys()
    assert all(error.value.problems[field].startswith(text) for field, text in told.items())
    assert "two" not in str(error.value)
    assert stored.stored_fields(world.engine) == frozenset()


def test_what_is_stored_and_does_not_fit_what_the_machine_says_is_named_with_the_way_out(world: World) -> None:
    stored.change(world.deps, {"smtp_host": "localhost", "smtp_security": "none"})
    with pytest.raises(ConfigError, match=r"smtp_security, as set on the settings page: 'none' is .* TRACKER_SMTP_SEC"):
        opened(world, TRACKER_SMTP_HOST="mail.example")
    assert opened(world, TRACKER_SMTP_HOST="mail.example", TRACKER_SMTP_SECURITY="tls").settings.smtp_port == 465


# --- running processes ---


def test_a_running_clock_takes_a_change_up_with_its_next_tick(world: World) -> None:
    clock = msgspec.structs.replace(world.deps)
    stored.change(world.deps, {"letter_day": "12"})
    assert clock.settings.letter_day == 3
    jobs.tick(clock, lambda ids: None)
    assert clock.settings.letter_day == 12


def test_a_worker_takes_a_change_up_with_its_next_sync(world: World) -> None:
    world.add("network")
    worker = msgspec.structs.replace(world.deps)
    world.provider.put(PATH, earning("c1", net="10.00", currency="USD", status="approved"))
    stored.change(world.deps, {"currency": "USD"})
    assert jobs.sync_connection(worker, world.connection("network").id)
    assert worker.settings.currency == "USD"
    assert world.earnings()["c1"].reporting_net == 10


def test_a_sync_that_runs_while_the_currency_changes_writes_nothing_in_the_old_one(world: World) -> None:
    """Its lease is its right to write; it ends with its page and begins again in the new currency."""
    for number in range(7):
        world.provider.put(PATH, earning(f"c{number}", net="10.00", currency="USD", status="approved"))
    world.add("network")
    page = msgspec.structs.replace(world.deps)

    def answer(asked: Asked) -> Reply:
        if "cursor" in asked.query and page.settings.currency == "EUR":
            assert stored.change(page, {"currency": "USD"}) == {"currency"}
            revalue.revalue(page.engine, page.settings)
        return world.provider.listing(asked)

    world.provider.answers[PATH] = answer
    report = world.sync("network")
    assert (report.outcome, "took over" in str(report.message)) == ("failed", True)
    assert world.connection("network").next_sync_at > world.now  # when it has noticed
    assert {row.reporting_net for row in world.earnings().values()} == {Decimal(10)}
    world.later(minutes=3)
    assert jobs.sync_connection(world.deps, world.connection("network").id)
    assert [row.reporting_net for row in world.earnings().values()] == [Decimal(10)] * 7
    same_sums(world)


def test_a_kept_value_stops_nobody_when_it_does_not_matter_for_figures(world: World) -> None:
    world.provider.put(PATH, earning("c1"))
    world.add("network")

    def answer(asked: Asked) -> Reply:
        stored.change(world.deps, {"letter_day": "5"})
        return world.provider.listing(asked)

    world.provider.answers[PATH] = answer
    assert world.sync("network").outcome == "ok"


# --- the value of everything ---


def broken_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The currency is changed, and the process dies between two steps."""
    monkeypatch.setattr(revalue, "STEP", 3)
    steps = 0

    def watch(conn: object, cursor: object, statement: str, *rest: object) -> None:
        nonlocal steps
        steps += statement.startswith("UPDATE earning SET")
        if steps > 1:
            raise Killed

    stored.change(world.deps, {"currency": "USD"})
    event.listen(world.engine, "before_cursor_execute", watch)
    with pytest.raises(Killed):
        revalue.revalue(world.engine, world.deps.settings)
    event.remove(world.engine, "before_cursor_execute", watch)


def values(world: World) -> set[Decimal]:
    return {row.reporting_net for row in world.earnings().values()}


@pytest.fixture
def ten(world: World) -> World:
    """Ten dollars ten times, in a ledger of euros."""
    for number in range(10):
        world.provider.put(PATH, earning(f"c{number}", net="10.00", currency="USD", status="approved"))
    world.add("network")
    assert world.sync("network").new == 10
    revalue.revalue(world.engine, world.deps.settings)
    return world


def test_a_change_that_was_broken_off_goes_on_where_it_was(ten: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert revalue.outstanding(ten.engine) is None
    broken_off(ten, monkeypatch)
    done = revalue.outstanding(ten.engine)
    assert done is not None
    assert 0 < done < 1
    assert len(values(ten)) == 2
    jobs.repair(ten.deps)
    assert revalue.outstanding(ten.engine) is None
    assert values(ten) == {Decimal(10)}


def test_going_back_half_way_leaves_nothing_in_the_other_currency(ten: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (euros,) = values(ten)
    broken_off(ten, monkeypatch)
    stored.change(ten.deps, {"currency": "EUR"})
    revalue.revalue(ten.engine, ten.deps.settings)
    assert values(ten) == {euros}
    assert revalue.outstanding(ten.engine) is None


# --- the password of the mail server ---


def test_the_mail_password_is_sealed_and_moves_with_the_keys(world: World) -> None:
    stored.change(world.deps, {"smtp_user": "me", "smtp_password": "hush-4711"})
    assert "hush-4711" not in str(world.dump())
    password = opened(world).settings.smtp_password
    assert password
    assert password.get_secret_value() == "hush-4711"
    assert keyring.rotate(world.deps) == 1
    assert keyring.retire(world.deps) == 1
    password = opened(world).settings.smtp_password
    assert password
    assert password.get_secret_value() == "hush-4711"


def test_an_old_key_that_the_mail_password_needs_stays(world: World) -> None:
    stored.change(world.deps, {"smtp_password": "hush-4711"})
    world.deps.vault.rotate()
    with pytest.raises(ConfigError, match="1 sealed credentials still need an old key"):
        keyring.retire(world.deps)


def test_a_mail_password_that_no_key_opens_counts_as_missing(world: World) -> None:
    stored.change(world.deps, {"smtp_user": "me", "smtp_password": "hush-4711"})
    with world.engine.begin() as conn:
        conn.execute(update(setting_t).where(setting_t.c.name == "set smtp_password").values(value="gAAAA"))
    found = opened(world).settings
    assert (found.smtp_user, found.smtp_password) == ("me", None)


def test_the_doctor_knows_what_pages_stored(world: World) -> None:
    given = {
        "smtp_host": "mail.example",
        "letter_from": "t@example.com",
        "letter_to": "me@example.com",
        "letter_day": "9",
    }
    stored.change(world.deps, given)
    machine = load_settings(
        {"TRACKER_DATA_DIR": str(world.folder), "TRACKER_DATABASE_URL": world.deps.settings.database_url}
    )
    (found,) = [one for one in examine(machine, world.now) if one.check == "letters"]
    assert found.message == "Sent each month from day 9 at 08:00 to me@example.com."


def test_only_a_sync_that_runs_is_put_off_by_another_currency(world: World) -> None:
    """Somebody else may hold a connection, to decide by hand what an earning is; its next sync stays when it was."""
    now, c = world.now, connection_t.c
    soon, held = now + timedelta(hours=1), now + timedelta(minutes=1)
    for slug, next_at, leased in (("network", soon, held), ("shop", now, held), ("bank", now, None)):
        world.add(slug)
        values = {"next_sync_at": next_at, "leased_until": leased, "leased_by": leased and "elsewhere:1:0"}
        with world.engine.begin() as conn:
            conn.execute(update(connection_t).where(c.slug == slug).values(values))
    stored.change(world.deps, {"letter_day": "4"})
    assert world.connection("shop").leased_until == held  # nothing that decides about figures
    stored.change(world.deps, {"currency": "USD"})
    rows = [world.connection(slug) for slug in ("network", "shop", "bank")]
    assert [row.leased_until for row in rows] == [None] * 3
    assert [row.next_sync_at - now for row in rows] == [timedelta(hours=1), timedelta(minutes=2), timedelta()]
