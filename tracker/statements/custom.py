"""A profile of the user's own, from what the user says about the columns of a file that no profile knows."""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from tracker.errors import UsageError
from tracker.records import Kind, Status
from tracker.statements.headers import SEARCHED
from tracker.statements.profiles import shelf
from tracker.statements.profiles.profile import RECORDS, Profile, parse
from tracker.statements.reading import Opened

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
#: What is said of each record unless the user says otherwise.
_GIVEN: dict[str, dict[str, str]] = {
    "earning": {"kind": Kind.SALE, "status": Status.APPROVED},
    "payout": {"status": "paid"},
    "bank_line": {},
}
#: Fields of which the first tells what the rows are.
_TELLING = {"bank_line": ("booked_on",), "payout": ("created_at",), "earning": ("earned_at",)}
_MONEY = frozenset({"net", "gross", "fee", "tax", "sale_amount", "amount"})
_TIMES = frozenset({"earned_at", "validated_at", "paid_at", "created_at", "arrives_at"})
_DAYS = frozenset({"booked_on", "period_start", "period_end"})
_CODES = frozenset({"currency", "sale_currency"})
_WORDS = frozenset({"kind", "status", "settlement", "recurrence"})


def propose(
    opened: Opened, slug: str, columns: Mapping[str, Sequence[str]], constants: Mapping[str, str], unique: Sequence[str]
) -> str:
    """The text of a profile for a file: `columns` of each field, `constants` for fields that no column has.

    `unique` are the columns that make the id; without them rows are told apart by all that is mapped.
    Raises UsageError.
    """
    if not SLUG.fullmatch(slug):
        raise UsageError(f"--save-profile: not a name: {slug[:40]!r}.", hint="Use lower-case letters, digits, hyphens.")
    record = _record(columns)
    known = {field.name for field in msgspec.structs.fields(RECORDS[record])} - {"external_id", "fingerprint"}
    if wrong := sorted((columns.keys() | constants.keys()) - known):
        raise UsageError(f"--map: {record} has no field {wrong[0]!r}.", hint=f"Known: {', '.join(sorted(known))}.")
    used = [
        column.removeprefix("-") if name in _MONEY else column for name, names in columns.items() for column in names
    ]
    _check_columns(opened, [*used, *unique])
    fields: dict[str, Any] = {**_GIVEN[record], **constants}
    for name, names in columns.items():
        fields[name] = _spec(name, list(names))
    if "currency" not in fields:
        fields["currency"] = {"currency": "$currency"}
    return _toml(slug, record, fields, sorted(set(used)), list(unique))


def _record(columns: Mapping[str, Sequence[str]]) -> str:
    for record, telling in _TELLING.items():
        if any(name in columns for name in telling):
            return record
    raise UsageError(
        "--map: no column is the day.",
        hint='Map one to earned_at (income), booked_on (a bank line) or created_at (a payout): --map "Date=earned_at"',
    )


def _check_columns(opened: Opened, wanted: list[str]) -> None:
    """Raises UsageError unless one row of the file names them all."""
    most: set[str] = set()
    for table in opened.tables:
        for row in islice(table.rows(), SEARCHED):
            found = {_key(column) for column in wanted} & {_key(str(cell)) for cell in row.cells}
            most = max(most, found, key=len)
    if missing := [column for column in wanted if _key(column) not in most]:
        raise UsageError(
            f"{opened.path.name} has no column {missing[0]!r}.", hint="Write it as it stands in the file's header."
        )


def _key(text: str) -> str:
    return " ".join(text.strip("\"' ").casefold().split())


def _spec(name: str, columns: list[str]) -> dict[str, Any]:
    one: Any = columns[0] if len(columns) == 1 else columns
    if name in _MONEY:
        minus = [column[1:] for column in columns if column.startswith("-")]
        plus = [column for column in columns if not column.startswith("-")]
        return {"money": plus, "less": minus} if minus else {"money": one}
    word = "timestamp" if name in _TIMES else "day" if name in _DAYS else "currency" if name in _CODES else "text"
    if name in _WORDS:
        raise UsageError(
            f"--map: {name} needs to know what each of the file's words means.",
            hint=f"Say one for all rows, --set {name}=…, or write it into the saved profile (docs/statements.md).",
        )
    return {"join": columns, "with": " "} if name == "text" and len(columns) > 1 else {word: one}


def _toml(slug: str, record: str, fields: Mapping[str, Any], needs: list[str], unique: list[str]) -> str:
    title = slug.replace("-", " ").capitalize()
    kind = "bank" if record == "bank_line" else "marketplace"
    lines = [
        "# Made by `tracker import --save-profile`; docs/statements.md tells what can be said here.",
        f"title = {json.dumps(title)}",
        f'kind = "{kind}"',
        'docs = ""',
        'dates = ["DMY", "MDY"]',
        f"id = {json.dumps(unique)}" if unique else f"fingerprint = {json.dumps(needs, ensure_ascii=False)}",
        "",
        "[[header]]",
        f"needs = {json.dumps(needs, ensure_ascii=False)}",
        "",
        "[[make]]",
        f'record = "{record}"',
        "",
        "[make.fields]",
    ]
    for name, spec in fields.items():
        lines.append(f"{name} = {_value(spec)}")
    return "\n".join(lines) + "\n"


def _value(spec: Any) -> str:
    if isinstance(spec, Mapping):
        inner = ", ".join(f"{name} = {_value(value)}" for name, value in spec.items())
        return f"{{ {inner} }}"
    return json.dumps(spec if isinstance(spec, list) else str(spec), ensure_ascii=False)


def keep(slug: str, content: str) -> tuple[Profile, Path]:
    """Put a profile into the data folder. Raises UsageError where its name is taken, ConfigError for a bad one."""
    profile = parse(slug, content)
    folder = shelf.own_folder()
    file = folder / f"{slug}.toml"
    if slug in shelf.slugs() and not (file.is_file() and file.read_text("utf-8") == content):
        raise UsageError(f"there is a profile {slug!r} already.", hint="Choose another name, or edit the file.")
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="utf-8")
    shelf.forget()
    return profile, file
