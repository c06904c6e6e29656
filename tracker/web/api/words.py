"""How the API writes amounts, months and moments, and how it takes them. The names are those of `--json`."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Path, Request, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from tracker.errors import MoneyError
from tracker.money import currency_code, plain
from tracker.months import label, parse

_MILLIONTH = Decimal("0.000001")
_YEAR = "(19[7-9][0-9]|2[0-9]{3})"
_MONTH = f"^{_YEAR}-(0[1-9]|1[0-2])$"
_DAY = f"^{_YEAR}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
_AMOUNT = r"^-?[0-9]{1,12}(\.[0-9]{1,6})?$"
SLUG_PATTERN = "^[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?$"
PAGE_MAX = 200
#: Text without what a terminal or a database trips over.
_CLEAN = r"^[^\x00-\x1f\x7f]*$"


# --- what is answered ---


class Shape(BaseModel):
    """A part of an answer. Every field is always there; null is unknown, which is never the same as zero."""

    model_config = ConfigDict(from_attributes=True, json_schema_serialization_defaults_required=True)


def _amount(value: Any) -> Any:
    return plain(value) if isinstance(value, Decimal) else value


def _share(value: Any) -> Any:
    return plain(value.quantize(_MILLIONTH)) if isinstance(value, Decimal) else value


def _month(value: Any) -> Any:
    return label(value) if isinstance(value, int) else value


_DECIMAL = r"^-?[0-9]+\.[0-9]{2,}$"
#: In major units of the currency named beside it: exact, and never a number that a program would round.
Amount = Annotated[str, BeforeValidator(_amount), Field(pattern=_DECIMAL, examples=["1234.50"])]
#: A part of a whole, to the millionth: 0.10 is a tenth.
Share = Annotated[str, BeforeValidator(_share), Field(pattern=_DECIMAL, examples=["0.10"])]
Month = Annotated[str, BeforeValidator(_month), Field(pattern="^[0-9]{4}-(0[1-9]|1[0-2])$", examples=["2026-06"])]
#: ISO 8601, in UTC: 2026-06-15T10:00:00Z.
Moment = Annotated[datetime, AfterValidator(lambda moment: moment.astimezone(UTC))]
Day = Annotated[date, Field(examples=["2026-06-30"])]
Code = Annotated[str, Field(pattern="^[A-Z]{3}$", examples=["EUR"])]


# --- what is asked ---


def _asked_month(text: Any) -> int:
    if not isinstance(text, str) or not re.fullmatch(_MONTH, text):
        raise ValueError("not a month; write it as 2026-06")
    return parse(text)


def _asked_day(text: Any) -> date:
    if not isinstance(text, str) or not re.fullmatch(_DAY, text):
        raise ValueError("not a day; write it as 2026-06-30")
    return date.fromisoformat(text)


def _asked_amount(text: Any) -> Decimal:
    if not isinstance(text, str) or not re.fullmatch(_AMOUNT, text):
        raise ValueError("not an amount; write it as 1234.50")
    return Decimal(text)


def _asked_currency(text: str) -> str:
    try:
        return currency_code(text)
    except MoneyError as error:
        raise ValueError(str(error)) from None


def _as_text(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


AskedMonth = Annotated[int, BeforeValidator(_asked_month), _as_text(_MONTH, "2026-06")]
AskedDay = Annotated[date, BeforeValidator(_asked_day), _as_text(_DAY, "2026-06-30")]
AskedAmount = Annotated[Decimal, BeforeValidator(_asked_amount), _as_text(_AMOUNT, "1234.50")]
AskedCurrency = Annotated[str, Field(pattern="^[A-Z]{3}$", examples=["EUR"]), AfterValidator(_asked_currency)]
Clean = Annotated[str, Field(pattern=_CLEAN)]
Cursor = Annotated[str, Field(max_length=200, pattern="^[!-~]+$", description="The `next` of the page before.")]
Slug = Annotated[str, Field(pattern=SLUG_PATTERN)]

RowId = Annotated[int, Path(ge=1, le=2**63 - 1)]
PathSlug = Annotated[str, Path(pattern=SLUG_PATTERN)]


class Asked(BaseModel):
    """What may stand behind the question mark. A misspelt filter is refused, because ignored it would ask for all."""

    model_config = ConfigDict(extra="forbid")


class Paged(Asked):
    """A list that is told in parts: `cursor` is the `next` of the part before."""

    limit: int = Field(50, ge=1, le=PAGE_MAX)
    cursor: Cursor | None = None


def linked(request: Request, response: Response, following: str | None) -> str | None:
    """Name the next part in the header as well (RFC 8288), whole: with the filters that were asked for."""
    if following is not None:
        there = request.url.include_query_params(cursor=following)
        response.headers["Link"] = f'<{there.path}?{there.query}>; rel="next"'
    return following


class Given(BaseModel):
    """A body that is sent to us."""

    model_config = ConfigDict(extra="forbid")
