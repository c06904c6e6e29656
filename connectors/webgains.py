"""Webgains: transactions of a publisher, changed in place while Webgains validates and pays them.

Source: docs.webgains.dev, Platform API, "Get Transaction Report", "Transaction Statuses" and "Authentication With
Personal Access Tokens"; where these leave things open, two clients that publishers use.
"""

from collections.abc import Callable
from datetime import timedelta

from tracker.connect.auth import bearer
from tracker.connect.connector import Connector, Credential, Option, Rate, Resource, make
from tracker.connect.fields import Field, Row, currency, epoch, get, one_of, only_if, optional, scaled, text
from tracker.connect.paging import page_number
from tracker.connect.plans import created_since, unix
from tracker.records import Earning, Kind, Program, Settlement, Status

#: From paid to open; 70 is cancelled. Where open begins, readers of the codes differ: see the option `confirmed`.
_CODES = {code: code for code in (10, 20, 30, 40, 50, 60, 70)}
_PAID, _CANCELLED = 10, 70

_code = one_of("status", _CODES)
_changed = optional(epoch("status_changed_date"))


def amount(name: str, kind: Callable[[Field], Field] = lambda field: field) -> Field:
    ways = {parts: kind(scaled(f"{name}.amount", places)) for parts, places in (("10000", 4), ("100", 2))}
    return Field.of(lambda row: ways[get(row, "$.amounts")].read(row))


def status(row: Row) -> Status:
    code: int = _code.read(row)
    if code == _CANCELLED:
        return Status.DECLINED
    return Status.APPROVED if code <= int(get(row, "$.confirmed")) else Status.PENDING


def settlement(row: Row) -> Settlement:
    return Settlement.PAID if _code.read(row) == _PAID else Settlement.UNPAID


connector = Connector(
    title="Webgains",
    kind="affiliate",
    docs="https://docs.webgains.dev/docs/platform-api-1",
    base_url="https://platform-api.webgains.com",
    credentials={
        "token": Credential("Personal access token", help="platform.webgains.com, your account's settings"),
        "publisher_id": Credential(
            "Publisher id", help="account information; not the id under websites & apps", secret=False
        ),
    },
    options={
        "amounts": Option(
            "Parts of a unit that amounts are counted in",
            help="10000 or 100: compare one commission with your account",
            default="10000",
            choices=("10000", "100"),
        ),
        "confirmed": Option(
            "Highest status code that is confirmed",
            help="40 or 20: compare a commission whose raw status is 30 or 40",
            default="40",
            choices=("40", "20"),
        ),
        "base_url": Option("Address of the API", help="only for tests and proxies"),
    },
    auth=bearer("token"),
    rates=(Rate(30, 60),),  # no number is published
    resources=(
        Resource(
            name="transactions",
            path="/publishers/{publisher_id}/reports/transactions",
            params={"sort": "date", "sort_order": "ASC"},
            rows="data",
            paging=page_number(size=("size", 250), total="pagination.last_page"),
            # A year at a time, and nothing tells what has changed: the last year is one window that is read again.
            plan=created_since(
                "filters[start_date]",
                until="filters[end_date]",
                days=365,
                look_back=timedelta(days=360),
                form=unix,
            ),
            right="a token of a user of this publisher account",
            row_id=text("id"),
            makes=(
                make(
                    Program,
                    when=lambda row: bool(get(row, "program.id") and get(row, "program.name")),
                    external_id=text("program.id"),
                    title=text("program.name"),
                ),
                make(
                    Earning,
                    external_id=text("id"),
                    kind=Kind.COMMISSION,
                    status=status,
                    settlement=settlement,
                    net=amount("commission"),
                    currency=currency("commission.currency_code"),
                    sale_amount=amount("value", optional),
                    sale_currency=optional(currency("value.currency_code")),
                    earned_at=epoch("date"),
                    validated_at=only_if(_changed, status, Status.APPROVED, Status.DECLINED),
                    program=optional(text("program.id")),
                    sub_id=optional(text("click_reference")),
                    provider_status=text("status"),
                ),
            ),
        ),
    ),
)
