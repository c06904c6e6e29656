"""Pagers: generators without I/O that yield the next step of a listing and are sent the page that came back.

A pager keeps its place in local variables. It can be started at a step that an earlier, killed run had reached.
Steps are plain data, so that the place can be stored. Who drives a pager (`tracker.connect.fetch`) refuses a step that
was taken before and limits how many there are.
"""

from collections.abc import Callable, Generator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from tracker.connect.rows import Page
from tracker.errors import UnexpectedData


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """Parameters and headers to add to the request, or `url`: a path with a query that replaces it (a next link)."""

    params: dict[str, str] = {}
    url: str | None = None
    headers: dict[str, str] = {}


Pages = Generator[Step, Page, None]


class Pager(msgspec.Struct, frozen=True, kw_only=True):
    """`envelope` lists the paths outside the rows that it reads. A pager that is not `resumable` starts anew after a
    kill, because rows may have moved between its pages meanwhile."""

    pages: Callable[[Step | None], Pages]
    envelope: tuple[str, ...] = ()
    resumable: bool = True


def _single(start: Step | None) -> Pages:
    yield Step()


#: The whole answer in one page.
single_page = Pager(pages=_single)


def page_number(
    param: str = "page",
    *,
    size: tuple[str, int] | None = None,
    total_header: str | None = None,
    total: str | None = None,
    rows_header: str | None = None,
    first: int = 1,
    short: int | None = None,
    resumable: bool = False,
) -> Pager:
    """Numbered pages, up to the total in a header or at a path of the answer, else until a page is short or empty.

    `rows_header` counts all rows instead of the pages: those that were asked for count, not those that came.
    Give `short` where the provider may put fewer rows on a page than asked for: only fewer than these end the listing.
    `resumable` only where the listing has a fixed order inside a closed window, or rows slip between pages.
    """

    def pages(start: Step | None) -> Pages:
        number = int(start.params[param]) if start else first
        while True:
            page = yield Step({param: str(number)} | ({size[0]: str(size[1])} if size else {}))
            if total_header or total:
                stated = page.headers.get(total_header or "") if total_header else page.envelope.get(total or "")
                last = _whole(stated, total_header or total or "")
                if number >= last + first - 1:
                    return
            elif not page.rows:
                return
            elif rows_header and size:
                if (number - first + 1) * size[1] >= _whole(page.headers.get(rows_header), rows_header):
                    return
            elif size and len(page.rows) < (short or size[1]):
                return
            number += 1

    return Pager(pages=pages, envelope=(total,) if total else (), resumable=resumable)


def page_header(name: str, *, more: int) -> Pager:
    """Numbered pages that are asked for in a header; goes on while an answer has the status `more`."""

    def pages(start: Step | None) -> Pages:
        number = int(start.headers[name]) if start else 1
        while (yield Step(headers={name: str(number)})).status == more:
            number += 1

    return Pager(pages=pages, resumable=False)


def offset(
    param: str = "offset",
    *,
    size: tuple[str, int],
    more: str | None = None,
    total: str | None = None,
    told: bool = False,
    short: int | None = None,
    resumable: bool = False,
) -> Pager:
    """Skip so many rows; goes on while the answer's `more` is true or up to its `total`, else until a page is short.

    `told`: the answer repeats both parameters, as it understood them, and so tells whether it keeps to them. `short`
    as of `page_number`: 1 reads on until a page is empty.
    """

    def pages(start: Step | None) -> Pages:
        skip = int(start.params[param]) if start else 0
        while True:
            page = yield Step({param: str(skip), size[0]: str(size[1])})
            skipped, held = (page.envelope.get(name) if told else None for name in (param, size[0]))
            if skipped is not None and str(skipped) != str(skip):
                raise UnexpectedData(f"the provider was asked to skip {skip} rows and did not.")
            skip += len(page.rows)
            if total:
                if not page.rows or skip >= _whole(page.envelope.get(total), total):
                    return
            elif (
                page.envelope.get(more) is not True
                if more
                else len(page.rows) < _whole(held or short or size[1], size[0])
            ):
                return

    envelope = (more, total, param if told else None, size[0] if told else None)
    return Pager(pages=pages, envelope=tuple(name for name in envelope if name), resumable=resumable)


def cursor(
    param: str,
    *,
    next: str | None = None,
    last_row: str | None = None,
    more: str | None = None,
    complete: str | None = None,
    size: tuple[str, int] | None = None,
) -> Pager:
    """Go on from a cursor: at the path `next` of the answer, or the field `last_row` of the page's last row.

    Goes on while `more` is true, or until `complete` is; without both until there is no cursor or no row.
    """
    fixed = {size[0]: str(size[1])} if size else {}

    def pages(start: Step | None) -> Pages:
        step = start or Step(dict(fixed))
        while True:
            page = yield step
            if more is not None and page.envelope.get(more) is not True:
                return
            if complete is not None and page.envelope.get(complete) is True:
                return
            place: Any = page.envelope.get(next) if next else page.value_of_last(last_row or "id")
            if place in (None, ""):
                if more is not None or complete is not None or (last_row and page.rows):
                    raise UnexpectedData(
                        "the provider says that there is more, but gives no cursor to go on from.",
                        hint="Nothing was lost: the next sync starts at this page again.",
                    )
                return
            step = Step({**fixed, param: str(place)})

    return Pager(pages=pages, envelope=tuple(name for name in (next, more, complete) if name))


def next_link(
    *,
    header: bool = False,
    path: str | None = None,
    size: tuple[str, int] | None = None,
    unlinked: tuple[str, str] | None = None,
) -> Pager:
    """Follow `Link: <…>; rel="next"`, or an address (or query string) at a path of the answer.

    Only the path and query of the address are used: a link cannot lead to another host. `unlinked` is for answers that
    may lack links altogether: a path that each answer with links has, and the parameter that skips rows without it.
    """
    fixed = {size[0]: str(size[1])} if size else {}

    def pages(start: Step | None) -> Pages:
        step = start or Step(dict(fixed))
        while True:
            page = yield step
            link = page.links_next if header else page.envelope.get(path or "")
            if unlinked and size and not page.envelope.get(unlinked[0]) and len(page.rows) >= size[1]:
                skip = int(step.params.get(unlinked[1], "0")) + len(page.rows)
                step = Step({**fixed, unlinked[1]: str(skip)})
                continue
            if not link or (unlinked and not page.rows):
                return
            parts = urlsplit(str(link))
            step = Step(url=f"{parts.path}?{parts.query}") if parts.path else Step(_flat(parts.query))

    return Pager(pages=pages, envelope=tuple(name for name in (path, unlinked and unlinked[0]) if name))


def _flat(query: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(query).items()}


def _whole(value: object, where: str) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise UnexpectedData(f"the total at {where!r} is not a number: {str(value)[:40]!r}.") from None
