"""`/`: the overview."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup

from tracker import revalue
from tracker.accounts import Visitor
from tracker.errors import MoneyError, UsageError
from tracker.figures.comparison import portion
from tracker.filters import OTHER, one_of
from tracker.money import currency_code
from tracker.months import label, last_day
from tracker.overview import SEEN, Bar, Look, Overview, looked, overview
from tracker.periods import Asked
from tracker.records import Recurrence
from tracker.store.reads import Basis
from tracker.store.reads_news import Became
from tracker.web.fresh import Fresh
from tracker.web.language import Speech
from tracker.web.site import User, deps_of, show, site_of, speech

router = APIRouter()
#: After so long without a look, the next one begins a new visit.
VISIT = timedelta(minutes=30)
_SEEN = "tracker_seen"


@router.get("/")
def page(request: Request, visitor: User) -> Response:
    """What does not depend on the browser is worked out once, until something is written; see `Remembered`."""
    deps, w = deps_of(request), speech(request)
    now = deps.now()
    visit = _Visit.of(request, visitor, now)
    look = _look(request.query_params, visit)

    def make() -> Markup | Overview:
        found = overview(deps.engine, deps.settings, now, look)
        return found if found.empty else _body(request, found, look)

    made = site_of(request).remembered.get((look, w.language, w.locale), now, make)
    if isinstance(made, Overview):
        return show(request, "overview/empty.html.j2", {"o": made})
    response = show(request, "overview/page.html.j2", {"body": made})
    response.set_cookie(
        _SEEN, str(visit), int(VISIT.total_seconds()), path="/", httponly=True, samesite="lax",
        secure=request.url.scheme == "https",
    )  # fmt: skip
    return response


def _look(given: Mapping[str, str], visit: "_Visit") -> Look:
    """Raises UsageError for what cannot be meant."""
    basis = one_of(given.get("basis") or Basis.EARNED, Basis, "basis")
    try:
        currency = currency_code(given["currency"]) if given.get("currency") else None
    except MoneyError as error:
        raise UsageError(f"currency: {error}") from None
    return Look(Asked.read(given), basis, currency, visit.since, visit.newest)


def _body(request: Request, o: Overview, look: Look) -> Markup:
    w, template = speech(request), site_of(request).pages.get_template("overview/figures.html.j2")
    links, share = _Links(o, look), portion(o.total.recurring.amount, o.total.total.amount)
    values = {
        "o": o,
        "links": links,
        "label": label,
        "share": share if share is not None and 0 <= share <= 1 else None,
        "bars": [_bar(bar, o, w, links) for bar in o.history],
        "currencies": [(code, code) for code in o.currencies],
        "fresh": Fresh(o.oldest, revalue.outstanding(deps_of(request).engine)),
        "unconverted": [
            w.n("%(amount)s (%(count)s earning)", "%(amount)s (%(count)s earnings)", one.earnings,
                amount=w.money(one.net, one.currency))
            for one in o.unconverted
        ],
    }  # fmt: skip
    words = {"w": w, "_": w._, "gettext": w._, "ngettext": w.n, "form_token": ""}
    return Markup(template.render(**values, **words))  # noqa: S704 - the template escapes


def _bar(bar: Bar, o: Overview, w: Speech, links: "_Links") -> dict[str, Any]:
    """A row of the chart."""
    return {
        "label": w.short_month(bar.month),
        "note": w._("so far") if bar.month == o.running else "",
        "values": [bar.recurring, bar.other],
        "href": links.month(bar.month) if bar.known else None,
        "hrefs": [links.month(bar.month, recurrence=one) for one in (Recurrence.RECURRING, OTHER)],
        "known": bar.known,
        "runs": bar.month == o.running,
    }


class _Links:
    """Where the figures come from, and the same page with something else chosen."""

    def __init__(self, o: Overview, look: Look) -> None:
        self._o, self._asked, self._look = o, look.asked, look

    def to(self, **asked: str | None) -> str:
        """The earnings with these parameters."""
        basis = {} if self._o.basis is Basis.EARNED else {"basis": self._o.basis.value}
        return "/earnings?" + urlencode({name: text for name, text in (asked | basis).items() if text})

    def counted(self, **asked: str | None) -> str:
        """The earnings in the totals of the period."""
        return self._within(self._o.period.first, self._o.period.last, **{"counted": "yes", **asked})

    def before(self, shift: int) -> str:
        """The earnings of the months that lie so many before the period, as far as they are counted."""
        first, last, until = self._o.before(shift)
        return self._within(first, last, counted="yes", until=until.astimezone(UTC).isoformat() if until else None)

    def _within(self, first: int, last: int, **asked: str | None) -> str:
        if first == last:
            return self.to(month=label(first), **asked)
        return self.to(**{"from": f"{label(first)}-01", "to": last_day(last).isoformat()}, **asked)

    def month(self, month: int, **asked: str | None) -> str:
        return self.to(month=label(month), counted="yes", **asked)

    def stage(self, name: str) -> str:
        if name == "pending":
            return "/earnings?counted=pending"
        if name == "paid":
            month = label(self._o.running)
            return "/earnings?" + urlencode({"month": month, "basis": "paid", "counted": "yes"})
        return "/earnings?" + urlencode({"status": "approved", "settlement": name, "counted": "yes"})

    def since(self, what: Became) -> str:
        """The earnings of which that became since the last look."""
        return "/earnings?" + urlencode({"since": str(self._o.news.of(what))}) if self._o.news else ""

    def here(self, **changed: Any) -> str:
        """This page, for another period, basis or currency."""
        asked = changed.get("asked", self._asked.params())
        rest = {"basis": self._look.basis.value, "currency": self._look.currency or "", **changed}
        rest = {name: rest[name] for name in ("basis", "currency") if rest[name] and rest[name] != Basis.EARNED.value}
        query = urlencode({**asked, **rest})
        return f"/?{query}" if query else "/"

    def preset(self, name: str) -> str:
        return self.here(asked=Asked(name).params())

    @property
    def usual(self) -> bool:
        return bool(self._asked.preset) and self._look.basis is Basis.EARNED and self._look.currency is None

    def chosen(self, name: str) -> bool:
        return self._asked.preset == name


# --- visits ---


@dataclass(frozen=True)
class _Visit:
    """Looks that follow one another, whose news are all since the same moment. Kept by the browser, as it is no secret.

    `since` is None when this user never looked before; `newest` is the newest earning there was then.
    """

    user: int
    since: datetime | None
    newest: int
    noted: datetime  # when it was last written down that the user looks

    def __str__(self) -> str:
        since = int(self.since.timestamp() * 1e6) if self.since else 0  # not money: a moment
        return f"{self.user}.{since}.{self.newest}.{int(self.noted.timestamp())}"

    @classmethod
    def of(cls, request: Request, visitor: Visitor, now: datetime) -> "_Visit":
        """The visit that goes on, or a new one. That the user looks is written down every few minutes."""
        known = cls._read(request.cookies.get(_SEEN, ""), visitor.id, now)
        if known and now - known.noted < SEEN:
            return known
        since, newest = looked(deps_of(request).engine, visitor.id, now)
        return cls(visitor.id, known.since if known else since, known.newest if known else newest, now)

    @classmethod
    def _read(cls, text: str, user: int, now: datetime) -> "_Visit | None":
        parts = text.split(".")
        if len(parts) != 4 or not all(part.isascii() and part.isdecimal() and len(part) < 19 for part in parts):
            return None
        owner, since, newest, noted = map(int, parts)
        try:
            at = datetime.fromtimestamp(since / 1e6, UTC) if since else None
            last = datetime.fromtimestamp(noted, UTC)
        except (ValueError, OverflowError, OSError):
            return None
        goes_on = owner == user and timedelta() <= now - last < VISIT and (at is None or at <= now)
        return cls(owner, at, newest, last) if goes_on else None
