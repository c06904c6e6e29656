"""Adcell: commissions of a publisher, changed in place while advertisers decide on them.

Source: www.adcell.de/api/v2 ("user/getToken", "affiliate/statistic/byCommission"), as clients of publishers read it.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tracker.connect.auth import Credentials, token
from tracker.connect.connector import Connector, Credential, Option, Rate, Resource, make
from tracker.connect.fields import currency, money, one_of, only_if, optional, text, timestamp
from tracker.connect.paging import page_number
from tracker.connect.plans import created_since, local
from tracker.errors import AuthRejected, ProviderError, Unavailable
from tracker.records import Earning, Kind, Program, Status

_ZONE = "Europe/Berlin"
_LIFE_S = 900  # of a token, unless Adcell says less
_STATUSES = {"open": Status.PENDING, "accepted": Status.APPROVED, "cancelled": Status.DECLINED}

_status = one_of("status", _STATUSES)
_changed = optional(timestamp("changeTime", zone=ZoneInfo(_ZONE)))


def log_in(credentials: Credentials) -> dict[str, str]:
    return {"userName": credentials["user_name"], "password": credentials["api_password"]}


def handed(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The token in the words of OAuth. Its status stands in the answer."""
    status, data = str(answer.get("status")), answer.get("data") or {}
    if status.startswith("5") or status == "429":
        raise Unavailable(f"Adcell gives no token at the moment ({status}).", hint="It is tried again later.")
    if not data.get("token"):
        raise AuthRejected("Adcell gave no token.", hint="Check the user id and the API password.")
    life = str(data.get("expires"))
    return {"access_token": data["token"], "expires_in": min(int(life), _LIFE_S) if life.isdigit() else _LIFE_S}


def explain(status: int, document: Any) -> ProviderError | None:
    """A token that is too old may be answered with 403 as well as 401: either is tried once more with a new one."""
    if status != 403:
        return None
    return AuthRejected("Adcell refused the token.", hint="Check the user id and the API password.")


connector = Connector(
    title="Adcell",
    kind="affiliate",
    docs="https://www.adcell.de/api/v2/",
    base_url="https://www.adcell.de",
    credentials={
        "user_name": Credential("User id", help="the number that you log in with", secret=False),
        "api_password": Credential("API password", help="in your account's API settings; not the one of the log-in"),
    },
    options={
        "currency": Option("Currency of the account", help="Adcell's rows name none", default="EUR"),
        "base_url": Option("Address of the API", help="only for tests and proxies"),
    },
    auth=token("https://www.adcell.de/api/v2/user/getToken", log_in, param="token", in_query=True, read=handed),
    rates=(Rate(30, 60),),  # no number is published
    status="status",
    explain=explain,
    resources=(
        Resource(
            name="commissions",
            path="/api/v2/affiliate/statistic/byCommission",
            rows="data.items",
            # 25 rows come unasked; should fewer than 1,000 be allowed, only a page of fewer than 25 is the last.
            paging=page_number(size=("rows", 1_000), short=25),
            # Nothing tells what has changed, and no largest window is known. A trip is decided on after it was made.
            plan=created_since(
                "startDate",
                until="endDate",
                days=90,
                look_back=timedelta(days=365),
                form=local(_ZONE, "%Y-%m-%d"),
            ),
            right="a publisher's account",
            row_id=text("commissionId"),
            drop=("ip", "referer"),
            makes=(
                make(
                    Program,
                    when=lambda row: bool(row.get("programId") and row.get("programName")),
                    external_id=text("programId"),
                    title=text("programName"),
                ),
                make(
                    Earning,
                    external_id=text("commissionId"),
                    kind=Kind.COMMISSION,
                    status=_status,
                    net=money("totalCommission"),
                    currency=currency("$.currency"),
                    sale_amount=optional(money("totalShoppingCart")),
                    sale_currency=currency("$.currency"),
                    earned_at=timestamp("createTime", zone=ZoneInfo(_ZONE)),
                    validated_at=only_if(_changed, _status, Status.APPROVED, Status.DECLINED),
                    program=optional(text("programId")),
                    product=optional(text("eventName")),
                    sub_id=optional(text("subId")),
                    provider_status=text("status"),
                ),
            ),
        ),
    ),
)
