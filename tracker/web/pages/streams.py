"""Pages about income streams: how they stand, what one is made of, and the rules that fill it.

A rule is changed in two steps: the first shows what would move and saves nothing, the second saves.
"""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response

from tracker import connections, rules, stream_income, streams
from tracker.accounts import Visitor
from tracker.errors import UsageError
from tracker.figures.streams import Standing, StreamMonth
from tracker.filters import OTHER
from tracker.months import label, last_day
from tracker.records import NOT_INCOME, Kind, Recurrence
from tracker.rules import PATTERN_MAX, Rule
from tracker.stream_income import StreamStanding, StreamView
from tracker.web.fresh import fresh
from tracker.web.language import Speech
from tracker.web.site import NotThere, Owner, OwnForm, User, Words, deps_of, go, note, show, speech

router = APIRouter()
Slug = Annotated[str, Path(max_length=80)]
RuleId = Annotated[int, Path(ge=1, lt=2**63)]
Flag = Annotated[str, Query(max_length=10)]
Number = Annotated[int, Query(ge=1, le=1000)]
#: Height and width of the small picture of a stream's months.
SPARK_HIGH, SPARK_STEP = 24, 8
#: Programs or products on one page of a stream.
SHOWN = 100
#: Titles of programs that a rule's form suggests.
PROGRAMS_OFFERED = 100


# --- the list ---


@router.get("/streams")
def page(request: Request, visitor: User) -> Response:
    return _list(request)


def _list(request: Request, problem: str = "", name: str = "", status: int = 200) -> Response:
    deps, w = deps_of(request), speech(request)
    found = stream_income.every(deps.engine, deps.settings, deps.now())
    values = {
        "found": found,
        "sparks": {one.id: _spark(one.standing) for one in found.streams},
        "told": {one.id: _highest(one.standing, w) for one in found.streams},
        "first": label(found.first),
        "until": last_day(found.last),
        "step": SPARK_STEP,
        "high": SPARK_HIGH,
        "problem": problem,
        "name": name,
        "models": streams.BUSINESS_MODELS,
        "fresh": fresh(request),
    }
    return show(request, "streams/list.html.j2", values, status)


def _spark(standing: Standing) -> list[tuple[int, int, int]]:
    """Left edge, top and height of each month's bar; what was taken back has no height."""
    highest = max((line.total for line in standing.months), default=0)
    heights = [
        int(line.total * SPARK_HIGH / highest) if highest > 0 and line.total > 0 else 0 for line in standing.months
    ]
    return [(at * SPARK_STEP, SPARK_HIGH - height, height) for at, height in enumerate(heights)]


def _highest(standing: Standing, w: Speech) -> str:
    top = max(standing.months, key=lambda line: line.total)
    if top.total <= 0:
        return w._("nothing in these months")
    return w._("highest in %(month)s: %(amount)s", month=w.short_month(top.month), amount=w.money(top.total))


@router.post("/streams", dependencies=[OwnForm])
def add(
    request: Request, visitor: Owner, name: Words = "", business_model: Words = "", delivery: Words = ""
) -> Response:
    try:
        slug = streams.add_stream(deps_of(request), name, business_model or None, delivery or None)
    except UsageError as error:
        return _list(request, str(error), name, 400)
    note(request, visitor, "stream added", slug)
    return go(f"/streams/{slug}", speech(request)._("The stream is there. Rules say what belongs to it."))


# --- one stream ---


@router.get("/streams/{slug}")
def one(
    request: Request,
    visitor: User,
    slug: Slug,
    months: Flag = "",
    products: Flag = "",
    source_page: Number = 1,
    product_page: Number = 1,
) -> Response:
    view = _View(24 if months == "24" else 12, products == "yes" or product_page > 1, source_page, product_page)
    return _one(request, slug, view)


class _View(NamedTuple):
    """How much of a stream is shown: months, whether products are read at any cost, and which pages of the tables."""

    months: int = 12
    products: bool = False
    source_page: int = 1
    product_page: int = 1

    def address(self, **changed: Any) -> str:
        other = self._replace(**changed)
        told = {
            "months": "24" if other.months == 24 else "",
            "products": "yes" if other.products else "",
            "source_page": other.source_page if other.source_page > 1 else "",
            "product_page": other.product_page if other.product_page > 1 else "",
        }
        return "?" + urlencode({name: text for name, text in told.items() if text})

    def part(self, name: str, rows: Sequence[Any]) -> dict[str, Any]:
        """The rows of one page of a table, what is not on it, and where the pages beside it are."""
        number = getattr(self, name)
        shown = rows[(number - 1) * SHOWN : number * SHOWN]
        return {
            "rows": shown,
            "others": len(rows) - len(shown),
            "back": self.address(**{name: number - 1}) if number > 1 else None,
            "on": self.address(**{name: number + 1}) if len(rows) > number * SHOWN else None,
        }


