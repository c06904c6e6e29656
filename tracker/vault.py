"""Sealing and opening credentials, and pseudonyms for people.

The keys live in a file of mode 0600 outside the database, so that neither a database dump nor a backup of it gives a
credential away. Lines of the file: `pseudonym:<64 hex digits>`, which never changes, and one Fernet key a line, of
which the first seals and all open. Sealing is authenticated encryption (Fernet: AES-128-CBC with HMAC-SHA256).
"""

import errno
import hashlib
import hmac
import json
import os
import re
import secrets
import shlex
import stat
from base64 import b32encode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from tracker.errors import ConfigError
from tracker.settings import Settings

_LIMIT = 65_536  # bytes of a key file
_HEADER = """\
# Keys of the income tracker. Whoever has this file and the database can read your credentials.
# Keep a copy apart from the backups of the database: without it credentials must be entered again.
"""


class _Keys(NamedTuple):
    pseudonym: bytes
    texts: tuple[str, ...]  # newest first

    def ring(self) -> MultiFernet:
        return MultiFernet([Fernet(text) for text in self.texts])


class Vault:
    """Seals and opens with the keys of one file. A running process notices when another one rotates them."""

    def __init__(self, keys: _Keys, path: Path | None = None, seen: tuple[int, ...] = ()) -> None:
        self._path = path
        self._seen = seen
        self._pseudonym = keys.pseudonym
        self._ring = keys.ring()

    @classmethod
    def open(cls, settings: Settings) -> "Vault":
        """The vault of the settings; the key file is made on first use. Raises ConfigError."""
        if settings.keys is not None:
            return cls(_parse(settings.keys.get_secret_value(), "TRACKER_KEYS"))
        path = settings.key_file
        if not os.path.lexists(path):
            _create(path)
        return cls(*_load(path))

    def seal(self, connection: str, credentials: Mapping[str, str]) -> str:
        """An ASCII token that only `unseal` with the same connection opens."""
        self._reload_if_changed()
        content = json.dumps({"for": connection, "credentials": dict(credentials)}, ensure_ascii=False)
        return self._ring.encrypt(content.encode(errors="surrogatepass")).decode()

    def unseal(self, connection: str, token: str) -> dict[str, str]:
        """What was sealed for this connection. Raises ConfigError for another key, a damaged token or another owner."""
        content = json.loads(self._decrypt(token).decode(errors="surrogatepass"))
        if content["for"] != connection:
            raise ConfigError(
                f"The sealed credentials of {connection} belong to the connection {content['for']}.",
                hint=f"Enter the credentials of {connection} again.",
            )
        credentials: dict[str, str] = content["credentials"]
        return credentials

    def reseal(self, token: str) -> str:
        """The same content under the newest key."""
        return self._ring.encrypt(self._decrypt(token)).decode()

    def pseudonym(self, kind: str, text: str) -> str:
        """An opaque, stable stand-in for a person's name or address: "p_" and 26 characters.

        The same kind and text always give the same answer on this installation, also after a rotation, and another
        answer on any other.
        """
        digest = hmac.digest(self._pseudonym, f"{kind}\0{text}".encode(errors="surrogatepass"), hashlib.sha256)
        return "p_" + b32encode(digest[:16]).decode().rstrip("=").lower()

    def rotate(self) -> None:
        """Put a new key first. Everything sealed before stays readable; `reseal` it, then `retire` the old keys."""
        with _Replacement(self._own_file()) as file:
            file.write(_Keys(file.keys.pseudonym, (Fernet.generate_key().decode(), *file.keys.texts)))
        self._reload_if_changed()

    def retire(self, tokens: Iterable[str]) -> int:
        """Drop all keys but the newest and tell how many. `tokens` are all sealed ones there are.

        Raises ConfigError, and drops nothing, when one of them still needs an old key.
        """
        with _Replacement(self._own_file()) as file:
            newest = Fernet(file.keys.texts[0])
            needing = sum(not _opens(newest, token) for token in tokens)
            if needing:
                raise ConfigError(
                    f"{needing} sealed credentials still need an old key.",
                    hint="Seal them again with the new key first.",
                )
            file.write(_Keys(file.keys.pseudonym, file.keys.texts[:1]))
        self._reload_if_changed()
        return len(file.keys.texts) - 1

    def _own_file(self) -> Path:
        if self._path is None:
            raise ConfigError(
                "The keys come from TRACKER_KEYS, so the tracker cannot change them.",
                hint="Put a new key before the others there and restart.",
            )
        return self._path

    def _decrypt(self, token: str) -> bytes:
        self._reload_if_changed()
        try:
            return self._ring.decrypt(token.encode())
        except InvalidToken as error:
            source = f"the key file {self._path}" if self._path else "TRACKER_KEYS"
            raise ConfigError(
                f"Credentials were sealed with a key that {source} does not have, or they are damaged.",
                hint="Add the lost key on a line of its own, or enter the credentials again.",
            ) from error

    def _reload_if_changed(self) -> None:
        if self._path is not None and _signature(self._path) != self._seen:
            keys, _, self._seen = _load(self._path)
            self._ring = keys.ring()


