"""Reading, judging and storing new reference rates."""

import gzip
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from tracker.errors import RateLimited, Unavailable, UnexpectedData
from tracker.rates import (
    CARRY_DAYS,
    SERIES,
    EuroRate,
    Rates,
    fetch_rates,
    load_rates,
    newest_bundled_day,
    parse_ecb_csv,
    plausible,
    store_rates,
    update_rates,
)
from tracker.settings import Settings
from tracker.store.database import open_engine
from tracker.store.tables import metadata

BUNDLED = Rates()
ROOT = Path(__file__).parent.parent
#: The first columns as the data API sends them.
HEADER = "KEY,FREQ,CURRENCY,CURRENCY_DENOM,EXR_TYPE,EXR_SUFFIX,TIME_PERIOD,OBS_VALUE,OBS_STATUS,TITLE_COMPL"
DAYS = st.dates(date(1999, 1, 4), date(2026, 6, 30))
QUOTED = st.sampled_from(["EUR", "USD", "GBP", "JPY", "SEK", "NOK", "CHF", "DKK", "PLN", "HUF", "IDR", "TRY"])


def answer(*rates: tuple[str, str, str], end: str = "\n") -> bytes:
    title = '"ECB reference exchange rate, 2:15 pm (C.E.T.)"'
    lines = [f"EXR.D.{q}.EUR.SP00.A,D,{q},EUR,SP00,A,{day},{value},A,{title}" for q, day, value in rates]
    return ("\n".join([HEADER, *lines]) + end).encode()


# --- reading the ECB's answer -----------------------------------------------------------------------------------------


def test_an_answer_of_the_data_api_is_read() -> None:
    content = answer(("USD", "2026-11-19", "1.1172"), ("USD", "2026-11-20", ""), ("JPY", "2026-11-20", "175.68"))
    assert parse_ecb_csv(content) == [
        EuroRate("USD", date(2026, 11, 19), Decimal("1.1172")),
        EuroRate("JPY", date(2026, 11, 20), Decimal("175.68")),
    ]


def test_columns_are_found_by_name_in_any_order() -> None:
    content = b"\xef\xbb\xbfOBS_VALUE,TIME_PERIOD,CURRENCY,FREQ\r\n1.1,2026-11-19,USD,D\r\n"
    assert parse_ecb_csv(content) == [EuroRate("USD", date(2026, 11, 19), Decimal("1.1"))]


def test_monthly_averages_unknown_currencies_and_gaps_are_left_out() -> None:
    rows = "M,USD,2026-11-01,1.1\nD,E5,2026-11-19,99\nD,USD,2026-11-19,NaN\nD,USD,2026-11-20,1.2\n"
    assert parse_ecb_csv(f"FREQ,CURRENCY,TIME_PERIOD,OBS_VALUE\n{rows}".encode()) == [
        EuroRate("USD", date(2026, 11, 20), Decimal("1.2"))
    ]


@pytest.mark.parametrize("value", ["0", "-1.1", "0.000", "1,1", "abc", "Infinity", "1.1.1", "1e400", "9" * 40])
def test_a_value_that_is_no_rate_is_refused_by_name(value: str) -> None:
    with pytest.raises(UnexpectedData, match="as the rate of USD on 2026-11-19"):
        parse_ecb_csv(answer(("USD", "2026-11-19", f'"{value}"')))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!DOCTYPE html><html><body>Maintenance</body></html>",
        b'{"dataSets": []}',
        b"\x1f\x8b\x08\x00\xff\xff",
        b"FREQ,CURRENCY,TIME_PERIOD\nD,USD,2026-11-19\n",
        answer(("USD", "2026-11-19", "1.1"), ("USD", "2026-11-20", "1.1"))[:-60],
        b"FREQ,CURRENCY,TIME_PERIOD,OBS_VALUE\nD,USD,2026-11-19,1.1",
        b'FREQ,CURRENCY,TIME_PERIOD,OBS_VALUE\nD,USD,2026-11-19,"1.1',
        b"FREQ,CURRENCY,TIME_PERIOD,OBS_VALUE\nD,USD,19.11.2026,1.1\n",
        b"FREQ,CURRENCY,TIME_PERIOD,OBS_VALUE\nD,USD,1970-01-01,1.1\n",
        b"FREQ,CURRENCY,TIME_PERIOD,OBS_VALUE\nD,USD,2026-11-19," + b"1" * 200_000 + b"\n",
        b"FREQ,CURRENCY,TIME_PERIOD,OBS_VALUE\nD,USD,2026-11-19,1.1\0\n",
    ],
    ids=range(12),
)
def test_what_is_not_a_whole_table_of_rates_is_refused(content: bytes) -> None:
    with pytest.raises(UnexpectedData, match="the rates known so far stay in use"):
        parse_ecb_csv(content)


