"""Sample data for `tracker serve`: the sandbox, for as long as it takes to read it once."""

from functools import partial
from threading import Thread

import msgspec

from tracker import sample
from tracker.connect.pace import NoPace
from tracker.connect.session import http_session
from tracker.connections import Deps


def play(deps: Deps) -> Thread:
    """Connect the sandbox's providers and read them on a thread. Raises UsageError in a ledger that has connections."""
    from tracker.demo.server import Sandbox  # most who serve never look at it

    playground = Sandbox(now=deps.now(), rate_limits=False).start()
    http = partial(http_session, allow_private=True)  # the sandbox is on this machine
    own = msgspec.structs.replace(deps, http=http, pace=NoPace())
    try:
        names = playground.providers
        sample.begin(own, {name: sample.Source(playground.url(name), playground.credentials(name)) for name in names})
    except BaseException:
        playground.close()
        raise

    def fill() -> None:
        try:
            sample.fill(own)
        finally:
            playground.close()

    thread = Thread(target=fill, name="sample", daemon=True)
    thread.start()
    return thread
