"""impact.com's partner API in the sandbox: actions that lock and clear, and the invoices they are paid by.

Source of the shapes and rules: impact.com's partner API 16, "List Actions", "List invoices", "Pagination" and "Status
codes and errors". An action that is locked should not be reversed any more; here it happens, because a ledger must not
depend on that.
"""

from base64 import b64encode
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkSale, by_payment

_PACIFIC = ZoneInfo("America/Los_Angeles")
_LARGEST_WINDOW = timedelta(days=45)
_MEMORY = timedelta(days=3 * 365)
_SMALLEST_PAGE, _LARGEST_PAGE, _MOST_PAGES = 2_000, 20_000, 10
_INVOICED_AHEAD = timedelta(days=7)  # of the day of payment
_AXES = ("ActionDateStart", "ActionDateEnd"), ("StartDate", "EndDate"), ("LockingDateStart", "LockingDateEnd")


class Impact:
    rate: ClassVar[tuple[int, float]] = (1_000, 3_600.0)

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        self._sid, token = keys["account_sid"], keys["auth_token"]
        self._all = _basic(self._sid, token)
        self._actions_only = _basic(self._sid, f"{token}-actions")
        self._sales = [sale for sale in history.sales if not sale.bonus]
        self._by_id = {action_id(sale): sale for sale in self._sales}
        self._invoices = by_payment(history.sales)

    @staticmethod
    def keys(digest: str) -> dict[str, str]:
        """Whose token ends in "-actions" may not read invoices."""
        return {"account_sid": f"IR{digest[:20]}", "auth_token": digest[20:60]}

    def caller(self, request: Request) -> str:
        return request.headers.get("authorization", "")

    def throttled(self) -> Answer:
        answer = _error(429, "Rate limit exceeded")
        answer.headers = {"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "42"}
        return answer

    def error_in_200(self) -> Answer:
        """No error comes with 200, but XML does where JSON is not known."""
        body = b'<?xml version="1.0"?><ImpactRadiusResponse><Status>ERROR</Status></ImpactRadiusResponse>'
        return Answer(200, body, content_type="application/xml")

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        page = {"@page": "1", "@nextpageuri": f"/impact{request.url_with(Page=turn + 1)}", "Actions": []}
        return as_json(200, page)

    def answer(self, request: Request, now: datetime) -> Answer:
        caller, parts = self.caller(request), request.path.strip("/").split("/")
        if caller not in (self._all, self._actions_only):
            return _error(401, "Authentication failed")
        if parts[:2] != ["Mediapartners", self._sid] or len(parts) < 3:
            return _error(404, "The requested resource does not exist")
        if parts[2:] == ["Actions"]:
            return self._actions(request, now)
        if parts[2] == "Actions" and len(parts) == 4:
            sale = self._by_id.get(parts[3])
            found = sale and sale.occurred <= now
            return as_json(200, _action(sale, now)) if sale and found else _error(404, "No such action")
        if parts[2:] == ["Campaigns"] and caller == self._all:
            joined = dict.fromkeys(sale.programme for sale in self._sales)
            rows = [{"CampaignId": str(one.id), "CampaignName": one.name, "ContractStatus": "Active"} for one in joined]
            return _page(request, "Campaigns", rows, 1, 1_000)
        if parts[2:] == ["MediaProperties"] and caller == self._all:
            rows = [{"Id": "4622773", "Name": "Pfad und Papier", "Type": "WEBSITE"}]
            return _page(request, "MediaProperties", rows, 1, 1_000)
        if parts[2:] == ["Invoices"]:
            return self._listed_invoices(request, now) if caller == self._all else _error(403, "Access denied")
        return _error(404, "The requested resource does not exist")

    def _actions(self, request: Request, now: datetime) -> Answer:
        found = [sale for sale in self._sales if sale.occurred <= now]
        given = [names for names in _AXES if request.one(names[0]) or request.one(names[1])]
        for names in given or [("StartDate", "EndDate")]:
            window = _window(request, *names, now=now, default=timedelta(days=7))
            if isinstance(window, Answer):
                return window
            start, end = window
            if names[0] != "ActionDateStart" and end - start > _LARGEST_WINDOW:
                return _error(400, "Validation Failed", names[0], "Date range cannot exceed 45 days")
            if names[0] == "StartDate" and start < now - _MEMORY:
                return _error(400, "Validation Failed", names[0], "Start date cannot be more than 3 years in the past")
            found = [sale for sale in found if start <= _when(sale, names[0], now) <= end]
        found.sort(key=lambda sale: sale.occurred, reverse=True)
        return _page(request, "Actions", [_action(sale, now) for sale in found], _SMALLEST_PAGE, _LARGEST_PAGE)

    def _listed_invoices(self, request: Request, now: datetime) -> Answer:
        window = _window(request, "StartDate", "EndDate", now=now, default=_MEMORY)
        if isinstance(window, Answer):
            return window
        made = {number: sales[0].paid for number, sales in self._invoices.items()}
        days = {number: paid - _INVOICED_AHEAD for number, paid in made.items() if paid}
        within = sorted(number for number, day in days.items() if window[0] <= day <= min(window[1], now))
        rows = [_invoice(number, self._invoices[number], now) for number in reversed(within)]
        return _page(request, "Invoices", rows, 1, 1_000)


def action_id(sale: NetworkSale) -> str:
    return f"{sale.programme.id}.{sale.programme.id % 9000 + 1}.{sale.id}"


def state_at(sale: NetworkSale, now: datetime) -> str:
    if now < sale.validated:
        return "PENDING"
    return "REVERSED" if sale.lost(now) else "APPROVED"


def _locking(sale: NetworkSale) -> datetime:
    return sale.validated if sale.outcome == "approved" else sale.occurred + timedelta(sale.programme.validation_days)


def _updated(sale: NetworkSale, now: datetime) -> datetime:
    """The last change that impact.com calls an update: an approval is none."""
    changes = [sale.occurred, sale.amended, sale.reversed, sale.validated if sale.outcome != "approved" else None]
    return max(at for at in changes if at and at <= now)


def _when(sale: NetworkSale, axis: str, now: datetime) -> datetime:
    if axis == "ActionDateStart":
        return sale.occurred
    return _updated(sale, now) if axis == "StartDate" else _locking(sale)


def _action(sale: NetworkSale, now: datetime) -> dict[str, Any]:
    state, programme = state_at(sale, now), sale.programme
    amended = bool(sale.amended and sale.amended <= now)
    basket, payout = sale.amounts(now)
    gone = state == "REVERSED"
    cleared = sale.paid if sale.paid and sale.paid <= now else None
    return {
        "Id": action_id(sale),
        "CampaignId": str(programme.id),
        "CampaignName": programme.name,
        "ActionTrackerId": str(programme.id + sale.renewal),
        "ActionTrackerName": "Renewal" if sale.renewal else "Online Sale",
        "EventCode": "",
        "State": state,
        "AdId": "506720",
        "Payout": "0.00" if gone else f"{payout}",
        "DeltaPayout": f"{-payout if gone else payout - sale.commission if amended else Decimal('0.00')}",
        "IntendedPayout": f"{sale.commission}",
        "Amount": "0.00" if gone else f"{basket}",
        "DeltaAmount": f"{-basket if gone else basket - sale.sale if amended else Decimal('0.00')}",
        "IntendedAmount": f"{sale.sale}",
        "Currency": programme.currency,
        "ReferringDate": _local(sale.clicked),
        "EventDate": _local(sale.occurred),
        "CreationDate": _local(sale.occurred),
        "LockingDate": _local(_locking(sale)),
        "ClearedDate": _local(cleared) if cleared else "",
        "ReferringType": "CLICK_COOKIE",
        "Oid": sale.order or "",
        "SubId1": sale.sub_id or "",
        "SubId2": sale.second_sub_id or "",
        "SubId3": "",
        "SharedId": "",
        "CustomerCity": "Santa Barbara",
        "CustomerRegion": "California",
        "CustomerCountry": sale.country,
    }


def _invoice(number: int, sales: list[NetworkSale], now: datetime) -> dict[str, Any]:
    """One line for each programme, month and kind of payout."""
    paid = sales[0].paid or now
    lines: defaultdict[tuple[int, str, str, str], list[Decimal]] = defaultdict(list)
    for sale in sales:
        kind = "BONUS" if sale.bonus else "MEDIA_PAYOUT"
        month = f"{sale.occurred.month}{sale.occurred.year}"
        lines[sale.programme.id, sale.programme.name, kind, month].append(sale.amounts(paid)[1])
    return {
        "Id": f"{number}-1",
        "CreatedDate": _local(paid - _INVOICED_AHEAD),
        "RecipientName": "Pfad und Papier",
        "Currency": sales[0].programme.currency,
        "TotalAmount": f"{sum(map(sum, lines.values()), Decimal(0))}",
        "TotalVatAmount": "0.00",
        "LineItems": [
            {
                "CampaignId": str(campaign),
                "CampaignName": name,
                "Description": kind,
                "EventMonthYear": month,
                "Actions": str(len(amounts)) if kind == "MEDIA_PAYOUT" else "",
                "NetItemAmount": f"{sum(amounts)}",
                "VatItemAmount": "",
                "TotalItemAmount": f"{sum(amounts)}",
                "Status": "PAID" if paid <= now else "PENDING",
                "DueDate": _local(paid),
                "PaidDate": _local(paid) if paid <= now else "",
            }
            for (campaign, name, kind, month), amounts in lines.items()
        ],
    }


def _window(
    request: Request, since: str, until: str, *, now: datetime, default: timedelta
) -> tuple[datetime, datetime] | Answer:
    """The window that was asked for, or the error; without one what `default` reaches back to."""
    texts = request.one(since), request.one(until)
    if not any(texts):
        return now - default, now
    try:
        start, end = (datetime.fromisoformat(text) for text in texts)
    except ValueError:
        return _error(400, "Validation Failed", since, f"{since} and {until} must both be ISO 8601 dates with a time")
    if start.tzinfo is None or end.tzinfo is None:
        return _error(400, "Validation Failed", since, "A time part with an offset is needed")
    return start, end


def _page(request: Request, name: str, rows: list[dict[str, Any]], smallest: int, largest: int) -> Answer:
    size, page = int(request.one("PageSize", str(largest))), int(request.one("Page", "1"))
    if not smallest <= size <= largest:
        return _error(400, "Validation Failed", "PageSize", f"Must be between {smallest} and {largest}")
    pages = max(1, -(-len(rows) // size))
    if pages > _MOST_PAGES:
        return _error(400, "Too many pages. Narrow the date range or raise PageSize")
    envelope = {
        "@page": str(page),
        "@numpages": str(pages),
        "@pagesize": str(size),
        "@total": str(len(rows)),
        "@uri": request.path,
        "@nextpageuri": f"/impact{request.url_with(Page=page + 1)}" if page < pages else "",
    }
    return as_json(200, {**envelope, name: rows[(page - 1) * size : page * size]})


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def _local(at: datetime) -> str:
    return at.astimezone(_PACIFIC).isoformat(timespec="seconds")


def _error(status: int, message: str, field: str = "", why: str = "") -> Answer:
    errors = [{"Field": field, "Message": why}] if field else []
    return as_json(status, {"Status": "ERROR", "Message": message, "Errors": errors})