def _one(request: Request, slug: str, view: _View | None = None, problem: str = "", status: int = 200) -> Response:
    deps, w, view = deps_of(request), speech(request), view or _View()
    found = stream_income.one(
        deps.engine, deps.settings, deps.now(), slug, months=view.months, with_products=view.products
    )  # fmt: skip
    if found is None:
        raise NotThere
    stream = found.stream
    values = {
        "sources": view.part("source_page", found.sources),
        "products": None if found.products is None else view.part("product_page", found.products),
        "view": view,
        "fresh": fresh(request, {one.connection for one in found.sources}),
        "v": found,
        "s": stream,
        "months": view.months,
        "first": label(found.first),
        "until": last_day(found.last),
        "bars": [_bar(line, stream, found, w) for line in stream.standing.months],
        "rules": [rule for rule in rules.every_rule(deps.engine) if rule["stream_slug"] == slug],
        "others": [pair for pair in streams.names(deps.engine) if pair[0] != stream.slug],
        "models": _models(stream),
        "problem": problem,
    }
    return show(request, "streams/one.html.j2", values, status)


def _models(stream: StreamStanding) -> list[str]:
    """The usual ones, and the stream's own where it is another."""
    own = stream.business_model
    return [*streams.BUSINESS_MODELS, *([own] if own and own not in streams.BUSINESS_MODELS else [])]


def _bar(line: StreamMonth, stream: StreamStanding, found: StreamView, w: Speech) -> dict[str, Any]:
    here = f"/earnings?stream={stream.slug}&month={label(line.month)}&counted=yes"
    return {
        "label": w.short_month(line.month),
        "note": w._("so far") if line.month == found.last else "",
        "values": [line.recurring, line.other],
        "href": here if line.earnings else None,
        "hrefs": [f"{here}&recurrence={one}" for one in (Recurrence.RECURRING, OTHER)],
        "runs": line.month == found.last,
    }


@router.post("/streams/{slug}", dependencies=[OwnForm])
def change(
    request: Request, visitor: Owner, slug: Slug, name: Words = "", business_model: Words = "", delivery: Words = ""
) -> Response:
    deps = deps_of(request)
    _refuse_unknown(request, slug)
    try:
        streams.describe_stream(deps, slug, business_model or None, delivery or None)
        renamed = streams.rename_stream(deps, slug, name)
    except UsageError as error:
        return _one(request, slug, problem=str(error), status=400)
    note(request, visitor, "stream changed", renamed if renamed == slug else f"{slug}: {renamed}")
    return go(f"/streams/{renamed}", speech(request)._("Saved."))


@router.post("/streams/{slug}/move", dependencies=[OwnForm])
def move(request: Request, visitor: Owner, slug: Slug, way: Words = "") -> Response:
    _refuse_unknown(request, slug)
    streams.move_stream(deps_of(request), slug, -1 if way == "up" else 1)
    note(request, visitor, "stream moved", slug)
    return go("/streams")


@router.post("/streams/{slug}/remove", dependencies=[OwnForm])
def remove(request: Request, visitor: Owner, slug: Slug, into: Words = "") -> Response:
    _refuse_unknown(request, slug)
    _refuse_unprintable(into)
    say = speech(request)
    try:
        moved = streams.remove_stream(deps_of(request), slug, into or None)
    except UsageError as error:
        return _one(request, slug, problem=str(error), status=400)
    note(request, visitor, "stream removed", f"{slug} into {into}" if into else slug)
    told = say.n("The stream is gone. %(count)s earning moved.", "The stream is gone. %(count)s earnings moved.", moved)
    return go("/streams", told)


@router.post("/streams/{slug}/programs", dependencies=[OwnForm])
def mark(
    request: Request, visitor: Owner, slug: Slug, connection: Words = "", program: Words = "", recurring: Words = ""
) -> Response:
    _refuse_unknown(request, slug)
    _refuse_unprintable(connection, program)
    count = streams.mark_program(deps_of(request), connection, program, recurring == "yes")
    note(request, visitor, "program marked" if recurring == "yes" else "program unmarked", f"{connection}/{program}")
    say = speech(request)
    told = say.n("%(count)s earning was looked at anew.", "%(count)s earnings were looked at anew.", count)
    return go(f"/streams/{slug}", told)


def _refuse_unknown(request: Request, slug: str) -> None:
    if slug not in dict(streams.names(deps_of(request).engine)):
        raise NotThere


def _refuse_unprintable(*names: str) -> None:
    """PostgreSQL takes no NUL in a text, not even to look for it."""
    if not all(name.isprintable() for name in names):
        raise UsageError("that is not a name.", hint="Use letters, digits and signs only.")


# --- rules ---


