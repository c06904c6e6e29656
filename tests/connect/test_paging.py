"""Pagers, fed pages by hand: every row is seen once, whatever the page size and wherever a killed run stopped."""

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given
from requests.structures import CaseInsensitiveDict

from tracker.connect.paging import Pager, Step, cursor, next_link, offset, page_header, page_number, single_page
from tracker.connect.rows import Page
from tracker.errors import UnexpectedData

Answer = Callable[[Step], Page]
LISTS = st.lists(st.integers(0, 10**6), max_size=40, unique=True)
SIZES = st.integers(1, 12)


def page(rows: list[int], **more: Any) -> Page:
    return Page(rows=[msgspec.Raw(msgspec.json.encode({"id": row})) for row in rows], **more)


def ids(answer: Page) -> list[int]:
    return [msgspec.json.decode(raw)["id"] for raw in answer.rows]


def walk(pager: Pager, answer: Answer, start: Step | None = None) -> list[tuple[Step, list[int]]]:
    """All steps with the rows they led to."""
    found: list[tuple[Step, list[int]]] = []
    steps = pager.pages(start)
    step: Step | None = next(steps)
    while step is not None:
        assert len(found) < 200
        answered = answer(step)
        found.append((step, ids(answered)))
        try:
            step = steps.send(answered)
        except StopIteration:
            step = None
    return found


def part(rows: list[int], start: int, size: int) -> list[int]:
    return rows[start : start + size]


def by_number(rows: list[int], size: int, first: int, **more: Callable[[list[int], int], Any]) -> Answer:
    def answer(step: Step) -> Page:
        told = {name: tell(rows, size) for name, tell in more.items()}
        return page(part(rows, (int(step.params["page"]) - first) * size, size), **told)

    return answer


