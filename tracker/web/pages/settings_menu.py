"""What the pages of the settings share: the list of their parts, and how one is shown."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from tracker import backups
from tracker.accounts import OWNER, Visitor
from tracker.web.site import deps_of, show, speech


def parts(request: Request, visitor: Visitor) -> list[tuple[str, str, str]]:
    """Address, title and a line about each part that a user may open. A viewer has a profile and nothing else."""
    say = speech(request)._
    found = [("/settings/profile", say("Profile"), say("Your name, language, password and browsers."))]
    if visitor.role != OWNER:
        return found
    return [
        *found,
        ("/settings/figures", say("Currency and zone"), say("In what everything is told, and where months are cut.")),
        ("/settings/mail", say("Mail"), say("The mail server that takes the letter.")),
        ("/settings/letter", say("Letter"), say("Who gets the monthly letter, and when.")),
        ("/settings/schedule", say("Schedule"), say("When connections are read, and what else runs.")),
        ("/settings/users", say("Users"), say("Who may look, and who may change.")),
        ("/settings/tokens", say("API tokens"), say("Keys for programs of your own.")),
        ("/settings/backup", say("Backup"), say("Make one, download it, put one back.")),
        ("/settings/keys", say("Keys"), say("The key that seals credentials.")),
        ("/settings/trail", say("Audit trail"), say("Who did what, when and from where.")),
        ("/settings/about", say("About"), say("Version, place of the data, and health.")),
    ]


def show_part(request: Request, visitor: Visitor, name: str, values: Mapping[str, Any], status: int = 200) -> Response:
    """A page of the settings, with the way to the others. `problem` is what was wrong with a form."""
    shared = {"here": f"/settings/{name}", "menu": parts(request, visitor), "planned": planned(request, visitor)}
    return show(request, f"settings/{name}.html.j2", {"problem": "", "about": "", **shared, **values}, status)


def planned(request: Request, visitor: Visitor) -> str | None:
    """The backup that takes the place of the ledger at the next start, for whoever can still take that back."""
    return backups.planned(deps_of(request).settings) if visitor.role == OWNER else None