def _asked(stream: str, connection: str, program: str, product: str, sub_id: str, kind: str, position: str) -> Rule:
    _refuse_unprintable(stream, connection)
    if position and not (position.isascii() and position.isdecimal() and len(position) < 6):
        raise UsageError(
            f"position: {position[:20]!r} is no place in a list.", hint="Write a number, 1 is tried first."
        )
    return Rule(
        stream=stream, connection=connection or None, program=program or None, product=product or None,
        sub_id=sub_id or None, kind=kind or None, position=int(position) if position else None,
    )  # fmt: skip


def _filled(
    stream: Words = "", connection: Words = "", program: Words = "", product: Words = "", sub_id: Words = "",
    kind: Words = "", position: Words = "",
) -> Rule:  # fmt: skip
    """A rule from a form."""
    return _asked(stream, connection, program, product, sub_id, kind, position)


Filled = Annotated[Rule, Depends(_filled)]


def _tried(request: Request) -> Rule | None:
    """A rule from an address, to be tried; None where it names none."""
    given = request.query_params
    names = ("stream", "connection", "program", "product", "sub_id", "kind", "position")
    return _asked(*(given.get(name, "")[:PATTERN_MAX] for name in names)) if "stream" in given else None


@router.get("/streams/{slug}/rules/new")
def new_rule(request: Request, visitor: User, slug: Slug) -> Response:
    _refuse_unknown(request, slug)
    tried = _tried(request)
    return _rule(request, slug, tried or Rule(stream=slug), None, plan=tried is not None)


@router.post("/streams/{slug}/rules/new", dependencies=[OwnForm])
def add_rule(request: Request, visitor: Owner, slug: Slug, rule: Filled) -> Response:
    _refuse_unknown(request, slug)
    return _save(request, visitor, slug, rule, None)


@router.get("/streams/{slug}/rules/{rule_id}")
def one_rule(request: Request, visitor: User, slug: Slug, rule_id: RuleId) -> Response:
    known = _known(request, slug, rule_id)
    tried = _tried(request)
    return _rule(request, slug, tried or known, rule_id, plan=tried is not None)


@router.post("/streams/{slug}/rules/{rule_id}", dependencies=[OwnForm])
def change_rule(request: Request, visitor: Owner, slug: Slug, rule_id: RuleId, rule: Filled) -> Response:
    _known(request, slug, rule_id)
    return _save(request, visitor, slug, rule, rule_id)


@router.get("/streams/{slug}/rules/{rule_id}/remove")
def may_remove_rule(request: Request, visitor: User, slug: Slug, rule_id: RuleId) -> Response:
    rule = _known(request, slug, rule_id)
    values = {
        "slug": slug,
        "rule": rule,
        "rule_id": rule_id,
        "plan": rules.plan(deps_of(request).engine, None, rule_id),
    }
    return show(request, "streams/rule_remove.html.j2", values)


@router.post("/streams/{slug}/rules/{rule_id}/remove", dependencies=[OwnForm])
def remove_rule(request: Request, visitor: Owner, slug: Slug, rule_id: RuleId) -> Response:
    _known(request, slug, rule_id)
    moved = rules.remove(deps_of(request), rule_id)
    note(request, visitor, "rule removed", f"{slug}: rule {rule_id}")
    return go(f"/streams/{slug}", _moved(request, moved.earnings))


def _known(request: Request, slug: str, rule_id: int) -> Rule:
    _refuse_unknown(request, slug)
    rule = rules.rule_by_id(deps_of(request).engine, rule_id)
    if rule is None or rule.stream != slug:
        raise NotThere
    return rule


def _save(request: Request, visitor: Visitor, slug: str, rule: Rule, rule_id: int | None) -> Response:
    try:
        number, moved = rules.save(deps_of(request), rule, rule_id)
    except UsageError as error:
        return _rule(request, slug, rule, rule_id, problem=str(error))
    note(request, visitor, "rule changed" if rule_id else "rule added", f"{rule.stream}: rule {number}")
    return go(f"/streams/{rule.stream}", _moved(request, moved.earnings))


def _moved(request: Request, earnings: int) -> str:
    return speech(request).n("Saved. %(count)s earning moved.", "Saved. %(count)s earnings moved.", earnings)


def _rule(
    request: Request, slug: str, rule: Rule, rule_id: int | None, *, plan: bool = False, problem: str = ""
) -> Response:
    engine, found = deps_of(request).engine, None
    if plan:
        try:
            found = rules.plan(engine, rule, rule_id)
        except UsageError as error:
            problem = str(error)
    every = rules.every_rule(engine)
    values = {
        "slug": slug,
        "rule": rule,
        "rule_id": rule_id,
        "plan": found,
        "problem": problem,
        "streams": streams.names(engine),
        "connections": [(row.slug, row.title) for row in connections.every(engine)],
        "programs": sorted({row["title"] for row in streams.every_program(engine)[0][:PROGRAMS_OFFERED]}),
        "kinds": [kind for kind in Kind if kind not in NOT_INCOME],
        "every": every,
        "last": len(every) + (rule_id is None),
    }
    return show(request, "streams/rule.html.j2", values, 400 if problem else 200)
