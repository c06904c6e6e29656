"""A TOML table that knows where it stands: every fault names file, line and key, and what may stand there instead."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from tracker.errors import ConfigError

Place = tuple[str | int, ...]
T = TypeVar("T")

_BARE = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_BARE}(?:\s*\.\s*{_BARE})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?")
_SETTING = re.compile(rf"\s*({_DOTTED})\s*=")
_SHAPES: Mapping[type[Any], str] = {
    str: "text", int: "a whole number", bool: "true or false", dict: "a table", list: "a list",
}  # fmt: skip
_NEEDED: Final = object()


class Table:
    """The keys of a table, each asked for once; `close` refuses what nobody asked for."""

    def __init__(self, values: dict[str, Any], file: str, text: str, at: Place = ()) -> None:
        self.values = values
        self.at = at
        self._file, self._text = file, text
        self._asked: list[str] = []

    @classmethod
    def parse(cls, file: str, text: str) -> "Table":
        """The whole file. Raises ConfigError with the line when it is not TOML."""
        try:
            return cls(tomllib.loads(text), file, text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(
                f"{file} is not valid TOML: {error}.", hint="See https://toml.io for how it is."
            ) from None
        except RecursionError:
            raise ConfigError(f"{file} is nested too deep.") from None

    def wrong(self, message: str, key: str | int | None = None, hint: str = "") -> ConfigError:
        """An error about a key of this table, or about the table itself."""
        place = self.at if key is None else (*self.at, key)
        line = line_of(self._text, place)
        named = ".".join(str(step + 1) if isinstance(step, int) else step for step in place)
        told = ", ".join(filter(None, (self._file, f"line {line}" if line else "", named)))
        return ConfigError(f"{told}: {message}", hint=hint)

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def get(self, key: str, shape: type[T], default: Any = _NEEDED) -> T:
        """The value of a key, which must be of that shape. Without a default it must be there."""
        self._asked.append(key)
        if key not in self.values:
            if default is _NEEDED:
                near = get_close_matches(key, self.values.keys() - set(self._asked), n=1, cutoff=0.75)
                meant = f"Is {_shown(near[0])} meant to be it?" if near else f"It is {_SHAPES[shape]}."
                raise self.wrong(f"{key} is missing.", near[0] if near else None, hint=meant)
            return default  # type: ignore[no-any-return]
        value = self.values[key]
        if type(value) is not shape:
            raise self.wrong(f"expected {_SHAPES[shape]}, not {_shown(value)}.", key)
        if value == "" and default is _NEEDED:
            raise self.wrong("must not be empty.", key)
        return value

    def maybe(self, key: str) -> str | None:
        """A text that may be left out."""
        return self.get(key, str, None) or None

    def names(self, key: str) -> tuple[str, ...]:
        """A list of texts; none when the key is absent."""
        found = self.get(key, list, [])
        for one in found:
            if not isinstance(one, str) or not one:
                raise self.wrong(f"expected a list of texts, not {_shown(one)} in it.", key)
        return tuple(found)

    def pairs(self, key: str) -> dict[str, str]:
        """A table of texts; whole numbers are taken as text."""
        found = self.get(key, dict, {})
        for name, value in found.items():
            if not isinstance(value, str | int) or isinstance(value, bool):
                raise self.inner(key).wrong(f"expected text, not {_shown(value)}.", name)
        return {name: str(value) for name, value in found.items()}

    def inner(self, key: str) -> "Table":
        return Table(self.get(key, dict), self._file, self._text, (*self.at, key))

    def all_of(self, key: str) -> dict[str, "Table"]:
        """Named tables: [credentials.token]."""
        if key not in self:
            self._asked.append(key)
            return {}
        table = self.inner(key)
        return {name: table.inner(name) for name in table.values}

    def each_of(self, key: str) -> list["Table"]:
        """Tables in a row: [[resources.orders.makes]]."""
        found = self.get(key, list, [])
        for number, one in enumerate(found):
            if not isinstance(one, dict):
                raise Table({}, self._file, self._text, (*self.at, key)).wrong(
                    f"expected a table, not {_shown(one)}.", number
                )
        return [Table(one, self._file, self._text, (*self.at, key, number)) for number, one in enumerate(found)]

    def word(self, words: Mapping[str, tuple[str, ...]]) -> str:
        """The one word of `words` that is a key here; their values are the keys that may stand beside each."""
        found = [key for key in self.values if key in words]
        beside = {name for key in found for name in words[key]}
        found = [key for key in found if key not in beside]
        if len(found) > 1:
            raise self.wrong(f"{found[0]} and {found[1]} cannot both be.", found[1], hint="Leave one out.")
        if not found:
            raise self._unknown(next(iter(self.values), ""), words)
        self._asked += [found[0], *words[found[0]]]
        return found[0]

    def choice(self, key: str, words: Iterable[str], default: str | None = None) -> str:
        value = self.get(key, str, _NEEDED if default is None else default)
        if key in self.values and value not in (known := list(words)):
            raise self.wrong(f"{_shown(value)} is not known.", key, _offer(value, known))
        return value

    def close(self) -> None:
        """Raises ConfigError for a key that nobody asked for, with the nearest one that somebody did."""
        for key in self.values:
            if key not in self._asked:
                raise self._unknown(key, self._asked)

    def _unknown(self, key: str, known: Iterable[str]) -> ConfigError:
        if not key:
            return self.wrong("is empty.", hint=_offer(key, list(known)))
        return self.wrong(f"{_shown(key)} is not known here.", key, _offer(key, list(known)))


def _offer(word: object, known: list[str]) -> str:
    near = get_close_matches(str(word), known, n=1)
    return f"Did you mean {near[0]}?" if near else f"Known: {', '.join(dict.fromkeys(known))}."


def _shown(value: object) -> str:
    return repr(value)[:60]


def line_of(text: str, place: Place) -> int | None:
    """The line on which a key is set, or else the nearest table around it; None when neither is found.

    tomllib does not tell. A value that goes over several lines is searched for the last key.
    """
    best, depth, at = None, 0, ()  # type: tuple[int | None, int, Place]
    if not place:
        return None
    counts: dict[Place, int] = {}
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if header := _HEADER.fullmatch(line):
            keys = _split(header[2])
            if header[1] == "[[":
                counts[keys] = counts.get(keys, -1) + 1
            at = found = _numbered(keys, counts)
        elif setting := _SETTING.match(line):
            found = (*at, *_split(setting[1]))
        else:
            continue
        if found[: len(place)] == place:
            return number
        if len(found) > depth and place[: len(found)] == found:
            best, depth = number, len(found)
    if best and depth < len(place) and isinstance(place[-1], str):
        for number, line in enumerate(lines[best - 1 :], start=best):
            if number > best and (_HEADER.fullmatch(line) or _SETTING.match(line)):
                break
            if re.search(rf"""(?<![\w-])["']?{re.escape(place[-1])}["']?\s*=""", line):
                return number
    return best


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_BARE, dotted))


def _numbered(keys: tuple[str, ...], counts: Mapping[Place, int]) -> Place:
    """The place that a header names: inside the latest of the tables in a row that it goes through."""
    found: list[str | int] = []
    for length, key in enumerate(keys, start=1):
        found.append(key)
        if keys[:length] in counts:
            found.append(counts[keys[:length]])
    return tuple(found)
