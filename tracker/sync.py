"""One connection, start to finish: the straight line that worker, command line and web button all run.

    claim → for each resource: where to resume → for each page: new or changed? → keep, normalise, write → commit …
          → settle, pair, classify, roll up → release, record the run

A page is one transaction, and none is open while the provider answers.
"""

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Engine, and_, insert, or_, select, update
from sqlalchemy.exc import DBAPIError

from tracker import connections, inbound, ledger, rates, schedule
from tracker.connect.connector import Resource
from tracker.connect.fetch import Client
from tracker.connect.paging import Step
from tracker.connect.plans import Leg, When
from tracker.connect.rows import Page, decode, digest
from tracker.connections import Deps
from tracker.errors import (
    AuthRejected,
    DataError,
    NotFound,
    ProviderError,
    RateLimited,
    RightMissing,
    TrackerError,
    Unavailable,
    UnexpectedData,
)
from tracker.finish import finish
from tracker.ledger import Book, Taken, payout_t
from tracker.place import Place
from tracker.records import Settlement, Status
from tracker.store import writes
from tracker.store.database import database_errors, explained, reading
from tracker.store.writes import connection_t, earning_t, run_t, state_t
from tracker.stored import take_up

Outcome = Literal["ok", "partial", "failed"]
#: A run that somebody stopped is no failure: it stays due.
INTERRUPTED = UnexpectedData("interrupted.", hint="The next sync goes on from here.")
#: Seconds between tries to write down how a run ended, when the database went away under it.
RECORD_AGAIN_S = (1.0, 4.0, 15.0)
#: How often a run writes down its counts while it goes on.
TELL = timedelta(seconds=1)
#: A full list that held fewer rows than this may become empty; a longer one is doubted.
EMPTY_MAX = 5


class Progress(msgspec.Struct, frozen=True):
    """Where a run is. `part` names the window or list that is being read."""

    slug: str
    resource: str
    part: str
    pages: int
    rows: int
    new: int
    changed: int


class Report(msgspec.Struct, kw_only=True):
    """How a run went. `message` says what is wrong and what to do next."""

    slug: str
    outcome: Outcome = "ok"
    pages: int = 0
    rows: int = 0
    new: int = 0
    changed: int = 0
    quarantined: int = 0
    error: str | None = None
    message: str | None = None
    next_sync_at: datetime | None = None
    notes: list[str] = []

    def add(self, taken: Taken) -> None:
        self.pages += 1
        self.rows += taken.rows
        self.new += taken.new
        self.changed += taken.changed
        self.quarantined += taken.quarantined


def sync(
    deps: Deps,
    connection_id: int,
    *,
    since: datetime | None = None,
    due_at: datetime | None = None,
    progress: Callable[[Progress], None] = lambda progress: None,
) -> Report:
    """Bring one connection up to date. With `since` everything from there is read again.

    With `due_at` only if that still is its next time, which every run moves: so a doubled message does nothing.

    Raises UsageError when somebody else is syncing it or has, and ConfigError when the database takes not even the
    start of a run; every other trouble ends in the report.
    """
    # A page is thousands of small objects, none of which refer to themselves: nothing for the collector to find, but at
    # Python's usual threshold it walks them several times a page, which took a fifth of the time.
    gc.set_threshold(max(gc.get_threshold()[0], 50_000), *gc.get_threshold()[1:])
    now = deps.now()
    with database_errors(deps.engine), deps.engine.begin() as conn:
        lease = schedule.claim(conn, connection_id, now, due_at=due_at)
        take_up(deps, conn)
        row = conn.execute(select(connection_t).where(connection_t.c.id == connection_id)).one()
        connections.check_synced(row)
        _close_dead_runs(conn, connection_id, now)
        run_id = conn.execute(insert(run_t).values(connection_id=connection_id, started_at=now)).inserted_primary_key[0]  # type: ignore[index]
    report = Report(slug=row.slug)
    trouble: BaseException | None = None
    try:
        run = _Run(deps, row, int(run_id), lease, now, since, report, progress)
        run.read()
    except (TrackerError, DBAPIError) as error:
        trouble = error
    except Exception as error:
        fault = UnexpectedData(f"the tracker stumbled ({type(error).__name__}).", hint="Nothing was lost; see its log.")
        _finish(deps, row, int(run_id), now, lease, report, fault)
        raise
    except BaseException:
        _finish(deps, row, int(run_id), now, lease, report, INTERRUPTED)
        raise
    _finish(deps, row, int(run_id), now, lease, report, trouble)
    return report


