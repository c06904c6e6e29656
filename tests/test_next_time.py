"""The next time of a sync: after the agreed interval, out of quiet hours, apart from the others."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.pretend import START
from tests.test_hours import BERLIN, NEW_YORK, moments, quiet_hours, zones
from tracker import schedule
from tracker.hours import INTERVAL_MAX_S, INTERVAL_MIN_S, is_quiet


class Row(NamedTuple):
    id: int = 1
    interval_s: int = 3600
    quiet: str | None = None
    next_sync_at: datetime = START


rows = st.builds(
    Row, id=st.integers(1, 10**6), interval_s=st.integers(INTERVAL_MIN_S, INTERVAL_MAX_S),
    quiet=st.one_of(st.none(), quiet_hours()),
)  # fmt: skip


@given(row=rows, now=moments, zone=zones, pause=st.one_of(st.none(), st.integers(1, 24_000)))
def test_the_next_time_is_after_the_interval_never_quiet_and_soon_enough(
    row: Row, now: datetime, zone: ZoneInfo, pause: int | None
) -> None:
    if pause is None:
        wait, found = row.interval_s, schedule.after_interval(row, now, zone)
    else:
        wait, found = pause, schedule.awake(now + timedelta(seconds=pause), row, zone)
    assert not is_quiet(found, row.quiet, zone)
    assert found >= now + timedelta(seconds=wait)
    longest = wait + min(row.interval_s / 10, schedule.SPREAD_MAX_S) + 1
    if row.quiet is None:
        assert found <= now + timedelta(seconds=longest)
    else:
        assert found <= now + timedelta(seconds=longest + schedule.SPREAD_MAX_S) + timedelta(hours=48)


@given(row=rows, now=moments, zone=zones, ago=st.integers(0, 10**7))
def test_no_scheduled_sync_begins_in_quiet_hours(row: Row, now: datetime, zone: ZoneInfo, ago: int) -> None:
    """However late it is: the machine was off, or the queue long."""
    planned = schedule.awake(now - timedelta(seconds=ago), row, zone)
    row = row._replace(next_sync_at=planned)
    if planned > now:
        return
    later = schedule.put_off(row, now, zone)
    assert (later is None) == (not is_quiet(now, row.quiet, zone))
    if later is not None:
        assert later > now
        assert not is_quiet(later, row.quiet, zone)


def test_a_sync_that_is_asked_for_in_quiet_hours_begins() -> None:
    row = Row(quiet="11:00-14:00", next_sync_at=START)  # 12:00 in Berlin
    assert schedule.put_off(row, START + timedelta(seconds=9), BERLIN) is None
    assert schedule.put_off(row._replace(next_sync_at=START - timedelta(hours=2)), START, BERLIN) is not None


@pytest.mark.parametrize(("interval_s", "within_s"), [(3600, 360), (86_400, 900)])
def test_a_thousand_connections_of_one_minute_grow_apart(interval_s: int, within_s: int) -> None:
    found = sorted(schedule.after_interval(Row(id, interval_s), START, BERLIN) for id in range(1, 1001))
    assert found[0] >= START + timedelta(seconds=interval_s)
    assert found[-1] <= START + timedelta(seconds=interval_s + within_s)
    busiest = max(Counter(one.replace(second=0) for one in found).values())
    assert busiest <= 1.2 * 1000 / (within_s / 60)


def test_after_quiet_hours_connections_do_not_all_begin_at_once() -> None:
    night = START + timedelta(hours=14)
    found = {schedule.awake(night, Row(id, quiet="22:00-06:00"), BERLIN) for id in range(1, 101)}
    assert len(found) > 80
    assert max(found) - min(found) <= timedelta(minutes=6)


@pytest.mark.parametrize("quiet", [None, "22:00-02:30", "02:15-02:45", "01:00-06:00"])
@pytest.mark.parametrize(
    ("zone", "night"),
    [(BERLIN, (2026, 3, 29)), (BERLIN, (2026, 10, 25)), (NEW_YORK, (2026, 3, 8)), (NEW_YORK, (2026, 11, 1))],
)
def test_in_the_nights_of_a_clock_change_no_sync_is_lost_and_none_comes_twice(
    zone: ZoneInfo, night: tuple[int, int, int], quiet: str | None
) -> None:
    row = Row(7, 900, quiet)
    begin = datetime(*night, tzinfo=UTC) - timedelta(hours=12)
    moment, times = begin, []
    while moment < begin + timedelta(hours=36):
        moment = schedule.after_interval(row, moment, zone)
        times.append(moment)
    gaps = [after - before for before, after in pairwise(times)]
    assert min(gaps) >= timedelta(seconds=900)
    for (before, after), gap in zip(pairwise(times), gaps, strict=True):
        if gap > timedelta(seconds=900 + 90):  # more than the interval and its spread: the time between was quiet
            between = (before + timedelta(minutes=1) * minute for minute in range(16, int(gap.total_seconds() / 60)))
            assert any(is_quiet(one, quiet, zone) for one in between)
            assert not is_quiet(after, quiet, zone)
    assert quiet or len(times) >= 36 * 3600 // 990


@given(failures=st.integers(1, 10**6), seed=st.integers(0, 99))
def test_the_pause_grows_but_never_beyond_its_limit(failures: int, seed: int) -> None:
    pause = schedule.back_off_s(failures, None, random.Random(seed))
    assert 0.8 * schedule.BACK_OFF_FIRST_S <= pause <= 1.2 * schedule.BACK_OFF_MAX_S
    if failures <= 5:
        assert pause < schedule.back_off_s(failures + 1, None, random.Random(seed))


@given(asked=st.floats(0, 10**9), seed=st.integers(0, 99))
def test_what_the_provider_asks_for_is_kept(asked: float, seed: int) -> None:
    pause = schedule.back_off_s(7, asked, random.Random(seed))
    assert min(max(asked, 1), schedule.BACK_OFF_MAX_S) <= pause <= 1.1 * schedule.BACK_OFF_MAX_S