@given(st.integers(0, 400))
def test_a_cut_answer_never_yields_a_wrong_rate(length: int) -> None:
    whole = answer(("USD", "2026-11-19", "1.1172"), ("JPY", "2026-11-19", "175.68"))
    complete = parse_ecb_csv(whole)
    try:
        rates = parse_ecb_csv(whole[:length])
    except UnexpectedData:
        return
    assert rates == complete[: len(rates)]


@given(st.binary(max_size=300))
def test_no_answer_ends_in_a_crash(content: bytes) -> None:
    for head in (b"", b"FREQ,CURRENCY,TIME_PERIOD,OBS_VALUE\n"):
        try:
            parse_ecb_csv(head + content)
        except UnexpectedData:
            continue


# --- what can be true -------------------------------------------------------------------------------------------------

TODAY = date(2024, 1, 3)


def after_new_year(quote: str, rate: str, day: date = TODAY) -> tuple[list[EuroRate], list[str]]:
    return plausible([EuroRate(quote, day, Decimal(rate))], BUNDLED, TODAY)


@pytest.mark.parametrize("rate", ["1.0956", "1.64", "0.55"])
def test_a_usual_change_is_accepted(rate: str) -> None:
    assert after_new_year("USD", rate) == ([EuroRate("USD", TODAY, Decimal(rate))], [])


@pytest.mark.parametrize("rate", ["1.65", "0.54", "109.56", "0.0001"])
def test_a_jump_of_more_than_half_is_refused_with_both_rates(rate: str) -> None:
    kept, (sentence,) = after_new_year("USD", rate)
    assert kept == []
    assert f"The rate of USD for 2024-01-03 is {rate} after 1.0956 on 2024-01-02" in sentence
    assert "enter it as a manual rate" in sentence


def test_a_refused_rate_is_no_measure_for_the_next_day() -> None:
    rows = [EuroRate("USD", TODAY, Decimal("9")), EuroRate("USD", TODAY + timedelta(days=1), Decimal("9.1"))]
    kept, refused = plausible(rows, BUNDLED, TODAY)
    assert kept == []
    assert len(refused) == 2


def test_a_currency_without_a_recent_rate_has_nothing_to_jump_from() -> None:
    assert after_new_year("HRK", "99")[1] == []
    assert after_new_year("AED", "4.05")[1] == []


def test_a_rate_from_the_future_is_refused() -> None:
    assert after_new_year("USD", "1.1", TODAY + timedelta(days=1))[1] == []
    assert "lies in the future" in after_new_year("USD", "1.1", TODAY + timedelta(days=2))[1][0]


def test_the_rule_would_have_refused_one_day_since_1999() -> None:
    quoted = (
        "USD JPY BGN CYP CZK DKK EEK GBP HUF LTL LVL MTL PLN ROL RON SEK SIT SKK CHF ISK NOK HRK RUB TRL TRY AUD BRL"
    )
    quoted += " CAD CNY HKD IDR ILS INR KRW MXN MYR NZD PHP SGD THB ZAR"
    days = [date(1999, 1, 4) + timedelta(days=number) for number in range(10_150)]
    history = [
        rate
        for quote in quoted.split(" ")
        for day in days
        if (rate := BUNDLED.euro_rate(quote, day)) and rate.day == day
    ]
    kept, refused = plausible(history, Rates(), date(2027, 1, 1))
    assert len(kept) > 200_000
    assert {sentence[:34] for sentence in refused} == {"The rate of TRL for 2001-02-22 is "}