class _Run:
    """The state of one run; its methods are the steps of the line."""

    def __init__(
        self, deps: Deps, row: Any, run_id: int, lease: str, now: datetime, since: datetime | None, report: Report,
        progress: Callable[[Progress], None],
    ) -> None:  # fmt: skip
        self.deps, self.row, self.lease, self.report, self.progress = deps, row, lease, report, progress
        self.kept = self.told = now  # when the lease was last prolonged, and the run's counts written down
        self.client: Client = connections.open_client(deps, row)
        self.when = When(now=now, since=since or row.since or _backfill_start(deps, now), again=since is not None)
        with reading(deps.engine) as conn:
            known_rates = rates.load_rates(conn)
            finished = and_(earning_t.c.connection_id == row.id, ~earning_t.c.fresh)
            newest = conn.execute(
                select(earning_t.c.id).where(finished).order_by(earning_t.c.id.desc()).limit(1)
            ).scalar()
        self.book = Book(
            connection_id=row.id,
            connector=self.client.connector,
            options=self.client.options,
            stream_id=row.stream_id,
            run_id=run_id,
            now=now,
            zone=deps.settings.zone,
            currency=deps.settings.currency,
            rates=known_rates,
            newest=newest,
            name=lambda text: deps.vault.pseudonym("payer", text),
        )

    def read(self) -> None:
        """Every resource, then the steps after the pages; a resource in trouble does not stop the others."""
        troubles: list[TrackerError] = []
        try:
            for taken in inbound.take(self.deps.engine, self.book, self._keep_lease):
                self.report.add(taken)
            for resource in self.client.connector.resources:
                try:
                    self.read_resource(resource)
                except (ProviderError, DataError) as error:
                    if isinstance(error, ProviderError) and resource.absent is not None and resource.absent(error):
                        self.report.notes.append(f"{resource.name}: this account does not have it.")
                    elif isinstance(error, AuthRejected | RateLimited) and not isinstance(error, RightMissing):
                        raise  # nothing else will be answered either
                    else:
                        error.message = f"{resource.name}: {error.message}"
                        troubles.append(error)
        finally:
            self.finish_ledger()
        if troubles:
            raise troubles[0]

    # --- one resource ---

    def read_resource(self, resource: Resource) -> None:
        with reading(self.deps.engine) as conn:
            found = conn.execute(
                select(state_t).where(state_t.c.connection_id == self.row.id, state_t.c.resource == resource.name)
            ).first()
        place = Place(
            dict(found.state) if found else {}, found.resume if found else None, found.revision if found else 0
        )
        known = _Known(self.deps.engine, self.row.id, resource.name)
        for _ in range(2):
            legs = resource.plan.legs(dict(place.state), self.when, known, lambda leg: self._read_only(resource, leg))
            for leg in legs:
                begun = place.begun(leg)
                self.read_leg(resource, begun or leg, place)
                if begun and (begun.params, begun.done) != (leg.params, leg.done):
                    break  # it was finished as it was begun: plan anew for what came since then
            else:
                return

    def _read_only(self, resource: Resource, leg: Leg) -> Iterator[Page]:
        for _, page, _ in self.client.pages(resource, leg):
            yield page

    def read_leg(self, resource: Resource, leg: Leg, place: Place) -> None:
        start, place.resume = place.start_of(leg), None
        seen: set[str] = set()
        whole = start is None
        try:
            if leg.path != "":
                for step, page, following in self.client.pages(resource, leg, start):
                    keys, unchanged = self.take_page(resource, leg, step, page, following, place)
                    seen.update(keys)
                    if leg.stop_before and self._reached(leg, page, unchanged):
                        break
        except NotFound:
            if not leg.single:
                raise
        with self.deps.engine.begin() as conn:
            self._keep_lease(conn)
            if whole and (leg.snapshot or leg.window):
                self.withdraw_unseen(conn, resource, leg, seen)
            if leg.payout:
                itemised = and_(payout_t.c.connection_id == self.row.id, payout_t.c.external_id == leg.payout)
                conn.execute(update(payout_t).where(itemised).values(itemised_at=self.book.now, settled_as=None))
            place.begin(leg)
            place.finish(leg)
            writes.save_place(
                conn, self.row.id, resource.name, {"state": place.state, "resume": None, "revision": place.revision}
            )

    def take_page(
        self, resource: Resource, leg: Leg, step: Step, page: Page, following: Step | None, place: Place
    ) -> tuple[Sequence[str], bool]:
        """Write one page in one transaction. Answers the ids of its rows and whether nothing in it was new."""
        self._prolong()
        if not page.rows and following is None:  # most answers of most days: that it was read is noted with its leg
            self.report.add(Taken())
            self._tell(resource, leg)
            return (), True
        key = f"{leg.key}|{digest(msgspec.json.encode(step)).hex()}"
        mark = digest(page.body)
        full = leg.snapshot or leg.window is not None  # these need the ids of every row
        with reading(self.deps.engine) as conn:
            if not full and writes.page_seen(conn, self.row.id, resource.name, key, mark, place.revision):
                self.report.add(Taken(rows=len(page.rows)))
                self._tell(resource, leg)
                return (), True
            keys = ledger.keys_of(resource, page.rows)
            known = writes.known_rows(conn, self.row.id, resource.name, [key for key in keys if key])
        sifted = ledger.sift(self.book, resource, keys, page.rows, known, lambda row: self.client.detail(resource, row))
        with self.deps.engine.begin() as conn:
            self._keep_lease(conn)
            taken = ledger.write(conn, self.book, resource, sifted)
            place.begin(leg)
            place.revision += bool(taken.changed)
            if not taken.quarantined:
                writes.remember_page(conn, self.row.id, resource.name, key, mark, place.revision)
            resume = None
            if following and (leg.paging or resource.paging).resumable:
                resume = {
                    "leg": leg.key, "params": dict(leg.params), "done": dict(leg.done),
                    "step": msgspec.to_builtins(following),
                }  # fmt: skip
            values = {"state": place.state, "resume": resume, "revision": place.revision}
            writes.save_place(conn, self.row.id, resource.name, values)
        self.report.add(taken)
        self._tell(resource, leg)
        return sifted.keys, not (taken.new or taken.changed)

    def _reached(self, leg: Leg, page: Page, unchanged: bool) -> bool:
        """Whether a listing from the newest row back has come to rows that are old and known (or before the start)."""
        if leg.time is None or leg.stop_before is None or not page.rows:
            return False
        try:
            oldest: datetime = leg.time.read(decode(page.rows[-1]))
        except (DataError, UnexpectedData):  # that row went to quarantine; another will tell
            return False
        return oldest < leg.stop_before and (unchanged or leg.stop_before <= self.when.since)

    def withdraw_unseen(self, conn: Connection, resource: Resource, leg: Leg, seen: set[str]) -> None:
        """Rows of a full list or of a restated window that no longer come are gone."""
        r = writes.raw_row_t
        kept = conn.execute(
            select(r.c.key, r.c.made).where(r.c.connection_id == self.row.id, r.c.resource == resource.name)
        )
        gone = {row.key: row.made or [row.key] for row in kept if row.key not in seen}
        if leg.snapshot and not seen and len(gone) >= EMPTY_MAX:
            raise UnexpectedData(
                f"the list came back empty, although {len(gone)} rows were in it; nothing was ended.",
                hint="The key may have lost a right. If all are really gone, remove the connection or pause it.",
            )
        if leg.window and gone:
            low, high = leg.window
            mine = and_(earning_t.c.connection_id == self.row.id, earning_t.c.resource == resource.name)
            inside = select(earning_t.c.external_id).where(
                mine, earning_t.c.earned_at >= low, earning_t.c.earned_at < high
            )
            ids = set(conn.execute(inside).scalars())
            gone = {key: made for key, made in gone.items() if ids.intersection(made)}
        ledger.withdraw(conn, self.book, resource.name, [external_id for made in gone.values() for external_id in made])
        for part in writes.chunks(list(gone)):  # should such a row come back, it is new again
            conn.execute(
                r.delete().where(r.c.connection_id == self.row.id, r.c.resource == resource.name, r.c.key.in_(part))
            )

    def _keep_lease(self, conn: Connection) -> None:
        if not writes.touch_lease(conn, self.row.id, self.lease, self.deps.now() + schedule.LEASE):
            raise Unavailable(
                "another process took over this connection.", hint="Nothing is lost: it goes on from here."
            )
        self.kept = self.deps.now()

    def _prolong(self) -> None:
        """Pages that are as before write nothing: where they are many, the lease must not run out under them."""
        if self.deps.now() - self.kept > schedule.LEASE / 4:
            with self.deps.engine.begin() as conn:
                self._keep_lease(conn)

    def _tell(self, resource: Resource, leg: Leg) -> None:
        r = self.report
        self.progress(Progress(r.slug, resource.name, leg.key, r.pages, r.rows, r.new, r.changed))
        if self.deps.now() - self.told >= TELL:  # for who looks on; most runs are over before
            with self.deps.engine.begin() as conn:
                conn.execute(update(run_t).where(run_t.c.id == self.book.run_id).values(_counts(r)))
            self.told = self.deps.now()

    # --- after the pages ---

    def finish_ledger(self) -> None:
        with self.deps.engine.begin() as conn:
            if writes.touch_lease(conn, self.row.id, self.lease, self.deps.now() + schedule.LEASE):
                finish(conn, self.book)  # else whoever took over finishes what is fresh at its own end


