"""ClickBank's orders API as the sandbox plays it: JSON made of XML, pages by a header, refunds as rows of their own.

Source of the shapes and rules: support.clickbank.com, "Orders API", and the notes of open clients on limits, JSON and
the accounts that a key sees.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkSale

_PACIFIC = ZoneInfo("America/Los_Angeles")
_PAGE = 100


class ClickBank:
    rate: ClassVar[tuple[int, float]] = (10, 1.0)

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        self._keys = keys
        self._sales = [sale for sale in history.sales if not sale.bonus]
        self._receipts = receipts(self._sales)

    @staticmethod
    def keys(digest: str) -> dict[str, str]:
        return {"api_key": f"API-{digest[:36].upper()}"}

    def caller(self, request: Request) -> str:
        """An address: all calls come from this machine."""
        return ""

    def throttled(self) -> Answer:
        return _refused("Too many requests")

    def error_in_200(self) -> Answer:
        return as_json(200, {"error": "Something went wrong"})

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """The first page, and always more."""
        first = Request(request.method, request.path, request.query, {**request.headers, "page": "1"})
        return Answer(206, self.answer(first, now).body)

    def answer(self, request: Request, now: datetime) -> Answer:
        if request.headers.get("authorization") != self._keys["api_key"]:
            return _refused("The API key is not valid or lacks the role API Order Read")
        if request.path == "/rest/1.3/quickstats/accounts":
            return as_json(200, {"accountData": {"nickName": "pfadpapier"}})
        if request.path != "/rest/1.3/orders2/list":
            return _refused("No such resource")
        if "json" not in request.headers.get("accept", ""):
            return Answer(200, b"<orderList/>", content_type="application/xml")
        try:
            low, high = (date.fromisoformat(request.one(name)) for name in ("startDate", "endDate"))
            number = int(request.headers.get("page", "1"))
        except ValueError:
            return Answer(400, b"startDate and endDate must be yyyy-mm-dd", content_type="text/plain")
        kind = request.one("type")
        found = [
            row
            for sale in self._sales
            for at, row in self._rows(sale, now)
            if low <= at.astimezone(_PACIFIC).date() <= high
            and kind in ("", row["transactionType"])
            and request.one("role", "AFFILIATE") == "AFFILIATE"
            and request.one("vendor", row["vendor"]) == row["vendor"]
        ]
        found.sort(key=lambda row: (row["transactionTime"], row["receipt"]), reverse=True)
        return _page(found, number)

    def _rows(self, sale: NetworkSale, now: datetime) -> Iterator[tuple[datetime, dict[str, Any]]]:
        receipt, number = self._receipts[sale.id]
        at = sale.occurred
        if at <= now:
            yield at, _row(sale, receipt, number, "BILL" if sale.renewal else "SALE", at, 1)
        back = refunded_at(sale)
        if back and back <= now:
            yield back, _row(sale, receipt, number, "RFND", back, -1)


def refunded_at(sale: NetworkSale) -> datetime | None:
    return sale.reversed if sale.outcome == "approved" else sale.validated


def receipts(sales: list[NetworkSale]) -> dict[int, tuple[str, int]]:
    """The receipt of each sale and which payment of its customer it is: renewals share the first click."""
    first: dict[tuple[int, datetime], tuple[str, int]] = {}
    found: dict[int, tuple[str, int]] = {}
    for sale in sales:
        key = (sale.programme.id, sale.clicked)
        receipt, number = first.get(key, (f"C{sale.id:X}", 0))
        first[key] = (receipt, number + 1)
        found[sale.id] = (receipt if not number else f"{receipt}-B{number + 1:03}", number + 1)
    return found


def vendor_of(sale: NetworkSale) -> str:
    return "".join(letter for letter in sale.programme.name.lower() if letter.isascii() and letter.isalpha())[:10]


def _row(sale: NetworkSale, receipt: str, number: int, kind: str, at: datetime, sign: int) -> dict[str, Any]:
    line: dict[str, Any] = {
        "itemNo": str(sale.programme.id),
        "productTitle": sale.programme.name,
        "recurring": "true" if sale.programme.renewal else "false",
        "shippable": "false",
        "customerAmount": sign * sale.sale,
        "accountAmount": sign * sale.commission,
        "quantity": 1,
        "lineItemType": "STANDARD",
        "status": "CANCELED" if sign < 0 else "ACTIVE",
        "role": "AFFILIATE",
    }
    if sale.programme.renewal:
        endless = 1 if sale.programme.renewal == "month" else 999  # how a plan without an end is written, is not told
        line |= {"rebillAmount": sale.sale, "processedPayments": number, "futurePayments": endless}
    return {
        "transactionTime": at.astimezone(_PACIFIC).isoformat(timespec="seconds"),
        "receipt": receipt,
        "trackingId": sale.sub_id or {"@nil": "true"},
        "paytmentMethod": "VISA",
        "transactionType": kind,
        "totalOrderAmount": sign * sale.sale,
        "vendor": vendor_of(sale),
        "affiliate": "pfadpapier",
        "country": sale.country,
        "firstName": "A",
        "lastName": "Reader",
        "email": "reader@people.example",
        "currency": sale.programme.currency,
        "role": "AFFILIATE",
        "lineItemData": line,
    }


def _page(found: list[dict[str, Any]], number: int) -> Answer:
    """Made of XML: a list of one is the one, a list of none is nothing."""
    rows = found[(number - 1) * _PAGE : number * _PAGE]
    if not rows:
        return Answer(200, b"null")
    return as_json(206 if number * _PAGE < len(found) else 200, {"orderData": rows if len(rows) > 1 else rows[0]})


def _refused(words: str) -> Answer:
    return Answer(403, words.encode(), content_type="text/plain")
