"""Whether the worker that runs in this container is alive: `python -m tracker.pulse` ends with exit code 0.

While it hears from Redis it touches a file. To ask Celery instead takes seconds, and a busy worker looks dead.
`tracker health` is another question: whether all of the tracker together does its work.
"""

import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir

#: A worker is heard every two seconds.
SILENCE_MAX_S = 60.0


def beat(*_: object, **__: object) -> None:
    with suppress(OSError):  # then it looks dead, but goes on
        _file().touch(mode=0o600)


def _file() -> Path:
    return Path(gettempdir()) / "tracker-pulse"


def check(now_s: float) -> int:
    """The exit code at that time, in seconds since the epoch."""
    try:
        silent_s = now_s - _file().stat().st_mtime
    except FileNotFoundError:
        print("not alive: nothing was heard yet")
        return 1
    alive = silent_s <= SILENCE_MAX_S
    print(f"{'alive' if alive else 'not alive'}: last heard {silent_s:.0f} s ago")
    return 0 if alive else 1


if __name__ == "__main__":
    sys.exit(check(time.time()))
