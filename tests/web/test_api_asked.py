"""What the API is asked for is what it answers: order, spans and lists that have an end."""

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from tests.pretend import earning
from tests.web.api_story import program, tell
from tests.world import World
from tracker import jobs, tokens


@pytest.fixture
def reads(served: str, world: World) -> Iterator[httpx.Client]:
    with program(served, tell(world).read) as one:
        yield one


def test_earnings_come_in_the_order_that_is_asked_for(reads: httpx.Client) -> None:
    def told(sort: str, field: str) -> list[str]:
        rows = reads.get(f"/earnings?connection=network&currency=EUR&sort={sort}").json()["rows"]
        assert len(rows) == 5
        return [row[field] for row in rows]

    newest = told("newest", "earned_at")
    assert newest == sorted(newest, reverse=True)
    assert told("oldest", "earned_at") == newest[::-1]
    largest = ["7000000000000.10", "1234.56", "9.99", "0.30", "-5.00"]
    assert (told("largest", "net"), told("smallest", "net")) == (largest, largest[::-1])


def test_income_is_told_of_twenty_years_at_once_and_no_more(reads: httpx.Client) -> None:
    assert reads.get("/income?from=2006-07&to=2026-06").status_code == 200
    refused = reads.get("/income?from=2006-06&to=2026-06")
    assert (refused.status_code, refused.json()["detail"]) == (422, "At most 240 months at once.")
    assert reads.get("/income?from=2026-06&to=2026-05").status_code == 422


def test_letters_are_listed_of_twenty_years_and_each_is_there(reads: httpx.Client, world: World) -> None:
    put = earning("old", datetime(1999, 3, 1, tzinfo=UTC), status="approved")
    world.provider.put("/movements", {**put, "kind": "sale"})
    world.deps.settings = world.deps.settings.model_copy(update={"backfill_months": 400})
    world.add("bank", "older")
    world.sync("older")
    rows = reads.get("/letters").json()["rows"]
    months = [row["month"] if isinstance(row, dict) else row for row in rows]
    assert (len(months), months[0], months[-1]) == (240, "2026-06", "2006-07")
    assert [reads.get(f"/letters/{month}").status_code for month in (months[-1], "2005-01", "2026-07")] == [
        200,
        404,
        404,
    ]


def test_payouts_are_asked_for_by_days_and_their_inside_by_pages(reads: httpx.Client) -> None:
    day = reads.get("/payouts").json()["rows"][0]["created_at"][:10]
    for query, status in ((f"from={day}&to={day}", 200), (f"to={day}", 200), (f"from={day}&to=2020-01-01", 422)):
        assert (query, reads.get(f"/payouts?{query}").status_code) == (query, status)
    payout = next(row for row in reads.get("/payouts").json()["rows"] if row["external_id"] == "po1")
    seen, path = [], f"/payouts/{payout['id']}/earnings?limit=3"
    first = reads.get(path).json()
    rest = reads.get(f"{path}&cursor={first['next']}").json()
    seen = [row["external_id"] for row in first["rows"] + rest["rows"]]
    assert (len(first["rows"]), len(rest["rows"]), rest["next"], len(set(seen))) == (3, 1, None, 4)


def test_a_place_in_a_list_that_nobody_gave_out_is_refused(reads: httpx.Client) -> None:
    for path in ("/quarantine", "/earnings", "/payouts", "/subscriptions"):
        for cursor in ("9" * 30, "x", "-1", "1.1.1"):
            assert (path, cursor, reads.get(f"{path}?cursor={cursor}").status_code) == (path, cursor, 422)


def test_subscriptions_are_found_by_a_text(reads: httpx.Client) -> None:
    found = [
        [row["external_id"] for row in reads.get(f"/subscriptions{query}").json()["rows"]] for query in ("", "?q=s1")
    ]
    assert (sorted(found[0]), found[1]) == (["s1", "s2"], ["s1"])


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("month", "2026-06", ("2026-6", "202606", "2026-13", "2026-00", "\u0662026-06", "2026-06-01", "June")),
        ("from", "2026-06-01", ("20260601", "2026-6-1", "2026-02-30", "2026-W01-1", "today", "2026-06-01T00:00")),
        ("min", "-1234.5", ("1e3", "NaN", "Infinity", "1,5", "0x1", "1.2.3", "1" * 40)),
    ],
)
def test_days_months_and_amounts_are_written_in_one_way(
    reads: httpx.Client, name: str, right: str, wrong: tuple[str, ...]
) -> None:
    assert reads.get("/earnings", params={name: right}).status_code == 200
    assert [one for one in wrong if reads.get("/earnings", params={name: one}).status_code != 422] == []


def test_only_what_is_read_is_tagged(reads: httpx.Client, served: str, world: World) -> None:
    given = reads.get("/streams/reviews").headers
    assert (given["cache-control"], given["vary"]) == ("private, no-cache", "Authorization")
    again = reads.get("/streams/reviews", headers={"If-None-Match": f"W/{given['etag']}"})
    assert (again.status_code, again.content) == (304, b"")
    text = tokens.make_for_owner(world.engine, "another", "write", world.now)
    with program(served, text) as one:
        changed = one.patch("/streams/reviews", json={"title": "Reviews"})
        assert (changed.status_code, "etag" in changed.headers, changed.headers["cache-control"]) == (
            200, False, "no-store",
        )  # fmt: skip
    gone = reads.get("/streams/gone", headers={"If-None-Match": "*"})
    assert (gone.status_code, "etag" in gone.headers) == (404, False)


def test_a_probe_sees_whether_the_clock_runs(reads: httpx.Client, world: World) -> None:
    silent = reads.get("/health").json()
    assert (silent["ok"], "no clock is running" in silent["problem"]) == (False, True)
    jobs.tick(world.deps, lambda ids: None)
    running = reads.get("/health").json()
    assert (running["ok"], running["problem"]) == (True, None)
