"""Whether the tracker does its work, which version it is, and what a token may do."""

from importlib.metadata import version

from fastapi import APIRouter, Request

from tracker.jobs import health_of
from tracker.tokens import Scope
from tracker.web.api.bearer import Reader
from tracker.web.api.tagged import Tagged
from tracker.web.api.words import Code, Moment, Shape
from tracker.web.site import deps_of

router = APIRouter(route_class=Tagged, tags=["about"])


class Health(Shape):
    """`problem` says what is wrong and what to do; null: all is well."""

    ok: bool
    clock_seen_at: Moment | None
    overdue: list[str]
    problem: str | None


class Version(Shape):
    version: str


class Me(Shape):
    """The token that asks, and what all amounts and months stand on."""

    name: str
    scope: Scope
    user: str
    expires_at: Moment | None
    currency: Code
    time_zone: str


@router.get("/health")
def health(request: Request, token: Reader) -> Health:
    """Whether the clock runs and connections are synced."""
    deps = deps_of(request)
    found = health_of(deps.engine, deps.now(), deps.settings.zone)
    return Health(ok=found.problem is None, **{**found._asdict(), "overdue": list(found.overdue)})


@router.get("/version")
def version_(token: Reader) -> Version:
    """The version of the tracker. That of the API is in its address."""
    return Version(version=version("income-tracker"))


@router.get("/me")
def me(request: Request, token: Reader) -> Me:
    """What this token may do, and the currency and time zone of the figures."""
    settings = deps_of(request).settings
    return Me(
        name=token.name,
        scope=token.scope,
        user=token.user,
        expires_at=token.expires_at,
        currency=settings.currency,
        time_zone=settings.time_zone,
    )
