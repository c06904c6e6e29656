"""Sync plans: which requests bring a resource up to date, from what is known about the last time.

A plan yields legs. A leg is one listing (one window, one list of ids) that a pager walks; when it is finished, `done`
is merged into the resource's state, so that a killed run continues after the last finished leg. Plans are pure, apart
from asking `Known` for ids and, for a change feed, reading the feed through `read`.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec

from tracker.connect.fields import Field, Row, get
from tracker.connect.paging import Pager, single_page
from tracker.connect.rows import Page, decode
from tracker.errors import DataError, UnexpectedData

State = Mapping[str, str]
Format = Callable[[datetime], str]

#: No plan asks for more windows than this in one go: 40 years of days.
LEGS_MAX = 15_000


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One listing to walk.

    `key` names it the same way every time, for page digests and for resuming. `begin` is merged into the state where it
    says nothing yet, with the first page; `done` when the leg is finished, where an empty value forgets a name.
    `window`: rows earned inside it that no longer come are withdrawn; `snapshot`: the same for every row of the
    resource. `stop_before`: leave off at a page of known rows that are older. `single`: the answer is one row.
    `payout`: the payout whose earnings the leg lists; it stands in each row under "$payout".
    """

    key: str
    params: Mapping[str, str] = {}
    path: str | None = None
    begin: State = {}
    done: State = {}
    paging: Pager | None = None
    window: tuple[datetime, datetime] | None = None
    snapshot: bool = False
    stop_before: datetime | None = None
    time: Field | None = None
    single: bool = False
    payout: str | None = None


class Known(Protocol):
    """What a plan may ask the ledger about the resource's connection."""

    def open_ids(self, after: str, limit: int) -> list[str]:
        """Ids of earnings of this resource, in order, that are not yet paid nor refused."""

    def payouts_to_itemise(self, limit: int) -> list[str]:
        """Ids of payouts whose earnings have not been read since the payout last changed."""


class When(msgspec.Struct, frozen=True, kw_only=True):
    """`since` is where a first read starts; `again` says that the user asked to read from there once more."""

    now: datetime
    since: datetime
    again: bool = False


Read = Callable[[Leg], Iterator[Page]]


class Plan(Protocol):
    def legs(self, state: State, when: When, known: Known, read: Read) -> Iterator[Leg]: ...


# --- how providers write times ---


