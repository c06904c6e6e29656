"""Pages that import statements: send a file, look at what was understood, import it."""

import re
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, File, Request, UploadFile
from fastapi.responses import Response
from markupsafe import Markup
from starlette.datastructures import FormData

from tracker import connections
from tracker.errors import UsageError
from tracker.statements import custom, upload
from tracker.statements.desk import Desk, Job, Said
from tracker.statements.profiles import shelf
from tracker.statements.profiles.dates import ORDERS
from tracker.statements.reading import open_file
from tracker.statements.understood import asked_for
from tracker.web.language import Speech
from tracker.web.site import NotThere, Owner, OwnForm, User, Words, deps_of, go, note, show, site_of, speech

router = APIRouter()
BELOW = "Tell below which column is what."
#: The fields that the columns of an unknown table can be, by what its rows are.
FIELDS = {
    "earning": ("earned_at", "net", "currency", "product", "order_ref", "sub_id", "gross", "fee", "tax", "country"),
    "bank_line": ("booked_on", "amount", "currency", "text"),
    "payout": ("created_at", "amount", "currency", "fee"),
}


def desk_of(request: Request) -> Desk:
    site = site_of(request)
    if site.desk is None:
        site.desk = Desk(site.deps)
    return site.desk


@router.get("/import")
def page(request: Request, visitor: User) -> Response:
    return _page(request)


def _page(request: Request, problem: str = "", status: int = 200) -> Response:
    values = {
        "profiles": [(one.slug, speech(request)._(one.title)) for one in shelf.every()],
        "slugs": [(row.slug, row.title) for row in connections.every(deps_of(request).engine)],
        "problem": problem,
    }
    return show(request, "importing/send.html.j2", values, status)


@router.post("/import", dependencies=[OwnForm])
def send(
    request: Request,
    visitor: Owner,
    file: Annotated[UploadFile, File()],
    profile: Words = "",
    connection: Words = "",
) -> Response:
    deps = deps_of(request)
    if not file.filename:
        return _page(request, "Choose a file first.", 400)
    try:
        token = upload.keep(deps.settings.data_dir, file.filename, file.file, deps.now())
        path = upload.find(deps.settings.data_dir, token)
        if path is None:
            raise NotThere
        desk_of(request).read(token, path, Said(profile=profile, connection=connection.strip()))
    except UsageError as error:
        return _page(request, told_here(str(error), speech(request)), 400)
    return go(f"/import/{token}")


@router.get("/import/{token}")
def single(request: Request, visitor: User, token: str) -> Response:
    return _single(request, _job(request, token))


def _job(request: Request, token: str) -> Job:
    job = desk_of(request).job(token)
    if job is None:
        raise NotThere
    return job


def _single(request: Request, job: Job, problem: str = "", status: int = 200) -> Response:
    job = msgspec.structs.replace(job)  # as it is now: its own thread goes on while the page is written
    values = {
        "job": job,
        "problem": told_here(problem or job.problem, speech(request)),
        "slugs": [(row.slug, row.title) for row in connections.every(deps_of(request).engine)],
        "profiles": [(one.slug, speech(request)._(one.title)) for one in shelf.every()],
        "orders": [(one, one) for one in ORDERS],
        "fields": FIELDS,
        "name": re.sub(r"[^a-z0-9]+", "-", job.path.stem.lower()).strip("-")[:40],
    }
    return show(request, "importing/file.html.j2", values, status)


def told_here(problem: str, w: Speech) -> Markup:
    """What is wrong with a file, with the fields of this page where the terminal has options."""
    names = {
        "profile": w._("What it is"),
        "connection": w._("Connection"),
        "decimal": w._("Decimal mark"),
        "dates": w._("Order of dates"),
        "currency": w._("Currency"),
        "month": w._("Month, where the rows have no date"),
    }
    told = w.told(re.sub(r"Say what is what: --map .*", BELOW, problem), as_sentence=True)
    named = re.sub(r"--(\w+)", lambda one: f'"{names[one[1]]}"' if one[1] in names else one[0], told)
    return Markup(named)  # noqa: S704 - the text is escaped, and the names are ours


@router.post("/import/{token}/read", dependencies=[OwnForm])
def read_again(
    request: Request,
    visitor: Owner,
    token: str,
    profile: Words = "",
    connection: Words = "",
    stream: Words = "",
    decimal: Words = "",
    dates: Words = "",
    currency: Words = "",
    month: Words = "",
) -> Response:
    """Find out once more what a file is, with what a person says about it."""
    job = _job(request, token)
    try:
        asked = asked_for(decimal=decimal, dates=dates, currency=currency.strip(), month=month)
    except UsageError as error:
        return _single(request, job, str(error), 400)
    if not job.busy:
        said = Said(profile=profile, connection=connection.strip(), stream=stream.strip(), asked=asked)
        desk_of(request).read(token, job.path, said)
    return go(f"/import/{token}")


async def _whole_form(request: Request) -> FormData:
    return await request.form()


@router.post("/import/{token}/columns", dependencies=[OwnForm])
def tell_columns(
    request: Request, visitor: Owner, token: str, form: Annotated[FormData, Depends(_whole_form)]
) -> Response:
    """Make a profile of the user's own from what each column is."""
    job = _job(request, token)
    record, name = str(form.get("record", "")), str(form.get("name", ""))
    columns: dict[str, list[str]] = {}
    for position, column in enumerate(job.columns):
        field = str(form.get(f"column{position}", ""))
        if field in FIELDS.get(record, ()):
            columns.setdefault(field, []).append(column)
    unique = [column for position, column in enumerate(job.columns) if form.get(f"id{position}")]
    currency = str(form.get("currency", "")).strip().upper()
    try:
        constants = {"currency": currency} if currency and "currency" not in columns else {}
        text = custom.propose(open_file(job.path), name, columns, constants, unique)
        made, _ = custom.keep(name, text)
    except UsageError as error:
        return _single(request, job, re.sub(r"^--[a-z-]+: ", "", error.message), 400)
    note(request, visitor, "statement profile made", made.slug)
    desk_of(request).read(token, job.path, Said(profile=made.slug))
    return go(f"/import/{token}")


@router.post("/import/{token}/take", dependencies=[OwnForm])
def take(request: Request, visitor: Owner, token: str) -> Response:
    job = _job(request, token)
    desk_of(request).take(job)
    note(request, visitor, "statement imported", f"{job.path.name} into {job.goes_to}")
    return go(f"/import/{token}")


@router.post("/import/{token}/drop", dependencies=[OwnForm])
def drop(request: Request, visitor: Owner, token: str) -> Response:
    if _job(request, token).busy:
        raise UsageError("this file is being read just now.", hint="Wait until that is done.")
    desk_of(request).drop(token)
    return go("/import", speech(request)._("The file was dropped; nothing of it was imported."))
