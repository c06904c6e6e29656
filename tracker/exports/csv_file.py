"""Earnings as CSV (RFC 4180, UTF-8): one line each, amounts with a point, times in UTC."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tracker.exports.about import About, Row, is_formula, told
from tracker.search import COLUMNS

_INNER = re.compile(r"""([;\t\r\n][\s"']*)(?=[=+\-@＝＋－＠])""")


def write(rows: Iterable[Row], about: About) -> Iterator[str]:
    """Text that a spreadsheet would run as a formula gets an apostrophe in front; amounts keep their sign.

    So does what stands after a semicolon, a tab or a line break in a text: a spreadsheet that expects those between
    cells (a German Excel does) splits there, also within quotes.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in COLUMNS])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _INNER.sub(r"\1'", f"'{value}" if is_formula(value) else value)
    shown = told(value)
    return "" if shown is None else str(shown)
