"""Sync plans: windows without gaps in any time zone, and what each plan asks for from what it knows."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from tracker.connect.fields import timestamp
from tracker.connect.plans import (
    LEGS_MAX,
    Axis,
    ChangeFeed,
    Full,
    Leg,
    NewestFirst,
    PerPayout,
    Reread,
    Snapshot,
    WebhookOnly,
    When,
    Windows,
    created_since,
    date_windows,
    iso_naive,
    iso_z,
    local,
    replace_window,
    rewound,
    unix,
    updated_since,
    windows,
)
from tracker.connect.rows import Page
from tracker.errors import DataError, UnexpectedData

NOW = datetime(2026, 6, 15, 10, tzinfo=UTC)
#: Nights when the clocks change, leap days, ends of months and years.
AWKWARD = [
    datetime.fromisoformat(f"{time}+00:00")
    for time in ("2024-02-29T12:00", "2024-03-31T01:00", "2024-10-27T00:30", "2023-12-31T23:59:59", "2025-02-28T23:00")
]
FIRST, LAST = datetime(2023, 1, 1), datetime(2026, 6, 15)  # noqa: DTZ001 - hypothesis adds the zone
TIMES = st.sampled_from(AWKWARD) | st.datetimes(FIRST, LAST, timezones=st.just(UTC))
SPANS = st.timedeltas(timedelta(seconds=1), timedelta(days=500))
DAYS = st.sampled_from([1, 7, 30, 31, 92, 366, None])
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "UTC"]


class Knows:
    """A ledger that knows some ids."""

    def __init__(self, ids: list[str] | None = None, payouts: list[str] | None = None) -> None:
        self.ids, self.payouts = sorted(ids or []), payouts or []

    def open_ids(self, after: str, limit: int) -> list[str]:
        return [known for known in self.ids if known > after][:limit]

    def payouts_to_itemise(self, limit: int) -> list[str]:
        return self.payouts[:limit]


def no_feed(leg: Leg) -> Iterator[Page]:
    raise AssertionError("no feed is read")


def legs(plan: Any, state: dict[str, str] | None = None, now: datetime = NOW, **more: Any) -> list[Leg]:
    when = When(now=now, since=more.pop("since", now - timedelta(days=100)), again=more.pop("again", False))
    return list(plan.legs(state or {}, when, more.pop("known", Knows()), more.pop("read", no_feed)))


def after(state: dict[str, str], done: list[Leg]) -> dict[str, str]:
    for leg in done:
        state = {**leg.begin, **state, **leg.done}
    return {name: value for name, value in state.items() if value}


# --- windows ---


@given(start=TIMES, span=SPANS, days=DAYS, aligned=st.booleans())
def test_windows_cover_all_time_without_a_gap(
    start: datetime, span: timedelta, days: int | None, aligned: bool
) -> None:
    found = list(windows(start, start + span, days, aligned=aligned))
    assert found[0][0] <= start
    assert found[-1][1] == start + span
    assert all(high == low for (_, high), (low, _) in pairwise(found))
    assert all(low < high for low, high in found)
    if days is not None:
        assert all(high - low <= timedelta(days=days) for low, high in found)
    if not aligned or days is None:
        assert found[0][0] == start


@given(start=TIMES, span=SPANS, later=SPANS, days=DAYS.filter(bool))
def test_the_past_is_cut_the_same_way_on_a_second_read(
    start: datetime, span: timedelta, later: timedelta, days: int
) -> None:
    first = list(windows(start, start + span, days, aligned=True))
    second = list(windows(start, start + span + later, days, aligned=True))
    assert second[: len(first) - 1] == first[:-1]
    assert second[len(first) - 1][0] == first[-1][0]


@pytest.mark.parametrize("zone", ZONES)
@given(start=TIMES, span=SPANS, moment=st.floats(0, 1), fold=st.sampled_from([0, 1]))
def test_no_moment_falls_between_two_windows_of_a_provider_with_local_times(
    zone: str, start: datetime, span: timedelta, moment: float, fold: int
) -> None:
    """The provider reads the times it is given in its own zone; in a doubled hour it means always the same of both."""
    place = ZoneInfo(zone)
    plan = created_since("from", until="to", days=31, look_back=timedelta(hours=3), form=local(zone))
    place_of_row = (start + span * moment).replace(microsecond=0)
    state = {"through:created": iso_z(start)}

    def means(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=place, fold=fold).astimezone(UTC)

    asked = [(means(leg.params["from"]), means(leg.params["to"])) for leg in legs(plan, state, start + span)]
    if place_of_row < start + span - timedelta(hours=2):  # the last two hours are read again by the next run
        assert any(low <= place_of_row <= high for low, high in asked)


@given(first=TIMES, gaps=st.lists(st.timedeltas(timedelta(0), timedelta(days=90)), max_size=5), exclusive=st.booleans())
def test_runs_at_any_times_leave_no_moment_out(first: datetime, gaps: list[timedelta], exclusive: bool) -> None:
    plan = updated_since("from", until="to", days=31, exclusive=exclusive)
    state: dict[str, str] = {}
    covered: list[tuple[str, str]] = []
    now = first
    for gap in [timedelta(0), *gaps]:
        now += gap
        done = legs(plan, state, now, since=first - timedelta(days=50))
        covered += [(leg.params["from"], leg.params["to"]) for leg in done]
        before = state
        state = after(state, done)
        assert all(state[name] >= value for name, value in before.items())
    covered.sort()
    reach = covered[0][1]
    for low, high in covered:
        assert low < reach if exclusive else low <= reach
        reach = max(reach, high)
    assert reach == iso_z(now)


def test_a_backfill_goes_on_after_its_last_finished_window() -> None:
    plan = updated_since("from", until="to", days=31)
    done = legs(plan)[:2]
    goes_on = legs(plan, after({}, done))
    assert goes_on[0].params["from"] == done[1].params["to"]
    assert goes_on[-1].params["to"] == iso_z(NOW)


LOOK_BACK = created_since("from", until="to", days=31, look_back=timedelta(days=365))


@pytest.mark.parametrize("state", [{}, {"through:created": iso_z(NOW - timedelta(hours=1))}])
def test_runs_that_are_always_cut_short_come_to_the_newest_row_all_the_same(state: dict[str, str]) -> None:
    now, newest = NOW, []
    for _ in range(12):
        asked = legs(LOOK_BACK, state, now, since=NOW - timedelta(days=1000))[:5]
        state = after(state, asked)
        newest += [now] if asked[-1].params["to"] == iso_z(now) else []
        now += timedelta(hours=1)
    assert len(newest) >= 2
    assert iso_z(now - timedelta(hours=5)) <= state["through:created"] <= iso_z(now)


def test_what_a_run_read_that_was_cut_short_is_known_as_of_its_beginning() -> None:
    state = {"through:created": iso_z(NOW - timedelta(days=1))}
    first = legs(LOOK_BACK, state)
    state = after(state, first[:7])
    later = NOW + timedelta(days=40)
    rest = legs(LOOK_BACK, state, later)
    assert rest[0].params["from"] == first[6].params["to"]
    assert rest[-1].params["to"] == iso_z(later)
    state = after(state, rest)
    assert state == {"through:created": iso_z(NOW)}
    assert legs(LOOK_BACK, state, later)[0].params["from"] == iso_z(NOW - timedelta(days=365))


def test_where_a_run_was_cut_short_is_not_believed_when_its_clock_was_ahead() -> None:
    usual = {"through:created": iso_z(NOW)}
    ahead = legs(LOOK_BACK, usual, NOW + timedelta(days=300))
    later = NOW + timedelta(hours=1)
    for count in (4, len(ahead) - 1):
        state = after(usual, ahead[:count])
        found = legs(LOOK_BACK, state, later)
        assert found[0].params["from"] < found[-1].params["to"] == iso_z(later)
        assert after(state, found) == {"through:created": max(iso_z(later), state["through:created"])}


def test_the_date_that_is_furthest_behind_is_read_first() -> None:
    past = Axis(name="sold", since="from", params={"by": "sold"})
    follow = Axis(name="changed", since="from", params={"by": "changed"}, backfill=False)
    plan = date_windows(31, past, follow, form=iso_z)
    state = {"through:sold": iso_z(NOW), "through:changed": iso_z(NOW)}
    later = legs(plan, state, NOW + timedelta(hours=1))
    assert [leg.params["by"] for leg in later] == ["sold", "changed"]
    cut_short = after(state, later[:1])
    assert [leg.params["by"] for leg in legs(plan, cut_short, NOW + timedelta(hours=2))] == ["changed", "sold"]


def test_reading_a_later_part_again_leaves_no_gap_before_it() -> None:
    plan = updated_since("from", until="to", days=31)
    state = {"through:updated": iso_z(NOW - timedelta(days=7))}
    found = legs(plan, state, since=NOW - timedelta(days=1), again=True)
    assert found[-1].params["to"] == iso_z(NOW)
    assert legs(plan, after(state, found))[0].params["from"] == iso_z(NOW - timedelta(days=7, hours=1))


def test_a_rewound_plan_forgets_where_a_run_was_cut_short() -> None:
    state = after({"through:created": iso_z(NOW)}, legs(LOOK_BACK, {"through:created": iso_z(NOW)})[:3])
    assert "reached:created" in state
    state = rewound(LOOK_BACK, state, NOW - timedelta(days=50))
    assert legs(LOOK_BACK, state)[0].params["from"] == iso_z(NOW - timedelta(days=50 + 365))


def test_too_many_windows_are_refused_with_a_hint() -> None:
    with pytest.raises(UnexpectedData, match=f"more than {LEGS_MAX} windows.*later date"):
        list(windows(datetime(1900, 1, 1, tzinfo=UTC), NOW, 1))


def test_axes_that_follow_changes_begin_with_the_first_page_of_the_one_that_reads_the_past() -> None:
    past = Axis(name="sold", since="from", until="to", params={"by": "sold"})
    follow = Axis(name="changed", since="from", until="to", params={"by": "changed"}, backfill=False)
    plan = date_windows(31, past, follow, form=iso_naive)
    first = legs(plan)
    assert {leg.params["by"] for leg in first} == {"sold"}
    assert first[0].begin == {"through:changed": iso_z(NOW)}
    second = legs(plan, after({}, first), NOW + timedelta(days=2))
    [follows] = [leg for leg in second if leg.params["by"] == "changed"]
    assert follows.params == {"by": "changed", "from": "2026-06-15T09:00:00", "to": "2026-06-17T10:00:00"}


def test_a_clock_that_was_far_ahead_is_not_believed() -> None:
    plan = updated_since("from", until="to", days=31)
    state = {"through:updated": iso_z(NOW + timedelta(days=300))}
    found = legs(plan, state)
    assert found[0].params["from"] <= iso_z(NOW - timedelta(days=100))
    assert after(state, found) == {"through:updated": iso_z(NOW)}


def test_restated_windows_name_their_span() -> None:
    plan = replace_window("from", "to", days=10, look_back=timedelta(days=5), form=unix)
    [leg] = legs(plan, {"through:window": iso_z(NOW - timedelta(days=1))})
    assert leg.window == (NOW - timedelta(days=6), NOW)


def test_no_date_is_asked_for_that_the_provider_has_forgotten() -> None:
    axis = Axis(name="update", since="from", until="to", memory=timedelta(days=1094))
    found = legs(date_windows(45, axis, form=iso_z), {}, since=NOW - timedelta(days=2000), again=True)
    asked = [tuple(map(datetime.fromisoformat, (leg.params["from"], leg.params["to"]))) for leg in found]
    assert asked[0][0] == NOW - timedelta(days=1094)
    assert all(start < end <= start + timedelta(days=45) for start, end in asked)
    assert all(end == start for (_, end), (start, _) in pairwise(asked))
    assert asked[-1][1] == NOW


# --- open earnings ---

TURNS = Reread(param="ids", chunk=3, at_most=6)
REREAD = date_windows(31, Axis(name="t", since="f", until="u"), form=iso_z, reread=TURNS)


@given(count=st.integers(0, 30), runs=st.integers(1, 12))
def test_open_earnings_take_turns_for_ever(count: int, runs: int) -> None:
    known = Knows([f"e{number:02d}" for number in range(count)])
    state: dict[str, str] = {}
    asked: list[str] = []
    for _ in range(runs):
        done = [leg for leg in legs(REREAD, state, known=known) if "ids" in leg.params]
        ids = [name for leg in done for name in leg.params["ids"].split(",")]
        assert len(ids) == len(set(ids)) <= 6
        assert bool(ids) == bool(count)
        asked += ids
        state = after(state, done)
    turns = [asked.count(name) for name in known.ids]
    assert not turns or max(turns) - min(turns) <= 1 + runs // max(1, -(-count // 6))
    if runs >= -(-count // 6) + 1:
        assert set(asked) == set(known.ids)


def test_an_open_earning_is_read_again_at_its_own_address() -> None:
    plan = date_windows(
        31, Axis(name="t", since="f", until="u"), form=iso_z, reread=Reread(one="/actions/{id}", at_most=2)
    )
    found = [leg for leg in legs(plan, {}, known=Knows(["1.2.3", "4/5?", "6"])) if leg.single]
    assert [(leg.path, dict(leg.params)) for leg in found] == [("/actions/1.2.3", {}), ("/actions/4%2F5%3F", {})]
    assert [dict(leg.done) for leg in found] == [{"reread": "1.2.3"}, {"reread": "4/5?"}]


# --- other plans ---


def event_page(*about: str, days_ago: float = 0) -> Page:
    time = iso_z(NOW - timedelta(days=days_ago))
    return Page(rows=[msgspec.Raw(msgspec.json.encode({"about": name, "at": time})) for name in about])


FEED = ChangeFeed(
    path="/events", params={"type": "x"}, since="since", form=unix, memory=timedelta(days=30), id="about",
    at=timestamp("at"), one="/charges/{id}", list_params={"all": "1"}, at_most=3,
)  # fmt: skip


def test_a_feed_reads_each_changed_object_once() -> None:
    asked: list[Leg] = []

    def read(leg: Leg) -> Iterator[Page]:
        asked.append(leg)
        yield event_page("a", "b", days_ago=0.25)
        yield event_page("a", days_ago=0.5)

    state = {"through": iso_z(NOW - timedelta(days=1))}
    found = legs(FEED, state, read=read)
    assert asked[0].params == {"type": "x", "since": unix(NOW - timedelta(days=1, hours=1))}
    assert [leg.path for leg in found] == ["/charges/a", "/charges/b"]
    assert found[-1].done == {"through": iso_z(NOW)}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 23)), min_size=1), st.integers(0, 2))
def test_a_feed_that_is_cut_short_goes_on_at_the_changes_it_had_not_come_to(
    changes: list[tuple[str, int]], read_before: int
) -> None:
    """In whatever order the events come: nothing that changed is left out, and of what was read only an hour again."""
    last = {name: min(hours for one, hours in changes if one == name) for name, _ in changes}

    def read(leg: Leg) -> Iterator[Page]:
        for name, hours in changes:
            if unix(NOW - timedelta(hours=hours)) >= leg.params["since"]:
                yield event_page(name, days_ago=hours / 24)

    state = {"through": iso_z(NOW - timedelta(hours=24))}
    whole = legs(FEED, state, read=read)
    assert [last[leg.key[-1]] for leg in whole] == sorted(last.values(), reverse=True)
    cut = whole[: min(read_before, len(whole) - 1)]
    again = legs(FEED, after(state, cut), read=read)
    reached = last[cut[-1].key[-1]] if cut else 24
    assert {leg.key[-1] for leg in again} == {name for name, hours in last.items() if hours <= reached + 1}
    assert {leg.key for leg in cut} | {leg.key for leg in again} == {leg.key for leg in whole}
    assert after(state, again) == {"through": iso_z(NOW)}


@pytest.mark.parametrize("silence", [None, timedelta(days=29), timedelta(days=300), timedelta(days=-3)])
def test_a_feed_that_has_forgotten_is_replaced_by_the_full_list(silence: timedelta | None) -> None:
    state = {} if silence is None else {"through": iso_z(NOW - silence)}
    [leg] = legs(FEED, state)
    assert (leg.params, leg.done) == ({"all": "1"}, {"through": iso_z(NOW)})


def test_a_feed_with_too_much_news_is_replaced_by_the_full_list() -> None:
    found = legs(FEED, {"through": iso_z(NOW - timedelta(days=1))}, read=lambda leg: iter([event_page(*"abcdef")]))
    assert [leg.key for leg in found] == ["all"]


def test_a_quiet_feed_still_moves_on() -> None:
    [leg] = legs(FEED, {"through": iso_z(NOW - timedelta(days=1))}, read=lambda leg: iter([event_page()]))
    assert (leg.path, leg.done) == ("", {"through": iso_z(NOW)})


@pytest.mark.parametrize("name", ["../secrets", "", "a b", "a?x=1"])
def test_an_id_that_would_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="change feed has no id"):
        legs(FEED, {"through": iso_z(NOW - timedelta(days=1))}, read=lambda leg: iter([event_page(name)]))


def test_plans_without_dates_ask_for_everything() -> None:
    assert [leg.snapshot for plan in (Snapshot(), Full()) for leg in legs(plan)] == [True, False]
    assert legs(WebhookOnly()) == []


def test_newest_first_goes_back_to_the_start_and_later_only_a_little() -> None:
    plan = NewestFirst(time=timestamp("at"), rescan=timedelta(days=3))
    assert legs(plan)[0].stop_before == NOW - timedelta(days=100)
    assert legs(plan, {"through": "x"})[0].stop_before == NOW - timedelta(days=3)
    assert legs(plan, {"through": "x"}, again=True)[0].stop_before == NOW - timedelta(days=100)


def test_newest_first_asks_again_for_what_is_open() -> None:
    plan = NewestFirst(time=timestamp("at"), rescan=timedelta(days=3), reread=Reread(one="/sales/{id}", at_most=2))
    found = legs(plan, {"through": "x", "reread": "a"}, known=Knows(["a", "b", "c", "d"]))
    assert [leg.path for leg in found] == [None, "/sales/b", "/sales/c"]
    assert found[-1].done == {"reread": "c"}


def test_each_payout_is_listed_once() -> None:
    found = legs(PerPayout(param="payout", at_most=2), known=Knows(payouts=["p1", "p2", "p3"]))
    assert [(leg.params, leg.payout) for leg in found] == [({"payout": "p1"}, "p1"), ({"payout": "p2"}, "p2")]
    found = legs(PerPayout(one="/payments/{id}/lines"), known=Knows(payouts=["p/1"]))
    assert [(leg.path, leg.params, leg.payout) for leg in found] == [("/payments/p%2F1/lines", {}, "p/1")]


def test_a_date_may_be_written_unlike_the_others() -> None:
    days = Axis(name="day", since="day_from", until="day_to", form=local("UTC", "%d.%m.%Y"))
    changed = Axis(name="changed", since="from", until="to", backfill=False)
    state = {"through:day": "2026-03-01T12:00:00Z", "through:changed": "2026-03-01T12:00:00Z"}
    found = [leg.params for leg in legs(date_windows(3650, days, changed, form=iso_naive), state)]
    assert found[0]["day_from"] == "01.03.2026"
    assert found[1]["from"] == "2026-03-01T11:00:00"


def test_windows_are_what_the_shorthands_make() -> None:
    assert isinstance(updated_since("a"), Windows)
    assert legs(updated_since("a"))[0].params == {"a": iso_z(NOW - timedelta(days=100))}