class _Known:
    """What plans may ask the ledger."""

    def __init__(self, engine: Engine, connection_id: int, resource: str) -> None:
        self._engine, self._connection_id, self._resource = engine, connection_id, resource

    def open_ids(self, after: str, limit: int) -> list[str]:
        e = earning_t.c
        open_ = or_(e.status == Status.PENDING, and_(e.status == Status.APPROVED, e.settlement != Settlement.PAID))
        query = select(e.external_id).where(
            e.connection_id == self._connection_id, e.resource == self._resource, e.external_id > after, open_
        )
        with reading(self._engine) as conn:
            return list(conn.execute(query.order_by(e.external_id).limit(limit)).scalars())

    def payouts_to_itemise(self, limit: int) -> list[str]:
        p = payout_t.c
        query = select(p.external_id).where(p.connection_id == self._connection_id, p.itemised, p.itemised_at.is_(None))
        with reading(self._engine) as conn:
            return list(conn.execute(query.order_by(p.created_at).limit(limit)).scalars())


# --- before and after ---


def _backfill_start(deps: Deps, now: datetime) -> datetime:
    return datetime.combine(deps.settings.backfill_from(now.date()), datetime.min.time(), UTC)


def _close_dead_runs(conn: Connection, connection_id: int, now: datetime) -> None:
    """A run that was killed could not say so itself."""
    dead = and_(run_t.c.connection_id == connection_id, run_t.c.finished_at.is_(None))
    conn.execute(
        update(run_t)
        .where(dead)
        .values(finished_at=now, outcome="failed", error="Killed", message="The process ended.")
    )


