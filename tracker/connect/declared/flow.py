"""Authentication, paging and sync plans in words: `paging = {cursor = "after", next = "meta.next"}`."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from tracker.connect import auth, paging, plans
from tracker.connect.auth import Scheme
from tracker.connect.connector import Credential
from tracker.connect.declared.fields import read_field, read_zone
from tracker.connect.declared.table import Table
from tracker.connect.fetch import LOOPBACK
from tracker.connect.paging import Pager
from tracker.connect.plans import Axis, Format, Plan, Reread, Windows

_DURATION = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
#: How a provider may want a time written, from the finest part on.
_FORMS: Mapping[str, Format] = {"iso_z": plans.iso_z, "iso_naive": plans.iso_naive, "unix": plans.unix}
_DIRECTIVES = re.compile(r"%[YmdHMS]|[^%]")

_AUTH: dict[str, tuple[str, ...]] = {
    "none": (),
    "bearer": (),
    "header": ("credential", "prefix"),
    "query": (),
    "basic": (),
    "client_credentials": ("client_id", "client_secret", "form"),
    "refresh_token": ("client_id", "client_secret", "refresh"),
    "authorization_code": ("token", "client_id", "client_secret", "refresh", "scope", "params", "shown_at"),
}


def read_auth(table: Table, credentials: Mapping[str, Credential]) -> Scheme:
    """How a request is signed. Every credential that it names must be declared and must not be left out."""

    def named(name: str, key: str) -> str:
        if name not in credentials:
            known = ", ".join(credentials) or "none yet"
            raise table.wrong(f"no credential is called {name[:40]!r}.", key, hint=f"Known: {known}.")
        if not credentials[name].required:
            raise table.wrong(f"the credential {name!r} signs every request, so it must be required.", key)
        return name

    def credential(key: str) -> str:
        return named(table.get(key, str), key)

    def secret() -> str | None:
        return credential("client_secret") if "client_secret" in table else None

    word = table.word(_AUTH)
    match word:
        case "none":
            table.get("none", bool)
            scheme = Scheme(lambda request, credentials, tokens: None)
        case "bearer":
            scheme = auth.bearer(credential("bearer"))
        case "header":
            scheme = auth.header(table.get("header", str), credential("credential"), table.get("prefix", str, ""))
        case "query":
            scheme = auth.query(**{param: named(name, "query") for param, name in table.pairs("query").items()})
        case "basic":
            names = [named(name, "basic") for name in table.names("basic")]
            if len(names) not in (1, 2):
                raise table.wrong(
                    "expected the credential of the user name and, if there is one, that of the password."
                )
            scheme = auth.basic(*names)
        case "client_credentials":
            form = table.pairs("form")
            if reserved := {"url", "client_id", "client_secret"} & form.keys():
                raise table.wrong(f"{min(reserved)} is sent by itself.", "form")
            scheme = auth.client_credentials(
                _address(table, "client_credentials"), credential("client_id"), credential("client_secret"), **form
            )
        case "refresh_token":
            scheme = auth.refresh_token(
                _address(table, "refresh_token"), credential("client_id"), secret(), credential("refresh")
            )
        case _:
            scheme = auth.authorization_code(
                _address(table, "authorization_code"),
                _address(table, "token"),
                credential("client_id"),
                secret(),
                credential("refresh"),
                scope=table.get("scope", str, ""),
                params=table.pairs("params"),
                shown_at=_address(table, "shown_at") if "shown_at" in table else "",
            )
    table.close()
    return scheme


def _address(table: Table, key: str) -> str:
    address = table.get(key, str)
    parts = urlsplit(address)
    if (
        not parts.hostname
        or parts.username
        or not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK))
    ):
        raise table.wrong(f"not an address that begins with https://: {address[:60]!r}.", key)
    return address


# --- paging ---

_PAGING: dict[str, tuple[str, ...]] = {
    "single_page": (),
    "page_number": ("size", "total_header", "total", "rows_header", "first", "short", "resumable"),
    "offset": ("size", "more", "total", "resumable"),
    "cursor": ("next", "last_row", "more", "complete", "size"),
    "next_link": ("header", "size"),
}


def read_paging(table: Table) -> Pager:
    word = table.word(_PAGING)
    match word:
        case "single_page":
            table.get("single_page", bool)
            pager = paging.single_page
        case "page_number":
            pager = paging.page_number(
                table.get("page_number", str),
                size=_size(table),
                total_header=table.maybe("total_header"),
                total=table.maybe("total"),
                rows_header=table.maybe("rows_header"),
                first=table.get("first", int, 1),
                short=table.get("short", int) if "short" in table else None,
                resumable=table.get("resumable", bool, False),
            )
        case "offset":
            size = _size(table)
            if size is None:
                raise table.wrong("size is missing.", hint='It is the parameter and the number: ["limit", 100].')
            pager = paging.offset(
                table.get("offset", str),
                size=size,
                more=table.maybe("more"),
                total=table.maybe("total"),
                resumable=table.get("resumable", bool, False),
            )
        case "cursor":
            if ("next" in table) == ("last_row" in table):
                raise table.wrong("expected either next, a path in the answer, or last_row, a path in its last row.")
            pager = paging.cursor(
                table.get("cursor", str),
                next=table.maybe("next"),
                last_row=table.maybe("last_row"),
                more=table.maybe("more"),
                complete=table.maybe("complete"),
                size=_size(table),
            )
        case _:
            path, header = table.get("next_link", str), table.get("header", bool, False)
            if header and path != "Link":
                raise table.wrong("the header with the address of the next page is called Link.", "next_link")
            pager = paging.next_link(header=header, path=None if header else path, size=_size(table))
    table.close()
    return pager


def _size(table: Table) -> tuple[str, int] | None:
    found = table.get("size", list, [])
    if "size" not in table:
        return None
    match found:
        case [str(param), int(count)] if param and not isinstance(count, bool) and 1 <= count <= 100_000:
            return param, count
    raise table.wrong('expected the parameter and the rows of a page: ["limit", 100].', "size")


# --- sync plans ---

_WINDOW = ("until", "days", "form")
_PLANS: dict[str, tuple[str, ...]] = {
    "full": (),
    "snapshot": (),
    "updated_since": (*_WINDOW, "overlap", "params", "exclusive"),
    "created_since": (*_WINDOW, "look_back"),
    "date_windows": ("form", "axes", "reread"),
    "replace_window": (*_WINDOW, "look_back"),
    "newest_first": ("rescan", "reread"),
    "per_payout": ("at_most",),
}


def read_plan(table: Table) -> Plan:
    """Which requests bring a resource up to date."""
    word = table.word(_PLANS)
    plan: Plan
    match word:
        case "full" | "snapshot":
            if not table.get(word, bool):
                raise table.wrong("expected true.", word)
            plan = plans.Full() if word == "full" else plans.Snapshot()
        case "per_payout":
            plan = plans.PerPayout(param=table.get("per_payout", str), at_most=_positive(table, "at_most", 200))
        case "newest_first":
            time = read_field(table.inner("newest_first"), datetime)
            plan = plans.NewestFirst(time=time, rescan=_duration(table, "rescan"), reread=_reread(table))
        case "date_windows":
            form, finest = _form(table)
            axes = tuple(_axis(one, finest) for one in table.each_of("axes"))
            if not any(axis.backfill for axis in axes):
                raise table.wrong("expected axes, one of them to read the past with.", "axes")
            if len({axis.name for axis in axes}) < len(axes):
                raise table.wrong("two axes have the same name.", "axes")
            plan = Windows(axes=axes, days=_positive(table, "date_windows"), form=form, reread=_reread(table))
        case _:
            plan = _window(table, word)
    table.close()
    return plan


def _window(table: Table, word: str) -> Windows:
    form, finest = _form(table)
    since, until = table.get(word, str), table.maybe("until")
    days = _positive(table, "days") if "days" in table else None
    if days and not until:
        raise table.wrong("windows need until, the parameter that closes them.", "days")
    key = "overlap" if word == "updated_since" else "look_back"
    overlap = _duration(table, key, _HOUR if key == "overlap" else None)
    _enough(table, key, overlap, finest)
    if word == "updated_since":
        exclusive = table.get("exclusive", bool, False)
        return plans.updated_since(
            since, until=until, days=days, form=form, overlap=overlap, params=table.pairs("params"), exclusive=exclusive
        )
    if word == "created_since":
        return plans.created_since(since, look_back=overlap, until=until, days=days, form=form)
    if not until or not days:
        raise table.wrong("a window that is replaced needs until and days.", "replace_window")
    return plans.replace_window(since, until, days=days, look_back=overlap, form=form)


def _axis(table: Table, finest: timedelta) -> Axis:
    overlap = _duration(table, "overlap", max(_HOUR, finest))
    _enough(table, "overlap", overlap, finest)
    axis = Axis(
        name=table.get("name", str),
        params=table.pairs("params"),
        since=table.get("since", str),
        until=table.get("until", str),
        overlap=overlap,
        backfill=table.get("backfill", bool, True),
        exclusive=table.get("exclusive", bool, False),
        memory=_duration(table, "memory") if "memory" in table else None,
    )
    table.close()
    return axis


def _enough(table: Table, key: str, overlap: timedelta, finest: timedelta) -> None:
    if overlap < finest:
        least = "a day" if finest == _DAY else "an hour"
        raise table.wrong(
            f"with times in that form {least} or more must be read again.",
            key if key in table else None,
            hint=f'Give {key} = "{"1d" if finest == _DAY else "1h"}".',
        )


def _reread(table: Table) -> Reread | None:
    if "reread" not in table:
        return None
    inner = table.inner("reread")
    word = inner.word({"param": ("chunk", "at_most", "params"), "one": ("at_most", "params")})
    if word == "one" and "{id}" not in inner.get("one", str):
        raise inner.wrong('expected the path of one row, such as "/orders/{id}".', "one")
    found = Reread(
        param=inner.get("param", str, ""),
        one=inner.get("one", str, ""),
        chunk=_positive(inner, "chunk", 1),
        at_most=_positive(inner, "at_most"),
        params=inner.pairs("params"),
    )
    inner.close()
    return found


def _form(table: Table) -> tuple[Format, timedelta]:
    """How times are written, and what must at least be read twice so that nothing slips between two readings."""
    value = table.values.get("form", "iso_z")
    if isinstance(value, dict):
        inner = table.inner("form")
        pattern = inner.get("local", str)
        zone = read_zone(inner)
        inner.close()
        if "".join(_DIRECTIVES.findall(pattern)) != pattern or "%d" not in pattern:
            raise inner.wrong("expected a day of %Y, %m and %d, and if wished %H, %M and %S.", "local")
        finest = _DAY if "%H" not in pattern else _HOUR if str(zone) != "UTC" else timedelta(0)
        return plans.local(str(zone), pattern), finest
    return _FORMS[table.choice("form", _FORMS, "iso_z")], timedelta(0)


def _positive(table: Table, key: str, default: int | None = None) -> int:
    found = table.get(key, int) if default is None else table.get(key, int, default)
    if not 1 <= found <= 100_000:
        raise table.wrong("expected a whole number from 1 to 100000.", key)
    return found


def _duration(table: Table, key: str, default: timedelta | None = None) -> timedelta:
    if default is not None and key not in table:
        table.get(key, str, "")
        return default
    found = _DURATION.fullmatch(table.get(key, str))
    if not found:
        raise table.wrong("expected a time such as 90m, 12h or 30d.", key)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


#: Every word with the keys that may stand beside it.
WORDS = {**_AUTH, **_PAGING, **_PLANS}
#: Keys whose value is the name of a parameter.
_NAMING = {"page_number", "offset", "cursor", "since", "until", "updated_since", "created_since", "replace_window"}
_NAMING |= {"per_payout", "param"}


def parameters(values: object) -> Iterator[str]:
    """The parameters that paging or a plan ask with, from what the file says of either."""
    if isinstance(values, list):
        for one in values:
            yield from parameters(one)
    for key, value in values.items() if isinstance(values, dict) else ():
        if key in _NAMING and isinstance(value, str):
            yield value
        elif key == "size":
            yield value[0]
        elif key == "params":
            yield from value
        else:
            yield from parameters(value)
