"""`tracker doctor`: what is wrong, and what to do next."""

from typing import Annotated

import typer

from tracker.cli.ground import PARTIAL, now, out, print_json
from tracker.connect.declared import folder
from tracker.doctor import examine
from tracker.settings import load_settings
from tracker.statements.profiles import shelf

_MARKS = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}


def doctor(as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """Say what is wrong and what to do next. Exit code 0: nothing needs you, 1: something does."""
    settings, findings = load_settings(), []
    folder.look_in(settings.data_dir)
    shelf.look_in(settings.data_dir / "statements")
    for finding in examine(settings, now()):
        findings.append(finding)
        if not as_json:
            out.print(f"{_MARKS[finding.state]}  {finding.check}: {finding.message}", markup=False)
            for line in finding.lines:
                out.print(f"           {line}", markup=False)
            if finding.next:
                out.print(f"           -> {finding.next}", markup=False)
    problems = sum(finding.state == "problem" for finding in findings)
    if as_json:
        print_json({"problems": problems, "findings": findings})
    else:
        out.print("Nothing needs you." if not problems else f"Needs you: {problems}.")
    raise typer.Exit(PARTIAL if problems else 0)
