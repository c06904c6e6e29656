"""Pages about subscriptions: what they bring in a month, how that moved, who stayed, and a list of them."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from tracker import subscriptions
from tracker.errors import UsageError
from tracker.figures.contracts import PRESETS
from tracker.figures.mrr import CustomerFlow, Move, Movements, lifetime_value, rounded
from tracker.months import following, label, month_of, parse, span
from tracker.records import SubscriptionStatus
from tracker.reports import Recurring
from tracker.subscriptions import Book, Wanted
from tracker.web.fresh import fresh
from tracker.web.language import Speech
from tracker.web.pages.payouts import Place, address
from tracker.web.remembered import Remembered
from tracker.web.site import User, deps_of, show, site_of, speech

router = APIRouter()
#: Books that are kept, and customers of one page.
BOOKS, CUSTOMERS = 6, 100
YEARS = range(1970, 3000)
Word = Annotated[str, Query(max_length=20)]
#: The order in which a month is told, and the movements that lower it.
FLOW = ("start", "new", "expansion", "reactivation", "contraction", "churn", "fx", "end")
DOWN = (Move.CONTRACTION, Move.CHURN)


@router.get("/subscriptions")
def page(request: Request, visitor: User, month: Word = "", policy: Word = "default", months: Word = "") -> Response:
    deps, w = deps_of(request), speech(request)
    count = subscriptions.MONTHS_MAX if months == str(subscriptions.MONTHS_MAX) else subscriptions.MONTHS
    book = _book(request, month, policy, count)
    running = month_of(deps.now(), deps.settings.zone)
    recurring = book.recurring
    values = {
        "book": book,
        "r": recurring,
        "c": recurring.balance.currency,
        "runs": recurring.month == running,
        "months": [(label(one), w.short_month(one)) for one in reversed(span(following(running, -23), running))],
        "month": label(recurring.month),
        "count": count,
        "counts": [subscriptions.MONTHS, subscriptions.MONTHS_MAX],
        "policies": [(name, _policy(name, w)) for name in PRESETS],
        "customers": _customers(recurring, policy),
        "flow": _flow(book, w, policy),
        "history": _history(book, w, policy, count),
        "ltv": lifetime_value(recurring.balance.arpa, recurring.movements.logo_churn),
        "empty": not recurring.balance.contracts and not any(end.customers for end in book.history),
        "fresh": fresh(request, subscriptions.owners(deps_of(request).engine)),
    }
    return show(request, "subscriptions/page.html.j2", values)


def _book(request: Request, month: str, policy: str, count: int) -> Book:
    deps = deps_of(request)
    asked, now = _month(month) if month else None, deps.now()

    def make() -> Book:
        return subscriptions.book(deps.engine, deps.settings, now, month=asked, policy=policy, months=count)

    return _remembered(request).get((asked, policy, count), now, make)


def _remembered(request: Request) -> Remembered:
    """Books that were worked out before; few, because one of many subscriptions is large."""
    state = request.app.state
    if not hasattr(state, "subscribed"):  # two at once make two, of which one is kept
        state.subscribed = Remembered(site_of(request).revision, most=BOOKS)
    found: Remembered = state.subscribed
    return found


def _month(text: str) -> int:
    try:
        if (month := parse(text)) // 100 in YEARS:
            return month
    except ValueError:
        pass
    raise UsageError(f"month: {text[:20]!r} is not a month.", hint="Write it as 2026-06.")


def _flow(book: Book, w: Speech, policy: str) -> list[dict[str, Any]]:
    """The movements of the month as rows of a chart; what lowers MRR is below zero."""
    moves, currency = book.recurring.movements, book.recurring.balance.currency
    rows = []
    for name in FLOW:
        amount, customers = rounded(getattr(moves, name), currency), len(_who(moves, name))
        rows.append({
            "label": _named(w)[name],
            "note": w.n("%(count)s customer", "%(count)s customers", customers) if customers else "",
            "values": [-amount if name in DOWN else amount],
            "sum": name in ("start", "end"),
            "href": _customers(book.recurring, policy, name) if customers else None,
        })  # fmt: skip
    return rows


def _who(moves: Movements, name: str) -> list[CustomerFlow]:
    """The customers behind a part of FLOW."""
    if name in ("start", "end"):
        return [row for row in moves.customers if getattr(row, f"paying_at_{name}")]
    if name == "fx":
        return [row for row in moves.customers if row.fx]
    return [row for row in moves.customers if name in row.moves]


def _customers(recurring: Recurring, policy: str, name: str = "end") -> str:
    """Where the customers behind a part of FLOW are listed."""
    more = {} if policy == "default" else {"policy": policy}
    return "/subscriptions/customers?" + urlencode({"month": label(recurring.month), "part": name, **more})


def _stand_in(customer: str) -> str:
    """A customer's name as its provider gives it, which the list of subscriptions can be searched for."""
    number, _, name = customer.partition(":")
    return name if name and number.isdecimal() else customer


