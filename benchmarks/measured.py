"""What the benchmarks measure with: processes of their own, wall and processor time, peak memory."""

import json
import resource
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
#: Longer than any benchmark may take, in seconds.
PATIENCE_S = 3600


class Took(NamedTuple):
    """Seconds on the wall and of this process's processor time."""

    wall: float
    cpu: float

    @classmethod
    def of(cls, begun: "Took") -> "Took":
        return cls(time.perf_counter() - begun.wall, time.process_time() - begun.cpu)

    @classmethod
    def now(cls) -> "Took":
        return cls(time.perf_counter(), time.process_time())


def peak_mb() -> float:
    """The most memory that this process ever held, in MB of 1,000,000 bytes.

    Linux hands `ru_maxrss` on from the process that started this one, so its own account is asked first.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def run(module: str, *arguments: str) -> Any:
    """The JSON that a module prints last, run in a process of its own; what it prints before goes on to the screen."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=True)
    *before, last = done.stdout.strip().splitlines()
    print(*before, sep="\n", end="\n" if before else "", flush=True)
    return json.loads(last)


@contextmanager
def provider(rows: int, *arguments: str) -> Iterator[str]:
    """The address of pretend providers that hold so many rows; they end with the block."""
    command = [sys.executable, "-m", "benchmarks.provider", str(rows), *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            address = process.stdout.readline().strip()
            assert address, "the pretend providers did not start"
            yield address
        finally:
            process.stdin.close()


def asked(url: str, what: str) -> Any:
    with urllib.request.urlopen(f"{url}/-/{what}", timeout=PATIENCE_S) as answer:  # noqa: S310 - loopback
        return json.load(answer)
