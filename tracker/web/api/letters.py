"""The monthly letter as figures."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BeforeValidator

from tracker import letter as letters
from tracker.months import following, month_of, span
from tracker.reports import Recurring
from tracker.store import reads_deliveries
from tracker.store.database import reading
from tracker.summary import MonthlySummary, Trouble, of_letter
from tracker.web.api import mrr
from tracker.web.api.bearer import Reader
from tracker.web.api.income import Cost, Unconverted
from tracker.web.api.problems import not_there
from tracker.web.api.tagged import Tagged
from tracker.web.api.words import Amount, AskedMonth, Code, Moment, Month, Shape, Share
from tracker.web.site import deps_of

router = APIRouter(route_class=Tagged, tags=["letters"])
#: Months of which there are letters.
MONTHS_MAX = 240


class Change(Shape):
    """How an amount differs from an earlier one; `share` is a part of `before`."""

    before: Amount | None
    amount: Amount | None
    share: Share | None


class Figure(Shape):
    amount: Amount
    last_month: Change
    last_year: Change


class StreamIncome(Shape):
    """recurring + other = total; other = one_off + instalment + variable."""

    stream: str | None
    recurring: Figure
    other: Figure
    total: Figure
    one_off: Amount
    instalment: Amount
    variable: Amount
    earnings: int


class Sum(Shape):
    """What has no rate is in `unconverted` and only there."""

    earnings: int
    amount: Amount
    unconverted: list[Unconverted]


class Before(Shape):
    """A month that this one is compared with; of the streams in `missing` the ledger knows nothing then."""

    month: Month
    known: bool
    missing: list[str]
    unconverted: list[Unconverted]


class Pending(Shape):
    connection: str
    title: str
    sum: Sum
    oldest: Month


class Loss(Shape):
    status: str
    connection: str
    title: str
    program: str | None
    product: str | None
    said: str | None
    amount: Amount
    currency: Code
    earned_at: Moment


class Losses(Shape):
    """What was declined or reversed, and the refunds inside the month's own total."""

    since: Moment
    until: Moment
    since_letter: bool
    declined: Sum
    reversed: Sum
    largest: list[Loss]
    corrections: dict[str, Sum]


class Paid(Shape):
    """Payouts of one connection in one currency."""

    connection: str
    title: str
    currency: Code
    payouts: int
    amount: Amount
    last: Moment
    estimated: bool


class Troubled(Shape):
    """A connection whose figures may be old; `next` is the command to try."""

    connection: str
    title: str
    trouble: Trouble
    as_of: Moment | None
    why: str
    next: str


class HeldRows(Shape):
    connection: str
    title: str
    resource: str
    rows: int
    error: str


def _told(value: Any) -> Any:
    return mrr.told(value) if isinstance(value, Recurring) else value


class Letter(Shape):
    """What came in in a month, what was taken back, what is open and what needs a hand."""

    month: Month
    over: bool
    until: Moment
    made_at: Moment
    currency: Code
    basis: str
    time_zone: str
    locale: str
    streams: list[StreamIncome]
    total: StreamIncome
    last_month: Before
    last_year: Before
    unconverted: list[Unconverted]
    waiting: Amount
    estimated: Amount
    costs: list[Cost]
    empty: bool
    begins: Month | None
    pending: list[Pending]
    losses: Losses
    received: list[Paid]
    under_way: list[Paid]
    failed: list[Paid]
    mrr: Annotated[mrr.Mrr | None, BeforeValidator(_told)]
    troubled: list[Troubled]
    quarantine: list[HeldRows]
    as_of: dict[str, Moment | None]


class Months(Shape):
    rows: list[Month]


class Words(Shape):
    """The letter as it is mailed."""

    subject: str
    text: str
    html: str


@router.get("/letters")
def letters_(request: Request, token: Reader) -> Months:
    """The months of which there is a letter, the newest first."""
    deps = deps_of(request)
    running = month_of(deps.now(), deps.settings.zone)
    with reading(deps.engine) as conn:
        first = reads_deliveries.first_month(conn)
    found = span(max(first, following(running, 1 - MONTHS_MAX)), running)[::-1] if first else []
    return Months.model_validate({"rows": found})


@router.get("/letters/{month}", response_model=Letter)
def letter(request: Request, token: Reader, month: AskedMonth) -> MonthlySummary:
    """The figures of a letter as it would be made now: `tracker letter MONTH --format json`."""
    return _summary(request, month)


@router.get("/letters/{month}/words")
def letter_words(request: Request, token: Reader, month: AskedMonth) -> Words:
    """The same in words, as text and HTML."""
    return Words.model_validate(letters.write(_summary(request, month)))


def _summary(request: Request, month: int) -> MonthlySummary:
    deps = deps_of(request)
    running = month_of(deps.now(), deps.settings.zone)
    if not following(running, -MONTHS_MAX) <= month <= running:
        raise not_there("letter about this month")
    return of_letter(deps.engine, deps.settings, month, deps.now())
