"""A process that syncs what a worker hands to it, and ends a sync with its page when the worker is to stop."""

import os
import select
from collections.abc import Sequence
from functools import cached_property, partial
from math import inf
from time import monotonic

import msgspec

from tracker import jobs, schedule
from tracker.connections import Deps
from tracker.launch import open_ledger
from tracker.settings import Settings

#: A first sync of years takes hours. After so many it ends with its page, and goes on with the next message.
SYNC_MAX_S = 5 * 3600


class Stopped(BaseException):  # no error, so nothing that handles errors holds it up
    """Ends a sync between two pages, or while it waits to try again."""


class Hand:
    """Made by the worker before it forks, used by the processes it forks.

    Each of them opens the ledger for itself, because a connection to a server does not survive a fork. Between them and
    the worker is a pipe that nothing is ever written to: it ends when the worker lets go of it, and also when it dies.
    """

    def __init__(self, settings: Settings, at_most_s: float = SYNC_MAX_S) -> None:
        self._settings, self._at_most_s = settings, at_most_s
        self._until = inf
        self._heard, self._held = os.pipe()

    @cached_property
    def _deps(self) -> Deps:
        return msgspec.structs.replace(open_ledger(self._settings), sleep=self.wait)

    def sync(self, ids: Sequence[int]) -> None:
        self._until = monotonic() + self._at_most_s
        for number, connection_id in enumerate(ids):
            try:
                self.wait(0)
                jobs.attempt("sync", partial(jobs.sync_connection, self._deps, connection_id, lambda _: self.wait(0)))
            except Stopped:  # the run has said so itself, and the next one goes on from there
                with self._deps.engine.begin() as conn:
                    schedule.give_back(conn, ids[number:])
                return

    def wait(self, seconds: float) -> None:
        """Raises Stopped when the worker has let go, or when it took too long."""
        if select.select([self._heard], [], [], seconds)[0] or monotonic() > self._until:
            raise Stopped

    def let_go(self, **_: object) -> None:
        """Called in the worker when it stops, and in every process that it forked, which must not hold on instead."""
        held, self._held = self._held, -1
        if held >= 0:
            os.close(held)
