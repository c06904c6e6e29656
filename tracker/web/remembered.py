"""What a web process has worked out and may show again: while the ledger is as it was, and for a minute at most."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, TypeVar, cast

from tracker.store.revision import Revision

AGE = timedelta(minutes=1)
_NEVER = datetime.min.replace(tzinfo=UTC)
T = TypeVar("T")


@dataclass
class _Entry:
    lock: Lock = field(default_factory=Lock)
    value: Any = None
    revision: str | None = None  # None: not made yet
    made_at: datetime = _NEVER


class Remembered:
    """Values by key; those that nobody asked for longest are forgotten first."""

    def __init__(self, revision: Revision, *, most: int = 64) -> None:
        self._revision, self._most = revision, most
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, now: datetime, make: Callable[[], T]) -> T:
        """The value of a key. Where many ask at once for one that must be made, one makes it and the others wait."""
        with self._lock:
            entry = self._entries.pop(key, None) or _Entry()
            self._entries[key] = entry
            if len(self._entries) > self._most:
                self._entries.popitem(last=False)
        with entry.lock:
            revision = self._revision.now()  # before it is made: what is written meanwhile makes it old
            if entry.revision != revision or not timedelta() <= now - entry.made_at < AGE:
                entry.value, entry.revision, entry.made_at = make(), revision, now
            return cast(T, entry.value)