# --- the daily update -------------------------------------------------------------------------------------------------


class RateServer(ThreadingHTTPServer):
    """Answers in the place of the ECB, on this machine."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), RateHandler)
        self.status, self.headers, self.body = 200, {"Content-Type": "text/csv"}, answer()
        self.declared: int | None = None
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class RateHandler(BaseHTTPRequestHandler):
    server: RateServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(self.server.declared or len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[RateServer]:
    with RateServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_engine(database_url)
    metadata.create_all(engine, tables=[metadata.tables["exchange_rate"]])
    yield engine
    engine.dispose()


@pytest.fixture
def settings(server: RateServer, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, rates_url=server.url)


def stored(engine: Engine) -> list[tuple[str, date, str, str]]:
    table = metadata.tables["exchange_rate"].c
    with engine.connect() as connection:
        wanted = select(table.quote, table.day, table.rate, table.source).order_by(table.quote, table.day)
        return [tuple(row) for row in connection.execute(wanted)]


def day_after(days: int) -> date:
    return newest_bundled_day() + timedelta(days=days)


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def test_an_update_adds_what_is_new_and_asks_from_the_last_known_days(
    engine: Engine, server: RateServer, http: requests.Session, settings: Settings
) -> None:
    server.body = answer(
        ("USD", str(day_after(0)), "1.1172"), ("USD", str(day_after(3)), "1.12"), ("USD", str(day_after(4)), "")
    )
    update = update_rates(engine, http, settings, noon(day_after(4)))
    assert update.changed == (EuroRate("USD", day_after(3), Decimal("1.12")),)
    assert (update.refused, update.newest_day) == ((), day_after(3))
    asked = urlsplit(server.asked[0])
    assert asked.path == SERIES == "/service/data/EXR/D..EUR.SP00.A"
    assert parse_qs(asked.query) == {"format": ["csvdata"], "startPeriod": [str(day_after(-CARRY_DAYS))]}

    with engine.connect() as connection:
        rates = load_rates(connection)
    assert rates.rate("EUR", "USD", day_after(4)) == (Decimal("1.12"), day_after(3))
    assert rates.rate("EUR", "USD", day_after(2)) == BUNDLED.rate("EUR", "USD", day_after(0))


def test_a_second_update_changes_nothing_and_says_so(
    engine: Engine, server: RateServer, http: requests.Session, settings: Settings
) -> None:
    server.body = answer(("USD", str(day_after(3)), "1.12"))
    update_rates(engine, http, settings, noon(day_after(4)))
    before = stored(engine)
    again = update_rates(engine, http, settings, noon(day_after(5)))
    assert (again.changed, stored(engine)) == ((), before)
    assert f"startPeriod={day_after(3 - CARRY_DAYS)}" in server.asked[1]


def test_a_rate_that_the_ecb_corrects_is_replaced(
    engine: Engine, server: RateServer, http: requests.Session, settings: Settings
) -> None:
    for value in ("1.12", "1.13"):
        server.body = answer(("USD", str(day_after(3)), value))
        update_rates(engine, http, settings, noon(day_after(4)))
    assert stored(engine) == [("USD", day_after(3), "1.13", "ecb")]


def test_a_manual_rate_is_never_overwritten_and_vouches_for_a_jump(
    engine: Engine, server: RateServer, http: requests.Session, settings: Settings
) -> None:
    now = noon(day_after(5))
    with engine.begin() as connection:
        store_rates(connection, [EuroRate("USD", day_after(3), Decimal("9"))], source="manual", now=now)
    server.body = answer(("USD", str(day_after(3)), "1.12"), ("USD", str(day_after(4)), "9.1"))
    update = update_rates(engine, http, settings, now)
    assert stored(engine) == [("USD", day_after(3), "9", "manual"), ("USD", day_after(4), "9.1", "ecb")]
    assert update.changed == (EuroRate("USD", day_after(4), Decimal("9.1")),)

    with engine.begin() as connection:
        store_rates(connection, [EuroRate("USD", day_after(3), Decimal("1"))], source="ecb", now=now)
    assert stored(engine)[0] == ("USD", day_after(3), "9", "manual")


def test_an_absurd_rate_is_left_out_and_the_others_are_kept(
    engine: Engine, server: RateServer, http: requests.Session, settings: Settings
) -> None:
    server.body = answer(("JPY", str(day_after(3)), "1.7568"), ("USD", str(day_after(3)), "1.12"))
    update = update_rates(engine, http, settings, noon(day_after(4)))
    assert [rate.quote for rate in update.changed] == ["USD"]
    assert update.refused[0].startswith(f"The rate of JPY for {day_after(3)} is 1.7568 after ")
    assert [row[0] for row in stored(engine)] == ["USD"]


def test_a_manual_rate_serves_a_currency_that_the_ecb_lacks(engine: Engine) -> None:
    day = date(2024, 1, 2)
    with engine.begin() as connection:
        tiny = EuroRate("IRR", day, Decimal("0.00000012"))
        store_rates(connection, [EuroRate("AED", day, Decimal("4.0225")), tiny], source="manual", now=noon(day))
        assert load_rates(connection).rate("EUR", "IRR", day) == (Decimal("0.00000012"), day)
        assert load_rates(connection, ["AED"]).rate("EUR", "AED", day) == (Decimal("4.0225"), day)
        assert load_rates(connection, ["USD"]).rate("EUR", "AED", day) is None


def test_nothing_is_written_when_the_server_is_in_trouble(
    engine: Engine, server: RateServer, http: requests.Session, settings: Settings
) -> None:
    server.status = 503
    with pytest.raises(Unavailable, match="in trouble"):
        update_rates(engine, http, settings, noon(day_after(4)))
    assert stored(engine) == []


def fetched(server: RateServer, http: requests.Session, bytes_limit: int = 100_000) -> list[EuroRate]:
    return fetch_rates(http, server.url, date(2026, 11, 1), timeout_s=10, bytes_limit=bytes_limit)


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (429, RateLimited, "pause"),
        (500, Unavailable, "in trouble"),
        (404, UnexpectedData, "404"),
        (403, UnexpectedData, "403"),
        (204, UnexpectedData, "204"),
    ],
)
def test_every_refusal_of_the_server_is_named(
    status: int, error: type[Exception], words: str, server: RateServer, http: requests.Session
) -> None:
    server.status = status
    with pytest.raises(error, match=words):
        fetched(server, http)


def test_the_pause_that_the_server_asks_for_is_kept(server: RateServer, http: requests.Session) -> None:
    server.status, server.headers = 429, {"Retry-After": "120"}
    with pytest.raises(RateLimited) as refusal:
        fetched(server, http)
    assert refusal.value.retry_after_s == 120


def test_a_web_page_instead_of_rates_is_refused(server: RateServer, http: requests.Session) -> None:
    server.body = b"<html><body>Log in to the hotel network</body></html>"
    with pytest.raises(UnexpectedData, match="a web page, or an error message"):
        fetched(server, http)


def test_a_huge_answer_is_given_up_early(server: RateServer, http: requests.Session) -> None:
    server.body = b"x" * 1_000_000
    with pytest.raises(UnexpectedData, match="larger than 100000 bytes"):
        fetched(server, http)


def test_a_gzip_bomb_is_given_up_early(server: RateServer, http: requests.Session) -> None:
    server.headers, server.body = {"Content-Encoding": "gzip"}, gzip.compress(bytes(100_000_000))
    tracemalloc.start()
    with pytest.raises(UnexpectedData, match="larger than 100000 bytes"):
        fetched(server, http)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_an_answer_that_breaks_off_is_trouble_not_data(server: RateServer, http: requests.Session) -> None:
    server.body = answer(("USD", "2026-11-02", "1.1"))
    server.declared = len(server.body) + 10
    with pytest.raises(Unavailable, match="broke off"):
        fetched(server, http)


def test_no_server_at_all_is_said_in_one_line(server: RateServer, http: requests.Session) -> None:
    with pytest.raises(Unavailable, match="cannot be reached") as trouble:
        fetch_rates(http, "http://rates.invalid", date(2026, 11, 1), timeout_s=5, bytes_limit=1000)
    assert "\n" not in str(trouble.value)
