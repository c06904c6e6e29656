"""The rules of the house that a machine can check: who imports whom, names, lengths, docstrings, exact money.

A new module of the product is entered in ARROWS first, with what it may know. Every rule has a bad example below.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ("tracker", "workers", "connectors")
LINES_MAX = 450
WORKERS_LINES_MAX = 150

GROUND = {"tracker.errors", "tracker.money", "tracker.records"}
BOOKS = GROUND | {"tracker.months", "tracker.hours", "tracker.store", "tracker.rates"}
LINE = BOOKS | {"tracker.connect", "tracker.connect.catalog", "tracker.settings", "tracker.vault", "tracker.ledger"}
LINE |= {"tracker.recurrence", "tracker.classify", "tracker.settle", "tracker.schedule", "tracker.connections"}
REPORTS = LINE | {"tracker.figures", "tracker.sync", "tracker.finish", "tracker.inbound", "tracker.revalue"}
REPORTS |= {"tracker.stored"}
UPKEEP = {"tracker.books", "tracker.quarantine", "tracker.rebuild", "tracker.streams", "tracker.doctor"}
UPKEEP |= {"tracker.backup", "tracker.keyring", "tracker.reports", "tracker.summary", "tracker.mail"}
UPKEEP |= {"tracker.accounts", "tracker.tokens", "tracker.audit", "tracker.overview", "tracker.discover"}
UPKEEP |= {"tracker.periods"}
UPKEEP |= {"tracker.filters", "tracker.search", "tracker.exports", "tracker.earning_story", "tracker.overrides"}
UPKEEP |= {"tracker.trial", "tracker.tending", "tracker.sample"}
UPKEEP |= {"tracker.rules", "tracker.payouts", "tracker.subscriptions", "tracker.stream_income"}
UPKEEP |= {"tracker.letter", "tracker.letters", "tracker.delivery", "tracker.statements", "tracker.statements.profiles"}
UPKEEP |= {"tracker.backups", "tracker.mail_proof"}
ALL_BUT_DOORS = REPORTS | UPKEEP | {"tracker.jobs"}
STARTS = {"tracker.launch", "tracker.pulse", "tracker.hand"}

#: What each part of the product may import besides itself; a part is a module, or a package with all inside.
ARROWS: dict[str, set[str]] = {
    "tracker.errors": set(),
    "tracker.records": GROUND,
    "tracker.money": GROUND,
    "tracker.months": GROUND,
    "tracker.hours": GROUND,
    "tracker.periods": GROUND | {"tracker.months"},
    "tracker.addresses": set(),
    "tracker.catalogues": set(),
    "tracker.settings": GROUND | {"tracker.addresses"},
    "tracker.vault": GROUND | {"tracker.settings"},
    "tracker.connect": GROUND | {"tracker.connect.webhook", "tracker.connect.catalog"},
    "tracker.connect.webhook": GROUND,
    "tracker.connect.catalog": GROUND | {"tracker.connect", "connectors", "tracker.statements.profiles"},
    "tracker.store": GROUND | {"tracker.months"},
    "tracker.recurrence": {"tracker.records"},
    "tracker.figures": GROUND | {"tracker.store", "tracker.months"},
    "tracker.rates": GROUND | {"tracker.store", "tracker.settings"},
    "tracker.ledger": BOOKS | {"tracker.connect"},
    "tracker.settle": BOOKS | {"tracker.ledger", "tracker.connect.catalog"},
    "tracker.classify": BOOKS | {"tracker.ledger", "tracker.recurrence"},
    "tracker.connections": LINE - {"tracker.connections"},
    "tracker.discover": LINE,
    "tracker.trial": LINE,
    "tracker.tending": LINE,
    "tracker.sample": LINE | {"tracker.sync", "tracker.tending"},
    "tracker.finish": LINE,
    "tracker.inbound": LINE,
    "tracker.place": {"tracker.connect"},
    "tracker.stored": LINE,
    "tracker.sync": LINE | {"tracker.finish", "tracker.inbound", "tracker.place", "tracker.stored"},
    "tracker.statements.profiles": GROUND | {"tracker.connect"},
    "tracker.statements": REPORTS | {"tracker.books", "tracker.statements.profiles"},
    "tracker.schedule": BOOKS,
    "tracker.revalue": BOOKS | {"tracker.settings"},
    "tracker.reports": REPORTS,
    "tracker.books": REPORTS,
    "tracker.streams": REPORTS | {"tracker.books"},
    "tracker.rules": REPORTS | {"tracker.streams"},
    "tracker.filters": BOOKS,
    "tracker.search": REPORTS | {"tracker.reports", "tracker.filters"},
    "tracker.exports": REPORTS | {"tracker.reports", "tracker.filters", "tracker.search"},
    "tracker.earning_story": REPORTS | {"tracker.search"},
    "tracker.overrides": REPORTS | {"tracker.books", "tracker.streams"},
    "tracker.payouts": REPORTS | {"tracker.reports"},
    "tracker.subscriptions": REPORTS | {"tracker.reports"},
    "tracker.stream_income": REPORTS | {"tracker.reports", "tracker.streams"},
    "tracker.quarantine": REPORTS | {"tracker.books"},
    "tracker.rebuild": REPORTS | {"tracker.books", "tracker.quarantine"},
    "tracker.doubles": REPORTS | {"tracker.statements.profiles"},
    "tracker.doctor": REPORTS | {"tracker.keyring", "tracker.mail", "tracker.delivery", "tracker.doubles"},
    "tracker.backup": REPORTS,
    "tracker.keyring": REPORTS,
    "tracker.summary": REPORTS | {"tracker.reports"},
    "tracker.overview": REPORTS | {"tracker.reports", "tracker.summary", "tracker.periods"},
    "tracker.accounts": REPORTS,
    "tracker.tokens": REPORTS | {"tracker.accounts"},
    "tracker.audit": REPORTS,
    "tracker.backups": REPORTS | {"tracker.backup", "tracker.audit"},
    "tracker.mail_proof": REPORTS | {"tracker.mail", "tracker.letter", "tracker.catalogues"},
    "tracker.letters": GROUND | {"tracker.months", "tracker.figures", "tracker.summary", "tracker.catalogues"},
    "tracker.letter": {"tracker.letters", "tracker.summary"},
    "tracker.mail": GROUND | {"tracker.settings", "tracker.letter"},
    "tracker.delivery": REPORTS | {"tracker.summary", "tracker.letter", "tracker.mail"},
    "tracker.jobs": ALL_BUT_DOORS - {"tracker.jobs"},
    "tracker.launch": REPORTS | {"tracker.statements.profiles"},
    "tracker.pulse": set(),
    "tracker.hand": {"tracker.connections", "tracker.settings", "tracker.jobs", "tracker.schedule", "tracker.launch"},
    "tracker.web": ALL_BUT_DOORS | {"tracker.addresses", "tracker.catalogues", "tracker.connect.webhook"},
    "tracker.demo": GROUND | {"tracker.settings"},
    "tracker.cli": ALL_BUT_DOORS | {"tracker.web", "tracker.demo", "tracker.launch", "tracker.hand", "workers"},
    "workers": ALL_BUT_DOORS | STARTS,
    "connectors": {"tracker.connect", "tracker.connect.webhook", "tracker.errors", "tracker.records"},
}

#: Parts without the outside world and its clock; and those that have it, but no database, framework or settings.
STILL = {*GROUND, "tracker.months", "tracker.hours", "tracker.connect.webhook", "tracker.recurrence", "tracker.figures"}
PLAIN = STILL | {"tracker.connect", "connectors"}
NOT_PLAIN = {"alembic", "apscheduler", "celery", "fastapi", "pydantic_settings", "sqlalchemy", "sqlmodel", "typer"}
NOT_STILL = {"http", "os", "requests", "socket", "sqlite3", "subprocess", "time", "urllib3"}
WORKERS_ONLY = {"apscheduler", "celery"}
CLOCK = {"now", "today", "utcnow"}

#: Parts in which every amount is a Decimal. A float that is no amount says so on its line: "# not money: …".
EXACT = {"tracker.money", "tracker.records", "tracker.store", "tracker.classify", "tracker.rates", "tracker.sync"}
EXACT |= {"tracker.ledger", "tracker.settle", "tracker.statements", "tracker.figures", "tracker.summary", "connectors"}
EXACT_FILES = {"tracker/connect/fields.py", "tracker/connect/normalise.py", "tracker/connect/rows.py"}

VAGUE = {"util", "utils", "helper", "helpers", "manager", "managers", "service", "base", "common", "misc"}


def part_of(module: str) -> str | None:
    """The part of the product that a module, or a name in one, belongs to: the longest entry of ARROWS."""
    words = module.split(".")
    parts = (".".join(words[:length]) for length in range(len(words), 0, -1))
    return next((part for part in parts if part in ARROWS), None)


def imports(module: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and module of all that is imported, inside functions and by `import_module("…")` as well."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            named = (f"{origin}.{alias.name}" for alias in node.names)
            modules = dict.fromkeys(name if part_of(name) != part_of(origin) else origin for name in named)
            yield from ((node.lineno, name) for name in modules)
        elif isinstance(node, ast.Call) and called(node) in {"import_module", "__import__"} and node.args:
            name = node.args[0].values[0] if isinstance(node.args[0], ast.JoinedStr) else node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, name.value.rstrip(".")


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def arrow_faults(path: str, tree: ast.AST) -> Iterator[str]:
    module = path.removesuffix(".py").replace("/", ".")
    part = part_of(module)
    if part is None:
        yield f"{path}: {module} is new: enter it in ARROWS in tests/test_house.py with what it may import"
        return
    for line, name in imports(module, tree):
        top = name.split(".")[0]
        if top in (*PRODUCT, "tests", "benchmarks"):
            target = part_of(name)
            inside = target == part and part != "connectors"
            if name != "tracker" and not inside and target not in ARROWS[part]:
                yield f"{path}:{line}: {part} may not import {name}"
        elif (
            (part in PLAIN and top in NOT_PLAIN)
            or (part in STILL and top in NOT_STILL)
            or (part != "workers" and top in WORKERS_ONLY)
        ):
            yield f"{path}:{line}: {part} may not import {name}"


def code_faults(path: str, source: str, tree: ast.Module) -> Iterator[str]:
    part = part_of(path.removesuffix(".py").replace("/", "."))
    lines = source.splitlines()
    if not ast.get_docstring(tree):
        yield f"{path}: has no module docstring: say in a sentence what it is for"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if part in STILL and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK:
            yield f"{path}:{node.lineno}: reads the clock; take `now` as an argument"
        if (part in EXACT or path in EXACT_FILES) and isinstance(node.func, ast.Name) and node.func.id == "float":
            statement = lines[node.lineno - 1 : node.end_lineno]
            if not any("# not money" in line for line in statement):
                yield f"{path}:{node.lineno}: float() where money is; amounts are Decimal (else: `# not money: …`)"


def shape_faults(path: str, source: str) -> Iterator[str]:
    names = path.removesuffix(".py").split("/")
    if VAGUE & set(names):
        yield f"{path}: names come from the domain, not {sorted(VAGUE & set(names))[0]!r}"
    count = len(source.splitlines())
    if count > LINES_MAX and "migrations" not in names:  # a migration is written by Alembic, and never again
        yield f"{path}: {count} lines, at most {LINES_MAX}: does it have one subject?"
    if names[-1] == "__init__" and source:
        yield f"{path}: an __init__.py stays empty"
    if names[0] == "config":
        yield f"{path}: config/ holds data, never Python"


def faults(path: str, source: str) -> list[str]:
    found = list(shape_faults(path, source))
    if path.startswith(tuple(f"{folder}/" for folder in PRODUCT)) and not path.endswith("__init__.py"):
        tree = ast.parse(source, path)
        found += [*arrow_faults(path, tree), *code_faults(path, source, tree)]
    return found


def files() -> Iterator[Path]:
    for folder in (*PRODUCT, "config", "tests", "benchmarks"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def test_every_file_keeps_the_rules_of_the_house() -> None:
    found = [fault for file in files() for fault in faults(file.relative_to(ROOT).as_posix(), file.read_text("utf-8"))]
    assert not found, "\n" + "\n".join(found)


def test_the_walk_sees_the_product() -> None:
    seen = {file.relative_to(ROOT).as_posix() for file in files()}
    assert {"tracker/money.py", "tracker/connect/__init__.py", "tests/test_house.py"} <= seen


def test_workers_are_entry_points_only() -> None:
    assert (
        sum(len(file.read_text("utf-8").splitlines()) for file in (ROOT / "workers").rglob("*.py")) <= WORKERS_LINES_MAX
    )


def test_no_part_is_both_above_and_below_another() -> None:
    """Two arrows between two parts make a cycle; the kit and its catalogue are one package and may know each other."""
    doubles = {
        (part, other)
        for part, others in ARROWS.items()
        for other in others - {part}
        if part in ARROWS[other] and part < other and not {part, other} <= GROUND
    }
    assert doubles == {("tracker.connect", "tracker.connect.catalog")}


GOOD = '"""A module."""\n'


@pytest.mark.parametrize(
    ("path", "code", "fault"),
    [
        ("tracker/store/reads.py", "from tracker.connect.fields import path", "may not import tracker.connect.fields"),
        ("tracker/connect/fetch.py", "import tracker.settings", "may not import tracker.settings"),
        ("tracker/connect/fetch.py", "from tracker import store", "may not import tracker.store"),
        ("tracker/connect/fetch.py", "from ..store import tables", "may not import tracker.store"),
        ("tracker/connect/fetch.py", "from sqlmodel import Session", "may not import sqlmodel"),
        ("tracker/connect/fetch.py", "def f():\n    import fastapi", "may not import fastapi"),
        ("tracker/connect/fetch.py", "import connectors.awin", "may not import connectors.awin"),
        ("tracker/sync/line.py", "import_module(f'connectors.{slug}')", "may not import connectors"),
        ("tracker/web/app.py", "import workers.clock", "may not import workers.clock"),
        ("workers/queue.py", "from tracker.web import app", "may not import tracker.web"),
        ("tracker/jobs.py", "from celery import Celery", "may not import celery"),
        ("tracker/errors.py", "from tracker.money import exact", "may not import tracker.money"),
        ("tracker/recurrence/rhythm.py", "from tracker.money import exact", "may not import tracker.money"),
        ("tracker/figures/mrr.py", "from sqlalchemy.orm import Session", "may not import sqlalchemy.orm"),
        ("tracker/demo/awin.py", "from tracker.store import tables", "may not import tracker.store"),
        ("tracker/connect/webhook.py", "import requests", "may not import requests"),
        ("connectors/awin.py", "from connectors.cj import connector", "may not import connectors.cj"),
        ("connectors/awin.py", "from tracker.money import exact", "may not import tracker.money"),
        ("connectors/awin.py", "import tests.services", "may not import tests.services"),
        ("tracker/drawer.py", "", "is new: enter it in ARROWS"),
        ("tracker/figures/income.py", "datetime.now(UTC)", "reads the clock"),
        ("tracker/connect/webhook.py", "date.today()", "reads the clock"),
        ("tracker/money.py", "float(text)", "float() where money is"),
        ("tracker/connect/fields.py", "x = [\n    float(text)\n]", "float() where money is"),
        ("tracker/store/helpers.py", "", "names come from the domain"),
        ("tracker/service/rows.py", "", "names come from the domain"),
        ("tests/utils.py", "", "names come from the domain"),
        ("tests/store/test_writes.py", "\n" * LINES_MAX, "lines, at most"),
        ("tracker/store/__init__.py", "", "stays empty"),
        ("config/rules.py", "", "never Python"),
    ],
)
def test_a_broken_rule_is_found(path: str, code: str, fault: str) -> None:
    found = faults(path, GOOD + code)
    assert len([line for line in found if fault in line]) == 1, found


@pytest.mark.parametrize("path", ["tracker/money.py", "connectors/awin.py", "workers/clock.py"])
def test_a_module_without_a_docstring_is_found(path: str) -> None:
    assert faults(path, "x = 1\n") == [f"{path}: has no module docstring: say in a sentence what it is for"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("tracker/connect/catalog.py", "import connectors\nfrom importlib import import_module"),
        ("tracker/connect/fetch.py", "from tracker.connect.webhook import hmac_sha256\nfrom .paging import Pager"),
        ("tracker/rates.py", "from tracker.store.tables import ExchangeRate"),
        ("tracker/classify.py", "from tracker.recurrence.infer import infer"),
        ("tracker/figures/forecast.py", "share = float(rank)  # not money: a share of a whole"),
        (
            "tracker/cli/main.py",
            "from workers.clock import start\nimport tracker.demo.awin\nfrom datetime import datetime",
        ),
        ("connectors/awin.py", "from tracker.connect.paging import cursor\nfrom tracker.records import Kind"),
        ("tests/services.py", "import tracker.web.app\nfloat(1)"),
    ],
)
def test_what_keeps_the_rules_is_left_alone(path: str, code: str) -> None:
    assert faults(path, GOOD + code) == []
