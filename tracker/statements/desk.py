"""Imports that run beside the pages: a file is read on a thread of its own, shown, and imported when a person says so.

What is under way lives in this process. If that ends, the file is read anew; an import that was broken off is repeated.
"""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import msgspec
import structlog

from tracker.connections import Deps
from tracker.errors import TrackerError, UsageError
from tracker.records import Role
from tracker.statements import importing, upload
from tracker.statements.headers import likely_header
from tracker.statements.importing import Report
from tracker.statements.preview import Preview, preview
from tracker.statements.profiles.profile import Profile
from tracker.statements.reading import open_file
from tracker.statements.statement import Asked, settle
from tracker.statements.understood import fitting, understand

log = structlog.get_logger()
#: Files whose story is remembered.
REMEMBERED = 50
#: Columns that a person is asked about.
COLUMNS_MAX = 60


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a person says about a file; empty: to be found out."""

    profile: str = ""
    connection: str = ""
    stream: str = ""
    asked: Asked = Asked()


class Job(msgspec.Struct, kw_only=True):
    """One file. `state` is reading, understood, refused, importing, done or failed."""

    token: str
    path: Path
    said: Said = Said()
    state: str = "reading"
    problem: str = ""
    columns: list[str] = []  # of a file that no profile knows
    found: Preview | None = None
    note: str = ""
    goes_to: str = ""
    is_new: bool = False
    counts: bool = True
    report: Report | None = None

    @property
    def busy(self) -> bool:
        return self.state in ("reading", "importing")


class Desk:
    """All imports of one process, one at a time."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock, self._turn = Lock(), Lock()

    def job(self, token: str) -> Job | None:
        """The story of a file; one that another process left is read anew. None for a file that is gone."""
        with self._lock:
            known = self._jobs.get(token)
        if known is not None:
            return known
        path = upload.find(self._deps.settings.data_dir, token)
        return None if path is None else self.read(token, path)

    def read(self, token: str, path: Path, said: Said | None = None) -> Job:
        """Begin to find out what a file is."""
        job = Job(token=token, path=path, said=said or Said())
        with self._lock:
            self._jobs[token] = job
            while len(self._jobs) > REMEMBERED:
                self._jobs.popitem(last=False)
        self._start(job, self._understand)
        return job

    def take(self, job: Job) -> None:
        """Begin to import a file that was understood."""
        with self._lock:
            if job.state != "understood":
                raise UsageError("this file is not waiting to be imported.", hint="Look at it again.")
            job.state = "importing"
        self._start(job, self._import)

    def drop(self, token: str) -> None:
        with self._lock:
            self._jobs.pop(token, None)
        upload.drop(self._deps.settings.data_dir, token)

    def _start(self, job: Job, work: Callable[[Job], None]) -> None:
        def run() -> None:
            with self._turn:
                try:
                    work(job)
                except TrackerError as error:
                    job.problem, job.state = str(error), "failed" if job.state == "importing" else "refused"
                except Exception:
                    log.exception("import failed", file=job.path.name)
                    job.problem, job.state = "A fault of the tracker itself; its log says more.", "failed"

        Thread(target=run, name="import", daemon=True).start()

    def _understand(self, job: Job) -> None:
        deps, said = self._deps, job.said
        opened = open_file(job.path)
        try:
            matches = fitting(opened, said.profile)
        except UsageError:
            job.columns = [str(cell) for cell in likely_header(opened) or [] if cell][:COLUMNS_MAX]
            raise
        statement = settle(opened, matches, said.asked)
        row = importing.find_connection(deps, statement.profile, said.connection or None)
        options = _options(row, statement.profile, said)
        job.found = preview(statement, options, deps.now())
        job.goes_to, job.is_new = (row.slug, False) if row else (said.connection or statement.profile.slug, True)
        job.note = statement.profile.note
        job.counts = row is not None or importing.role_of(deps, statement.profile) != Role.ENRICHMENT
        if not job.found.records:
            faults = " ".join(job.found.first_faults)
            raise UsageError(f"nothing in it can be imported. {faults}".strip())
        job.state = "understood"

    def _import(self, job: Job) -> None:
        deps, said = self._deps, job.said
        statement = understand(job.path, said.profile, said.asked)
        slug = said.connection or None
        row = importing.find_connection(deps, statement.profile, slug)
        row = row or importing.make_connection(deps, statement.profile, slug, stream=said.stream or None)

        def tell(report: Report) -> None:
            job.report = report

        job.report = importing.import_statement(deps, row, statement, tell)
        job.state = "done"
        upload.drop(deps.settings.data_dir, job.token)


def _options(row: Any, profile: Profile, said: Said) -> dict[str, str]:
    return dict(row.options) if row else {"account": said.connection or profile.slug}
