"""A profile: how the statements of one source are recognised and what their rows mean. Data, in a TOML file.

It becomes a connector, though one that is never synced: so its rows are kept, tried again and rebuilt as all others.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from tracker.connect.auth import Scheme
from tracker.connect.connector import Connector, Kind, Make, Option, Resource
from tracker.connect.fields import text
from tracker.connect.plans import Known, Leg, Read, State, When
from tracker.errors import ConfigError, TrackerError
from tracker.records import (
    BankLine,
    Earning,
    Interval,
    Payout,
    PayoutStatus,
    Program,
    Recurrence,
    Role,
    Settlement,
    Status,
    Subscription,
    SubscriptionStatus,
)
from tracker.records import Kind as EarningKind
from tracker.statements.profiles import cells
from tracker.statements.profiles.cells import Reading, columns_of
from tracker.statements.profiles.dates import ORDERS

RESOURCE = "statement"
RECORDS: dict[str, type[Any]] = {
    "earning": Earning, "payout": Payout, "subscription": Subscription, "bank_line": BankLine, "program": Program,
}  # fmt: skip
_STATUS: dict[str, type[Any]] = {"earning": Status, "payout": PayoutStatus, "subscription": SubscriptionStatus}
#: What stands between brackets in a header when it is a currency: "Net ({currency})".
CURRENCY = "{currency}"


class Header(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One form of the table. `needs` are the columns that tell it; `names` are a file's own names for ours.

    `sheets`: only in workbook sheets of these names. `ragged`: rows may have a cell too few or too many.
    """

    needs: list[str]
    form: str = ""
    names: dict[str, str] = {}
    sheets: list[str] = []
    decimal: Literal["", ".", ","] = ""
    dates: tuple[str, ...] = ()
    ragged: bool = False


