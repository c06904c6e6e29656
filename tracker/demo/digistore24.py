"""Digistore24 in the sandbox: shares of one vendor's and other vendors' sales, purchases behind them, credit notes.

Source of the shapes and rules: dev.digistore24.com, "listCommissions", "listPurchases" and "listPayouts", and the codes
of errors in Digistore24's PHP client. Which HTTP status comes with them, and the limit, are the sandbox's own.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from tracker.demo.chance import cents, later
from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkAction

_ZONE = ZoneInfo("Europe/Berlin")
_BILLING = ("single_payment", "subscription", "installment")
_INSTALMENTS = 3
_DAY = timedelta(days=1)


class Digistore24:
    rate: ClassVar[tuple[int, float]] = (1_000, 60.0)

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        self._key = keys["api_key"]
        self._actions = [action for action in history.actions if action.original or action.commission < 0]
        self._of_purchase: dict[str, list[NetworkAction]] = {}
        for action in self._actions:
            self._of_purchase.setdefault(purchase_id(action), []).append(action)

    @staticmethod
    def keys(digest: str) -> dict[str, str]:
        return {"api_key": f"{int(digest[:5], 16)}-{digest[5:50]}"}

    def caller(self, request: Request) -> str:
        return request.headers.get("x-ds-api-key", "")

    def throttled(self) -> Answer:
        return _error(429, 12, "Too many requests to the server")

    def error_in_200(self) -> Answer:
        return _error(200, 11, "Internal error on Digistore side")

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """The first page for ever, or always another one with the same rows."""
        if not request.path.endswith("/listCommissions"):
            return self.answer(request, now)
        items = [share_of(action) for action in self._actions[:2]]
        more = {"page_no": turn + 1, "page_size": 500, "item_count": 9_000_000, "page_count": 99_999, "items": items}
        return _success(now, more)

    def answer(self, request: Request, now: datetime) -> Answer:
        if request.headers.get("x-ds-api-key") != self._key:
            return _error(401, 2, "Invalid connection parameters.")
        function = {
            "/api/call/listCommissions": self._shares,
            "/api/call/listPurchases": self._purchases,
            "/api/call/listPayouts": self._payouts,
        }.get(request.path)
        if function is None:
            return _error(404, 9, "Invalid function call.")
        try:
            return function(request, now)
        except ValueError:
            return _error(200, 3, "Invalid parameters for function call.")

    def _shares(self, request: Request, now: datetime) -> Answer:
        """Without `from` the last day only, and without a size all at once."""
        low, high = _time(request.one("from", "-24h"), now), _time(request.one("to", "now"), now)
        types = request.one("transaction_type", "payment,refund,refund_request,chargeback").split(",")
        found = [
            share_of(action)
            for action in self._actions
            if action.posted <= now and low <= action.posted <= high and type_of(action) in types
        ]
        size, number = int(request.one("page_size", "0")) or max(len(found), 1), int(request.one("page_no", "1"))
        items = found[(number - 1) * size : number * size]
        pages = -(-len(found) // size)
        page = {"page_no": number, "page_size": size, "item_count": len(found), "page_count": pages, "items": items}
        return _success(now, page)

    def _purchases(self, request: Request, now: datetime) -> Answer:
        low = _time(request.one("from", "-24h"), now)
        actions = self._of_purchase.get(request.one("search[purchase_id]"), [])
        made = [action for action in actions if action.posted <= now]
        with_payments = request.one("load_transactions") in ("1", "true")
        found = [purchase(made, with_payments)] if made and made[0].posted >= low else []
        return _success(now, {"item_count": len(found), "page_count": len(found), "page_no": 1, "purchase_list": found})

    def _payouts(self, request: Request, now: datetime) -> Answer:
        notes = [
            {
                "credit_note_url": f"https://www.digistore24.example/creditnote/{number}/SECRET.pdf",
                "commission_list_url": f"https://www.digistore24.example/commissions/{number}/SECRET.csv",
                "reseller_name": "Digistore24 GmbH, Germany",
                "reseller_id": 1,
                "id": number,
                "created_at": _written(made),
                "processed_at": _written(made + 3 * _DAY) if made + 3 * _DAY <= now else None,
                "currency": "USD",
                "payout_method": "bank_transfer",
                "vat_rate": 0,
                "vat_regulation": "no_vat",
                **{f"vendor_{part}_amount": "0.00" for part in ("gross", "net", "vat")},
                **{f"affiliate_{part}_amount": amount for part in ("gross", "net")},
                "affiliate_vat_amount": "0.00",
                "fee_amount": "1.00",
                "fee_vat_amount": "0.00",
            }
            for number, (made, amount) in enumerate(self.credit_notes(now), start=51_000)
        ]
        return _success(now, {"payout_list": notes})

    def credit_notes(self, now: datetime) -> list[tuple[datetime, Decimal]]:
        """What was earned in a month is credited on the first of the second month after it."""
        sums: dict[datetime, Decimal] = {}
        for action in self._actions:
            first = action.posted.replace(day=1, hour=6, minute=0, second=0, microsecond=0)
            day = later(first, 2)
            sums[day] = sums.get(day, Decimal(0)) + cents(action.commission)
        return [(day, amount) for day, amount in sorted(sums.items()) if day <= now]


def billing_of(action: NetworkAction) -> str:
    return _BILLING[action.programme.id % 5 % 3]


def purchase_id(action: NetworkAction) -> str:
    """Three payments in a row share a purchase, where it is paid in parts or goes on."""
    number = action.action_id if billing_of(action) == "single_payment" else action.action_id // _INSTALMENTS
    return f"DS{action.programme.id}{number:X}"


def type_of(action: NetworkAction) -> str:
    if action.original:
        return "payment"
    return "chargeback" if action.action_id % 4 == 0 else "refund"


def share_of(action: NetworkAction) -> dict[str, Any]:
    return {
        "id": action.id,
        "created_at": _written(action.posted),
        "amount": f"{cents(action.commission)}",
        "currency": action.programme.currency,
        "reason": "merchant_share" if action.programme.id % 2 else "affiliate_share",
        "schedule_payout_at": f"{later(action.posted.replace(day=1), 2):%Y-%m-%d}",
        "transaction_id": 7_000_000_000 + action.id,
        "purchase_id": purchase_id(action),
    }


def purchase(actions: list[NetworkAction], with_payments: bool) -> dict[str, Any]:
    first, billing = actions[0], billing_of(actions[0])
    known = {action.action_id: 7_000_000_000 + action.id for action in actions if action.original}
    sequence = {action_id: number for number, action_id in enumerate(known, start=billing != "single_payment")}
    payments = [
        {
            "id": 7_000_000_000 + action.id,
            "purchase_id": purchase_id(action),
            "type": type_of(action),
            "amount": f"{action.sale}",
            "currency": action.programme.currency,
            "created_at": _written(action.posted),
            "pay_method": "card",
            "pay_sequence_no": sequence[action.action_id],
            "parent_txn_id": None if action.original else known[action.action_id],
        }
        for action in actions
    ]
    return {
        "id": purchase_id(first),
        "created_at": _written(first.posted),
        "billing_type": billing,
        "billing_status": "paying",
        "number_of_installments": {"installment": _INSTALMENTS, "subscription": 0}.get(billing, 1),
        "other_billing_intervals": "" if billing == "single_payment" else "1_month",
        "vat_country": first.country.lower(),
        "campaignkey": first.sub_id or "",
        "vendor_id": first.programme.id,
        "vendor_name": first.programme.name,
        "buyer_id": 40_000 + first.action_id % 1_000,
        "buyer": {"id": 40_000 + first.action_id % 1_000, "email": "kim@reader.example", "first_name": "Kim"},
        "items": [{"product_id": first.programme.id, "product_name": f"{first.programme.name} Course", "quantity": 1}],
        "transaction_list": payments if with_payments else [],
    }


def _time(text: str, now: datetime) -> datetime:
    """What Digistore24 understands: a time, "now", "start", "-3d" and "-24h". Raises ValueError."""
    if text in ("now", "start"):
        return now if text == "now" else now.replace(year=2000)
    if text.startswith("-"):
        return now - int(text[1:-1]) * {"d": _DAY, "h": _DAY / 24}.get(text[-1], _DAY)
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=_ZONE)


def _written(at: datetime) -> str:
    return at.astimezone(_ZONE).strftime("%Y-%m-%d %H:%M:%S")


def _success(now: datetime, data: dict[str, Any]) -> Answer:
    head = {"api_version": "1.2", "current_time": _written(now), "runtime_seconds": "0.041", "result": "success"}
    return as_json(200, head | {"data": data})


def _error(status: int, code: int, message: str) -> Answer:
    return as_json(status, {"api_version": "1.2", "result": "error", "code": code, "message": message})
