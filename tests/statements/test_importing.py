"""From a statement to the ledger and back again: nothing twice, nothing lost, and no provider is ever asked."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from tests.statements.conftest import Write, take
from tests.statements.told import understood
from tests.world import World, same_sums
from tracker import connections, delivery, doctor, quarantine, schedule
from tracker.errors import UsageError
from tracker.ledger import bank_line_t
from tracker.rebuild import rebuild
from tracker.statements import importing
from tracker.statements.statement import Statement
from tracker.store.database import reading
from tracker.store.writes import connection_t
from tracker.summary import summarise

FILES = Path(__file__).parent / "files"
AMAZON = "Category,Name,ASIN,Tracking ID,Date Shipped,Price(£),Items Shipped,Returns,Revenue(£),Ad Fees(£)\n"
PAN = "Kitchen,Pan,B0ABCDE001,blog-21,2026-03-0{day} 00:00:00,20.00,1,0,20.00,{fees}\n"
DERIVED = ("earning", "payout", "subscription", "bank_line", "program", "monthly_income", "raw_row")


def amazon(*rows: tuple[int, str]) -> str:
    return AMAZON + "".join(PAN.format(day=day, fees=fees) for day, fees in rows)


@pytest.mark.parametrize(
    "name",
    ["gumroad-payouts.csv", "paypal-de.csv", "patreon-members.csv", "wise.csv", "shareasale.txt", "app-store.tsv.gz"],
)
def test_a_statement_imported_twice_changes_nothing(world: World, name: str) -> None:
    first = take(world, FILES / name)
    before = world.dump(*DERIVED)
    again = take(world, FILES / name)
    assert first.new > 1
    assert (again.new, again.changed, again.unchanged) == (0, 0, first.rows - first.quarantined)
    assert world.dump(*DERIVED) == before
    same_sums(world)


def test_overlapping_files_without_ids_add_only_what_is_new(world: World, write: Write) -> None:
    take(world, write("a.csv", amazon((1, "1.00"), (2, "2.00"), (2, "2.00"), (3, "3.00"))))
    report = take(world, write("b.csv", amazon((2, "2.00"), (2, "2.00"), (3, "3.00"), (3, "3.00"), (4, "4.00"))))
    assert (report.new, report.unchanged) == (2, 3)
    assert sorted(row.net for row in world.earnings().values()) == [1, 2, 2, 3, 3, 4]


def test_another_export_of_the_same_rows_is_known_again(world: World, write: Write) -> None:
    take(world, write("a.csv", amazon((1, '"1,250.50"'))))
    other = amazon((1, "1250.5")).replace("2026-03-01 00:00:00", "March 1 2026").encode("utf-16")
    file = write("b.csv", "")
    file.write_bytes(other)
    report = take(world, file)
    assert report.new == 0
    assert len(world.earnings()) == 1


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["1.00", "2.00", "-1.00"])), min_size=1, max_size=25),
    cuts=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4),
)
def test_any_overlapping_downloads_of_whole_days_add_up_to_the_whole(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str]], cuts: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("cuts")
    ledgers = []
    for name, parts in (("whole", [(1, 9)]), ("parts", [*cuts, (1, 5), (4, 9)])):
        with World(f"sqlite:///{folder}/{name}.db", folder / name) as world:
            for number, (low, high) in enumerate(parts):
                mine = sorted(row for row in rows if low <= row[0] <= high)
                if mine:
                    file = folder / f"{name}{number}.csv"
                    file.write_text(amazon(*mine))
                    take(world, file)
            ledgers.append(world.dump("earning", "monthly_income", without=("created_at",)))
    assert ledgers[0] == ledgers[1]


def test_rows_that_are_not_understood_wait_with_their_line_and_leave_when_mended(world: World, write: Write) -> None:
    text = (FILES / "gumroad-payouts.csv").read_text("utf-8")
    report = take(world, write("march.csv", text))
    rows, _ = quarantine.held(world.engine)
    assert report.quarantined == 2
    assert sorted(row.error for row in rows) == [
        "line 10 of march.csv: kind: unknown word 'Mystery' in 'Type'",
        "line 11 of march.csv: row: the row has 4 cells, the header 11. Was the file cut off or edited?",
    ]
    assert b"buyer.example" not in b"".join(bytes(quarantine.one(world.engine, row.id).payload) for row in rows)
    world.later(hours=1)
    (tried,) = quarantine.retry(world.deps)
    assert (tried.held, tried.understood) == (2, 0)
    assert any(row.error.startswith("line 10 of march.csv: ") for row in quarantine.held(world.engine)[0])
    world.later(hours=1)
    mended = text.replace("Mystery,", "Credit,").replace("Sale,2026-03-08,p8==,Short\n", "")
    report = take(world, write("march.csv", mended))
    assert (report.new, report.quarantined) == (1, 0)
    assert quarantine.held(world.engine)[1] == 0


def test_the_next_file_of_the_same_name_leaves_what_waits(world: World, write: Write) -> None:
    take(
        world, write("bank.csv", "Date,Description,Amount,Currency\n2026-03-25,one,5.00,EUR\n2026-03-26,two,many,EUR\n")
    )
    world.later(hours=1)
    take(
        world, write("bank.csv", "Date,Description,Amount,Currency\n2026-04-25,one,5.00,EUR\n2026-04-26,two,6.00,EUR\n")
    )
    assert [row.error for row in quarantine.held(world.engine)[0]] == [
        "line 3 of bank.csv: amount: Amount: not an amount: 'many'"
    ]


def test_what_a_profile_learns_is_rebuilt_from_the_rows_that_were_kept(world: World, write: Write, own: Path) -> None:
    own.mkdir()
    profile = """
    title = "Club"
    kind = "membership"
    docs = ""
    id = ["Ref"]
    [[header]]
    needs = ["Ref", "Paid on", "Sum", "What"]
    [[make]]
    record = "earning"
    [make.fields]
    kind = { one_of = "What", words = { join = "sale" } }
    status = "approved"
    net = { money = "Sum" }
    currency = "EUR"
    earned_at = { timestamp = "Paid on" }
    """
    (own / "club.toml").write_text(profile)
    file = write("club.csv", "Ref,Paid on,Sum,What\n1,2026-03-01,5.00,join\n2,2026-03-02,6.00,gift\n")
    report = take(world, file)
    assert (report.new, report.quarantined) == (1, 1)
    (own / "club.toml").write_text(profile.replace('join = "sale"', 'join = "subscription_payment", gift = "tip"'))
    from tracker.statements.profiles import shelf

    shelf.forget()
    result = rebuild(world.deps, world.connection("club").id)
    assert (result.changed, result.released) == (1, 1)
    assert {row.external_id: row.kind for row in world.earnings().values()} == {"1": "subscription_payment", "2": "tip"}
    assert rebuild(world.deps, world.connection("club").id).nothing
    same_sums(world)


@pytest.mark.parametrize(
    "name", ["wise.csv", "etsy-statement-us.csv", "paypal-en.csv", "patreon-members.csv", "shareasale.txt"]
)
def test_a_rebuild_right_after_an_import_finds_nothing_to_do(world: World, name: str) -> None:
    take(world, FILES / name)
    before = world.dump(*DERIVED)
    slug = understood(FILES / name).profile.slug
    assert rebuild(world.deps, world.connection(slug).id).nothing
    assert world.dump(*DERIVED) == before


def test_people_are_not_kept_and_payers_have_stand_ins(world: World) -> None:
    take(world, FILES / "paypal-en.csv")
    everything = str(world.dump())
    raw = b"".join(bytes(row[0]) for row in world.ask("select rows from raw_batch"))
    from tracker.store.writes import unpack_batch

    kept = b"".join(bytes(row) for row in unpack_batch(raw))
    for word in ("ann@buyer.example", "Ann Example", "202 555"):
        assert word not in everything
        assert word.encode() not in kept
    payers = {row.external_id.partition("|")[0]: row.payer for row in world.earnings().values() if row.payer}
    assert payers["TX1"]
    assert payers["TX1"] != payers["TX7"]


def test_people_are_not_kept_in_quarantine_either(world: World, write: Write) -> None:
    header, first, *_ = (FILES / "paypal-en.csv").read_text("utf-8-sig").splitlines()
    nameless = first.replace('"TX1"', '""').replace('"Express Checkout Payment"', '""').replace('"USD"', '""')
    later = first.replace("03/04/2026", "03/25/2026")
    report = take(world, write("a.csv", "\n".join([header, first, later, nameless])))
    assert (report.new, report.quarantined) == (1, 2)
    rows, _ = quarantine.held(world.engine)
    assert sorted(row.error.partition(": ")[2] for row in rows) == [
        "row: no id: Transaction ID and Type and Currency are empty",
        "the id came twice in one file, with different content",
    ]
    kept = b"".join(bytes(quarantine.one(world.engine, row.id).payload) for row in rows)
    assert b"example" not in kept
    assert b"1,234.56" in kept


# --- bank lines ---


def test_bank_lines_are_no_income_and_the_same_in_every_connection(world: World) -> None:
    take(world, FILES / "revolut.csv", "revolut-one")
    assert world.earnings() == {}
    with reading(world.engine) as conn:
        lines = conn.execute(select(bank_line_t).order_by(bank_line_t.c.amount, bank_line_t.c.id)).all()
    assert [(str(line.booked_on), str(line.amount), line.account) for line in lines] == [
        ("2026-04-02", "-9.990000", "revolut-one"), ("2026-04-02", "-9.990000", "revolut-one"),
        ("2026-04-02", "249.500000", "revolut-one"),
    ]  # fmt: skip
    row = connections.add(
        world.deps, "revolut-statement", "revolut-two", credentials={}, options={"account": "revolut-one"}
    )
    importing.import_statement(world.deps, row, understood(FILES / "revolut.csv"), lambda report: None)
    with reading(world.engine) as conn:
        assert conn.execute(select(bank_line_t).order_by(bank_line_t.c.amount, bank_line_t.c.id)).all() == lines
    take(world, FILES / "revolut.csv", "revolut-three")  # another account by its name
    assert len(world.dump("bank_line")["bank_line"]) == 6
    connections.remove(world.deps, "revolut-one")
    assert len(world.dump("bank_line")["bank_line"]) == 3


def test_a_line_that_was_pending_is_booked_by_the_next_file(world: World, write: Write) -> None:
    text = (FILES / "revolut.csv").read_text("utf-8")
    take(world, FILES / "revolut.csv")
    later = text.replace(
        "10:00:00,,Kiosk,-2.00,0.00,EUR,PENDING,", "10:00:00,2026-04-04 09:00:00,Kiosk,-2.00,0.00,EUR,COMPLETED,1.00"
    )
    report = take(world, write("later.csv", later))
    assert (report.new, report.changed) == (0, 1)
    assert len(world.dump("bank_line")["bank_line"]) == 4


# --- beside other connections ---


def test_two_exports_of_the_same_money_count_once(world: World) -> None:
    take(world, FILES / "gumroad-payouts.csv")
    take(world, FILES / "gumroad-sales.csv")
    assert world.connection("gumroad-payouts").role == "cash"
    assert world.connection("gumroad-sales").role == "enrichment"
    assert all(row.paired for row in world.earnings("gumroad-sales").values())
    assert not any(row.paired for row in world.earnings("gumroad-payouts").values())


def test_a_connection_is_of_one_profile(world: World) -> None:
    take(world, FILES / "wise.csv", "money")
    with pytest.raises(
        UsageError, match="money is a connection of wise-statement, the statement is one of revolut-statement"
    ):
        take(world, FILES / "revolut.csv", "money")
    take(world, FILES / "wise.csv", "second")
    with pytest.raises(UsageError, match=r"2 connections of wise-statement.*--connection money or --connection second"):
        take(world, FILES / "wise.csv")


def test_nothing_syncs_a_connection_that_is_fed_by_files(world: World) -> None:
    take(world, FILES / "paypal-en.csv")
    row = world.connection("paypal-activity")
    assert row.next_sync_at is None
    assert row.as_of == datetime(2026, 3, 27, 16, tzinfo=UTC)
    world.later(days=400)
    world.add("network")
    with world.engine.begin() as conn:
        schedule.hand_out(conn, world.now, world.deps.settings.zone, 10)
        schedule.repair(conn, world.now, world.deps.settings.zone)
        assert schedule.overdue(conn, world.now) == ()
    assert world.connection("network").queued_until is not None
    assert world.connection("paypal-activity").queued_until is None
    with pytest.raises(UsageError, match="fed by statements, so there is nothing to sync"):
        world.sync("paypal-activity")
    for act in (connections.pause, connections.resume):
        with pytest.raises(UsageError, match="fed by statements"):
            act(world.deps, "paypal-activity")
    world.sync("network")
    findings = {one.check: one for one in doctor.examine(world.deps.settings, world.now)}
    assert findings["connections"].state == "ok"
    found = summarise(world.engine, world.deps.settings, 202603, world.now)
    assert found.troubled == ()
    assert row == world.connection("paypal-activity")


def test_a_letter_does_not_wait_for_a_file(world: World) -> None:
    take(world, FILES / "paypal-en.csv")
    with reading(world.engine) as conn:
        waiting = type("Waiting", (), {"created_at": world.now, "period": "2026-10"})
        assert not delivery._held(conn, world.deps.settings, waiting, world.now)


# --- broken off ---


def test_an_import_that_was_broken_off_is_simply_repeated(
    world: World, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH", 10)
    text = "Date,Description,Amount,Currency\n" + "".join(
        f"2026-03-{day:02d},line {day},1.00,EUR\n" for day in range(1, 31)
    )
    file = write("bank.csv", text)
    statement = understood(file)
    row = importing.make_connection(world.deps, statement.profile, None)

    def stop(report: importing.Report) -> None:
        if report.rows >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        importing.import_statement(world.deps, row, statement, stop)
    assert len(world.dump("bank_line")["bank_line"]) == 20
    (run,) = world.ask("select outcome, rows, message from sync_run")
    assert run == ("failed", 20, "The import was broken off; import the file again.")
    report = take(world, file)
    assert (report.new, report.unchanged) == (10, 20)


def test_a_file_that_breaks_in_the_middle_keeps_what_came_before(
    world: World, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH", 2)
    header = (FILES / "revolut.csv").read_text("utf-8").partition("\n")[0]
    line = "TOPUP,Current,2026-04-0{0} 10:00:00,2026-04-0{0} 10:00:05,{1},1.00,0.00,EUR,COMPLETED,1.00\n"
    good = "".join(line.format(day, "top-up") for day in range(1, 9)) * 8  # past where a header is looked for
    file = write("revolut.csv", f"{header}\n{good}{line.format(5, chr(34) + 'open')}" + "x\n" * 200)
    with pytest.raises(UsageError, match="line 66 of revolut"):
        take(world, file)
    assert len(world.dump("bank_line")["bank_line"]) == 64
    assert world.connection("revolut-statement").leased_until is None


def test_two_imports_at_once_do_not_write_into_each_other(world: World) -> None:
    statement: Statement = understood(FILES / "wise.csv")
    row = importing.make_connection(world.deps, statement.profile, None)
    with world.engine.begin() as conn:
        schedule.claim(conn, row.id, world.now)
    with pytest.raises(UsageError, match="is being synced by another process"):
        importing.import_statement(world.deps, row, statement, lambda report: None)
    with world.engine.begin() as conn:
        assert conn.execute(select(connection_t.c.leased_by)).scalar()
