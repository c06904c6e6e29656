"""Pages about subscriptions: what they bring in a month, how that moved, who stayed, and a list of them."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from tracker import subscriptions
from tracker.errors import UsageError
from tracker.figures.contracts import PRESETS
from tracker.figures.mrr import Move, lifetime_value, rounded
from tracker.months import following, label, month_of, parse, span
from tracker.records import SubscriptionStatus
from tracker.subscriptions import Book, Wanted
from tracker.web.language import Speech
from tracker.web.pages.payouts import Place, address
from tracker.web.remembered import Remembered
from tracker.web.site import User, deps_of, show, site_of, speech

router = APIRouter()
BOOKS = 6
YEARS = range(1970, 3000)
Word = Annotated[str, Query(max_length=20)]
#: The order in which a month is told, and the movements that lower it.
FLOW = ("start", "new", "expansion", "reactivation", "contraction", "churn", "fx", "end")
DOWN = (Move.CONTRACTION, Move.CHURN)


@router.get("/subscriptions")
def page(request: Request, visitor: User, month: Word = "", policy: Word = "default", months: Word = "") -> Response:
    deps, w = deps_of(request), speech(request)
    asked = _month(month) if month else None
    count = subscriptions.MONTHS_MAX if months == str(subscriptions.MONTHS_MAX) else subscriptions.MONTHS
    now = deps.now()

    def make() -> Book:
        return subscriptions.book(deps.engine, deps.settings, now, month=asked, policy=policy, months=count)

    book = _remembered(request).get((asked, policy, count), now, make)
    running = month_of(now, deps.settings.zone)
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
        "policies": [(name, name) for name in PRESETS],
        "flow": _flow(book, w),
        "history": _history(book, w, policy, count),
        "moved": {move.value: recurring.movements.count(move) for move in Move},
        "ltv": lifetime_value(recurring.balance.arpa, recurring.movements.logo_churn),
        "empty": not recurring.balance.contracts and not any(end.customers for end in book.history),
    }
    return show(request, "subscriptions/page.html.j2", values)


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


def _flow(book: Book, w: Speech) -> list[dict[str, Any]]:
    """The movements of the month as rows of a chart; what lowers MRR is below zero."""
    moves, currency = book.recurring.movements, book.recurring.balance.currency
    rows = []
    for name in FLOW:
        amount = rounded(getattr(moves, name), currency)
        value = -amount if name in DOWN else amount
        rows.append({"label": _named(w)[name], "values": [value], "sum": name in ("start", "end")})
    return rows


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
            "note": " " + w.n("%(count)s customer", "%(count)s customers", end.customers),
            "values": [rounded(end.total, currency)],
            "href": f"/subscriptions?month={label(end.month)}&months={count}{more}",
        }
        for end in book.history
    ]


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
    }
    return show(request, "subscriptions/list.html.j2", values)