def _policy(name: str, w: Speech) -> str:
    titles = {"stripe": "Stripe", "chartmogul": "ChartMogul", "profitwell": "ProfitWell", "ghost": "Ghost"}
    return w._("as %(tool)s does", tool=titles[name]) if name in titles else w._("as usual here")


def _named(w: Speech) -> Mapping[str, str]:
    return {
        "start": w._("Start"),
        "new": w._("New"),
        "expansion": w._("Expansion"),
        "reactivation": w._("Reactivation"),
        "contraction": w._("Contraction"),
        "churn": w._("Churn"),
        "fx": w._("Exchange rates"),
        "end": w._("End"),
    }


def _history(book: Book, w: Speech, policy: str, count: int) -> list[dict[str, Any]]:
    currency = book.recurring.balance.currency
    more = "" if policy == "default" else f"&policy={policy}"
    return [
        {
            "label": w.short_month(end.month),
            "note": w.n("%(count)s customer", "%(count)s customers", end.customers),
            "values": [rounded(end.total, currency)],
            "href": f"/subscriptions?month={label(end.month)}&months={count}{more}",
        }
        for end in book.history
    ]


@router.get("/subscriptions/customers")
def customers(
    request: Request,
    visitor: User,
    month: Word = "",
    policy: Word = "default",
    part: Word = "end",
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
) -> Response:
    """The customers behind MRR or a movement, those with the most of it first."""
    if part not in FLOW:
        raise UsageError(f"no part of a month is called {part!r}.", hint=f"Choose one of {', '.join(FLOW)}.")
    recurring, w = _book(request, month, policy, subscriptions.MONTHS).recurring, speech(request)
    rows = sorted(_who(recurring.movements, part), key=lambda row: (-abs(getattr(row, part)), row.customer))
    first = (page - 1) * CUSTOMERS
    here = _customers(recurring, policy, part)
    values = {
        "r": recurring,
        "c": recurring.balance.currency,
        "part": part,
        "parts_told": _named(w),
        "sign": -1 if part in DOWN else 1,
        "sum": getattr(recurring.movements, part),
        "count": len(rows),
        "rows": [(row, _stand_in(row.customer)) for row in rows[first : first + CUSTOMERS]],
        "tabs": [(name, _customers(recurring, policy, name)) for name in FLOW if _who(recurring.movements, name)],
        "back": "/subscriptions?" + urlencode({"month": label(recurring.month), "policy": policy}),
        "newer": f"{here}&page={page - 1}" if page > 1 else None,
        "older": f"{here}&page={page + 1}" if len(rows) > first + CUSTOMERS else None,
        "fresh": fresh(request, subscriptions.owners(deps_of(request).engine)),
    }
    return show(request, "subscriptions/customers.html.j2", values)


@router.get("/subscriptions/list")
def rows(request: Request, visitor: User, place: Place = None) -> Response:
    engine, wanted = deps_of(request).engine, Wanted.read(request.query_params)
    found = subscriptions.page(engine, wanted, place=place)
    params = wanted.params()
    values = {
        "found": found,
        "wanted": wanted,
        "filtered": bool(params),
        "choices": subscriptions.choices(engine),
        "statuses": list(SubscriptionStatus),
        "newer": address("/subscriptions/list", params, found.newer),
        "older": address("/subscriptions/list", params, found.older),
        "fresh": fresh(request, subscriptions.owners(deps_of(request).engine)),
    }
    return show(request, "subscriptions/list.html.j2", values)
