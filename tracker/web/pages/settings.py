"""`/settings`: what users may change about the installation. What environment or file decide is shown, not changed."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup

from tracker import jobs, mail, mail_proof, revalue, stored
from tracker.accounts import Visitor
from tracker.errors import TrackerError, UsageError
from tracker.settings import SMTP_PORTS, BadSettings, Settings
from tracker.stored import SEALED
from tracker.web import choices
from tracker.web.pages import profile, timetable, upkeep, users
from tracker.web.pages.settings_menu import parts, planned, show_part
from tracker.web.site import Owner, OwnForm, User, Words, deps_of, go, note, show, speech

router = APIRouter()
for part in (profile, timetable, users, upkeep):
    router.include_router(part.router)

FIGURES = ("currency", "time_zone", "locale", "backfill_months")
OTHER_SERVER = "The stored password is for another mail server. Enter the one for this server."
MAIL = ("smtp_host", "smtp_security", "smtp_port", "smtp_user", "smtp_password", "letter_from")
LETTER = ("letter_to", "letter_day", "letter_hour")
#: So long a page waits for earnings to be brought in line before it says that this goes on.
PATIENCE_S = 3.0
Shown = Callable[..., Response]


@router.get("/settings")
def page(request: Request, visitor: User) -> Response:
    values = {"menu": parts(request, visitor), "planned": planned(request, visitor)}
    return show(request, "settings/list.html.j2", values)


# --- what everything is told in ---


@router.get("/settings/figures")
def figures(request: Request, visitor: Owner) -> Response:
    return _figures(request, visitor)


def _figures(request: Request, visitor: Visitor, typed: Mapping[str, str] | None = None, **more: Any) -> Response:
    deps, w = deps_of(request), speech(request)
    values = {
        **_form(deps.settings, FIGURES, typed),
        "currencies": choices.currencies(w, deps.settings.currency),
        "zones": choices.time_zones(w, deps.settings.time_zone),
        "locales": choices.locales(w, deps.settings.locale),
        "done": revalue.outstanding(deps.engine),
        **more,
    }
    return show_part(request, visitor, "figures", values, 400 if more else 200)


@router.post("/settings/figures", dependencies=[OwnForm])
def change_figures(
    request: Request, visitor: Owner,
    currency: Words = "", time_zone: Words = "", locale: Words = "", backfill_months: Words = "",
) -> Response:  # fmt: skip
    typed = {"currency": currency, "time_zone": time_zone, "locale": locale, "backfill_months": backfill_months}
    changed, refused = _change(request, visitor, typed, typed, _figures)
    if refused:
        return refused
    request.state.speech = None  # the notice speaks as the new settings want it
    say = speech(request)._
    if changed & stored.DECISIVE and not jobs.revalued_within(deps_of(request), PATIENCE_S):
        return go("/settings/figures", say("Saved. Your earnings are being brought in line; this takes a while."))
    return go("/settings/figures", say("Saved."))


# --- mail ---


@router.get("/settings/mail")
def mail_page(request: Request, visitor: Owner) -> Response:
    return _mail(request, visitor)


def _mail(request: Request, visitor: Visitor, typed: Mapping[str, str] | None = None, **more: Any) -> Response:
    deps = deps_of(request)
    has_password = SEALED in stored.stored_fields(deps.engine)
    values = {
        **_form(deps.settings, MAIL, typed),
        "has_password": has_password,
        "lost_password": has_password and deps.settings.smtp_password is None,
        "ports": SMTP_PORTS,
        "lacking": lacking(request),
        "to": deps.settings.letter_to,
        **more,
    }
    return show_part(request, visitor, "mail", values, 400 if more else 200)


@router.post("/settings/mail", dependencies=[OwnForm])
def change_mail(
    request: Request, visitor: Owner, smtp_host: Words = "", smtp_security: Words = "", smtp_port: Words = "",
    smtp_user: Words = "", smtp_password: Words = "", letter_from: Words = "", forget: Words = "",
) -> Response:  # fmt: skip
    typed = {
        "smtp_host": smtp_host, "smtp_security": smtp_security, "smtp_port": smtp_port, "smtp_user": smtp_user,
        "letter_from": letter_from,
    }  # fmt: skip
    given = dict(typed)
    if smtp_password or forget == "yes":  # an empty field keeps the password that is stored
        given[SEALED] = "" if forget == "yes" else smtp_password
    elif _goes_elsewhere(request, smtp_host):
        return _mail(request, visitor, typed, problems={SEALED: OTHER_SERVER})
    _, refused = _change(request, visitor, typed, given, _mail)
    return refused or go("/settings/mail", speech(request)._("Saved. Send a test mail to see whether it works."))


def _goes_elsewhere(request: Request, host: str) -> bool:
    """Whether a stored password, which nobody can read here, would be sent to another server than it was given for."""
    deps = deps_of(request)
    known = deps.settings.smtp_host or ""
    is_same = "smtp_host" in deps.settings.places or host.strip().lower() in ("", known.lower())
    return not is_same and SEALED in stored.stored_fields(deps.engine)


@router.post("/settings/mail/test", dependencies=[OwnForm])
def test_mail(request: Request, visitor: Owner) -> Response:
    deps, w = deps_of(request), speech(request)
    subject = w._("A test mail of your income tracker")
    text = w._("It works: this mail server takes the letters of your income tracker. Nothing else is to be done.")
    try:
        to = mail_proof.send_proof(deps.settings, deps.now(), subject, text, w.language)
    except TrackerError as error:
        names = _names(request)
        told = w.told(error, as_sentence=True)
        named = re.sub(r"TRACKER_\w+", lambda one: f'"{names[one[0]]}"' if one[0] in names else one[0], told)
        return _mail(request, visitor, problem=Markup(named))  # noqa: S704 - the text is escaped, and the names are ours
    note(request, visitor, "test mail sent", ", ".join(to))
    return go("/settings/mail", w._("The mail server took the test mail to %(to)s.", to=w.listed(to)))


def _names(request: Request) -> dict[str, str]:
    """What the settings of mail are called here."""
    say = speech(request)._
    return {
        "TRACKER_SMTP_HOST": say("Mail server"),
        "TRACKER_SMTP_PORT": say("Port"),
        "TRACKER_SMTP_SECURITY": say("Security"),
        "TRACKER_SMTP_USER": say("User name"),
        "TRACKER_SMTP_PASSWORD": say("Password"),
        "TRACKER_LETTER_FROM": say("Sender"),
        "TRACKER_LETTER_TO": say("Who gets it"),
    }


def lacking(request: Request) -> list[str]:
    """What is still to be filled in before a mail can be sent, as its fields are called here."""
    names = _names(request)
    return [names[name] for name in mail.lacking(deps_of(request).settings)]


# --- the letter ---


@router.get("/settings/letter")
def letter(request: Request, visitor: Owner) -> Response:
    return _letter(request, visitor)


def _letter(request: Request, visitor: Visitor, typed: Mapping[str, str] | None = None, **more: Any) -> Response:
    settings = deps_of(request).settings
    values = {
        **_form(settings, LETTER, typed),
        "days": [(str(day), str(day)) for day in range(1, 29)],
        "hours": [(str(hour), f"{hour:02d}:00") for hour in range(24) if hour != 2],
        "lacking": lacking(request),
        "zone": settings.time_zone,
        **more,
    }
    return show_part(request, visitor, "letter", values, 400 if more else 200)


@router.post("/settings/letter", dependencies=[OwnForm])
def change_letter(
    request: Request, visitor: Owner, letter_to: Words = "", letter_day: Words = "", letter_hour: Words = ""
) -> Response:
    typed = {"letter_to": letter_to, "letter_day": letter_day, "letter_hour": letter_hour}
    given = {**typed, "letter_to": ",".join(letter_to.splitlines())}
    _, refused = _change(request, visitor, typed, given, _letter)
    return refused or go("/settings/letter", speech(request)._("Saved."))


# --- forms of settings ---


def _form(settings: Settings, fields: tuple[str, ...], typed: Mapping[str, str] | None) -> dict[str, Any]:
    """What a form of settings shows: its values, what is wrong with them, and where else a field is decided."""
    values = {field: _text(settings, field) for field in fields if field != SEALED}
    values |= {field: text for field, text in (typed or {}).items() if field not in settings.places}
    return {"values": values, "fixed": {field: settings.places.get(field) for field in fields}, "problems": {}}


def _text(settings: Settings, field: str) -> str:
    value = getattr(settings, field)
    if field == "smtp_port" and value == SMTP_PORTS[settings.smtp_security]:
        return ""  # it follows from the security
    return "\n".join(value) if isinstance(value, tuple) else "" if value is None else str(value)


def _change(
    request: Request, visitor: Visitor, typed: Mapping[str, str], given: Mapping[str, str], shown: Shown
) -> tuple[frozenset[str], Response | None]:
    """Store what was given, but for what environment or file decide. Answers what changed, or the form with why not."""
    deps = deps_of(request)
    free = {field: text if field == SEALED else text.strip() for field, text in given.items()}
    free = {field: text for field, text in free.items() if field not in deps.settings.places}
    try:
        changed = stored.change(deps, free)
    except UsageError as error:
        return frozenset(), shown(request, visitor, typed, problem=str(error))
    except BadSettings as error:
        return frozenset(), shown(request, visitor, typed, problems=error.problems)
    if changed:
        note(request, visitor, "settings changed", ", ".join(sorted(changed)))
    return changed, None
