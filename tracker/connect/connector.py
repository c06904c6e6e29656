"""What a connector file declares: one `Connector` with its resources, made of data and small functions.

    connector = Connector(
        title="Example Network", kind="affiliate", docs="https://…", base_url="https://api.example",
        credentials={"token": Credential("API token", help="Account > API")},
        auth=bearer("token"),
        resources=(Resource(name="transactions", path="/transactions", plan=…, paging=…, row_id=text("id"),
                            makes=(make(Earning, external_id=text("id"), …),)),),
    )

Unknown or missing fields of a record are refused when the file is imported.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from tracker.connect.auth import Scheme
from tracker.connect.fields import Field, Row
from tracker.connect.paging import Pager, single_page
from tracker.connect.plans import Plan
from tracker.connect.webhook import WebhookScheme
from tracker.errors import DataError, ProviderError
from tracker.records import Earning, Record, Recurrence, Role

Kind = Literal["affiliate", "payments", "billing", "shop", "membership", "course", "advertising", "marketplace", "bank"]


class Credential(msgspec.Struct, frozen=True):
    """One thing the user must hand over. `help` says where on the provider's site it is found."""

    label: str
    help: str = ""
    secret: bool = True
    required: bool = True


class Option(msgspec.Struct, frozen=True):
    """A setting of a connection that is no secret. None as default: may be left out."""

    label: str
    help: str = ""
    default: str | None = None
    choices: tuple[str, ...] = ()
    required: bool = False


class Rate(msgspec.Struct, frozen=True):
    """At most so many calls in so many seconds, shared by all workers that use the same credentials."""

    calls: int
    seconds: float = 1.0


class Make(msgspec.Struct, frozen=True, kw_only=True):
    """How a row, or each part of it, becomes a record. See `make`."""

    record: type[Any]
    reads: tuple[tuple[str, Callable[[Row], Any]], ...]
    parts: Callable[[Row], Iterable[Row]] | None = None
    when: Callable[[Row], bool] | None = None


def make(
    record: type[Record],
    *,
    parts: Callable[[Row], Iterable[Row]] | None = None,
    when: Callable[[Row], bool] | None = None,
    **fields: object,
) -> Make:
    """A record from each row, or from each of the row's `parts`, if `when` says so.

    `fields` give each of the record's fields as a `Field`, a function of the row or a constant.
    """
    known = record.__struct_fields__
    needed = {name for name, default in _defaults(record).items() if default is msgspec.NODEFAULT}
    if wrong := fields.keys() - set(known):
        raise TypeError(f"{record.__name__} has no field {', '.join(sorted(wrong))}")
    if missing := needed - fields.keys():
        raise TypeError(f"{record.__name__} lacks {', '.join(sorted(missing))}")
    reads = tuple((name, Field.of(fields[name]).read) for name in known if name in fields)
    return Make(record=record, reads=reads, parts=parts, when=when)


