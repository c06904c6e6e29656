"""Pages about letters: any month as it would arrive, who got it, and sending it."""

from datetime import datetime
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from tracker import delivery, letter
from tracker.connections import Deps
from tracker.months import following, label, month_of, parse, span
from tracker.store import reads_deliveries
from tracker.store.database import reading
from tracker.summary import MonthlySummary, of_letter
from tracker.web.pages.settings import lacking
from tracker.web.site import NotThere, Owner, OwnForm, User, Words, deps_of, go, note, show, speech

router = APIRouter()
#: Months that are listed.
MONTHS_MAX = 240
#: A letter brings its own styles and asks nobody for anything; in a frame of ours it can do no more than be read.
_FRAMED = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; sandbox allow-popups allow-top-navigation-by-user-activation; frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
}


@router.get("/letters")
def page(request: Request, visitor: User) -> Response:
    deps = deps_of(request)
    now = deps.now()
    running = month_of(now, deps.settings.zone)
    with reading(deps.engine) as conn:
        first = reads_deliveries.first_month(conn)
        sent = reads_deliveries.deliveries(conn, delivery.LETTER)
    months = span(max(first, following(running, 1 - MONTHS_MAX)), running)[::-1] if first else []
    values = {
        "months": months,
        "label": label,
        "running": running,
        "sent": {month: [row for row in sent if row.period == label(month)] for month in months},
        "lacking": lacking(request),
        "to": deps.settings.letter_to,
        "next_at": delivery.due_at(following(running, -1), deps.settings),
        "due_at": delivery.due_at(running, deps.settings),
        "now": now,
        "state": partial(state, now=now),
        "doubtful": [(parse(row.period), row) for row in sent if _is_news(row, now) and state(row, now) == "in doubt"],
    }
    return show(request, "letters/list.html.j2", values)


@router.get("/letters/{period}")
def single(request: Request, visitor: User, period: str) -> Response:
    deps = deps_of(request)
    month, summary = _summary(deps, period)
    with reading(deps.engine) as conn:
        rows = reads_deliveries.deliveries(conn, delivery.LETTER, period)
    values = {
        "month": month,
        "period": period,
        "before": label(following(month, -1)),
        "after": label(following(month)) if month < month_of(deps.now(), deps.settings.zone) else None,
        "written": letter.write(summary),
        "over": summary.over,
        "rows": rows,
        "lacking": lacking(request),
        "state": partial(state, now=deps.now()),
    }
    return show(request, "letters/letter.html.j2", values)


@router.get("/letters/{period}/preview")
def preview(request: Request, visitor: User, period: str) -> Response:
    written = letter.write(_summary(deps_of(request), period)[1])
    return HTMLResponse(written.html, headers={**_FRAMED, "Content-Language": written.language})


@router.get("/letters/{period}/text")
def text(request: Request, visitor: User, period: str) -> Response:
    written = letter.write(_summary(deps_of(request), period)[1])
    return PlainTextResponse(written.text, headers={"Content-Language": written.language})


@router.post("/letters/{period}/send", dependencies=[OwnForm])
def send(request: Request, visitor: Owner, period: str, again: Words = "") -> Response:
    deps = deps_of(request)
    told = delivery.send_now(deps, _month(period), again=again == "yes")
    note(request, visitor, "letter sent", period)
    w = speech(request)
    said = " ".join(w.told(one.message).striptags() for one in told)
    return go(f"/letters/{period}", said or w._("Nobody gets letters."))


def _month(period: str) -> int:
    try:
        return parse(period)
    except ValueError:
        raise NotThere from None


def _summary(deps: Deps, period: str) -> tuple[int, MonthlySummary]:
    month, running = _month(period), month_of(deps.now(), deps.settings.zone)
    if not following(running, -MONTHS_MAX) <= month <= running:
        raise NotThere
    return month, of_letter(deps.engine, deps.settings, month, deps.now())


def _is_news(row: Any, now: datetime) -> bool:
    return bool(row.created_at > now - delivery.TOLD)


def state(row: Any, now: datetime) -> str:
    """What became of a letter to one recipient."""
    if row.sent_at is not None:
        return "sent"
    if row.leased_until is not None and now <= row.leased_until <= now + delivery.LEASE:
        return "being sent"
    if row.handed_over_at is not None:
        return "in doubt"
    if row.next_try_at is None:
        return "given up"
    return "failed" if row.error else "waiting"
