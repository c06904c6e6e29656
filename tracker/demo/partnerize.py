"""Partnerize's partner API in the sandbox: conversions with lines that change in place, and self-bills.

Source of the shapes and rules: Partnerize's partner API reference, "Retrieve a Partner Conversions Report", "List all
Selfbills", "Cursor Pagination" and "Rate Limits". Billing a line is no change of its conversion here, which is the
harder of the two readings.
"""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkSale, by_payment

_MOST = 100  # rows on a page; the reference's largest limit is 300, and an answer says which one applied
_BILLED_AHEAD = timedelta(days=10)  # of the day of payment
_STATUSES = ("pending", "approved", "rejected")


class Partnerize:
    rate: ClassVar[tuple[int, float]] = (600, 60.0)  # no number is published

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        pair = f"{keys['application_key']}:{keys['user_api_key']}"
        self._caller = "Basic " + b64encode(pair.encode()).decode()
        self._publisher = keys["publisher_id"]
        self._sales = history.sales
        self._bills = by_payment(history.sales)

    @staticmethod
    def keys(digest: str) -> dict[str, str]:
        return {"application_key": digest[:12], "user_api_key": digest[12:24], "publisher_id": "1100l99"}

    def caller(self, request: Request) -> str:
        return request.headers.get("authorization", "")

    def throttled(self) -> Answer:
        answer = _error(429, "Too Many Requests", "429")
        answer.headers = {"X-RateLimit-Limit": "600", "X-RateLimit-Remaining": "0", "X-RateLimit-Retry-After": "23"}
        return answer

    def error_in_200(self) -> Answer:
        return _error(200, "An unexpected error occurred", "500")

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        row = {"conversion_data": _conversion(self._sales[0], now, ZoneInfo("UTC"))}
        links = {"first_page": "/x", "next_page": f"/partnerize{request.url_with(cursor_id=turn + 1)}"}
        return as_json(200, {"conversions": [row], "hypermedia": {"pagination": links}})

    def answer(self, request: Request, now: datetime) -> Answer:
        if self.caller(request) != self._caller:
            return _error(401, "Authentication failed", "AuthenticationException")
        report, bills = "reporting/report_publisher/publisher", "user/publisher"
        if request.path.strip("/") == f"{report}/{self._publisher}/conversion.json":
            return self._conversions(request, now)
        if request.path.strip("/") == f"{bills}/{self._publisher}/selfbill":
            return self._selfbills(request, now)
        if request.path.strip("/").startswith(bills) and (found := self._of_account(request.path.strip("/"))):
            return as_json(200, found)
        if request.path.strip("/").startswith((report, bills)):
            return _error(403, "You do not have access to this publisher", "AccessDeniedException")
        return _error(404, "Not found", "NotFoundException")

    def _of_account(self, path: str) -> dict[str, Any] | None:
        """The account itself, its website, and the programmes that approved it."""
        account = {"publisher_id": self._publisher, "account_name": "Pfad und Papier"}
        site = {"website_id": "11l18694", "website_name": None, "website_url": "https://pfad-und-papier.example"}
        joined = dict.fromkeys(sale.programme for sale in self._sales)
        campaigns = [{"campaign": {"campaign_id": f"10l{one.id}", "title": one.name, "status": "a"}} for one in joined]
        lists: dict[str, dict[str, Any]] = {
            "user/publisher": {"publishers": [{"publisher": account}]},
            f"user/publisher/{self._publisher}/website": {"websites": [{"website": site}]},
            f"user/publisher/{self._publisher}/campaign/a": {"campaigns": campaigns},
        }
        return lists.get(path)

    def _conversions(self, request: Request, now: datetime) -> Answer:
        try:
            zone = ZoneInfo(request.one("timezone", "Europe/London"))  # the zone set in the account
            start, end = _time(request.one("start_date"), zone), _time(request.one("end_date") or f"{now:%FT%TZ}", zone)
            limit = min(int(request.one("limit", str(_MOST))), _MOST)
            cursor = int(request.one("cursor_id", "0"))
        except (ValueError, KeyError):
            return _error(400, "A parameter is missing or not valid", "InvalidParameterException")
        axis = request.one("date_type", "standard")
        if axis not in ("standard", "last_updated", "approved_at"):
            return _error(400, f"Unknown date_type {axis}", "InvalidParameterException")
        wanted = request.every("statuses") or list(_STATUSES)
        rows = [
            sale
            for sale in self._sales
            if sale.occurred <= now and (at := _when(sale, axis, now)) and start <= at <= end
            and sale.id > cursor and status_at(sale, now) in wanted
        ]  # fmt: skip
        page = sorted(rows, key=lambda sale: sale.id)[:limit]
        more = len(rows) > limit
        links = {
            "first_page": f"/partnerize{request.without('cursor_id').url_with()}",
            "next_page": f"/partnerize{request.url_with(cursor_id=page[-1].id)}" if more else None,
        }
        return as_json(
            200,
            {
                "start_date_time_utc": f"{start:%F %T}",
                "end_date_time_utc": f"{end:%F %T}",
                "limit": limit,
                "count": len(page),
                "execution_time": "0.2 seconds",
                "cursor_id": page[-1].id if more else None,
                "hypermedia": {"pagination": links},
                "conversions": [{"conversion_data": _conversion(sale, now, zone)} for sale in page],
            },
        )

    def _selfbills(self, request: Request, now: datetime) -> Answer:
        utc = ZoneInfo("UTC")
        try:
            start = _time(request.one("start_date", "2000-01-01 00:00:00"), utc)
            end = _time(request.one("end_date") or f"{now:%F %T}", utc)
        except ValueError:
            return _error(400, "A parameter is missing or not valid", "InvalidParameterException")
        made = ((number, sales, _paid(sales) - _BILLED_AHEAD) for number, sales in sorted(self._bills.items()))
        found = [_bill(number, sales, now) for number, sales, at in made if start <= at <= min(end, now)]
        return as_json(200, {"selfbills": [{"selfbill": bill} for bill in found]})


