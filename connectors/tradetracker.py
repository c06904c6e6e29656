"""TradeTracker: conversions of an affiliate site, changed in place, and payments. Over SOAP, in a session.

Source: TradeTracker's affiliate web service (ws.tradetracker.com/soap/affiliate?wsdl) as its clients use it:
github.com/stixx/tradetracker-api-client (fields, filters) and github.com/whitelabeled/tradetracker-api-client.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tracker.connect.auth import session_cookie
from tracker.connect.connector import Connector, Credential, Discover, Option, Rate, Resource, make
from tracker.connect.fields import Row, country, currency, money, one_of, only_if, optional, text, timestamp
from tracker.connect.paging import offset
from tracker.connect.plans import Axis, created_since, date_windows
from tracker.connect.soap import call, fault, rows_as_json
from tracker.errors import AuthRejected, NotFound, ProviderError, Unavailable, UnexpectedData
from tracker.records import Earning, Kind, Payout, PayoutStatus, Program, Settlement, Status

_SERVICE = "https://ws.tradetracker.com/soap/affiliate"
_XML = "text/xml; charset=utf-8"
_STATUSES = {"pending": Status.PENDING, "accepted": Status.APPROVED, "rejected": Status.DECLINED}
_PAID = dict.fromkeys(("true", "1"), Settlement.PAID) | dict.fromkeys(("false", "0"), Settlement.UNPAID)
_TYPES = dict.fromkeys(("click", "lead", "sale"), Kind.COMMISSION)
_ZONE = ZoneInfo("Europe/Amsterdam")  # of times without an offset

_status, _paid, _sale = one_of("transactionStatus", _STATUSES), optional(one_of("paidOut", _PAID)), money("orderAmount")
_assessed = optional(timestamp("assessmentDate", zone=_ZONE))
_pay_day = optional(timestamp("payDate", zone=_ZONE))


def asking(operation: str, *options: str) -> Callable[[Mapping[str, str]], bytes]:
    """A call for the site, or without `affiliateSiteID` for the account, with those options that there are."""
    of_site = operation in ("getConversionTransactions", "getCampaigns")

    def body(params: Mapping[str, str]) -> bytes:
        chosen = {name: params[name] for name in options if name in params}
        site = {"affiliateSiteID": params["affiliate_site_id"]} if of_site else {}
        if operation == "getPayments" and params["payments"] == "no":
            raise NotFound("another connection reads the payments.")
        return call(_SERVICE, operation, {**site, "options": chosen})

    return body


def refused(said: str) -> ProviderError | None:
    """The error that a fault stands for. A session that has ended is told like a wrong key, and begun anew."""
    found = fault(said)
    if not found:
        return None
    code, words = found[0], found[1][:150]
    if any(sign in words.lower() for sign in ("authenticat", "passphrase", "credential", "login")):
        return AuthRejected(f'TradeTracker refused the session. It says: "{words}"', hint="Check id and passphrase.")
    if "client" in code.lower():
        return UnexpectedData(f'TradeTracker refused the request. It says: "{words}"', hint="Check the site id.")
    return Unavailable(f'TradeTracker is in trouble. It says: "{words}"', hint="It is tried again later.")


def explain(status: int, document: Any) -> ProviderError | None:
    return refused(document) if isinstance(document, str) else None


def rows(body: bytes) -> bytes:
    """A fault may come with status 200 as well."""
    if error := refused(body[:5_000].decode(errors="replace")):
        raise error
    return rows_as_json(body) if body[:1] != b"{" else body


def with_offset(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")


def sale(row: Row) -> Any:
    return _sale.read(row) if row.get("orderAmount") else None


connector = Connector(
    title="TradeTracker",
    kind="affiliate",
    docs="https://ws.tradetracker.com/soap/affiliate",
    base_url="https://ws.tradetracker.com",
    credentials={
        "customer_id": Credential("Customer id", help="affiliate.tradetracker.com > web services", secret=False),
        "passphrase": Credential("Passphrase", help="beside the customer id"),
        "affiliate_site_id": Credential("Affiliate site id", help="the number beside your site's name", secret=False),
    },
    options={
        "payments": Option(
            "Whether to read payments",
            help="they are the account's: say no for all of its sites but one",
            default="yes",
            choices=("yes", "no"),
        ),
        "base_url": Option("Address of the API", help="only for tests and proxies"),
    },
    headers={"SOAPAction": '""'},
    auth=session_cookie(
        _SERVICE,
        lambda keys: call(
            _SERVICE,
            "authenticate",
            {
                "customerID": keys["customer_id"],
                "passphrase": keys["passphrase"],
                "sandbox": "false",
                "locale": "en_GB",
                "demo": "false",
            },
        ),
    ),
    rates=(Rate(60, 60),),  # no number is published
    explain=explain,
    payouts="read",
    discover=(
        Discover(
            what="affiliate sites",
            path="/soap/affiliate",
            method="POST",
            content_type=_XML,
            body=asking("getAffiliateSites"),
            convert=rows,
            rows="rows",
            id=text("ID"),
            title=optional(text("name")),
            fills="affiliate_site_id",
        ),
        Discover(
            what="campaigns",
            path="/soap/affiliate",
            method="POST",
            content_type=_XML,
            params={"affiliate_site_id": "{affiliate_site_id}", "assignmentStatus": "accepted"},
            body=asking("getCampaigns", "assignmentStatus"),
            convert=rows,
            rows="rows",
            id=text("ID"),
            title=optional(text("name")),
        ),
    ),
    resources=(
        Resource(
            name="conversions",
            path="/soap/affiliate",
            method="POST",
            content_type=_XML,
            body=asking(
                "getConversionTransactions",
                *("registrationDateFrom", "registrationDateTo", "assessmentDateFrom", "assessmentDateTo"),
                *("limit", "offset", "sort"),
            ),
            params={"sort": "ID"},
            convert=rows,
            rows="rows",
            paging=offset(size=("limit", 250), short=1),  # there is no total, and a page may be cut
            plan=date_windows(
                90,
                # A date may end before the day it names: a week back costs no further call.
                Axis(
                    name="registration",
                    since="registrationDateFrom",
                    until="registrationDateTo",
                    overlap=timedelta(days=7),
                ),
                # Being paid out has no date: it follows the assessment by some months at most.
                Axis(
                    name="assessment",
                    since="assessmentDateFrom",
                    until="assessmentDateTo",
                    overlap=timedelta(days=179),
                    backfill=False,
                ),
                form=with_offset,
            ),
            right="web services for this account and site",
            row_id=text("ID"),
            drop=("IP", "description"),
            makes=(
                make(Program, external_id=text("campaign.ID"), title=text("campaign.name")),
                make(
                    Earning,
                    external_id=text("ID"),
                    kind=one_of("transactionType", _TYPES),
                    status=_status,
                    settlement=lambda row: _paid.read(row) or Settlement.UNPAID,
                    net=money("commission"),
                    currency=currency("currency"),
                    sale_amount=sale,
                    sale_currency=lambda row: None if sale(row) is None else currency("currency").read(row),
                    earned_at=timestamp("registrationDate", zone=_ZONE),
                    validated_at=only_if(_assessed, _status, Status.APPROVED),
                    program=text("campaign.ID"),
                    product=optional(text("campaignProduct.name")),
                    country=country("countryCode"),
                    sub_id=optional(text("reference")),
                    provider_status=text("transactionStatus"),
                ),
            ),
        ),
        Resource(
            name="payments",
            path="/soap/affiliate",
            method="POST",
            content_type=_XML,
            body=asking("getPayments", "billDateFrom", "billDateTo"),
            convert=rows,
            rows="rows",
            plan=created_since(
                "billDateFrom",
                until="billDateTo",
                look_back=timedelta(days=365),  # a bill is paid some time after it was made
                form=lambda time: time.strftime("%Y-%m-%d"),
            ),
            right="web services for this account",
            absent=lambda error: isinstance(error, NotFound),
            row_id=text("invoiceNumber"),
            makes=(
                make(
                    Payout,
                    external_id=text("invoiceNumber"),
                    status=lambda row: PayoutStatus.PAID if _pay_day.read(row) else PayoutStatus.PENDING,
                    amount=money("endTotal"),
                    currency=currency("currency"),
                    created_at=timestamp("billDate", zone=_ZONE),
                    arrives_at=_pay_day,
                ),
            ),
        ),
    ),
)
