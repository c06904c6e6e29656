"""`tracker rule`: which earnings belong to which stream."""

from typing import Annotated, Any

import typer

from tracker import rules
from tracker.cli.ground import open_ledger, out, print_json
from tracker.money import plain
from tracker.rules import Moved, Rule

app = typer.Typer(help="Rules that assign earnings to streams; the first that fits wins.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="For scripts.")]


def told(rule: dict[str, Any]) -> str:
    parts = [f"{part.replace('_', ' ')} {rule[part]}" for part in ("connection", *rules.PARTS) if rule[part]]
    return f"{rule['position']}. {', '.join(parts)} -> {rule['stream']}  (rule {rule['id']})"


@app.command("list")
def list_rules(as_json: Json = False) -> None:
    """All rules in the order in which they are tried."""
    found = rules.every_rule(open_ledger().engine)
    if as_json:
        print_json(found)
        return
    for rule in found:
        out.print(told(rule), markup=False)
    if not found:
        out.print("No rules yet: every earning belongs to its connection's stream. Add one: tracker rule add --help")


@app.command("add")
def add_rule(
    stream: Annotated[str, typer.Option(help="The stream that gets what fits.")],
    connection: Annotated[str | None, typer.Option(help="Only earnings of this connection.")] = None,
    program: Annotated[str | None, typer.Option(help="Its id or title; * stands for any text.")] = None,
    product: Annotated[str | None, typer.Option(help="* stands for any text.")] = None,
    sub_id: Annotated[str | None, typer.Option(help="* stands for any text.")] = None,
    kind: Annotated[str | None, typer.Option(help="Such as commission, sale, tip.")] = None,
    position: Annotated[int | None, typer.Option(min=1, help="1 is tried first; last when left out.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would move.")] = False,
    as_json: Json = False,
) -> None:
    """Add a rule. Earnings that fit every given part belong to the stream, old ones at once."""
    deps = open_ledger()
    rule = Rule(
        stream=stream, connection=connection, program=program, product=product, sub_id=sub_id, kind=kind,
        position=position,
    )  # fmt: skip
    if dry_run:
        rule_id, moved = None, rules.moved_by(rules.plan(deps.engine, rule).shifts)
    else:
        rule_id, moved = rules.save(deps, rule)
    if as_json:
        print_json({"rule": rule_id, "dry_run": dry_run, **_moved(moved)})
        return
    _say(moved, "would move" if dry_run else "moved")
    out.print("Nothing was saved." if dry_run else f"Added rule {rule_id}.")


def _moved(moved: Moved) -> dict[str, Any]:
    return {"earnings": moved.earnings, "streams": moved.streams}


def _say(moved: Moved, verb: str) -> None:
    out.print(f"{moved.earnings:,} earnings {verb} to another stream.")
    for change in moved.streams:
        net = f"{'+' if change.net > 0 else ''}{plain(change.net)} {change.currency}"
        out.print(f"  {change.stream}: {change.earnings:+,} earnings, {net}", markup=False)


RuleId = Annotated[int, typer.Argument(metavar="RULE", help="Its id in `tracker rule list`.")]


@app.command("remove")
def remove_rule(rule: RuleId, as_json: Json = False) -> None:
    """Remove a rule. Its earnings go where the other rules or their connection put them."""
    moved = rules.remove(open_ledger(), rule)
    if as_json:
        print_json(_moved(moved))
    else:
        _say(moved, "moved")


@app.command("move")
def move_rule(
    rule: RuleId, position: Annotated[int, typer.Argument(min=1, help="1 is tried first.")], as_json: Json = False
) -> None:
    """Try a rule earlier or later."""
    moved = rules.move(open_ledger(), rule, position)
    if as_json:
        print_json(_moved(moved))
    else:
        _say(moved, "moved")
