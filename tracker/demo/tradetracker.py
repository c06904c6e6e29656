"""TradeTracker in the sandbox: SOAP calls in a session that ends, conversions of one site, and payments.

Source of the shapes and rules: TradeTracker's affiliate web service as its clients use it. What is named twice is
written once, as PHP's SOAP server does. How long a session lives and how many calls are allowed are the sandbox's own.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import ClassVar
from xml.etree import ElementTree
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from tracker.demo.exchange import Answer, Request
from tracker.demo.facts import History, NetworkSale

_ZONE = ZoneInfo("Europe/Amsterdam")
_SESSION_LIVES = timedelta(minutes=20)
_MOST, _USUAL = 250, 100
_BILLED_AHEAD = timedelta(days=14)  # of the day of payment
_VAT = Decimal("0.21")
_XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
_OPEN = f'<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/" xmlns:ns1="urn:tt" {_XSI}>'


class TradeTracker:
    rate: ClassVar[tuple[int, float]] = (600, 60.0)

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        self._sales, self._keys = [sale for sale in history.sales if not sale.bonus], keys
        self._bills: defaultdict[tuple[int, str], list[NetworkSale]] = defaultdict(list)
        for sale in self._sales:
            if sale.paid:
                self._bills[sale.payment_id, sale.programme.currency].append(sale)

    @staticmethod
    def keys(digest: str) -> dict[str, str]:
        return {"customer_id": str(int(digest[:5], 16)), "passphrase": digest[5:45], "affiliate_site_id": "210077"}

    def caller(self, request: Request) -> str:
        return "the account"

    def throttled(self) -> Answer:
        return Answer(429, b"Too many requests", content_type="text/plain")

    def error_in_200(self) -> Answer:
        return _fault("SOAP-ENV:Server", "Internal error", status=200)

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """The first rows for ever."""
        if b"getConversionTransactions" not in request.body:
            return self.answer(request, now)
        return _listed("getConversionTransactions", "conversionTransactions", written(self._sales[:2], now))

    def answer(self, request: Request, now: datetime) -> Answer:
        if request.path != "/soap/affiliate" or request.method != "POST":
            return Answer(404, b"Not found", content_type="text/plain")
        try:
            call = ElementTree.fromstring(request.body)[0][0]  # noqa: S314 - from the test itself
        except (ElementTree.ParseError, IndexError):
            return _fault("SOAP-ENV:Client", "Bad Request")
        operation = call.tag.rpartition("}")[2]
        given = {child.tag: child.text or "" for child in call.iter() if not len(child)}
        if operation == "authenticate":
            return self._session(given, now)
        if not self._valid(request.headers.get("cookie", ""), now):
            return _fault("SOAP-ENV:Server", "Not yet authenticated")
        try:
            if operation == "getConversionTransactions":
                return self._conversions(given, now)
            if operation == "getPayments":
                return self._payments(given, now)
            if operation == "getAffiliateSites":
                site = f"<ID>{self._keys['affiliate_site_id']}</ID><name>Pfadpapier</name>"
                return _listed(operation, "affiliateSites", f"<item>{site}<URL>https://pfadpapier.example</URL></item>")
            if operation == "getCampaigns":
                return self._campaigns(given)
        except ValueError:
            return _fault("SOAP-ENV:Client", "Invalid option")
        return _fault("SOAP-ENV:Client", f"Procedure '{operation}' not present")

    def _session(self, given: Mapping[str, str], now: datetime) -> Answer:
        known = given.get("customerID") == self._keys["customer_id"] and given.get("demo") == "false"
        if not known or given.get("passphrase") != self._keys["passphrase"]:
            return _fault("SOAP-ENV:Server", "Invalid customer ID or passphrase")
        until = str(int((now + _SESSION_LIVES).timestamp()))
        body = f"{_OPEN}<SOAP-ENV:Body><ns1:authenticateResponse/></SOAP-ENV:Body></SOAP-ENV:Envelope>".encode()
        cookie = {"Set-Cookie": f"PHPSESSID={until}x{self._mark(until)}; path=/; HttpOnly"}
        return Answer(200, body, cookie, content_type="text/xml; charset=utf-8")

    def _mark(self, until: str) -> str:
        return blake2b((self._keys["passphrase"] + until).encode(), digest_size=12).hexdigest()

    def _valid(self, cookie: str, now: datetime) -> bool:
        until, _, mark = cookie.removeprefix("PHPSESSID=").partition("x")
        return until.isdigit() and mark == self._mark(until) and int(until) > now.timestamp()

    def _conversions(self, given: Mapping[str, str], now: datetime) -> Answer:
        if given.get("affiliateSiteID") != self._keys["affiliate_site_id"]:
            return _fault("SOAP-ENV:Client", "Unknown affiliate site")
        limit, skip = int(given.get("limit", _USUAL)), int(given.get("offset", 0))
        if not 1 <= limit <= _MOST or skip < 0:
            raise ValueError(limit)
        made = [_time(given.get(f"registrationDate{end}")) for end in ("From", "To")]
        judged = [_time(given.get(f"assessmentDate{end}")) for end in ("From", "To")]
        found = [
            sale
            for sale in self._sales
            if sale.occurred <= now
            and _inside(sale.occurred, *made)
            and (judged == [None, None] or _inside(sale.changed(now), *judged))
        ]
        page = written(found[skip : skip + limit], now)
        return _listed("getConversionTransactions", "conversionTransactions", page)

    def _campaigns(self, given: Mapping[str, str]) -> Answer:
        if given.get("affiliateSiteID") != self._keys["affiliate_site_id"]:
            return _fault("SOAP-ENV:Client", "Unknown affiliate site")
        found = {sale.programme.id: sale.programme.name for sale in self._sales}
        if given.get("assignmentStatus") not in ("", None, "accepted"):
            found = {}
        items = (f"<item><ID>{number}</ID><name>{escape(name)}</name></item>" for number, name in sorted(found.items()))
        return _listed("getCampaigns", "campaigns", "".join(items))

    def _payments(self, given: Mapping[str, str], now: datetime) -> Answer:
        low, high = (_time(given.get(f"billDate{end}")) for end in ("From", "To"))
        items = []
        for (number, currency), sales in sorted(self._bills.items()):
            paid = sales[0].paid
            billed = paid - _BILLED_AHEAD if paid else None
            if paid is None or billed is None or billed > now or not _inside(billed, low, high):
                continue
            total = sum((sale.commission for sale in sales), Decimal(0))
            tax = (total * _VAT).quantize(Decimal("0.01"))
            day = f"<payDate>{paid:%Y-%m-%d}</payDate>" if paid <= now else '<payDate xsi:nil="true"/>'
            items.append(
                f"<item><invoiceNumber>{number}-{currency}</invoiceNumber><currency>{currency}</currency>"
                f"<subTotal>{total}</subTotal><VAT>{tax}</VAT><endTotal>{total + tax}</endTotal>"
                f"<billDate>{billed:%Y-%m-%d}</billDate>{day}</item>"
            )
        return _listed("getPayments", "payments", "".join(items))


def status_of(sale: NetworkSale, now: datetime) -> str:
    if sale.validated > now:
        return "pending"
    return "rejected" if sale.lost(now) else "accepted"


def written(sales: list[NetworkSale], now: datetime) -> str:
    """Items; a campaign that stood in an earlier one is only pointed at."""
    seen: set[int] = set()
    items = []
    for sale in sales:
        programme, assessed = sale.programme, sale.changed(now)
        campaign = f'<campaign href="#ref{programme.id}"/>'
        if programme.id not in seen:
            name = f"<ID>{programme.id}</ID><name>{escape(programme.name)}</name>"
            campaign = f'<campaign id="ref{programme.id}">{name}</campaign>'
        seen.add(programme.id)
        judged = f"<assessmentDate>{_written(assessed)}</assessmentDate>" if assessed else ""
        paid = "true" if sale.paid and sale.paid <= now else "false"
        items.append(
            f'<item><ID>{sale.id}</ID>{campaign}<campaignProduct xsi:nil="true"/>'
            f"<reference>{escape(sale.sub_id or '')}</reference><transactionType>sale</transactionType>"
            f"<transactionStatus>{status_of(sale, now)}</transactionStatus><currency>{programme.currency}</currency>"
            f"<commission>{sale.amounts(now)[1]}</commission><orderAmount>{sale.sale}</orderAmount>"
            f"<registrationDate>{_written(sale.occurred)}</registrationDate>{judged}"
            f"<paidOut>{paid}</paidOut><countryCode>{sale.country}</countryCode><IP>203.0.113.7</IP></item>"
        )
    return "".join(items)


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=_ZONE)


def _inside(at: datetime | None, low: datetime | None, high: datetime | None) -> bool:
    """The end is not inside: a day that is named as the last one is left out."""
    return at is not None and (low is None or low <= at) and (high is None or at < high)


def _written(at: datetime) -> str:
    return at.astimezone(_ZONE).isoformat(timespec="seconds")


def _listed(operation: str, name: str, items: str) -> Answer:
    inner = f"<ns1:{operation}Response><{name}>{items}</{name}></ns1:{operation}Response>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{_OPEN}<SOAP-ENV:Body>{inner}</SOAP-ENV:Body></SOAP-ENV:Envelope>'
    return Answer(200, body.encode(), content_type="text/xml; charset=utf-8")


def _fault(code: str, words: str, status: int = 500) -> Answer:
    inner = f"<SOAP-ENV:Fault><faultcode>{code}</faultcode><faultstring>{escape(words)}</faultstring></SOAP-ENV:Fault>"
    body = f"{_OPEN}<SOAP-ENV:Body>{inner}</SOAP-ENV:Body></SOAP-ENV:Envelope>"
    return Answer(status, body.encode(), content_type="text/xml; charset=utf-8")