def _defaults(record: type[Any]) -> dict[str, object]:
    return {field.name: field.default for field in msgspec.structs.fields(record)}


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """A second request for a new or changed row, whose answer is put into the row at `into` before it is kept.

    `path` may name top-level values of the row: "/orders/{id}/refunds".
    """

    path: str
    params: Mapping[str, str] = {}
    into: str
    when: Callable[[Row], bool]


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of thing that a provider offers.

    `rows` is the path of the list in an answer ("" when the answer is the list). `drop` and `pseudonymise` name
    personal fields ("billing.email", "items.*.name"): the first never reach the disk, the second as a lasting
    stand-in. `tidy` takes out, in place, what no path can name: all but a few of a list of freely named values.
    `right` is what the key must be allowed to do, in the provider's words. `absent` tells from an error that this
    account does not have the resource at all. `body` makes the body of a POST from the parameters. `convert` makes
    JSON of an answer that is none, or not as documented, and takes its own output too; it raises what the answer
    says. `params` may name options in braces. `carry` names values beside the rows that belong to each of them: a
    report's currency.
    """

    name: str
    path: str
    plan: Plan
    row_id: Field
    makes: tuple[Make, ...]
    rows: str = ""
    params: Mapping[str, str] = {}
    carry: tuple[str, ...] = ()
    paging: Pager = single_page
    method: Literal["GET", "POST"] = "GET"
    body: Callable[[Mapping[str, str]], bytes] | None = None
    content_type: str = "application/json"
    drop: tuple[str, ...] = ()
    pseudonymise: tuple[str, ...] = ()
    tidy: Callable[[Row], None] | None = None
    details: Details | None = None
    right: str = ""
    absent: Callable[[ProviderError], bool] | None = None
    convert: Callable[[bytes], bytes] | None = None
    fetch: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        if self.row_id.dotted in self.pseudonymise:
            raise TypeError(f"{self.name}: a row is found again by its id, so the id cannot be a pseudonym")


class Discover(msgspec.Struct, frozen=True, kw_only=True):
    """A list of what a key can see, so that a user need not know ids: `what` names it, in the plural.

    `fills` is the credential or option that an id is for; such a credential may still be missing when the provider is
    asked. Ids that only help to recognise something (programmes) fill nothing; an id without `title` says all itself.
    The other words are those of `Resource`; what a `body` needs stands in `params`. Not for a provider whose refresh
    tokens rotate: asking before there is a connection would use one up.
    """

    what: str
    path: str
    id: Field
    title: Field | None = None
    rows: str = ""
    params: Mapping[str, str] = {}
    paging: Pager = single_page
    fills: str = ""
    method: Literal["GET", "POST"] = "GET"
    body: Callable[[Mapping[str, str]], bytes] | None = None
    content_type: str = "application/json"
    convert: Callable[[bytes], bytes] | None = None


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    """One provider.

    `base_url` is empty where every user has an address of their own. `headers` may name credentials and options in
    braces. `status` is the path of the status in an answer, where a provider always sends 200. `failure` is the path of
    an error in an answer with status 200, `refused` turns what stands there into an error; `message` lists the paths
    where an error answer keeps its useful words. `explain` names the error of a status and decoded body (plain text as
    it is, None for a web page) that the status alone would misjudge, or
    answers None. `doubtful` statuses may also mean too many calls: they are believed when a second try says the
    same. `retry_after` is the header with the seconds to wait. `recurrence` applies to every earning that nothing
    else decides (ads are variable). `corrections="appended"`: earnings that share an `origin_ref` and add up to
    nothing were declined or reversed. `payouts="from_earnings"`: there is no payout API, so payouts are put
    together from the earnings that name one. `imported`: the rows come in files that the user imports; nothing is ever
    asked of the provider.
    """

    title: str
    kind: Kind
    docs: str
    auth: Scheme
    resources: tuple[Resource, ...]
    base_url: str = ""
    credentials: Mapping[str, Credential] = {}
    options: Mapping[str, Option] = {}
    headers: Mapping[str, str] = {}
    rates: tuple[Rate, ...] = (Rate(5),)
    role: Role = Role.CASH
    status: str = ""
    failure: str = ""
    refused: Callable[[Any], ProviderError] | None = None
    message: tuple[str, ...] = ("message",)
    explain: Callable[[int, Any], ProviderError | None] | None = None
    doubtful: tuple[int, ...] = ()
    retry_after: str = "Retry-After"
    recurrence: Recurrence | None = None
    corrections: Literal["in_place", "appended"] = "in_place"
    payouts: Literal["none", "read", "from_earnings"] = "none"
    webhook: WebhookScheme | None = None
    imported: bool = False
    discover: tuple[Discover, ...] = ()
    warning: str = ""

    def resource(self, name: str) -> Resource:
        return next(resource for resource in self.resources if resource.name == name)


def records_of(resource: Resource, row: Row, now: datetime | None = None) -> list[Record]:
    """The records that a row makes. Raises DataError with the field's name in it."""
    records: list[Record] = []
    for maker in resource.makes:
        for part in _parts(maker, row):
            records.append(_record(maker, part))
    if now is not None:
        latest = now + timedelta(days=2)
        for record in records:
            if isinstance(record, Earning) and record.earned_at > latest:
                raise DataError(f"lies in the future: {record.earned_at.isoformat()}", field="earned_at")
    return records


#: What a function of a row raises when the row is not shaped as documented.
UNREADABLE = (KeyError, TypeError, AttributeError, IndexError, ValueError, ArithmeticError)


def _parts(maker: Make, row: Row) -> list[Row]:
    try:
        parts = maker.parts(row) if maker.parts else (row,)
        return [part for part in parts if maker.when is None or maker.when(part)]
    except UNREADABLE as error:
        raise DataError(f"cannot be read ({type(error).__name__}: {str(error)[:80]})", field="parts") from error


def _record(maker: Make, part: Row) -> Record:
    try:
        record: Record = maker.record(**{name: read(part) for name, read in maker.reads})
    except (DataError, *UNREADABLE):
        _refuse(maker, part)
        raise
    return record


def _refuse(maker: Make, part: Row) -> None:
    """Read a row again that could not be read, to name the field."""
    for name, read in maker.reads:
        try:
            read(part)
        except DataError as error:
            error.field = error.field or name
            raise
        except UNREADABLE as error:
            raise DataError(f"cannot be read ({type(error).__name__}: {str(error)[:80]})", field=name) from error
