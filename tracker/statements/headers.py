"""Recognising a table by its header: which profile knows it, and which column is which."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec

from tracker.errors import UsageError
from tracker.statements.profiles.profile import CURRENCY, Header, Profile
from tracker.statements.reading import Cell, Opened, Table

#: Rows in which a header is looked for: titles may stand above it.
SEARCHED = 40
#: Columns named in a message.
NAMED = 12
_SIGN = r"(?P<currency>[A-Za-z]{3}|[A-Z]{0,3}[$£€¥₹₩₺₽₪]|zł|kr\.?)"


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A table that a profile knows. `columns` are our names in the order of the cells, None where we have none.

    `sign` is the currency as a header writes it, `above` what stands in the rows above.
    """

    table: Any
    profile: Profile
    header: Header
    line: int
    cells: list[Cell]
    columns: list[str | None]
    sign: str | None
    above: list[str]

    @property
    def left_out(self) -> list[str]:
        """The columns that the profile does not name or that are personal: they are not kept."""
        return [
            str(cell)
            for cell, name in zip(self.cells, self.columns, strict=True)
            if cell != "" and (name is None or name in self.profile.drop)
        ]


def recognise(opened: Opened, profiles: Sequence[Profile], own: Iterable[str] = ()) -> list[Match]:
    """The tables of a file that one profile knows; several for a workbook. `own` profiles win where two are as good.

    Raises UsageError for a table that nobody knows, naming the nearest profile and what is missing, and for one that is
    known to hold no income.
    """
    matches = [match for table in opened.tables for match in _matches(table, profiles)]
    best = max((_weight(match) for match in matches), default=0)
    _refuse(opened, profiles, best)
    if not matches:
        raise _unknown(opened, profiles)
    winners = {match.profile.slug: match.profile for match in matches if _weight(match) == best}
    if len(winners) > 1:
        winners = {slug: winners[slug] for slug in winners if slug in set(own)} or winners
    if len(winners) > 1:
        raise UsageError(
            f"{opened.path.name} fits {' and '.join(sorted(winners))}.",
            hint=f"Choose one: --profile {min(winners)}",
        )
    (profile,) = winners.values()
    found = _best_each([match for match in matches if match.profile is profile])
    return found[:1] if opened.form == "CSV" else _sheets(profile, found)


def _weight(match: Match) -> int:
    return len(match.header.needs)


def _best_each(matches: list[Match]) -> list[Match]:
    """One match of each table, the most telling header first."""
    best: dict[int, Match] = {}
    for match in matches:
        before = best.get(id(match.table))
        if before is None or _weight(match) > _weight(before):
            best[id(match.table)] = match
    return sorted(best.values(), key=_weight, reverse=True)


def _sheets(profile: Profile, found: list[Match]) -> list[Match]:
    for name in profile.alone:
        if whole := [match for match in found if _key(match.table.name) == _key(name)]:
            return whole
    return found


# --- one table ---


def _matches(table: Table, profiles: Sequence[Profile]) -> Iterator[Match]:
    above: list[str] = []
    for row in islice(table.rows(), SEARCHED):
        for profile in profiles:
            for header in profile.header:
                if not header.sheets or _key(table.name) in map(_key, header.sheets):
                    columns, sign = named(profile, header, row.cells)
                    if set(header.needs) <= set(columns):
                        yield Match(
                            table=table, profile=profile, header=header, line=row.line, cells=row.cells,
                            columns=columns, sign=sign, above=list(above),
                        )  # fmt: skip
        above += [str(cell) for cell in row.cells if cell != ""]


def named(profile: Profile, header: Header, cells: Sequence[Cell]) -> tuple[list[str | None], str | None]:
    """Our names of the columns, and the currency that one of them bears."""
    plain, patterns = _names(profile.known, tuple(header.names.items()))
    found: list[str | None] = []
    sign = None
    for cell in cells:
        key = _key(cell)
        name = plain.get(key)
        if name is None and "(" in key:
            for pattern, ours in patterns:
                if match := pattern.fullmatch(" ".join(str(cell).split())):
                    name, sign = ours, sign or match["currency"]
                    break
        found.append(None if name in found else name)
    return found, sign


@lru_cache(maxsize=512)
def _names(known: frozenset[str], aliases: tuple[tuple[str, str], ...]) -> tuple[dict[str, str], list[Any]]:
    plain: dict[str, str] = {}
    patterns = []
    for theirs, ours in (*((name, name) for name in sorted(known)), *aliases):
        if CURRENCY in theirs:
            patterns.append((re.compile(re.escape(theirs).replace(re.escape(CURRENCY), _SIGN), re.IGNORECASE), ours))
        plain[_key(theirs)] = ours
    return plain, patterns


def _key(text: object) -> str:
    return " ".join(str(text).strip("\"' ").casefold().split())


# --- what nobody knows ---


def _refuse(opened: Opened, profiles: Sequence[Profile], best: int) -> None:
    for table in opened.tables:
        for row in islice(table.rows(), SEARCHED):
            keys = {_key(cell) for cell in row.cells}
            for profile in profiles:
                for refusal in profile.refuse:
                    if len(refusal.needs) > best and {_key(need) for need in refusal.needs} <= keys:
                        raise UsageError(f"{opened.path.name} is not imported: {refusal.because}")


def _unknown(opened: Opened, profiles: Sequence[Profile]) -> UsageError:
    header = likely_header(opened)
    if header is None:
        return UsageError(
            f"{opened.path.name} is not a statement: no row looks like a header.",
            hint="Expected a table with the names of its columns on top.",
        )
    nearest: tuple[float, Profile, list[str]] | None = None  # not money: a share of columns
    for profile in profiles:
        for form in profile.header:
            columns, _ = named(profile, form, header)
            missing = [need for need in form.needs if need not in columns]
            share = 1 - len(missing) / len(form.needs)
            if (share >= 0.3 or len(profiles) == 1) and (nearest is None or share > nearest[0]):
                nearest = (share, profile, missing)
    there = ", ".join(str(cell) for cell in header[:NAMED] if cell != "")
    told = f"no profile knows the table in {opened.path.name}. Its columns: {there}."
    if nearest:
        _, profile, missing = nearest
        lacking = ", ".join(name.replace(CURRENCY, "EUR") for name in missing[:NAMED])
        told += f" The nearest profile is {profile.slug}, which also needs: {lacking}."
    return UsageError(told, hint='Say what is what: --map "COLUMN=FIELD" … --save-profile NAME (docs/statements.md)')


def likely_header(opened: Opened) -> list[Cell] | None:
    """The first of the rows that hold the most different words and no numbers."""
    best: list[Cell] | None = None
    most = 1
    for table in opened.tables:
        for row in islice(table.rows(), SEARCHED):
            words = {_key(cell) for cell in row.cells if isinstance(cell, str) and cell}
            if len(words) > most and not any(re.fullmatch(r"[\d.,:/ -]+", word) for word in words):
                best, most = row.cells, len(words)
    return best
