"""`/settings/backup`, `keys`, `trail` and `about`: keeping the ledger safe, and how it is. For owners."""

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, File, Query, Request, UploadFile
from fastapi.responses import FileResponse, Response

from tracker import audit, backups, jobs, keyring
from tracker.accounts import Visitor
from tracker.addresses import masked
from tracker.doctor import examine
from tracker.errors import TrackerError, UsageError
from tracker.web.pages.settings_menu import show_part
from tracker.web.site import NotThere, Owner, OwnForm, Words, deps_of, go, note, speech

router = APIRouter()
BACKUP, KEYS = "/settings/backup", "/settings/keys"
TRAIL_ROWS = 50
Event = Annotated[int | None, Query(ge=1, lt=2**63)]
_STATES = ("problem", "note", "ok")

# --- backup ---


@router.get(BACKUP)
def page(request: Request, visitor: Owner) -> Response:
    return _page(request, visitor)


def _page(request: Request, visitor: Visitor, problem: str = "") -> Response:
    settings = deps_of(request).settings
    values = {
        "kept": backups.every(settings),
        "folder": backups.folder_of(settings),
        "key_file": None if settings.keys is not None else settings.key_file,
        "several": settings.redis_url is not None,
        "problem": problem,
    }
    return show_part(request, visitor, "backup", values, 400 if problem else 200)


@router.post(BACKUP, dependencies=[OwnForm])
def make(request: Request, visitor: Owner) -> Response:
    try:
        made = backups.make(deps_of(request))
    except TrackerError as error:
        return _page(request, visitor, str(error))
    note(request, visitor, "backup made", made.name)
    return go(
        BACKUP, speech(request)._("%(name)s is made. Download it, and keep it on another machine.", name=made.name)
    )


@router.get(BACKUP + "/file/{name}")
def download(request: Request, visitor: Owner, name: str) -> Response:
    """The file as it is, in pieces: it may be larger than the memory."""
    try:
        path = backups.path_of(deps_of(request).settings, name)
    except UsageError:
        raise NotThere from None
    note(request, visitor, "backup downloaded", name)
    return FileResponse(path, media_type="application/octet-stream", filename=name)


@router.post(BACKUP + "/remove", dependencies=[OwnForm])
def remove(request: Request, visitor: Owner, name: Words = "") -> Response:
    try:
        backups.remove(deps_of(request).settings, name)
    except UsageError as error:
        return _page(request, visitor, str(error))
    note(request, visitor, "backup removed", name)
    return go(BACKUP, speech(request)._("%(name)s is gone.", name=name))


@router.post(BACKUP + "/restore", dependencies=[OwnForm])
def upload(request: Request, visitor: Owner, file: Annotated[UploadFile, File()]) -> Response:
    try:
        kept = backups.take_in(deps_of(request), file.file)
    except TrackerError as error:
        return _page(request, visitor, str(error))
    note(request, visitor, "backup uploaded", kept.name)
    told = speech(request)._("%(name)s is whole, and kept. Nothing is restored yet: choose it below.", name=kept.name)
    return go(BACKUP, told)


@router.post(BACKUP + "/plan", dependencies=[OwnForm])
def plan(request: Request, visitor: Owner, name: Words = "") -> Response:
    settings = deps_of(request).settings
    try:
        if settings.redis_url is not None:
            raise UsageError("other processes use this ledger.", hint="Stop them and use `tracker restore`.")
        backups.plan(settings, name)
    except TrackerError as error:
        return _page(request, visitor, str(error))
    note(request, visitor, "restore planned", name)
    return go(BACKUP, speech(request)._("%(name)s is restored when the tracker starts next.", name=name))


@router.post(BACKUP + "/take-back", dependencies=[OwnForm])
def take_back(request: Request, visitor: Owner) -> Response:
    backups.take_back(deps_of(request).settings)
    note(request, visitor, "restore taken back")
    return go(BACKUP, speech(request)._("Nothing is restored at the next start."))


# --- keys ---


@router.get(KEYS)
def keys(request: Request, visitor: Owner) -> Response:
    return _keys(request, visitor)


def _keys(request: Request, visitor: Visitor, problem: str = "") -> Response:
    settings = deps_of(request).settings
    from_file = settings.keys is None
    changed_at = datetime.fromtimestamp(settings.key_file.stat().st_mtime, UTC) if from_file else None
    values = {
        "key_file": settings.key_file if from_file else None,
        "changed_at": changed_at,
        "place": settings.places.get("keys", "TRACKER_KEYS"),
        "problem": problem,
    }
    return show_part(request, visitor, "keys", values, 400 if problem else 200)


@router.post(KEYS + "/rotate", dependencies=[OwnForm])
def rotate(request: Request, visitor: Owner) -> Response:
    w = speech(request)
    try:
        count = keyring.rotate(deps_of(request))
    except TrackerError as error:
        return _keys(request, visitor, str(error))
    note(request, visitor, "key rotated")
    told = w.n(
        "A new key seals from now on; %(count)s sealed text uses it. Keep a fresh copy of the key file.",
        "A new key seals from now on; %(count)s sealed texts use it. Keep a fresh copy of the key file.",
        count,
    )
    return go(KEYS, told)


@router.post(KEYS + "/retire", dependencies=[OwnForm])
def retire(request: Request, visitor: Owner) -> Response:
    w = speech(request)
    try:
        count = keyring.retire(deps_of(request))
    except TrackerError as error:
        return _keys(request, visitor, str(error))
    note(request, visitor, "old keys dropped")
    told = w.n(
        "%(count)s old key is dropped. Keep a fresh copy of the key file.",
        "%(count)s old keys are dropped. Keep a fresh copy of the key file.",
        count,
    )
    return go(KEYS, told)


# --- how it is ---


@router.get("/settings/trail")
def trail(request: Request, visitor: Owner, before: Event = None, after: Event = None) -> Response:
    engine = deps_of(request).engine
    rows = audit.trail(engine, TRAIL_ROWS, before=before, after=after)
    newer = older = None
    if rows and audit.trail(engine, 1, after=rows[0].id):
        newer = f"/settings/trail?after={rows[0].id}"
    if rows and audit.trail(engine, 1, before=rows[-1].id):
        older = f"/settings/trail?before={rows[-1].id}"
    values = {"rows": rows, "newer": newer, "older": older, "refused": audit.REFUSED, "unknown": audit.UNKNOWN}
    return show_part(request, visitor, "trail", values)


@router.get("/settings/about")
def about(request: Request, visitor: Owner, closer: str = "") -> Response:
    deps = deps_of(request)
    findings = list(examine(deps.settings, deps.now())) if closer == "yes" else []
    url = deps.engine.url
    values = {
        "version": version("income-tracker"),
        "database": url.database if url.get_backend_name() == "sqlite" else masked(deps.settings.database_url),
        "health": jobs.health_of(deps.engine, deps.now(), deps.settings.zone),
        "data_dir": deps.settings.data_dir,
        "findings": sorted(findings, key=lambda one: _STATES.index(one.state)) or None,
        "problems": sum(one.state == "problem" for one in findings),
    }
    return show_part(request, visitor, "about", values)
