"""The monthly letter: a summary put into words, as plain text and as HTML that asks nobody for anything.

Both forms are made from one document, so they say the same. The HTML has its styles inlined, because many mail programs
drop style sheets; what cannot be inlined (dark mode) stays beside it.
"""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from unicodedata import east_asian_width

from css_inline import CSSInliner
from jinja2 import Environment, PackageLoader, StrictUndefined

from tracker.letters import document, words
from tracker.summary import MonthlySummary

#: The width of the plain text. RFC 5322 advises at most 78 characters a line; quoting marks need some of them.
WIDTH = 72
_GAP = 2
_NAME = 8  # the narrowest first column of a table
#: Names come from providers, and a terminal obeys what is in them; only line breaks of our own are left.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


#: The name that a mail program shows beside the sender's address, in English.
SENDER = "Income tracker"


@dataclass(frozen=True, slots=True)
class Letter:
    """`language` is that of its words, `sender` the name that stands beside the sender's address."""

    subject: str
    text: str
    html: str
    language: str = "en"
    sender: str = SENDER


def write(summary: MonthlySummary, *, late: bool = False) -> Letter:
    """The letter about a month, in the language of the summary's locale.

    `late`: it could not be sent when it was due, and says so.
    """
    told = words.document(summary, late=late)
    names = {"letter": told, "wrapped": wrapped, "laid_out": laid_out, "kind": kind}
    text, html = (
        _CONTROL.sub(" ", _environment(escaping=escaping).get_template(name).render(names))
        for name, escaping in (("letter.txt.j2", False), ("letter.html.j2", True))
    )
    return Letter(
        subject=told.subject,
        text=text,
        html=CSSInliner(load_remote_stylesheets=False).inline(html),
        language=told.language,
        sender=told.sender,
    )


@lru_cache
def _environment(*, escaping: bool) -> Environment:
    return Environment(
        loader=PackageLoader("tracker", "letters"),
        autoescape=escaping,  # noqa: S701 - off for plain text only
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def kind(part: document.Part) -> str:
    """What a template asks of a part."""
    return type(part).__name__.lower()


# --- plain text ---


def wrapped(text: str) -> str:
    """Broken at spaces only; a longer word stands out, because half a command is no use."""
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def laid_out(table: document.Table) -> list[str]:
    """The table's lines, columns aligned. A name that is too long for its column goes on below."""
    rows = [tuple(table.header), *(tuple(_beside(row.cells, table.rows)) for row in table.rows)]
    widths = [max(_width(row[column]) for row in rows) for column in range(len(table.header))]
    rest = sum(widths[1:]) + _GAP * (len(widths) - 1)
    widths[0] = max(min(widths[0], WIDTH - rest), _NAME)
    rule = "-" * (widths[0] + rest)
    lines = [*_lines(rows[0], widths), rule]
    for row, cells in zip(table.rows, rows[1:], strict=True):
        lines += [rule] * row.strong + _lines(cells, widths)
    return lines


def _beside(cells: Sequence[str | tuple[str, str]], rows: Sequence[document.Row]) -> list[str]:
    """Cells of two parts side by side, each part aligned with those above it."""
    told = []
    for column, cell in enumerate(cells):
        if isinstance(cell, tuple):
            pairs = [pair for row in rows if isinstance(pair := row.cells[column], tuple)]
            first, second = (max(_width(pair[part]) for pair in pairs) for part in (0, 1))
            cell = "  ".join([_right(cell[0], first), *([_right(cell[1], second)] if second else [])])
        told.append(cell)
    return told


def _lines(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    width = widths[0] if _width(cells[0]) == len(cells[0]) else widths[0] // 2  # wide letters, two columns each
    first, *more = textwrap.wrap(cells[0], width) or [""]
    numbers = [_right(cell, room) for cell, room in zip(cells[1:], widths[1:], strict=True)]
    return [(" " * _GAP).join([first + " " * (widths[0] - _width(first)), *numbers]).rstrip(), *more]


def _right(text: str, width: int) -> str:
    return " " * (width - _width(text)) + text


def _width(text: str) -> int:
    """Columns of a fixed-width font."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)
