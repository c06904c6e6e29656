"""What went wrong, told in the reader's language.

Errors are plain English where they are raised, logged, stored and answered by the API and the command line; pages tell
them here. A text is cut into sentences. Each is looked up as it stands, then as one with gaps ("{1} refused the
credentials."), and what stands in a gap is told likewise; a provider's own words stay as they are.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

#: A longer text is no message of ours, and of one with more sentences the last are taken together.
LENGTH_MAX, SENTENCES_MAX = 2000, 12
#: What stands in a gap is a provider's, if it is longer or has more sentences.
VALUE_MAX, INSIDE_MAX = 300, 4
#: How deep messages stand in each other: "statement: the connection is paused: Awin refused the credentials."
DEPTH_MAX = 3
_BETWEEN = re.compile(r"""(?<=\S[.?!])\s+|(?<=[.?!][")])\s+|(?<=")\s+(?=[A-Z{])|\n""")
_GAP = re.compile(r"\{(\d+)\}")
#: What a message is about, in front of it: a field, a resource, "line 12".
_SUBJECT = re.compile(r"((?:[\w.@*()/-]{1,80} ){0,3}[\w.@*()/-]{1,80}): (?=\S)")


class Piece(NamedTuple):
    """A part of a text as it is shown; `is_told` is False for what stays English."""

    text: str
    is_told: bool


class Found(NamedTuple):
    """A sentence in another language. Of two that fit, the one with more words of its own is meant."""

    text: str
    weight: int


class Gapped(NamedTuple):
    """A sentence with gaps: the parts around them in English, and the whole in another language."""

    around: tuple[str, ...]
    told: str

    def values(self, text: str) -> list[str] | None:
        """What fills the gaps, none of them empty. One walk through the text, whatever it says."""
        first, *middle, last = self.around
        if not (text.startswith(first) and text.endswith(last)):
            return None
        if not last and text.endswith((".", "?", "!")) and not any(": " in part for part in self.around):
            return None  # "the key file {1}" is a part of a sentence, and this is a whole one
        place, end, found = len(first), len(text) - len(last), []
        for part in middle:
            following = text.find(part, place + 1, end)
            if following < 0:
                return None
            found.append(text[place:following])
            place = following + len(part)
        return [*found, text[place:end]] if place < end else None

    def filled(self, values: list[str]) -> str:
        return _GAP.sub(lambda gap: values[int(gap[1]) - 1], self.told)

    @property
    def weight(self) -> int:
        return sum(map(len, self.around))


def sentences(text: str) -> list[str]:
    """A text cut after its sentences; put together again, they are the text but for the space between them."""
    return [part for part in _BETWEEN.split(text, SENTENCES_MAX - 1) if part]


class Errors:
    """The sentences of one language, by their English with "{1}" for each gap."""

    def __init__(self, told: Mapping[str, str]) -> None:
        self._whole = {english: said for english, said in told.items() if not _GAP.search(english)}
        gapped = [Gapped(tuple(_GAP.split(one)[::2]), said) for one, said in told.items() if one not in self._whole]
        self._gapped = sorted(gapped, key=lambda one: -one.weight)
        self._kept = lru_cache(maxsize=1000)(self._pieces)

    def pieces(self, text: str) -> tuple[Piece, ...]:
        """A text in pieces that add up to what is shown. Pieces that stay English are as long as they can be."""
        return self._kept(text) if len(text) <= LENGTH_MAX else (Piece(text, False),)

    def _pieces(self, text: str) -> tuple[Piece, ...]:
        found: list[Piece] = []
        for piece in self._in_turn(text, 0):
            if found and found[-1].is_told == piece.is_told:
                piece = Piece(f"{found.pop().text} {piece.text}", piece.is_told)
            found.append(piece)
        return tuple(found)

    def _in_turn(self, text: str, depth: int) -> Iterator[Piece]:
        """Sentence by sentence; where several together are one that is known, with more words of its own, that one."""
        parts = sentences(text)
        while parts:
            begun = [(" ".join(parts[:count]), count) for count in range(1, len(parts) + 1)]
            ways = [(found, count) for one, count in begun if (found := self._sentence(one, depth))]
            if not ways:
                ways = [(found, count) for one, count in begun if (found := self._after_its_subject(one, depth))][:1]
            best, count = max(ways, key=lambda way: way[0].weight, default=(None, 1))
            yield Piece(best.text if best else parts[0], best is not None)
            del parts[:count]

    def _sentence(self, text: str, depth: int) -> Found | None:
        if text in self._whole:
            return Found(self._whole[text], len(text))
        for one in self._gapped:
            if (values := one.values(text)) is not None:
                return Found(one.filled([self._value(value, depth + 1) for value in values]), one.weight)
        return None

    def _value(self, text: str, depth: int) -> str:
        """What stands in a gap: told if all of it can be. A single word is a name."""
        if depth >= DEPTH_MAX or " " not in text or len(text) > VALUE_MAX or len(sentences(text)) > INSIDE_MAX:
            return text
        pieces = list(self._in_turn(text, depth))
        if all(piece.is_told for piece in pieces):
            return " ".join(piece.text for piece in pieces)
        about = _SUBJECT.match(text)
        subject = about and self._sentence(about[1], depth)
        return f"{subject.text}: {text[about.end() :]}" if about and subject else text

    def _after_its_subject(self, text: str, depth: int) -> Found | None:
        about = _SUBJECT.match(text)
        if about is None or depth >= DEPTH_MAX:
            return None
        rest, subject = text[about.end() :], self._sentence(about[1], depth + 1)
        found = self._sentence(rest, depth + 1) or self._after_its_subject(rest, depth + 1)
        return found and Found(f"{subject.text if subject else about[1]}: {found.text}", found.weight)


def capital(text: str) -> str:
    """As a sentence of its own; a first word that is a name or an address stays as it is."""
    first = text.partition(" ")[0].rstrip(".,;")
    return text[:1].upper() + text[1:] if first.isalpha() and first.islower() else text