def pages_in(rows: list[int], size: int) -> int:
    return -(-len(rows) // size)


def in_header(rows: list[int], size: int) -> CaseInsensitiveDict[str]:
    return CaseInsensitiveDict({"x-pages": str(pages_in(rows, size))})


def kinds(rows: list[int], size: int) -> dict[str, tuple[Pager, Answer]]:
    """Every pager with a provider that pages as it expects."""

    def after(step: Step, name: str) -> int:
        return rows.index(int(step.params[name])) + 1 if name in step.params else 0

    def by_cursor(step: Step) -> Page:
        found = part(rows, after(step, "after"), size)
        more = bool(found) and found[-1] != rows[-1]
        return page(found, envelope={"next": found[-1] if more else None, "more": more, "done": not more})

    def by_link(step: Step) -> Page:
        query = dict(pair.split("=") for pair in (step.url or "").partition("?")[2].split("&") if pair) | step.params
        start = int(query.get("from", 0))
        link = f"https://api.example/list?from={start + size}" if start + size < len(rows) else None
        return page(part(rows, start, size), links_next=link, envelope={"links.next": link, "links.first": "/list"})

    def without_links(step: Step) -> Page:
        return page(part(rows, int(step.params.get("offset", "0")), size), envelope={})

    def by_header(step: Step) -> Page:
        end = int(step.headers["Page"]) * size
        return page(part(rows, end - size, size), status=206 if end < len(rows) else 200)

    def by_offset(step: Step) -> Page:
        start = int(step.params["offset"])
        return page(part(rows, start, size), envelope={"more": start + size < len(rows), "meta.count": len(rows)})

    def by_told_offset(step: Step) -> Page:
        start = int(step.params["offset"])
        return page(part(rows, start, size), envelope={"offset": start, "limit": str(size)})

    limit = ("limit", size)
    linked = next_link(path="links.next", size=limit, unlinked=("links.first", "offset"))
    return {
        "number": (page_number(size=limit), by_number(rows, size, 1)),
        "number of pages that are smaller than asked for": (
            page_number(size=("limit", 100), short=size),
            by_number(rows, size, 1),
        ),
        "number until empty": (page_number(), by_number(rows, size, 1)),
        "number from zero": (page_number(first=0, size=limit), by_number(rows, size, 0)),
        "number to a total": (
            page_number(total="pages"),
            by_number(rows, size, 1, envelope=lambda rows, size: {"pages": pages_in(rows, size)}),
        ),
        "number to a total from zero": (
            page_number(total="pages", first=0),
            by_number(rows, size, 0, envelope=lambda rows, size: {"pages": pages_in(rows, size)}),
        ),
        "number to a header": (
            page_number(total_header="X-Pages"),
            by_number(rows, size, 1, headers=in_header),
        ),
        "number to rows counted in a header": (
            page_number(size=limit, rows_header="X-Rows"),
            by_number(rows, size, 1, headers=lambda rows, size: CaseInsensitiveDict({"x-rows": str(len(rows))})),
        ),
        "number in a header": (page_header("Page", more=206), by_header),
        "offset": (offset(size=limit), by_offset),
        "offset of pages that are smaller than asked for": (offset(size=("limit", 100), told=True), by_told_offset),
        "offset while more": (offset(size=("limit", 100), more="more"), by_offset),
        "offset until empty": (offset(size=("limit", 100), short=1), by_offset),
        "offset to a total": (offset(size=("limit", 100), total="meta.count"), by_offset),
        "cursor": (cursor("after", next="next"), by_cursor),
        "cursor while more": (cursor("after", next="next", more="more", size=limit), by_cursor),
        "cursor until complete": (cursor("after", next="next", complete="done"), by_cursor),
        "last row while more": (cursor("after", last_row="id", more="more"), by_cursor),
        "last row until empty": (cursor("after", last_row="id"), by_cursor),
        "link in a header": (next_link(header=True, size=limit), by_link),
        "link in the answer": (next_link(path="links.next"), by_link),
        "link in the answer, if there are links": (linked, by_link),
        "no link in the answer, if there are links": (linked, without_links),
    }


KINDS = list(kinds([1], 1))


@pytest.mark.parametrize("kind", KINDS)
@given(rows=LISTS, size=SIZES)
def test_every_row_is_seen_once_for_any_page_size(kind: str, rows: list[int], size: int) -> None:
    pager, answer = kinds(rows, size)[kind]
    steps = walk(pager, answer)
    assert [row for _, found in steps for row in found] == rows
    assert len(steps) <= pages_in(rows, size) + 1
    assert len({msgspec.json.encode(step) for step, _ in steps}) == len(steps)


@pytest.mark.parametrize("kind", KINDS)
@given(rows=LISTS, size=SIZES, data=st.data())
def test_a_killed_walk_goes_on_at_any_step(kind: str, rows: list[int], size: int, data: st.DataObject) -> None:
    pager, answer = kinds(rows, size)[kind]
    steps = walk(pager, answer)
    number = data.draw(st.integers(0, len(steps) - 1))
    stored = msgspec.convert(msgspec.to_builtins(steps[number][0]), Step)  # as it comes back from the database
    assert walk(pager, answer, stored) == steps[number:]


def test_a_single_page_is_asked_for_once() -> None:
    assert walk(single_page, lambda step: page([1, 2])) == [(Step(), [1, 2])]


@pytest.mark.parametrize(
    ("pager", "answer"),
    [
        (cursor("after", next="next", more="more"), page([1], envelope={"more": True})),
        (cursor("after", next="next", more="more"), page([1], envelope={"more": True, "next": ""})),
        (cursor("after", next="next", complete="done"), page([1], envelope={"done": False})),
        (cursor("after", last_row="key", more="more"), page([1], envelope={"more": True})),
        (cursor("after", last_row="key"), page([1])),
        (cursor("after", last_row="id.of"), page([1])),
    ],
)
def test_more_without_a_place_to_go_on_from_is_not_taken_for_the_end(pager: Pager, answer: Page) -> None:
    with pytest.raises(UnexpectedData, match=r"gives no cursor.*Nothing was lost"):
        walk(pager, lambda step: answer)


@pytest.mark.parametrize("stated", ["many", None, "1.5"])
def test_a_total_that_is_no_number_is_refused(stated: str | None) -> None:
    with pytest.raises(UnexpectedData, match="total at 'pages'"):
        walk(page_number(total="pages"), lambda step: page([1], envelope={"pages": stated}))


def test_numbered_pages_start_anew_after_a_kill_unless_their_order_is_fixed() -> None:
    assert not page_number().resumable
    assert not offset(size=("limit", 5)).resumable
    assert page_number(resumable=True).resumable


def test_a_link_that_is_only_a_query_becomes_parameters() -> None:
    answers = iter([page([1], envelope={"next": "?cursor=a%20b&limit=5"}), page([2], envelope={"next": None})])
    steps = walk(next_link(path="next"), lambda step: next(answers))
    assert steps[1][0] == Step({"cursor": "a b", "limit": "5"})


def test_a_provider_that_does_not_skip_is_not_read_for_ever() -> None:
    with pytest.raises(UnexpectedData, match="skip 2 rows and did not"):
        walk(offset(size=("limit", 2), told=True), lambda step: page([1, 2], envelope={"offset": 0, "limit": 2}))
