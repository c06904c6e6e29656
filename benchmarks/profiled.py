"""Where the time goes: the functions that took most time themselves, and the statements that took most in all."""

import cProfile
import io
import pstats
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

_SHOWN = 150  # characters of a statement


@contextmanager
def profiled(engine: Engine, lines: int) -> Iterator[None]:
    """Print so many functions and statements of what runs inside, on this thread; with 0 nothing is done at all."""
    if not lines:
        yield
        return
    seconds: Counter[str] = Counter()
    times: Counter[str] = Counter()

    def before(conn: Any, cursor: Any, statement: str, *rest: object) -> None:
        conn.info["begun"] = time.perf_counter()

    def after(conn: Any, cursor: Any, statement: str, *rest: object) -> None:
        seconds[statement] += time.perf_counter() - conn.info["begun"]
        times[statement] += 1

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    profile = cProfile.Profile()
    with profile:
        yield
    event.remove(engine, "before_cursor_execute", before)
    event.remove(engine, "after_cursor_execute", after)
    text = io.StringIO()
    pstats.Stats(profile, stream=text).strip_dirs().sort_stats("tottime").print_stats(lines)
    print(text.getvalue().strip())
    print(f"\n{'statements':>10}{'seconds':>9}   {sum(times.values()):,} in {sum(seconds.values()):.2f} s")
    for statement, took in seconds.most_common(lines):
        print(f"{times[statement]:10}{took:9.2f}   {' '.join(statement.split())[:_SHOWN]}")
    print()
