"""A provider in a TOML file: the words of the Python kit as data, checked, and then a Connector like any other.

Nothing in such a file is run, and it names no other file. docs/custom-providers.md explains every key.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from tracker.connect.connector import Connector, Credential, Details, Discover, Kind, Option, Rate, Resource
from tracker.connect.declared.body import BRACES, Body, texts
from tracker.connect.declared.fields import read_condition, read_field, read_make
from tracker.connect.declared.flow import parameters, read_auth, read_paging, read_plan
from tracker.connect.declared.table import Table
from tracker.connect.fetch import base_url
from tracker.connect.paging import single_page
from tracker.errors import ProviderError, Unavailable, UsageError
from tracker.records import Payout, Recurrence, Role

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_PATH = re.compile(r"/[^\s?#]*")


def declare(file: str, text: str) -> Connector:
    """The provider that the text of `file` describes. Raises ConfigError that names file, line and key."""
    table = Table.parse(file, text)
    credentials = {name: _credential(_named(one)) for name, one in table.all_of("credentials").items()}
    options = {name: _option(_named(one)) for name, one in table.all_of("options").items()}
    options.setdefault("base_url", Option("Address of the API", help="only for tests and proxies"))
    if both := credentials.keys() & options.keys():
        raise table.wrong(f"{min(both)} is a credential and an option.", "options")
    fillable = {name for name, one in credentials.items() if not one.secret and one.required}
    fillable |= {name for name, one in options.items() if one.required or one.default is not None}
    braces = _Braces(fillable, {*credentials, *options})
    resources = tuple(_resource(_named(one), braces) for one in table.all_of("resources").values())
    if not resources:
        raise table.wrong("resources are missing.", hint="Give at least one [resources.NAME].")
    paid = any(maker.record is Payout for resource in resources for maker in resource.makes)
    title = table.get("title", str)
    connector = Connector(
        title=title,
        kind=table.choice("kind", get_args(Kind)),  # type: ignore[arg-type] # one of them, as choice sees to
        docs=_docs(table),
        base_url=table.get("base_url", str, ""),
        credentials=credentials,
        options=options,
        auth=read_auth(table.inner("auth"), credentials),
        headers=braces.all(table, "headers"),
        rates=tuple(_rate(one) for one in table.each_of("rates")) or (Rate(5),),
        role=Role(table.choice("role", Role, Role.CASH)),
        status=table.maybe("status") or "",
        failure=table.get("failure", str, ""),
        refused=lambda found: _refused(title, found),
        message=table.names("message") or ("message",),
        doubtful=_statuses(table),
        retry_after=table.get("retry_after", str, "Retry-After"),
        recurrence=Recurrence(table.choice("recurrence", Recurrence)) if table.maybe("recurrence") else None,
        corrections=table.choice("corrections", ("in_place", "appended"), "in_place"),  # type: ignore[arg-type]
        payouts=table.choice("payouts", ("none", "read", "from_earnings"), "read" if paid else "none"),  # type: ignore[arg-type]
        warning=table.get("warning", str, ""),
        discover=tuple(_discover(one, braces, credentials, options) for one in table.each_of("discover")),
        resources=resources,
    )
    table.close()
    if connector.discover and table.values["auth"].keys() & {"refresh_token", "authorization_code"}:
        raise table.wrong("asking before a connection keeps the new refresh token would lose it.", "discover")
    if signing := {one.fills for one in connector.discover} & set(texts(table.values["auth"])):
        raise table.wrong(f"{min(signing)} signs the request that would look it up.", "discover")
    try:
        if connector.base_url:
            base_url(connector, {})
    except UsageError as error:
        raise table.wrong(error.message, "base_url", hint=error.hint) from None
    if not connector.base_url and not options["base_url"].required:
        raise table.wrong(
            "base_url is missing.", hint="Where every user has one: [options.base_url] with required = true."
        )
    return connector


class _Braces:
    """Checks texts in which {names} of options and of credentials that are no secret may stand."""

    def __init__(self, known: Iterable[str], own: set[str]) -> None:
        self._known, self._own = sorted(known), own

    def text(self, table: Table, key: str, text: str, *more: str) -> str:
        for name in BRACES.findall(text):
            if name not in self._known and name not in more:
                raise table.wrong(
                    f"{{{name}}} cannot be filled in: it must be an option with a default or a required one, or a "
                    "credential with secret = false.",
                    key,
                    hint=f"Known: {', '.join([*more, *self._known]) or 'none'}.",
                )
        return text

    def path(self, table: Table, key: str, *more: str) -> str:
        path = self.text(table, key, table.get(key, str), *more)
        if not _PATH.fullmatch(path):
            raise table.wrong(
                f"expected a path that begins with /, not {path[:60]!r}.", key, hint="Put the rest into params."
            )
        return path

    def all(self, table: Table, key: str) -> dict[str, str]:
        found = table.pairs(key)
        for name, text in found.items():
            self.text(table.inner(key), name, text)
        return found

    def asked(self, table: Table) -> dict[str, Any]:
        """`params`, and the `body` of a POST if there is one: what `Resource` and `Discover` both take."""
        params = self.all(table, "params")
        if "body" not in table:
            return {"params": params}
        template, numbers = table.inner("body").values, table.names("numbers")
        more = dict.fromkeys([*params, *parameters([table.values.get(key) for key in ("paging", "plan")])])
        for text in texts(template):
            self.text(table, "body", text, *more)
        for name in numbers:
            self.text(table, "numbers", f"{{{name}}}", *more)
        named = {name for text in texts(template) for name in BRACES.findall(text)} & set(self._known)
        filled = {name: f"{{{name}}}" for name in sorted(named - params.keys())}  # so that who asks sees what is needed
        return {
            "params": filled | params,
            "method": "POST",
            "body": Body(template, numbers, self._own - params.keys()),
        }


def _named(table: Table) -> Table:
    name = str(table.at[-1])
    if not _NAME.fullmatch(name):
        raise table.wrong(f"not a name: {name[:40]!r}.", hint="Use lower-case letters, digits, - and _.")
    return table


def _docs(table: Table) -> str:
    address = table.get("docs", str)
    if not address.startswith("https://"):
        raise table.wrong("expected the address of the provider's documentation, with https://.", "docs")
    return address


def _credential(table: Table) -> Credential:
    found = Credential(
        label=table.get("label", str),
        help=table.get("help", str, ""),
        secret=table.get("secret", bool, True),
        required=table.get("required", bool, True),
    )
    table.close()
    return found


def _option(table: Table) -> Option:
    found = Option(
        label=table.get("label", str),
        help=table.get("help", str, ""),
        default=table.maybe("default"),
        choices=table.names("choices"),
        required=table.get("required", bool, False),
    )
    table.close()
    if found.choices and found.default is not None and found.default not in found.choices:
        raise table.wrong("is none of the choices.", "default")
    return found


def _rate(table: Table) -> Rate:
    seconds = table.values.get("seconds", 1)
    table.get("seconds", type(seconds) if type(seconds) in (int, float) else int, 1)
    found = Rate(table.get("calls", int), float(seconds))
    table.close()
    if found.calls < 1 or not 0 < found.seconds <= 86_400:
        raise table.wrong("expected so many calls, 1 or more, in so many seconds, up to 86400.")
    return found


def _statuses(table: Table) -> tuple[int, ...]:
    found = table.get("doubtful", list, [])
    if not all(type(one) is int and 400 <= one <= 599 for one in found):
        raise table.wrong("expected a list of HTTP statuses from 400 to 599.", "doubtful")
    return tuple(found)


def _refused(title: str, found: object) -> ProviderError:
    """What stands at `failure` in an answer that otherwise looks well."""
    return Unavailable(
        f'{title} answered with an error: "{str(found)[:100]}"', hint="Nothing was lost; it is tried again later."
    )


def _resource(table: Table, braces: _Braces) -> Resource:
    row_id = read_field(table.inner("row_id"), str)
    pseudonymise = table.names("pseudonymise")
    if row_id.dotted in pseudonymise:
        raise table.wrong("a row is found again by its id, so the id cannot be a pseudonym.", "pseudonymise")
    makes = table.each_of("makes")
    if not makes:
        raise table.wrong("makes are missing.", hint=f"Give at least one [[{'.'.join(map(str, table.at))}.makes]].")
    _apart(makes)
    found = Resource(
        name=str(table.at[-1]),
        path=braces.path(table, "path"),
        rows=table.get("rows", str, ""),
        carry=table.names("carry"),
        paging=read_paging(table.inner("paging")) if "paging" in table else single_page,
        plan=read_plan(table.inner("plan")),
        row_id=row_id,
        drop=table.names("drop"),
        pseudonymise=pseudonymise,
        details=_details(table.inner("details"), braces) if "details" in table else None,
        right=table.get("right", str, ""),
        makes=tuple(read_make(one) for one in makes),
        **braces.asked(table),
    )
    table.close()
    if found.body and found.details:
        raise table.wrong("details are not asked for with a body.", "details", hint="Such a provider needs Python.")
    if not found.rows and (found.carry or found.paging.envelope):
        raise table.wrong(
            "an answer that is the list itself has nothing beside it.", hint="Say in rows where the list is."
        )
    return found


def _apart(makes: list[Table]) -> None:
    """Ids are unique within a resource, so two records of one type need ids that cannot be the same."""
    for number, one in enumerate(makes):
        for other in makes[:number]:
            alike = all(one.values.get(key) == other.values.get(key) for key in ("record", "external_id"))
            if alike and not ("when" in one and "when" in other):
                raise one.wrong(
                    "would have the same ids as another record of this resource.",
                    "external_id",
                    hint='Put two ids together: {joined = ["$row.id", "id"]}.',
                )


def _details(table: Table, braces: _Braces) -> Details:
    path = table.get("path", str)
    found = Details(
        path=braces.path(table, "path", *BRACES.findall(path)),  # values of the row
        params=braces.all(table, "params"),
        into=table.get("into", str),
        when=read_condition(table.inner("when")) if "when" in table else lambda row: True,
    )
    table.close()
    return found


def _discover(
    table: Table, braces: _Braces, credentials: Mapping[str, Credential], options: Mapping[str, Option]
) -> Discover:
    fills = table.get("fills", str, "")
    if fills and fills not in {*credentials, *options}:
        raise table.wrong(f"no credential and no option is called {fills[:40]!r}.", "fills")
    found = Discover(
        what=table.get("what", str),
        path=braces.path(table, "path"),
        rows=table.get("rows", str, ""),
        paging=read_paging(table.inner("paging")) if "paging" in table else single_page,
        id=read_field(table.inner("id"), str),
        title=read_field(table.inner("title"), str, nullable=True) if "title" in table else None,
        fills=fills,
        **braces.asked(table),
    )
    table.close()
    return found