class Makes(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    record: Literal["earning", "payout", "subscription", "bank_line", "program"]
    when: Any = []
    fields: dict[str, Any]


class Refusal(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A table that comes from the same place and must not be imported."""

    needs: list[str]
    because: str


class Profile(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, dict=True):
    """A profile as its file says it, checked.

    `id` are the columns that together are unique; without them `fingerprint` are those whose content tells rows apart,
    and equal rows are counted. `drop` are personal columns that are never kept, `pseudonymise` those of which a lasting
    stand-in is kept, `keep` those that are kept though no field reads them; columns that a profile does not name are
    not kept. `same_money` are providers that report the same: beside one of them these rows do not count by themselves.
    `alone`: a workbook sheet of this name holds all that the others do.
    """

    slug: str = ""
    title: str
    kind: Kind
    docs: str
    zone: str = "UTC"
    dates: tuple[str, ...] = ("YMD",)
    decimal: Literal["", ".", ","] = ""
    currency: str = ""
    id: list[str] = []
    fingerprint: list[str] = []
    drop: list[str] = []
    pseudonymise: list[str] = []
    keep: list[str] = []
    role: Role = Role.CASH
    same_money: list[str] = []
    corrections: Literal["in_place", "appended"] = "in_place"
    payouts: Literal["none", "read"] = "none"
    recurrence: Recurrence | None = None
    alone: list[str] = []
    note: str = ""
    header: list[Header]
    make: list[Makes]
    refuse: list[Refusal] = []

    @cached_property
    def reading(self) -> Reading:
        return Reading(ZoneInfo(self.zone), self.dates[0], self.decimal)

    @cached_property
    def connector(self) -> Connector:
        return Connector(
            title=self.title,
            kind=self.kind,
            docs=self.docs,
            auth=Scheme(lambda request, credentials, tokens: None),
            resources=(self.resource,),
            options={"account": Option("Account", help="A name for the account that the statements are of.")},
            role=self.role,
            corrections=self.corrections,
            payouts=self.payouts,
            recurrence=self.recurrence,
            imported=True,
            warning=self.note,
        )

    @cached_property
    def resource(self) -> Resource:
        return Resource(
            name=RESOURCE,
            path="",
            plan=Imported(),
            row_id=text("$id"),
            makes=tuple(self._make(one) for one in self.make),
            drop=tuple(self.drop),
            pseudonymise=tuple(self.pseudonymise),
        )

    def _make(self, made: Makes) -> Make:
        kind = RECORDS[made.record]
        defaults = {field.name: field.default for field in msgspec.structs.fields(kind)}
        given = {"external_id": {"text": "$id"}, **made.fields}
        if made.record == "bank_line":
            given = {"fingerprint": {"text": "$id"}, "account": {"option": "account"}, **given}
        needed = [name for name, default in defaults.items() if default is msgspec.NODEFAULT]
        if wrong := given.keys() - defaults.keys():
            raise ValueError(f"{made.record} has no field {', '.join(sorted(wrong))}")
        if missing := [name for name in needed if name not in given]:
            raise ValueError(f"{made.record} lacks {', '.join(missing)}")
        reads = []
        for name, spec in given.items():
            try:
                read = cells.field(spec, self.reading, _typed(made.record, name), required=name in needed)
            except (ValueError, KeyError, TypeError, AttributeError, re.error) as error:
                raise ValueError(f"{made.record}.{name}: {error}") from None
            reads.append((name, read))
        when = cells.condition(made.when, self.reading) if made.when else None
        return Make(record=kind, reads=tuple(reads), when=when)

    # --- columns ---

    @cached_property
    def known(self) -> frozenset[str]:
        """Every column that the profile names."""
        found = {*self.id, *self.fingerprint, *self.drop, *self.pseudonymise, *self.keep}
        for header in self.header:
            found |= {*header.needs, *header.names.values()}
        for made in self.make:
            found |= columns_of(made.when) | columns_of(list(made.fields.values()))
        return frozenset(name for name in found if not name.startswith("$"))

    def read_as(self, *words: str) -> frozenset[str]:
        """The columns that are read as amounts ("money") or as times ("timestamp", "day")."""
        found: set[str] = set()
        for made in self.make:
            found |= columns_of(made.when, *words) | columns_of(list(made.fields.values()), *words)
        return frozenset(found)

    @cached_property
    def money_columns(self) -> frozenset[str]:
        return self.read_as("money")

    @cached_property
    def date_columns(self) -> tuple[tuple[str, ...], ...]:
        """The columns of each time, the day first."""
        return tuple(dict.fromkeys(times for made in self.make for times in _times(list(made.fields.values()))))


def _times(spec: object) -> Iterator[tuple[str, ...]]:
    if isinstance(spec, list):
        for one in spec:
            yield from _times(one)
    elif isinstance(spec, Mapping):
        for name, value in spec.items():
            if name in ("timestamp", "day"):
                columns = tuple(cells.as_list(value))
                if not columns[0].startswith("$"):
                    yield columns
            elif name != "words":
                yield from _times(value)


def _typed(record: str, name: str) -> Callable[[str], Any]:
    """What makes a profile's word a value of the record's field."""
    types: dict[str, Callable[[str], Any]] = {
        "kind": EarningKind,
        "status": _STATUS.get(record, str),
        "settlement": Settlement,
        "recurrence": Recurrence,
        "recurrence_interval": Interval.parse,
        "interval": Interval.parse,
    }
    return types.get(name, str)


class Imported(msgspec.Struct, frozen=True):
    """The plan of rows that come in files: there is nothing to ask for."""

    def legs(self, state: State, when: When, known: Known, read: Read) -> Iterator[Leg]:
        return iter(())


def parse(slug: str, content: str) -> Profile:
    """A profile from the text of its file. Raises ConfigError, naming the key."""
    try:
        profile = msgspec.convert({**tomllib.loads(content), "slug": slug}, Profile)
        _check(profile)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the profile {slug} is not TOML: {error}.") from None
    except (msgspec.ValidationError, ValueError, ZoneInfoNotFoundError, TrackerError) as error:
        raise ConfigError(
            f"the profile {slug} cannot be used: {error}.", hint="docs/statements.md tells how."
        ) from None
    return profile


def _check(profile: Profile) -> None:
    if not profile.header or not all(header.needs for header in profile.header):
        raise ValueError("header: each needs columns that tell it")
    if bool(profile.id) == bool(profile.fingerprint):
        raise ValueError("give either id or fingerprint")
    for orders in (profile.dates, *(header.dates for header in profile.header if header.dates)):
        if not orders or set(orders) - set(ORDERS):
            raise ValueError(f"dates: expected {', '.join(ORDERS)}")
    if dotted := [name for name in (*profile.drop, *profile.pseudonymise) if "." in name]:
        raise ValueError(f"drop, pseudonymise: {dotted[0]!r} has a dot in it; leave it out, and it is not kept")
    assert profile.connector  # noqa: S101 - builds it, which checks the rest
