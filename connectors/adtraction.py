"""Adtraction: commissions of a partner, changed in place, and what was paid out.

Source: apidocs.adtraction.net and adtractionapi.docs.apiary.io, "Transactions", "Payments" and "Response codes"; for
the channels github.com/SebastianJ/adtraction-api.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tracker.connect.auth import Credentials, Request, Scheme, Tokens
from tracker.connect.connector import Connector, Credential, Discover, Option, Rate, Resource, make
from tracker.connect.fields import Field, Row, currency, first_of, get, money, one_of, optional, text, timestamp
from tracker.connect.plans import Full, created_since
from tracker.connect.rows import decode, digest, encode
from tracker.errors import AuthRejected, DataError, NotFound, RateLimited, UnexpectedData, UsageError
from tracker.records import Earning, Kind, Payout, PayoutStatus, Program, Settlement, Status

_STATUSES = {
    1: Status.APPROVED,
    2: Status.PENDING,
    4: Status.PENDING,  # a claim: the partner asks for a sale that was not tracked
    5: Status.DECLINED,
}

_unique_id = optional(text("uniqueId"))
_commission = money("commission")
_sale = optional(money("orderValue"))
_currency = currency("currency")
_status = one_of("transactionStatus", _STATUSES)
_payment = optional(text("paymentStatus"))
_day = optional(timestamp("paymentdate")), timestamp("paymentDate")


_ELSEWHERE = "another connection reads the payments."


def authenticate(request: Request, credentials: Credentials, tokens: Tokens) -> None:
    """Payments are the account's, so that the connections of its other channels leave them out."""
    if request.options.get("payments") == "no" and "/payments/" in request.url:
        raise NotFound(_ELSEWHERE)
    request.headers["X-Token"] = credentials["token"]


def time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")


def question(params: Mapping[str, str]) -> bytes:
    """All statuses, and one channel if one is chosen."""
    channel = params.get("channel_id")
    if channel and not channel.isdecimal():
        raise UsageError("the channel is not a number.", hint="Correct the option channel_id, or leave it out.")
    asked = {"fromDate": params["fromDate"], "toDate": params["toDate"], "transactionStatus": 0}
    return encode(asked | ({"channelId": int(channel)} if channel else {}))


def answered(body: bytes) -> bytes:
    """Adtraction puts an object where the list should be: for nothing found, and for what it refuses."""
    if not body.lstrip().startswith(b"{"):
        return body
    answer = decode(body)
    status, words = answer.get("status"), str(answer.get("message", ""))[:100]
    if status == 200 and words.lower().startswith("no "):
        return b"[]"
    if status in (401, 403):
        raise AuthRejected(f'Adtraction refused the token. It says: "{words}"', hint="Make a new one.")
    if status == 429:
        raise RateLimited(f'Adtraction asked to slow down. It says: "{words}"', retry_after_s=60)
    told = f' It says: "{words}"' if words else f" It has {', '.join(sorted(answer))[:100]}."
    raise UnexpectedData(f"Adtraction answered without a list.{told}")


def is_click(row: Row) -> bool:
    """Clicks stand between the transactions: nothing was sold and nothing is paid for."""
    return not _commission.read(row) and not _sale.read(row) and _status.read(row) is not Status.DECLINED


def row_id(row: Row) -> str:
    found: str | None = _unique_id.read(row)
    if not found and is_click(row):
        return f"click {digest(encode(row)).hex()}"
    if not found:
        raise DataError("a commission has no uniqueId, so that its changes could not be followed.")
    return found


def is_named(row: Row) -> Any:
    return get(row, "click.programId") and get(row, "click.programName")


def settlement(row: Row) -> Settlement:
    """Which number says that a commission is paid, is not documented; the user knows one that is."""
    paid, found = get(row, "$.paid_status"), _payment.read(row)
    return Settlement.PAID if paid and found == paid else Settlement.UNPAID


def said(row: Row) -> str:
    """The number, and where the money is due that of the payment as well: see `settlement`."""
    payment = _payment.read(row) if _status.read(row) is Status.APPROVED else None
    return f"{row['transactionStatus']}" + (f", payment {payment}" if payment is not None else "")


def paid_on(row: Row) -> datetime:
    found: datetime = _day[0].read(row) or _day[1].read(row)
    return found


connector = Connector(
    title="Adtraction",
    kind="affiliate",
    docs="https://apidocs.adtraction.net/v2/",
    base_url="https://api.adtraction.net",
    credentials={"token": Credential("API token", help="in your account, settings, API")},
    options={
        "currency": Option("Currency of your payouts", help="such as SEK or EUR", required=True),
        "channel_id": Option("Channel", help="the number of one channel; without it all are read"),
        "payments": Option(
            "Whether to read payments",
            help="they are the account's: say no for all of its channels but one",
            default="yes",
            choices=("yes", "no"),
        ),
        "paid_status": Option(
            "paymentStatus of a paid commission",
            help="the number that stands after `payment` at a commission that you know is paid",
        ),
        "role": Option(
            "Name of the interface",
            help="affiliate for older tokens",
            default="partner",
            choices=("partner", "affiliate"),
        ),
        "base_url": Option("Address of the API", help="https://api.adtraction.com for older tokens"),
    },
    auth=Scheme(authenticate),
    rates=(Rate(10, 60),),  # 30 on most addresses, 10 on some
    payouts="read",
    discover=(
        Discover(
            what="channels",
            path="/v2/{role}/approvedchannels/",
            convert=answered,
            id=text("channelId"),
            title=optional(text("channelName")),
            fills="channel_id",
        ),
    ),
    resources=(
        Resource(
            name="transactions",
            path="/v2/{role}/transactions/",
            method="POST",
            body=question,
            convert=answered,
            # Nothing tells what has changed, and no largest window is documented. As far as a minute's calls reach.
            plan=created_since("fromDate", until="toDate", days=30, look_back=timedelta(days=240), form=time),
            right="a token of the account whose channels these are",
            row_id=Field.of(row_id),
            makes=(
                make(Program, when=is_named, external_id=text("click.programId"), title=text("click.programName")),
                make(
                    Earning,
                    when=lambda row: not is_click(row),
                    external_id=text("uniqueId"),
                    kind=Kind.COMMISSION,
                    status=_status,
                    settlement=settlement,
                    net=_commission,
                    currency=_currency,
                    sale_amount=_sale,
                    sale_currency=lambda row: None if _sale.read(row) is None else _currency.read(row),
                    earned_at=timestamp("transactionDate"),
                    program=optional(text("click.programId")),
                    product=optional(text("transactionName")),
                    sub_id=first_of("click.epi", "click.epi2"),
                    provider_status=said,
                ),
            ),
        ),
        Resource(
            name="payments",
            path="/v2/{role}/payments/{currency}/",
            convert=answered,
            plan=Full(),
            right="a token of the account whose channels these are",
            absent=lambda error: isinstance(error, NotFound) and error.message == _ELSEWHERE,
            row_id=text("paymentId"),
            makes=(
                make(
                    Payout,
                    external_id=text("paymentId"),
                    status=PayoutStatus.PAID,
                    amount=money("totalAmount"),
                    currency=_currency,
                    created_at=paid_on,
                ),
            ),
        ),
    ),
)