def status_at(sale: NetworkSale, now: datetime) -> str:
    if now < sale.validated:
        return "pending"
    return "rejected" if sale.lost(now) else "approved"


def _when(sale: NetworkSale, axis: str, now: datetime) -> datetime | None:
    if axis == "standard":
        return sale.occurred
    if axis == "approved_at":
        return sale.validated if status_at(sale, now) == "approved" else None
    return _modified(sale, now)


def _modified(sale: NetworkSale, now: datetime) -> datetime:
    return max(at for at in (sale.occurred, sale.amended, sale.validated, sale.reversed) if at and at <= now)


def _conversion(sale: NetworkSale, now: datetime, zone: ZoneInfo) -> dict[str, Any]:
    items = _items(sale, now, zone)
    statuses = {item["item_status"] for item in items}
    return {
        "conversion_id": f"1011l{sale.id}",
        "campaign_id": f"10l{sale.programme.id}",
        "campaign_title": sale.programme.name,
        "publisher_id": "1100l99",
        "conversion_time": _local(sale.occurred, zone),
        "last_modified": _local(_modified(sale, now), zone),
        "currency": sale.programme.currency,
        "publisher_reference": sale.sub_id or "",
        "advertiser_reference": "",
        "conversion_reference": sale.order or "",
        "customer_reference": f"reader-{sale.clicked.timestamp():.0f}@customer.example",
        "customer_type": "existing" if sale.renewal else "new",
        "referer_ip": "2001:db8::1",
        "country": sale.country,
        "clickref": f"1011l{sale.id:x}",
        "click": {"set_time": _local(sale.clicked, zone), "set_ip": "2001:db8::1", "referer": ""},
        "conversion_value": {
            "conversion_status": statuses.pop() if len(statuses) == 1 else "mixed",
            "value": sum((item["item_value"] for item in items), Decimal(0)),
            "publisher_commission": sum((item["item_publisher_commission"] for item in items), Decimal(0)),
        },
        "conversion_items": items,
    }


def _items(sale: NetworkSale, now: datetime, zone: ZoneInfo) -> list[dict[str, Any]]:
    """One line; after a partial return a second one, rejected, with what was returned."""
    status = status_at(sale, now)
    billed = sale.paid and sale.paid - _BILLED_AHEAD <= now and status == "approved"
    line = {
        "conversion_item_id": f"1011l{sale.id}1",
        "sku": sale.id % 97,
        "category": "renewal" if sale.renewal else "standard",
        "item_value": sale.sale,
        "item_publisher_commission": sale.commission,
        "item_status": status,
        "approved_at": _local(sale.validated, zone) if status == "approved" else None,
        "publisher_self_bill_id": f"10l{sale.payment_id}" if billed else None,
        "reject_reason": sale.reason if status == "rejected" else None,
        "voucher_codes": [],
        "payable": status == "approved",
    }
    if not sale.amended or sale.amended > now or sale.amended_sale is None or sale.amended_commission is None:
        return [line]
    back = {
        "conversion_item_id": f"1011l{sale.id}2",
        "item_value": sale.sale - sale.amended_sale,
        "item_publisher_commission": sale.commission - sale.amended_commission,
        "item_status": "rejected",
        "approved_at": None,
        "publisher_self_bill_id": None,
        "reject_reason": "Returned",
    }
    return [line | {"item_value": sale.amended_sale, "item_publisher_commission": sale.amended_commission}, line | back]


def _paid(sales: list[NetworkSale]) -> datetime:
    return next(sale.paid for sale in sales if sale.paid)


def _bill(number: int, sales: list[NetworkSale], now: datetime) -> dict[str, Any]:
    paid, currency = _paid(sales), sales[0].programme.currency
    total = sum((sale.amounts(paid)[1] for sale in sales), Decimal(0))
    return {
        "publisher_self_bill_id": f"10l{number}",
        "self_bill_reference": f"S-1100l99-10l{number}",
        "creation_date": f"{paid - _BILLED_AHEAD:%F %T}",
        "payment_date": f"{paid:%F %T}" if paid <= now else None,
        "status": "created",
        "items_in_bill": len(sales),
        "tracked_currency": currency,
        "selfbill_currency": currency,
        "paid_currency": currency,
        "tracked_net_value": total,
        "net_value": total,
        "vat_value": 0,
        "total_value": total,
        "withheld_tax": 0,
        "payment_batch_id": None,
    }


def _time(text: str, zone: ZoneInfo) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=zone)


def _local(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%F %T}"


def _error(status: int, message: str, kind: str) -> Answer:
    return as_json(status, {"error": {"message": message, "type": kind}})
