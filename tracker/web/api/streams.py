"""Income streams, the rules that assign earnings to them, and programs of affiliate networks."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field

from tracker import rules, streams
from tracker.records import Kind
from tracker.web.api.bearer import Reader, Writer, note
from tracker.web.api.problems import not_there
from tracker.web.api.tagged import Tagged
from tracker.web.api.words import Amount, Asked, Clean, Code, Given, PathSlug, RowId, Shape, Slug
from tracker.web.site import deps_of

router = APIRouter(route_class=Tagged, tags=["streams"])
Delivery = Literal["one_to_one", "one_to_many"]
Title = Annotated[Clean, Field(min_length=1, max_length=streams.NAME_MAX)]
Model = Annotated[Clean, Field(min_length=1, max_length=streams.MODEL_MAX)]
#: `*` stands for any text.
Pattern = Annotated[Clean, Field(min_length=1, max_length=rules.PATTERN_MAX)]


class Stream(Shape):
    """One income stream of yours. `net` is, by currency, what is approved or pending and counts."""

    slug: str
    title: str
    business_model: str | None
    delivery: str | None
    connections: list[str]
    rules: int
    earnings: int
    net: dict[str, Amount]


class Streams(Shape):
    rows: list[Stream]


class NewStream(Given):
    title: Title
    business_model: Model | None = None
    delivery: Delivery | None = None


class ChangedStream(Given):
    title: Title


@router.get("/streams", response_model=Streams)
def streams_(request: Request, token: Reader) -> dict[str, Any]:
    """All streams in your order."""
    return {"rows": streams.every_stream(deps_of(request).engine)}


@router.get("/streams/{slug}", response_model=Stream)
def stream(request: Request, token: Reader, slug: PathSlug) -> dict[str, Any]:
    """One stream."""
    return _found(request, slug)


def _found(request: Request, slug: str) -> dict[str, Any]:
    rows = streams.every_stream(deps_of(request).engine)
    row = next((row for row in rows if row["slug"] == slug), None)
    if row is None:
        raise not_there("such stream")
    return row


@router.post("/streams", status_code=201, response_model=Stream)
def add_stream(request: Request, token: Writer, given: NewStream) -> dict[str, Any]:
    """Make a stream."""
    slug = streams.add_stream(deps_of(request), given.title, given.business_model, given.delivery)
    note(request, token, "stream added", slug)
    return _found(request, slug)


@router.patch("/streams/{slug}", response_model=Stream)
def rename_stream(request: Request, token: Writer, slug: PathSlug, given: ChangedStream) -> dict[str, Any]:
    """Give a stream another title, and with it another slug. What belongs to it stays."""
    renamed = streams.rename_stream(deps_of(request), _found(request, slug)["slug"], given.title)
    note(request, token, "stream renamed", f"{slug} -> {renamed}")
    return _found(request, renamed)


# --- rules ---


class Rule(Shape):
    """Earnings that fit every given part belong to the stream, by its title. `position` 1 is tried first."""

    id: int
    position: int
    stream: str
    connection: str | None
    program: str | None
    product: str | None
    sub_id: str | None
    kind: str | None


class Rules(Shape):
    rows: list[Rule]


class NewRule(Given):
    """At least one of the parts; `*` stands for any text."""

    stream: Slug
    connection: Slug | None = None
    program: Pattern | None = None
    product: Pattern | None = None
    sub_id: Pattern | None = None
    kind: Pattern | None = Field(None, examples=[Kind.COMMISSION])
    position: int | None = Field(None, ge=1, le=rules.RULES_MAX)

    def rule(self) -> rules.Rule:
        return rules.Rule(**self.model_dump())


class StreamMoved(Shape):
    """By how much a stream grew, or shrank."""

    stream: str
    currency: Code
    earnings: int
    net: Amount


class Moved(Shape):
    """How many earnings went to another stream, or would go."""

    earnings: int
    streams: list[StreamMoved]


class RuleAdded(Moved):
    rule: int


@router.get("/rules", response_model=Rules)
def rules_(request: Request, token: Reader) -> dict[str, Any]:
    """All rules in the order in which they are tried; the first that fits an earning wins."""
    return {"rows": rules.every_rule(deps_of(request).engine)}


@router.post("/rules", status_code=201, response_model=RuleAdded)
def add_rule(request: Request, token: Writer, given: NewRule) -> dict[str, Any]:
    """Add a rule, last unless a position is given. Earnings that fit move at once, old ones as well."""
    rule_id, moved = rules.save(deps_of(request), given.rule())
    note(request, token, "rule added", f"{rule_id} for {given.stream}")
    return {"rule": rule_id, "earnings": moved.earnings, "streams": moved.streams}


@router.post("/rules/plan", response_model=Moved)
def plan_rule(request: Request, token: Writer, given: NewRule) -> rules.Moved:
    """Tell what would move if a rule were added. Nothing is changed."""
    return rules.moved_by(rules.plan(deps_of(request).engine, given.rule()).shifts)


@router.delete("/rules/{rule_id}", response_model=Moved)
def remove_rule(request: Request, token: Writer, rule_id: RowId) -> rules.Moved:
    """Remove a rule. Its earnings go where the other rules or their connection put them."""
    deps = deps_of(request)
    if rules.rule_by_id(deps.engine, rule_id) is None:
        raise not_there("such rule")
    moved = rules.remove(deps, rule_id)
    note(request, token, "rule removed", str(rule_id))
    return moved


# --- programs ---


class Program(Shape):
    """An advertiser's offer. `recurring` is your mark: its commissions come again and again."""

    connection: str
    program: str
    title: str
    recurring: bool
    earnings: int


class Programs(Shape):
    rows: list[Program]
    total: int = Field(description=f"There may be more than the {streams.PROGRAMS_SHOWN} busiest, which are listed.")


class AskedPrograms(Asked):
    connection: Slug | None = None
    marked: bool = Field(False, description="Only those marked as recurring.")


@router.get("/programs", response_model=Programs)
def programs(request: Request, token: Reader, asked: Annotated[AskedPrograms, Query()]) -> dict[str, Any]:
    """Programs, the busiest first."""
    rows, total = streams.every_program(deps_of(request).engine, asked.connection, marked=asked.marked)
    return {"rows": rows, "total": total}
