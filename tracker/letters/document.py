"""What a letter is made of, before it is text or HTML: sections of paragraphs, tables and lists."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str
    faint: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """Something to type."""

    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """The first cell names the row. A cell of two parts has an amount, and its share below or beside it."""

    cells: Sequence[str | tuple[str, str]]
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """The first column is aligned left, the others right. `caption` says what the amounts are."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Bar:
    """A share of a whole in per cent, 0 to 100, and the words for both parts."""

    share: int
    part: str
    rest: str


Part = Paragraph | Command | Table | Bar


@dataclass(frozen=True, slots=True)
class Section:
    heading: str
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class Document:
    language: str  # "de"
    sender: str  # as a mail program names who wrote it
    subject: str
    title: str
    opening: Sequence[Paragraph]
    sections: Sequence[Section]
    footer: Sequence[Paragraph]
