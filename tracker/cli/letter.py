"""`tracker letter`: the monthly letter as text, HTML, mail or figures."""

import sys
from dataclasses import asdict, fields
from email.message import EmailMessage
from typing import Annotated, Any

import typer
from rich.console import Console

from tracker import letter as letters
from tracker.cli import asked, mrr
from tracker.cli.ground import FAILED, err, open_ledger, out, print_json
from tracker.connections import Deps
from tracker.delivery import Outcome, send_now, troubles
from tracker.errors import UsageError
from tracker.mail import compose
from tracker.months import following, label, month_of, read_month
from tracker.store.database import reading
from tracker.summary import Before, MonthlySummary, of_letter

FORMATS = ("text", "html", "json", "eml")
#: Where a mail is from and to that is only looked at (RFC 2606: such a domain never exists).
_NOBODY = "nobody@example.invalid"


def letter(
    month: Annotated[
        str | None, typer.Argument(metavar="MONTH", help="Such as 2026-06; the newest full month when left out.")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", metavar="WORD", help="text (unless it is sent), html, json or eml.")
    ] = None,
    send: Annotated[bool, typer.Option("--send", help="Send it to everybody who has not got it.")] = False,
    again: Annotated[bool, typer.Option("--again", help="With --send: also to those who have got it.")] = False,
) -> None:
    """The letter about a month: what came in, what was taken back, what is open, and what needs a hand."""
    shown = None if form is None and send else asked.choice(form or "text", FORMATS, "--format")
    wanted = read_month(month, "MONTH") if month else None
    if again and not send:
        raise UsageError("--again goes with --send.")
    deps = open_ledger()
    wanted = wanted or newest_full_month(deps)
    if shown:
        show(deps, wanted, shown)
    if send:
        hand_over(deps, wanted, again=again, told=err if shown else out)
    else:
        with reading(deps.engine) as conn:
            for trouble in troubles(conn, deps.settings, deps.now()):
                err.print(trouble.message, markup=False)


def hand_over(deps: Deps, month: int, *, again: bool, told: Console) -> None:
    """Send it and say what became of it; exit code 2 unless all have got it."""
    done = send_now(deps, month, again=again)
    for one in done:
        told.print(one.message, markup=False)
    if any(one.outcome not in (Outcome.SENT, Outcome.ALREADY) for one in done):
        raise typer.Exit(FAILED)


def show(deps: Deps, month: int, form: str) -> None:
    summary = of_letter(deps.engine, deps.settings, month, deps.now())
    if form == "json":
        print_json(told(summary))
        return
    written = letters.write(summary)
    if form == "text":
        out.file.write(written.text)
        return
    # Bytes, because both say in themselves how they are encoded, whatever the terminal's encoding is.
    sys.stdout.flush()
    sys.stdout.buffer.write(written.html.encode() if form == "html" else as_mail(summary, written, deps).as_bytes())


def newest_full_month(deps: Deps) -> int:
    return following(month_of(deps.now(), deps.settings.zone), -1)


def as_mail(summary: MonthlySummary, written: letters.Letter, deps: Deps) -> EmailMessage:
    """The mail to the first recipient of the settings, to be looked at: sending makes its own."""
    sender = deps.settings.letter_from or _NOBODY
    return compose(
        written,
        sender=sender,
        recipient=next(iter(deps.settings.letter_to), _NOBODY),
        message_id=f"<letter-{label(summary.month)}@{sender.rpartition('@')[2]}>",
        date=summary.made_at.astimezone(deps.settings.zone),
    )


def told(s: MonthlySummary) -> dict[str, Any]:
    """The summary for scripts, which rely on these names."""
    return {field.name: getattr(s, field.name) for field in fields(s)} | {
        "month": label(s.month),
        "last_month": _before(s.last_month),
        "last_year": _before(s.last_year),
        "pending": [{**asdict(one), "oldest": label(one.oldest)} for one in s.pending],
        "begins": s.begins and label(s.begins),
        "mrr": mrr.told(s.mrr) if s.mrr else None,
    }


def _before(before: Before) -> dict[str, Any]:
    return {**asdict(before), "month": label(before.month)}