def new_keys() -> str:
    """The text of a fresh key file, also fit for TRACKER_KEYS."""
    return _text(_Keys(secrets.token_bytes(32), (Fernet.generate_key().decode(),)))


def _text(keys: _Keys) -> str:
    return "\n".join([f"{_HEADER}pseudonym:{keys.pseudonym.hex()}", *keys.texts, ""])


def _parse(text: str, source: str) -> _Keys:
    words = re.sub(r"(?m)^\s*#.*$", "", text).replace(",", " ").split()
    pseudonyms = [word.removeprefix("pseudonym:") for word in words if word.startswith("pseudonym:")]
    keys = tuple(word for word in words if not word.startswith("pseudonym:"))
    if len(pseudonyms) != 1 or not re.fullmatch(r"[0-9a-f]{64}", pseudonyms[0]):
        raise ConfigError(f"{source} needs one entry pseudonym:<64 hex digits>.", hint="Restore it from your copy.")
    if not keys:
        raise ConfigError(f"{source} holds no key.", hint="Restore it from your copy.")
    for number, key in enumerate(keys, 1):
        try:
            Fernet(key)
        except ValueError as error:
            raise ConfigError(
                f"Key {number} in {source} is damaged: expected 44 characters of URL-safe base64.",
                hint="Restore it from your copy.",
            ) from error
    return _Keys(bytes.fromhex(pseudonyms[0]), keys)


def _opens(key: Fernet, token: str) -> bool:
    try:
        key.decrypt(token.encode())
    except InvalidToken:
        return False
    return True


def _load(path: Path) -> tuple[_Keys, Path, tuple[int, ...]]:
    try:
        # Checked on the open file: a symbolic link is judged by what it leads to, and nothing can be swapped between.
        # Without O_NONBLOCK a named pipe in this place would hang.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            _refuse_unsafe(path, status)
            content = file.read(_LIMIT + 1)
    except OSError as error:
        raise ConfigError(
            f"Cannot read the key file {path}: {error.strerror}.", hint="Check its owner, or set TRACKER_KEY_FILE."
        ) from error
    if len(content) > _LIMIT:
        raise ConfigError(f"{path} is too large for a key file.", hint="Set TRACKER_KEY_FILE to the right file.")
    return _parse(content.decode(errors="replace"), f"the key file {path}"), path, _identity(status)


def _refuse_unsafe(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{path} is not a file.", hint="Set TRACKER_KEY_FILE to the key file.")
    mode = stat.S_IMODE(status.st_mode)
    if os.name == "posix" and mode & 0o077:
        raise ConfigError(
            f"Other users can reach the key file {path} (mode {mode:04o}).",
            hint=f"Run: chmod 600 {shlex.quote(str(path.resolve()))}",
        )


def _signature(path: Path) -> tuple[int, ...]:
    try:
        return _identity(path.stat())
    except OSError:
        return ()  # _load says what is wrong


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _create(path: Path) -> None:
    """Make the key file whole or not at all. When two processes try at once, one file stays and both use it."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = _open_new(draft)
        try:
            _write(descriptor, new_keys())
            with suppress(FileExistsError):
                os.link(draft, path)  # unlike a rename, a link never replaces the other process's file
        finally:
            os.close(descriptor)
            draft.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error


class _Replacement:
    """Exclusive right to replace the key file: the draft's name is the lock, and renaming it is the commit."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._draft = self._path.with_name(f"{self._path.name}.new")
        self._is_committed = False

    def __enter__(self) -> "_Replacement":
        try:
            self._descriptor = _open_new(self._draft)
        except FileExistsError as error:
            raise ConfigError(
                f"Another change of keys is under way, or one was interrupted: {self._draft} exists.",
                hint="If none is running, delete that file and try again.",
            ) from error
        except OSError as error:
            raise _unwritable(self._path, error) from error
        try:
            self.keys = _load(self._path)[0]
        except ConfigError:
            self.__exit__()
            raise
        return self

    def write(self, keys: _Keys) -> None:
        try:
            _write(self._descriptor, _text(keys))
            os.replace(self._draft, self._path)
            self._is_committed = True
            _sync_folder(self._path.parent)
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
        if not self._is_committed:  # afterwards the name may already be another process's lock
            self._draft.unlink(missing_ok=True)


def _open_new(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def _write(descriptor: int, text: str) -> None:
    with os.fdopen(descriptor, "w", encoding="ascii", closefd=False) as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    # A file that was synced can still lose its name in a crash. Windows cannot open a folder and does not need it.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> ConfigError:
    if error.errno == errno.ENOSPC:
        return ConfigError(f"The disk is full: cannot write the key file {path}.", hint="Free some space.")
    return ConfigError(
        f"Cannot write the key file {path}: {error.strerror}.",
        hint="Make its folder writable, or set TRACKER_KEY_FILE to a place that is.",
    )