def _finish(
    deps: Deps, row: Any, run_id: int, started: datetime, lease: str, report: Report, trouble: BaseException | None
) -> None:
    """Record the run and move the connection's next time."""
    now = deps.now()
    values: dict[str, Any] = {"last_error": None, "failures": 0}
    pause: timedelta | None = None
    if trouble is None:
        report.outcome = "partial" if report.quarantined else "ok"
        values["as_of"] = started
    else:
        report.outcome, report.error, report.message = "failed", type(trouble).__name__, _told(trouble, deps.engine)
        failures = row.failures + 1
        asked = trouble.retry_after_s if isinstance(trouble, RateLimited) else None
        chance = random.Random(run_id)  # noqa: S311 - spreads retries, no secret
        pause = timedelta(seconds=round(schedule.back_off_s(failures, asked, chance)))
        values |= {"last_error": report.message, "failures": failures}
        if isinstance(trouble, AuthRejected) and not isinstance(trouble, RightMissing):
            values |= {"paused_at": now, "paused_reason": report.message}
    said = {name: getattr(report, name) for name in ("outcome", "error", "message")}
    for wait_s in (*RECORD_AGAIN_S, None):
        try:
            with deps.engine.begin() as conn:
                if trouble is INTERRUPTED:  # its next time stays, also where somebody moved it meanwhile
                    own = select(connection_t.c.next_sync_at).where(connection_t.c.id == row.id)
                    values, report.next_sync_at = {}, conn.execute(own).scalar()
                elif "paused_at" not in values:
                    report.next_sync_at = schedule.next_time(conn, row.id, now, deps.settings.zone, pause)
                if at := report.next_sync_at:  # a paused connection keeps the time that it has
                    values["next_sync_at"] = at if pause else schedule.unless_asked(row, at)
                schedule.release(conn, row.id, lease, values)
                conn.execute(
                    update(run_t).where(run_t.c.id == run_id).values(finished_at=now, **said, **_counts(report))
                )
            return
        except DBAPIError as error:
            if wait_s is None:  # the lease runs out by itself, and the next run closes this one
                if trouble is None:
                    told = _told(error, deps.engine)
                    report.outcome, report.error, report.message = "failed", type(error).__name__, told
                return
        (deps.sleep or time.sleep)(wait_s)


def _counts(report: Report) -> dict[str, int]:
    return {name: getattr(report, name) for name in ("pages", "rows", "new", "changed", "quarantined")}


def _told(trouble: BaseException, engine: Engine) -> str:
    if isinstance(trouble, DBAPIError):
        return f"{explained(trouble, engine)} What was written before is safe; the next sync goes on from there."
    return str(trouble)
