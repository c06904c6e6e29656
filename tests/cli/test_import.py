"""`tracker import`: what it shows, asks and says, for people and for scripts."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.world import World
from tracker.cli.ground import PARTIAL, USAGE

FILES = Path(__file__).parents[1] / "statements" / "files"
GUMROAD = str(FILES / "gumroad-payouts.csv")


def test_a_statement_is_shown_before_it_is_imported(command: Command, world: World) -> None:
    code, out, err = command("import", GUMROAD, stdin="n\n")
    assert code != 0
    assert "nothing was imported" in err
    assert world.ask("select count(*) from connection") == [(0,)]
    for told in (
        "statement  Gumroad payout statement (gumroad-payouts)",
        "read as    utf-8, comma",
        "not kept   Buyer Name",
        "period     2026-03-02 to 2026-03-06",
        "rows       9, 1 sum left out",
        "income     9.10 USD",
        "payouts    30.00 USD",
        "✗ line 10 of gumroad-payouts.csv: kind: unknown word 'Mystery' in 'Type'",
        "2 rows would go to quarantine.",
        "It goes to a new connection, gumroad-payouts.",
    ):
        assert told in out
    code, out, _ = command("import", GUMROAD, stdin="y\n")
    assert code == PARTIAL
    assert "gumroad-payouts: 9 rows: 7 new, 0 changed, 1 sum left out, 2 in quarantine" in out
    code, out, _ = command("import", GUMROAD, "--yes")
    assert code == PARTIAL
    assert "9 rows: 0 new, 0 changed" in out


def test_scripts_ask_first_and_import_then(command: Command, world: World) -> None:
    wise = str(FILES / "wise.csv")
    code, out, _ = command("import", wise, "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["profile"], found["rows"], found["faults"]) == ("wise-statement", 3, 0)
    assert found["sums"] == {"bank lines": {"EUR": "302.41"}}
    assert found["first"] == "2026-04-03T12:00:00Z"
    assert world.ask("select count(*) from connection") == [(0,)]
    code, out, _ = command("import", wise, "--yes", "--json", "--connection", "my-wise")
    assert json.loads(out) == {
        "slug": "my-wise", "profile": "wise-statement", "rows": 3, "new": 3, "changed": 0, "quarantined": 0,
        "skipped": 0,
    }  # fmt: skip
    code, out, _ = command("import", wise, "--yes")
    assert code == 0
    assert "my-wise: nothing new in 3 rows" in out


def test_a_table_that_nobody_knows_is_mapped_once(command: Command, world: World, tmp_path: Path) -> None:
    file = tmp_path / "club.csv"
    file.write_text("Ref;Paid on;Sum;Who;For\n1;25.03.2026;1.250,50;Ann;Talk\n2;26.03.2026;-5,00;Bo;Talk\n", "utf-8")
    code, _, err = command("import", str(file))
    assert code == USAGE
    assert "no profile knows the table in club.csv. Its columns: Ref, Paid on, Sum, Who, For." in err
    mapped = ["--map", "Paid on=earned_at", "--map", "Sum=net", "--map", "For=product", "--id", "Ref"]
    code, _, err = command("import", str(file), *mapped)
    assert code == USAGE
    assert "--save-profile" in err
    more = ["--set", "kind=tip", "--currency", "EUR", "--save-profile", "club", "--yes"]
    code, out, _ = command("import", str(file), *mapped, *more)
    assert code == 0
    assert "club: 2 rows: 2 new" in out
    found = {key: (str(row.net), row.kind, row.product) for key, row in world.earnings().items()}
    assert found == {"1": ("1250.500000", "tip", "Talk"), "2": ("-5.000000", "tip", "Talk")}
    assert "Ann" not in str(world.dump())
    file.write_text("Ref;Paid on;Sum;Who;For\n2;26.03.2026;-5,00;Bo;Talk\n3;27.03.2026;9,00;Cy;Walk\n", "utf-8")
    code, out, _ = command("import", str(file), "--yes", "--currency", "EUR")
    assert code == 0
    assert "club: 2 rows: 1 new, 0 changed" in out
    assert "club" in command("import", "--profiles")[1]


def test_debit_and_credit_columns_can_be_mapped(command: Command, world: World, tmp_path: Path) -> None:
    file = tmp_path / "bank.csv"
    file.write_text("Tag,Ausgang,Eingang,Zweck,Partner\n2026-03-25,5.00,,Hosting,Host\n2026-03-26,,7.50,Awin,AWIN AG\n")
    pairs = ["Tag=booked_on", "Eingang=amount", "-Ausgang=amount", "Zweck=text", "Partner=text"]
    maps = [word for pair in pairs for word in ("--map", pair)]
    code, _, err = command("import", str(file), *maps, "--currency", "EUR", "--save-profile", "my-bank", "--yes")
    assert (code, err) == (0, "")
    assert world.ask("select amount, text from bank_line order by amount") == [
        (-5_000_000, "Hosting Host"), (7_500_000, "Awin AWIN AG"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "name a file"),
        (["missing.csv"], "cannot read missing.csv"),
        ([GUMROAD, "--profile", "nonsense"], "no profile is called 'nonsense'"),
        ([GUMROAD, "--profile", "wise-statement"], "The nearest profile is wise-statement, which also needs"),
        ([GUMROAD, "--decimal", "x"], "--decimal: 'x' is no decimal mark"),
        ([GUMROAD, "--dates", "soon"], "--dates: 'soon' is no order"),
        ([GUMROAD, "--currency", "QQQ"], "--currency"),
        ([GUMROAD, "--set", "kind=tip"], "go with --map"),
        ([GUMROAD, "--map", "Date", "--save-profile", "x"], "is not COLUMN=FIELD"),
        ([GUMROAD, "--map", "Day=earned_at", "--save-profile", "x"], "has no column 'Day'"),
        ([GUMROAD, "--map", "Date=earned_on", "--save-profile", "x"], "no column is the day"),
        ([GUMROAD, "--map", "Date=earned_at", "--map", "Type=sort", "--save-profile", "x"], "no field 'sort'"),
        (
            [GUMROAD, "--map", "Date=earned_at", "--map", "Type=kind", "--save-profile", "x"],
            "what each of the file's words",
        ),
        ([GUMROAD, "--map", "Date=earned_at", "--save-profile", "x"], "earning lacks net"),
        ([GUMROAD, "--map", "Date=earned_at", "--save-profile", "../x"], "not a name"),
    ],
)
def test_what_is_missing_is_said(command: Command, world: World, words: list[str], told: str) -> None:
    code, _, err = command("import", *words)
    assert code != 0
    assert told in err
    assert world.ask("select count(*) from connection") == [(0,)]
    assert not (world.folder / "statements" / "x.toml").exists()


def test_commands_about_syncing_say_what_feeds_the_connection(command: Command, world: World) -> None:
    command("import", GUMROAD, "--yes")
    for words in (
        ["sync", "gumroad-payouts"],
        ["connection", "test", "gumroad-payouts"],
        ["connection", "resume", "gumroad-payouts"],
    ):
        code, _, err = command(*words)
        assert code == USAGE
        assert "is fed by statements, so there is nothing to sync. Import a newer one: tracker import" in err
    assert "from files, up to 2026-03-06" in " ".join(command("schedule")[1].split())
    code, out, _ = command("connection", "add", "wise-statement", "--slug", "wise")
    assert code == 0
    assert "Next: tracker import FILE --connection wise" in out
    assert "from files, none yet" in " ".join(command("connection", "list")[1].split())


def test_a_connection_that_files_feed_is_shown_without_an_interval(command: Command, world: World) -> None:
    assert command("import", str(FILES / "wise.csv"), "--yes")[0] == 0
    world.add("network")
    shown = {slug: command("connection", "show", slug)[1].splitlines() for slug in ("wise-statement", "network")}
    every = {slug: [line for line in lines if line.startswith("every")] for slug, lines in shown.items()}
    assert every == {"wise-statement": [], "network": ["every          1h"]}
    assert any("from files, up to" in line for line in shown["wise-statement"])
