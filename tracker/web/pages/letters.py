"""Pages about letters: any month as it would arrive, who got it, and sending it."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from tracker import delivery, letter, mail
from tracker.connections import Deps
from tracker.months import following, label, month_of, parse, span
from tracker.store import reads_deliveries
from tracker.store.database import reading
from tracker.summary import MonthlySummary, of_letter
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
    running = month_of(deps.now(), deps.settings.zone)
    with reading(deps.engine) as conn:
        first = reads_deliveries.first_month(conn)
        sent = reads_deliveries.deliveries(conn, delivery.LETTER)
    months = span(max(first, following(running, 1 - MONTHS_MAX)), running)[::-1] if first else []
    values = {
        "months": months,
        "label": label,
        "running": running,
        "sent": {month: [row for row in sent if row.period == label(month)] for month in months},
        "lacking": mail.lacking(deps.settings),
        "to": deps.settings.letter_to,
        "next_at": delivery.due_at(following(running, -1), deps.settings),
        "due_at": delivery.due_at(running, deps.settings),
        "now": deps.now(),
        "state": state,
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
        "subject": letter.write(summary).subject,
        "over": summary.over,
        "rows": rows,
        "lacking": mail.lacking(deps.settings),
        "state": state,
    }
    return show(request, "letters/letter.html.j2", values)


@router.get("/letters/{period}/preview")
def preview(request: Request, visitor: User, period: str) -> Response:
    return HTMLResponse(letter.write(_summary(deps_of(request), period)[1]).html, headers=_FRAMED)


@router.get("/letters/{period}/text")
def text(request: Request, visitor: User, period: str) -> Response:
    return PlainTextResponse(letter.write(_summary(deps_of(request), period)[1]).text)


@router.post("/letters/{period}/send", dependencies=[OwnForm])
def send(request: Request, visitor: Owner, period: str, again: Words = "") -> Response:
    deps = deps_of(request)
    told = delivery.send_now(deps, _month(period), again=again == "yes")
    note(request, visitor, "letter sent", period)
    return go(f"/letters/{period}", " ".join(one.message for one in told) or speech(request)._("Nobody gets letters."))


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


def state(row: Any) -> str:
    """What became of a letter to one recipient."""
    if row.sent_at is not None:
        return "sent"
    if row.handed_over_at is not None:
        return "in doubt"
    return "waiting" if row.next_try_at is not None else "given up"