def iso_z(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_naive(time: datetime) -> str:
    """UTC without an offset."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def unix(time: datetime) -> str:
    return str(int(time.timestamp()))


def local(zone: str, form: str = "%Y-%m-%dT%H:%M:%S") -> Format:
    """Local time without an offset. Give the axis an overlap of an hour or more, because an autumn hour comes twice."""
    place = ZoneInfo(zone)
    return lambda time: time.astimezone(place).strftime(form)


# --- windows ---


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """One date that the provider can filter on. Without `backfill` it only follows changes from the first run on.
    `exclusive`: the provider leaves out what lies exactly at `since`, so windows that touch would lose it. `memory`:
    the provider refuses to look further back on this date. `form` where this date is written unlike the others."""

    name: str
    params: Mapping[str, str] = {}
    since: str
    until: str | None = None
    overlap: timedelta = timedelta(hours=1)
    backfill: bool = True
    exclusive: bool = False
    memory: timedelta | None = None
    form: Format | None = None


class Reread(msgspec.Struct, frozen=True, kw_only=True):
    """Ask again for earnings that are still open, by id, a chunk a call; at most so many a run, taking turns.

    The ids stand in `param`, or each by itself in the path `one` ("/actions/{id}"), whose answer is the row.
    """

    param: str = ""
    one: str = ""
    chunk: int = 1
    at_most: int
    params: Mapping[str, str] = {}


class Windows(msgspec.Struct, frozen=True, kw_only=True):
    """Time windows over one or more axes; `days` is the largest window that the provider takes, None for no limit."""

    axes: tuple[Axis, ...]
    days: int | None
    form: Format
    reread: Reread | None = None
    replace: bool = False

    def legs(self, state: State, when: When, known: Known, read: Read) -> Iterator[Leg]:
        # What is furthest behind comes first, so that runs which are always cut short at one place come to every axis.
        for axis in sorted(self.axes, key=lambda axis: state.get(_through(axis), "")):
            yield from self._legs(axis, state, when)
        if self.reread:
            yield from _open(self.reread, state, known)

    def _legs(self, axis: Axis, state: State, when: When) -> Iterator[Leg]:
        through = state.get(_through(axis))
        if through is None and not axis.backfill:
            return  # its place is set with the first page of the axis that reads the past
        if _ahead(through, axis.overlap, when.now):
            through = None
        usual = datetime.fromisoformat(through) - axis.overlap if through else when.since
        fresh = through is None or when.again
        start, begun = (when.since, when.now) if fresh else _cut_short(axis, state, when.now) or (usual, when.now)
        form = axis.form or self.form
        floor = when.now - axis.memory if axis.memory else datetime.min.replace(tzinfo=UTC)
        for number, (low, high) in enumerate(windows(max(start, floor), when.now, self.days, aligned=fresh)):
            done = {_through(axis): max(iso_z(min(high, begun)), through or "")}
            if high < when.now:
                done[_reached(axis)] = f"{iso_z(high)}/{iso_z(begun)}"
            elif number or _reached(axis) in state:
                done[_reached(axis)] = ""
            yield Leg(
                key=f"{axis.name}:{iso_z(low) if fresh else f'recent:{number}'}",
                params={
                    axis.since: form(max(low, floor) - timedelta(seconds=axis.exclusive)),
                    **({axis.until: form(high)} if axis.until else {}),
                    **axis.params,
                },
                begin={_through(one): iso_z(when.now) for one in self.axes if not one.backfill},
                # A part that the user asked for tells nothing about what lies before it and is not known yet.
                done={} if when.again and when.since > usual else done,
                window=(low, high) if self.replace else None,
            )


def _through(axis: Axis) -> str:
    return f"through:{axis.name}"


def _reached(axis: Axis) -> str:
    return f"reached:{axis.name}"


def _cut_short(axis: Axis, state: State, now: datetime) -> tuple[datetime, datetime] | None:
    """Where the windows that a run did not come to begin, and when it began; None where the last one came to all.

    Its successor goes on there, or windows that are read again every time would begin anew for ever. What it did read
    is known as of its beginning, so the place that the axis is in the end is not later than that.
    """
    reached, _, begun = state.get(_reached(axis), "").partition("/")
    if not begun or (start := datetime.fromisoformat(reached)) >= now:
        return None
    return start, datetime.fromisoformat(begun)


def _ahead(through: str | None, overlap: timedelta, now: datetime) -> bool:
    """Whether the last run's clock was so far ahead that what came since then would never be asked for.

    Then `through` tells nothing, and the past is read again. A clock that goes back by less is covered by the overlap.
    """
    return through is not None and datetime.fromisoformat(through) - overlap >= now


def _open(reread: Reread, state: State, known: Known) -> Iterator[Leg]:
    after, left = state.get("reread", ""), reread.at_most
    if after and not known.open_ids(after, 1):
        after = ""  # the last run ended with the last id: begin again
    while left > 0:
        ids = known.open_ids(after, min(reread.chunk, left))
        at_end = len(ids) < min(reread.chunk, left)
        if ids:
            yield Leg(
                key=f"open:{ids[0]}",
                params={**reread.params, **({} if reread.one else {reread.param: ",".join(ids)})},
                path=reread.one.replace("{id}", quote(ids[0], safe="")) if reread.one else None,
                paging=single_page if reread.one else None,
                single=bool(reread.one),
                done={"reread": "" if at_end else ids[-1]},
            )
        if at_end:
            return
        after, left = ids[-1], left - len(ids)


def windows(
    start: datetime, end: datetime, days: int | None, *, aligned: bool = False
) -> Iterator[tuple[datetime, datetime]]:
    """Cut [start, end] into windows of at most `days` days that touch each other and leave no gap.

    Cut in UTC, where every day has 24 hours. `aligned` starts at a multiple of the window since
    1970, so that reading the past again asks for the same windows as the first time.
    """
    if start >= end:
        start = end - timedelta(seconds=1)
    if days is None:
        yield start, end
        return
    size = timedelta(days=days)
    if aligned:
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        start = epoch + (start - epoch) // size * size
    for _ in range(LEGS_MAX):
        high = min(start + size, end)
        yield start, high
        if high >= end:
            return
        start = high
    raise UnexpectedData(f"more than {LEGS_MAX} windows would be needed.", hint="Choose a later date to start from.")


def updated_since(
    since: str,
    *,
    until: str | None = None,
    days: int | None = None,
    form: Format = iso_z,
    overlap: timedelta = timedelta(hours=1),
    params: Mapping[str, str] | None = None,
    exclusive: bool = False,
) -> Windows:
    """Rows changed since the last time; windows of `days` when `until` can close them."""
    axis = Axis(name="updated", since=since, until=until, overlap=overlap, params=params or {}, exclusive=exclusive)
    return Windows(axes=(axis,), days=days, form=form)


def created_since(
    since: str, *, look_back: timedelta, until: str | None = None, days: int | None = None, form: Format = iso_z
) -> Windows:
    """Rows made since the last time; those of the last `look_back` are read again, because they still change."""
    axis = Axis(name="created", since=since, until=until, overlap=look_back)
    return Windows(axes=(axis,), days=days, form=form)


def date_windows(days: int, *axes: Axis, form: Format, reread: Reread | None = None) -> Windows:
    """Windows over several dates: one that reads the past, others that follow changes of old rows."""
    return Windows(axes=axes, days=days, form=form, reread=reread)


def replace_window(since: str, until: str, *, days: int, look_back: timedelta, form: Format) -> Windows:
    """Figures that a provider restates (ads): the last `look_back` is read again, vanished rows are withdrawn."""
    axis = Axis(name="window", since=since, until=until, overlap=look_back)
    return Windows(axes=(axis,), days=days, form=form, replace=True)


# --- plans without a date filter ---


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The full list every time; what is no longer in it is gone."""

    def legs(self, state: State, when: When, known: Known, read: Read) -> Iterator[Leg]:
        yield Leg(key="all", snapshot=True, done={"through": iso_z(when.now)})


class Full(msgspec.Struct, frozen=True, kw_only=True):
    """The full list every time, where an absent row means nothing."""

    def legs(self, state: State, when: When, known: Known, read: Read) -> Iterator[Leg]:
        yield Leg(key="all", done={"through": iso_z(when.now)})


class NewestFirst(msgspec.Struct, frozen=True, kw_only=True):
    """Page from the newest row back to rows that are known and older than `rescan`. `time` is the field that sorts."""

    time: Field
    rescan: timedelta
    reread: Reread | None = None

    def legs(self, state: State, when: When, known: Known, read: Read) -> Iterator[Leg]:
        fresh = "through" not in state or when.again
        stop = when.since if fresh else when.now - self.rescan
        yield Leg(key="newest", stop_before=stop, time=self.time, done={"through": iso_z(when.now)})
        if self.reread:
            yield from _open(self.reread, state, known)


class WebhookOnly(msgspec.Struct, frozen=True, kw_only=True):
    """Rows only ever arrive by webhook."""

    def legs(self, state: State, when: When, known: Known, read: Read) -> Iterator[Leg]:
        return iter(())


class PerPayout(msgspec.Struct, frozen=True, kw_only=True):
    """List the earnings inside each payout that has not been itemised since it changed.

    The payout's id stands in `param`, or in the path `one` ("/payments/{id}/statement").
    """

    param: str = ""
    one: str = ""
    at_most: int = 200

    def legs(self, state: State, when: When, known: Known, read: Read) -> Iterator[Leg]:
        for payout in known.payouts_to_itemise(self.at_most):
            yield Leg(
                key=f"payout:{payout}",
                params={self.param: payout} if self.param else {},
                path=self.one.replace("{id}", quote(payout, safe="")) if self.one else None,
                payout=payout,
            )


class ChangeFeed(msgspec.Struct, frozen=True, kw_only=True):
    """Follow a feed of changes and read each changed object anew by its id.

    The feed remembers `memory`; after a longer silence, and the first time, the list is read in full. `id` is the path
    of the object's id in an event and `at` its time, `one` the path of one object with "{id}". `one_params` and
    `list_params` are for the object and for the full list alone: the resource's own parameters also go to the feed.

    Objects are read in the order of their last change, and each that was read moves the resource on to that change: a
    run that is cut short among them reads at most `overlap` of them again.
    """

    path: str
    params: Mapping[str, str]
    since: str
    form: Format
    memory: timedelta
    id: str
    at: Field
    one: str
    one_params: Mapping[str, str] = {}
    list_params: Mapping[str, str] = {}
    overlap: timedelta = timedelta(hours=1)
    at_most: int = 2_000

    def legs(self, state: State, when: When, known: Known, read: Read) -> Iterator[Leg]:
        through = state.get("through")
        ahead = _ahead(through, self.overlap, when.now)
        done = {"through": max(iso_z(when.now), "" if ahead else through or "")}
        start = datetime.fromisoformat(through) - self.overlap if through else when.since
        if not through or when.again or ahead or when.now - start > self.memory - timedelta(days=1):
            yield Leg(key="all", params=self.list_params, done=done)
            return
        feed = Leg(key="feed", path=self.path, params={**self.params, self.since: self.form(start)})
        changed: dict[str, str] = {}
        for page in read(feed):
            for row in page.rows:
                event = decode(row)
                name, time = self._id(event), iso_z(self.at.read(event))
                changed[name] = max(time, changed.get(name, through))
            if len(changed) > self.at_most:  # cheaper to list them all
                yield Leg(key="all", params=self.list_params, done=done)
                return
        for number, (object_id, time) in enumerate(sorted(changed.items(), key=lambda item: item[1]), start=1):
            yield Leg(
                key=f"one:{object_id}",
                path=self.one.replace("{id}", object_id),
                params=self.one_params,
                single=True,
                paging=single_page,
                done=done if number == len(changed) else {"through": min(time, done["through"])},
            )
        if not changed:
            yield Leg(key="nothing", path="", done=done)

    def _id(self, event: Row) -> str:
        found = get(event, self.id)
        if not isinstance(found, str) or not found or not found.replace("_", "").replace("-", "").isalnum():
            raise DataError(f"an event of the change feed has no id at {self.id!r}")
        return found


# --- again ---


def rewound(plan: Plan, state: State, start: datetime) -> dict[str, str]:
    """The state with which a plan reads again what came since `start`, and misses nothing that came meanwhile.

    A list that is read from its newest row back knows no other start than its first one, and a feed of changes may lack
    just what was missed. What a run that was cut short had come to is forgotten.
    """
    state = {name: value for name, value in state.items() if name.partition(":")[0] != "reached"}
    if isinstance(plan, NewestFirst | ChangeFeed):
        return {name: value for name, value in state.items() if name != "through"}
    earliest = iso_z(start)
    return {
        name: min(value, earliest) if name.partition(":")[0] == "through" else value for name, value in state.items()
    }
