"""Files that were sent to a page, until they are imported: in the data folder, readable by its user alone."""

import re
import secrets
import shutil
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

from tracker.errors import UsageError

#: Files that may wait, and for how long.
WAITING_MAX, WAITING = 20, timedelta(days=1)
_CHUNK, _NAME_BYTES = 1 << 20, 100
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
_PLAIN = re.compile(r"[^\w .()+@=,-]")


def keep(data_dir: Path, name: str, content: IO[bytes], now: datetime) -> str:
    """Put a file aside. Answers the token that finds it again. Raises UsageError when too many wait."""
    folder = data_dir / "uploads"
    sweep(data_dir, now)
    if folder.is_dir() and sum(1 for _ in folder.iterdir()) >= WAITING_MAX:
        raise UsageError(f"{WAITING_MAX} files wait to be imported.", hint="Import or drop one of them first.")
    token = secrets.token_urlsafe(16)
    (folder / token).mkdir(mode=0o700, parents=True)
    try:
        with (folder / token / _safe(name)).open("xb") as file:
            shutil.copyfileobj(content, file, _CHUNK)
    except OSError as error:
        drop(data_dir, token)
        raise UsageError(f"the file cannot be kept: {error.strerror}.", hint="Free some space.") from error
    return token


def _safe(name: str) -> str:
    """The name that a browser gave, as a name in a folder: it stands in messages, and the file's next version has it"""
    plain = _PLAIN.sub("_", name.replace("\\", "/").rpartition("/")[2])
    short = plain.encode()[-_NAME_BYTES:].decode(errors="ignore")  # a letter may be four of the 255 bytes of a name
    return short.lstrip(". ") or "statement"


def find(data_dir: Path, token: str) -> Path | None:
    """The file; None for one that is gone."""
    folder = data_dir / "uploads" / token
    if not _TOKEN.fullmatch(token) or not folder.is_dir():
        return None
    return next(folder.iterdir(), None)


def drop(data_dir: Path, token: str) -> None:
    if _TOKEN.fullmatch(token):
        shutil.rmtree(data_dir / "uploads" / token, ignore_errors=True)


def sweep(data_dir: Path, now: datetime) -> None:
    """Drop what was left lying."""
    with suppress(FileNotFoundError):
        for folder in (data_dir / "uploads").iterdir():
            if folder.stat().st_mtime < (now - WAITING).timestamp():
                shutil.rmtree(folder, ignore_errors=True)
