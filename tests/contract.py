"""What the contract test looks into a connector with: the words of its closed lists, and what its plan asks for."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import FunctionType, MethodType
from typing import Any

import msgspec

from tracker.connect.connector import Connector
from tracker.connect.fields import Field
from tracker.connect.plans import Axis, Format, When, Windows, iso_z
from tracker.records import PayoutStatus, Settlement, Status, SubscriptionStatus

STATUSES = Status | Settlement | PayoutStatus | SubscriptionStatus


# --- the words of closed lists ---


class Noted(dict[Any, Any]):
    """The words of a `one_of`, and which of them were looked up."""

    def __init__(self, path: str, words: Mapping[Any, Any]) -> None:
        super().__init__(words)
        self.path = path
        self.source = id(words)  # a provider may write the same words at two places
        self.met: set[Any] = set()

    def __getitem__(self, word: Any) -> Any:
        found = super().__getitem__(word)
        self.met.add(word)
        return found


@contextmanager
def noted_words(connector: Connector) -> Iterator[list[Noted]]:
    """The closed lists of statuses that a connector reads with, however deep in its functions, noting what is met.

    Put back at the end.
    """
    converts = [one for one in reachable(connector) if getattr(one, "__qualname__", "") == "one_of.<locals>.convert"]
    cells = [dict(zip(one.__code__.co_freevars, one.__closure__, strict=True)) for one in converts]
    cells = [
        cell for cell in cells if any(isinstance(value, STATUSES) for value in cell["words"].cell_contents.values())
    ]
    before = [cell["words"].cell_contents for cell in cells]
    noted = [Noted(cell["dotted"].cell_contents, cell["words"].cell_contents) for cell in cells]
    for cell, words in zip(cells, noted, strict=True):
        cell["words"].cell_contents = words
    try:
        yield noted
    finally:
        for cell, words in zip(cells, before, strict=True):
            cell["words"].cell_contents = words


def reachable(start: object) -> list[Any]:
    """Every function that a connector is made of: in its values, in closures and called by name."""
    found: dict[int, Any] = {}
    waiting: list[Any] = [start]
    while waiting:
        one = waiting.pop()
        if id(one) in found or isinstance(one, type):
            continue
        if isinstance(one, msgspec.Struct):
            inner = list(msgspec.structs.asdict(one).values())
        elif isinstance(one, Field):
            inner = [one.convert, one.convert_in_row, one.read]
        elif isinstance(one, Mapping):
            inner = list(one.values())
        elif isinstance(one, tuple | list | set | frozenset):
            inner = list(one)
        elif isinstance(one, MethodType):
            inner = [one.__func__, one.__self__]
        elif isinstance(one, FunctionType) and one.__module__.startswith(("connectors.", "tracker.connect.")):
            seen = inspect.getclosurevars(one)
            inner = [*seen.nonlocals.values(), *seen.globals.values(), *(one.__defaults__ or ())]
            inner += _inside(one, one.__code__)
        else:
            continue
        found[id(one)] = one
        waiting += inner
    return [one for one in found.values() if isinstance(one, FunctionType)]


def _inside(function: FunctionType, code: Any) -> list[Any]:
    """What lambdas and comprehensions inside a function name."""
    found = []
    for constant in code.co_consts:
        if inspect.iscode(constant):
            found += [function.__globals__[name] for name in constant.co_names if name in function.__globals__]
            found += _inside(function, constant)
    return found


# --- what a plan asks for ---


def place_of(form: Format) -> Any:
    """The zone whose clock a time is written by: that of `local`, else UTC."""
    named = inspect.getclosurevars(form).nonlocals if isinstance(form, FunctionType) else {}
    return named.get("place", UTC)


def finest(form: Format) -> timedelta:
    """The step of time that a form shows: a day, a minute or a second."""
    noon = datetime(2026, 6, 15, 12, 30, 30, tzinfo=UTC)
    for step in (timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)):
        if form(noon) != form(noon + step):
            return step
    return timedelta(days=1)


def clock(form: Format) -> Callable[[datetime], datetime]:
    """The time as the provider reads it from a request: by the clock on the wall, without what the form leaves out."""
    place, step = place_of(form), finest(form)

    def read(time: datetime) -> datetime:
        wall = time.astimezone(place).replace(tzinfo=UTC)  # only to compare it with others on the same wall
        return wall - (wall - datetime(2000, 1, 1, tzinfo=UTC)) % step

    return read


class NothingKnown:
    def open_ids(self, after: str, limit: int) -> list[str]:
        return []

    def payouts_to_itemise(self, limit: int) -> list[str]:
        return []


def lost(plan: Windows, syncs: list[datetime], made: list[datetime], since: datetime) -> list[datetime]:
    """Which rows that were made at these times are not found by the first sync that comes an hour later.

    The provider compares as it reads: on the clock of the form, both ends included, `since` not where it is exclusive.
    The hour is the one in which a clock on the wall shows what it showed before.
    """
    axis = next(axis for axis in plan.axes if axis.backfill)
    read = clock(axis.form or plan.form)
    plain = msgspec.structs.replace(axis, form=None)
    told = msgspec.structs.replace(plan, form=iso_z, axes=(plain,), reread=None)
    state: dict[str, str] = {}
    missing, overdue = set(made), []
    for now in syncs:
        for leg in told.legs(dict(state), When(now=now, since=since), NothingKnown(), lambda leg: iter(())):
            missing -= {time for time in missing if time <= now and _within(leg.params, plain, read, time)}
            state.update(leg.done)
        overdue += sorted(time for time in missing if time <= now - timedelta(hours=1))
        missing -= set(overdue)
    return overdue


def _within(params: Mapping[str, str], axis: Axis, read: Callable[[datetime], datetime], time: datetime) -> bool:
    low = read(datetime.fromisoformat(params[axis.since]))
    high = read(datetime.fromisoformat(params[axis.until])) if axis.until else None
    wall = read(time)
    return (low < wall if axis.exclusive else low <= wall) and (high is None or wall <= high)
