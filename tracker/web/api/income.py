"""Income by month and group."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field

from tracker import reports
from tracker.errors import UsageError
from tracker.months import following, month_of, span
from tracker.store.reads import Basis, By
from tracker.web.api.bearer import Reader
from tracker.web.api.tagged import Tagged
from tracker.web.api.words import Amount, Asked, AskedCurrency, AskedMonth, Code, Moment, Month, Shape
from tracker.web.site import deps_of

router = APIRouter(route_class=Tagged, tags=["reports"])
#: Months of one report.
MONTHS_MAX = 240


class IncomeRow(Shape):
    """A month of one group: recurring + one_off + instalment + variable = total. What follows is in no total."""

    month: Month
    group: str | None
    recurring: Amount
    one_off: Amount
    instalment: Amount
    variable: Amount
    total: Amount
    pending: Amount
    declined: Amount
    reversed: Amount
    estimated: Amount
    earnings: int = Field(description="In the total.")


class Cost(Shape):
    """What you owe others for a month, below zero; in no income."""

    month: Month
    currency: Code
    amount: Amount
    earnings: int


class Unconverted(Shape):
    """What is in no amount, because no rate is known."""

    currency: Code
    net: Amount
    earnings: int


class Income(Shape):
    currency: Code
    basis: Basis
    by: By
    time_zone: str
    first: Month = Field(serialization_alias="from")
    last: Month = Field(serialization_alias="to")
    as_of: dict[str, Moment | None] = Field(description="When each connection was last read completely.")
    rows: list[IncomeRow]
    costs: list[Cost]
    unconverted: list[Unconverted]


class AskedIncome(Asked):
    first: AskedMonth | None = Field(None, alias="from", description="Twelve months, where neither end is given.")
    last: AskedMonth | None = Field(None, alias="to", description="Included.")
    by: By = By.STREAM
    basis: Basis = Field(Basis.EARNED, description="Which date puts an earning in a month.")
    currency: AskedCurrency | None = Field(None, description="Another than that of the settings.")


@router.get("/income", response_model=Income)
def income(request: Request, token: Reader, asked: Annotated[AskedIncome, Query()]) -> reports.Income:
    """Income by month and group, as `tracker income` tells it."""
    deps = deps_of(request)
    now = month_of(deps.now(), deps.settings.zone)
    first = asked.first or following(asked.last or now, -11)
    last = asked.last or max(first, now)
    if first > last:
        raise UsageError("from is after to.")
    if len(span(first, last)) > MONTHS_MAX:
        raise UsageError(f"at most {MONTHS_MAX} months at once.")
    return reports.income(
        deps.engine, deps.settings, first=first, last=last, by=asked.by, basis=asked.basis, currency=asked.currency
    )
