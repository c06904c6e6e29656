"""Hours of the user's day, in ordinary nights and in those in which the clocks change."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from tracker import hours
from tracker.errors import UsageError
from tracker.hours import coming, interval_text, is_quiet, loud, newest, read_interval, read_quiet

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
#: Lord Howe changes by half an hour, Havana at midnight, Apia by an hour.
ZONES = [BERLIN, NEW_YORK, *map(ZoneInfo, ("UTC", "Australia/Lord_Howe", "America/Havana", "Pacific/Apia"))]
zones = st.sampled_from(ZONES)
moments = st.integers(1_580_000_000, 2_050_000_000).map(lambda second: datetime.fromtimestamp(second, UTC))
times = st.builds(time, st.integers(0, 23), st.integers(0, 59))
periods = st.sampled_from([1, 5, 15, 60, 360, 1440]).map(lambda minutes: timedelta(minutes=minutes))


@st.composite
def quiet_hours(draw: st.DrawFn) -> str:
    start, quiet = draw(st.integers(0, 1439)), draw(st.integers(1, 1380))
    end = (start + quiet) % 1440
    return read_quiet(f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}")


def at(text: str, zone: ZoneInfo) -> datetime:
    """A time on the wall; the second of two that read the same ends in "b"."""
    wall = datetime.fromisoformat(text.rstrip("b")).replace(tzinfo=zone, fold=text.endswith("b"))
    return wall.astimezone(UTC)


@pytest.mark.parametrize(
    ("moment", "zone", "quiet", "end"),
    [
        ("2026-06-15 21:59", BERLIN, "22:00-06:00", "2026-06-15 21:59"),
        ("2026-06-15 22:00", BERLIN, "22:00-06:00", "2026-06-16 06:00"),
        ("2026-06-16 05:59", BERLIN, "22:00-06:00", "2026-06-16 06:00"),
        ("2026-06-16 06:00", BERLIN, "22:00-06:00", "2026-06-16 06:00"),
        ("2026-06-15 13:30", BERLIN, "13:00-14:30", "2026-06-15 14:30"),
        ("2026-06-15 22:00", BERLIN, "22:00-00:00", "2026-06-16 00:00"),
        # clocks go from 02:00 to 03:00: the night is an hour shorter, and an end that does not exist comes later
        ("2026-03-28 23:00", BERLIN, "22:00-06:00", "2026-03-29 06:00"),
        ("2026-03-29 01:30", BERLIN, "22:00-02:30", "2026-03-29 03:30"),
        ("2026-03-29 03:10", BERLIN, "03:00-02:00", "2026-03-30 02:00"),
        ("2026-03-08 01:30", NEW_YORK, "22:00-02:30", "2026-03-08 03:30"),
        # clocks go from 03:00 back to 02:00: what they show twice is quiet twice
        ("2026-10-25 01:30", BERLIN, "22:00-06:00", "2026-10-25 06:00"),
        ("2026-10-25 02:10", BERLIN, "22:00-02:30", "2026-10-25 02:30"),
        ("2026-10-25 02:10b", BERLIN, "22:00-02:30", "2026-10-25 02:30b"),
        ("2026-10-25 02:40", BERLIN, "02:30-04:00", "2026-10-25 04:00"),
        ("2026-11-01 01:10b", NEW_YORK, "22:00-01:30", "2026-11-01 01:30b"),
    ],
)
def test_quiet_hours_end_when_the_clock_on_the_wall_says_so(moment: str, zone: ZoneInfo, quiet: str, end: str) -> None:
    assert loud(at(moment, zone), quiet, zone) == at(end, zone)


@given(moment=moments, zone=zones, quiet=quiet_hours())
@example(moment=datetime(2026, 3, 29, 1, 5, tzinfo=UTC), zone=BERLIN, quiet="03:00-02:00")
def test_the_end_of_quiet_hours_is_not_quiet_and_soon(moment: datetime, zone: ZoneInfo, quiet: str) -> None:
    end = loud(moment, quiet, zone)
    assert not is_quiet(end, quiet, zone)
    assert moment <= end <= moment + timedelta(hours=48)
    assert (end == moment) == (not is_quiet(moment, quiet, zone))


def test_without_quiet_hours_no_moment_is_quiet(now: datetime) -> None:
    assert loud(now, None, BERLIN) == now


@given(now=moments, zone=zones, when=st.one_of(times, periods))
def test_the_last_time_of_a_job_is_past_and_the_next_one_follows(
    now: datetime, zone: ZoneInfo, when: hours.When
) -> None:
    before, after = newest(when, now, zone), coming(when, now, zone)
    assert before <= now < after
    assert newest(when, after, zone) == after
    assert coming(when, before, zone) == after
    assert after - before <= (when if isinstance(when, timedelta) else timedelta(hours=25))


@pytest.mark.parametrize("zone", ZONES, ids=str)
@pytest.mark.parametrize("wall", [time(0), time(1, 30), time(2), time(2, 30), time(3), time(17, 30), time(23, 59)])
def test_a_daily_time_comes_once_for_every_local_date(zone: ZoneInfo, wall: time) -> None:
    moment, dates = datetime(2026, 1, 1, tzinfo=UTC), []
    while moment < datetime(2026, 12, 31, tzinfo=UTC):
        moment = coming(wall, moment, zone)
        dates.append(moment.astimezone(zone).date())
    assert len(dates) == len(set(dates)) == (dates[-1] - dates[0]).days + 1 >= 364


@pytest.mark.parametrize(
    ("day", "zone", "wall", "found"),
    [
        ("2026-03-28 12:00", BERLIN, time(2, 30), "2026-03-29 03:30"),
        ("2026-10-24 12:00", BERLIN, time(2, 30), "2026-10-25 02:30"),
        ("2026-10-25 02:45", BERLIN, time(2, 30), "2026-10-26 02:30"),
        ("2026-03-07 12:00", NEW_YORK, time(2, 30), "2026-03-08 03:30"),
        ("2026-10-31 12:00", NEW_YORK, time(1, 30), "2026-11-01 01:30"),
    ],
)
def test_a_daily_time_that_a_night_skips_comes_later_and_one_that_it_repeats_comes_first(
    day: str, zone: ZoneInfo, wall: time, found: str
) -> None:
    assert coming(wall, at(day, zone), zone) == at(found, zone)


@pytest.mark.parametrize(
    ("text", "seconds"), [("5m", 300), (" 90 m ", 5400), ("6h", 21600), ("1d", 86400), ("30d", 2592000)]
)
def test_an_interval_is_minutes_hours_or_days(text: str, seconds: int) -> None:
    assert read_interval(text) == seconds
    assert read_interval(interval_text(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not an interval: ''. Write minutes, hours or days: 30m, 6h, 1d."),
        ("6", "not an interval: '6'."),
        ("-6h", "not an interval: '-6h'."),
        ("6.5h", "not an interval"),
        ("6 weeks", "not an interval"),
        ("9999999h", "not an interval"),
        ("٦h", "not an interval"),
        ("4m", "4m is not possible. Choose from 5m to 30d."),
        ("0h", "0h is not possible."),
        ("31d", "31d is not possible."),
    ],
)
def test_what_is_no_interval_says_how_one_is_written(text: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_interval(text)
    assert str(refused.value).startswith(told)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("22:00-06:00", "22:00-06:00"),
        (" 9:05 – 17:00", "09:05-17:00"),
        ("20:00-24:00", "20:00-00:00"),
        ("06:00-05:00", "06:00-05:00"),
    ],
)
def test_quiet_hours_are_kept_in_one_form(text: str, kept: str) -> None:
    assert read_quiet(text) == kept


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("22-6", "not quiet hours: '22-6'. Write them as 22:00-06:00, in your time zone; they may cross midnight."),
        ("", "not quiet hours: ''."),
        ("22:00", "not quiet hours"),
        ("22:00-6:0", "not quiet hours"),
        ("25:00-06:00", "not quiet hours"),
        ("22:00-24:30", "not quiet hours"),
        ("22:60-06:00", "not quiet hours"),
        ("10pm-6am", "not quiet hours"),
        ("22:00-22:00", "quiet from 22:00 to 22:00 leaves less than an hour a day."),
        ("06:00-05:30", "quiet from 06:00 to 05:30 leaves less than an hour a day."),
    ],
)
def test_what_are_no_quiet_hours_says_how_they_are_written(text: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_quiet(text)
    assert str(refused.value).startswith(told)
