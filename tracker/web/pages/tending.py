"""What an owner does with a connection: sync, pause, change, new keys, read again, its address, remove."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from tracker import connections, discover, inbound, tending, trial
from tracker.accounts import Visitor
from tracker.connect import catalog
from tracker.errors import ProviderError, Unavailable, UsageError
from tracker.hours import read_interval, read_quiet
from tracker.web.pages import authorizing
from tracker.web.pages.connected import found_or_404, show_one
from tracker.web.pages.connecting import brief, fields, given
from tracker.web.site import NotThere, Owner, OwnForm, Words, deps_of, go, note, site_of, speech

router = APIRouter(dependencies=[OwnForm])
Fields = Annotated[Mapping[str, str], Depends(fields)]


def _done(request: Request, visitor: Visitor, slug: str, action: str, said: str) -> Response:
    site_of(request).wake()
    note(request, visitor, action, slug)
    return go(f"/connections/{slug}", said)


@router.post("/connections/{slug}/sync")
def sync(request: Request, visitor: Owner, slug: str) -> Response:
    found_or_404(request, slug)
    tending.ask(deps_of(request), slug)
    return _done(request, visitor, slug, "connection asked for a sync", speech(request)._("It is read now."))


@router.post("/connections/{slug}/pause")
def pause(request: Request, visitor: Owner, slug: str) -> Response:
    deps, row, say = deps_of(request), found_or_404(request, slug), speech(request)._
    connections.pause(deps, slug)
    running = row.leased_until is not None and row.leased_until >= deps.now()
    said = say("It is paused once this run has ended.") if running else say("It is paused.")
    return _done(request, visitor, slug, "connection paused", said)


@router.post("/connections/{slug}/resume")
def resume(request: Request, visitor: Owner, slug: str) -> Response:
    found_or_404(request, slug)
    connections.resume(deps_of(request), slug)
    return _done(request, visitor, slug, "connection resumed", speech(request)._("It goes on, at once."))


@router.post("/connections/{slug}/test")
def test(request: Request, visitor: Owner, slug: str) -> Response:
    """Ask the provider with the keys that are stored; the page shows what they open."""
    row = found_or_404(request, slug)
    try:
        tried = trial.try_out(brief(deps_of(request)), row)
    except (ProviderError, UsageError) as error:
        return show_one(request, slug, {"problem": str(error), "asked": "test"}, 400)
    return show_one(request, slug, {"tried": tried, "asked": "test"})


@router.post("/connections/{slug}/ids")
def ids(request: Request, visitor: Owner, slug: str) -> Response:
    """List what the key can see."""
    found_or_404(request, slug)
    try:
        seen = discover.connected(brief(deps_of(request)), slug)
    except (ProviderError, UsageError) as error:
        return show_one(request, slug, {"problem": str(error), "asked": "ids"}, 400)
    return show_one(request, slug, {"seen": seen, "asked": "ids"})


@router.post("/connections/{slug}/edit")
def edit(request: Request, visitor: Owner, slug: str, typed: Fields) -> Response:
    deps, row = deps_of(request), found_or_404(request, slug)
    options = given(typed, "option")
    changed = {name: value for name, value in options.items() if value.strip() != row.options.get(name, "")}
    try:
        if row.next_sync_at is not None:
            quiet = read_quiet(typed["quiet"]) if typed.get("quiet", "").strip() else ""
            interval_s = read_interval(typed.get("interval", ""))
            if changed:
                tending.check_place(deps, slug, changed)
                connections.replace_options(deps, slug, changed)
            if (interval_s, quiet) != (row.interval_s, row.quiet or ""):
                connections.edit(deps, slug, interval_s=interval_s, quiet=quiet)
        tending.rename(deps, slug, typed.get("title", ""))
    except UsageError as error:
        return show_one(request, slug, {"problem": str(error), "asked": "edit", "typed": typed}, 400)
    say = speech(request)._
    said = say("Saved.")
    if changed:
        said = say(
            "Saved. What was read before is read with the new options by: tracker rebuild --connection %(slug)s",
            slug=slug,
        )
    return _done(request, visitor, slug, "connection changed", said)


@router.post("/connections/{slug}/credentials")
def credentials(request: Request, visitor: Owner, slug: str, typed: Fields) -> Response:
    """Replace the keys that were typed in, once the provider has taken them; or untried, where it cannot be reached."""
    deps, row = deps_of(request), found_or_404(request, slug)
    whole = tending.with_kept(deps, row, given(typed, "credential"))
    try:
        found = trial.before(brief(deps), row.provider, whole, row.options)
        login = catalog.find(row.provider).auth.login
        if login and "refresh_token" in found.tokens:  # the one that was typed in is used up, so the next one is kept
            whole[login.fills] = found.tokens["refresh_token"]
        elif found.trouble and not (typed.get("untested") and isinstance(found.trouble, Unavailable)):
            raise UsageError(found.trouble.message, hint=found.trouble.hint)
        connections.replace_credentials(deps, slug, whole, found.tokens)
    except UsageError as error:
        return show_one(request, slug, {"problem": str(error), "asked": "credentials"}, 400)
    said = speech(request)._("The new keys are stored, and it is read now.")
    return _done(request, visitor, slug, "credentials replaced", said)


@router.post("/connections/{slug}/login")
def log_in(request: Request, visitor: Owner, slug: str, typed: Fields) -> Response:
    """Log in at the provider anew. What that brings is stored at once: the old login may be worth nothing by then."""
    deps, row = deps_of(request), found_or_404(request, slug)
    connector = catalog.find(row.provider)
    login = connector.auth.login
    if login is None:
        raise NotThere
    whole = tending.with_kept(deps, row, given(typed, "credential"))

    def then(request: Request, tokens: dict[str, str]) -> Response:
        brought = {login.fills: tokens["refresh_token"]}
        connections.replace_credentials(deps, slug, whole | brought, tokens)
        said = speech(request)._("You are logged in, and it is read now.")
        return _done(request, visitor, slug, "credentials replaced", said)

    try:
        connections.check(connector, {**whole, login.fills: "-"}, row.options)
    except UsageError as error:
        return show_one(request, slug, {"problem": str(error), "asked": "credentials"}, 400)
    return authorizing.ask(request, visitor, row.provider, login, whole, row.options, brief(deps), then)


@router.post("/connections/{slug}/reread")
def reread(request: Request, visitor: Owner, slug: str, day: Words = "") -> Response:
    found_or_404(request, slug)
    try:
        try:
            start = date.fromisoformat(day)
        except ValueError:
            raise UsageError("choose a day.") from None
        tending.reread(deps_of(request), slug, start)
    except UsageError as error:
        return show_one(request, slug, {"problem": str(error), "asked": "reread", "typed": {"day": day}}, 400)
    w = speech(request)
    said = w._("Everything since %(day)s is read again.", day=w.day(start))
    return _done(request, visitor, slug, "connection read again", said)


@router.post("/connections/{slug}/inbound")
def address(request: Request, visitor: Owner, slug: str, do: Words = "", secret: Words = "") -> Response:
    """Make, renew or end the address for postbacks, or keep what they are signed with. The address is shown once."""
    deps, say = deps_of(request), speech(request)._
    found_or_404(request, slug)
    try:
        if do == "end":
            inbound.end_address(deps, slug)
            return _done(request, visitor, slug, "inbound address ended", say("The address is gone."))
        if do == "secret":
            inbound.keep_secret(deps, slug, secret)
            said = say("Stored. What comes unsigned is refused from now on.")
            return _done(request, visitor, slug, "inbound secret stored", said)
        token = inbound.new_address(deps, slug, replace=do == "renew")
    except UsageError as error:
        return show_one(request, slug, {"problem": str(error), "asked": "inbound"}, 400)
    note(request, visitor, "inbound address made", slug)
    names = deps.settings.web_hosts
    base = f"https://{names[0]}" if names else str(request.base_url).rstrip("/")
    return show_one(request, slug, {"asked": "inbound", "address": f"{base}/in/{token}", "is_local": not names})


@router.post("/connections/{slug}/remove")
def remove(request: Request, visitor: Owner, slug: str, data: Words = "") -> Response:
    """With everything that came from it, or only its keys."""
    deps, w = deps_of(request), speech(request)
    found_or_404(request, slug)
    if data == "keep":
        count = tending.close(deps, slug)
        said = w.n(
            "It is read no more. Its %(count)s earning is kept.",
            "It is read no more. Its %(count)s earnings are kept.",
            count,
        )
        return _done(request, visitor, slug, "connection closed", said)
    if data != "remove":
        raise UsageError("say whether its earnings stay.")
    count = connections.remove(deps, slug)
    note(request, visitor, "connection removed", slug)
    return go("/connections", w.n("Removed, with %(count)s earning.", "Removed, with %(count)s earnings.", count))
