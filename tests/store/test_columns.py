"""Columns: exact amounts and aware times, the same on both databases."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import Column, Connection, Integer, MetaData, Table, func, insert, select
from sqlalchemy.exc import StatementError

from tracker.store.columns import Micros, UtcDateTime
from tracker.store.database import open_engine

drawer = Table(
    "drawer", MetaData(), Column("id", Integer, primary_key=True), Column("net", Micros), Column("at", UtcDateTime)
)
AMOUNTS = st.decimals(-9_000_000_000_000, 9_000_000_000_000, places=6)
FIRST, LAST = datetime(1995, 1, 2), datetime(2099, 12, 30)  # noqa: DTZ001 - hypothesis adds the zone
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(FIRST, LAST, timezones=OFFSETS)
on_one_database = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    engine = open_engine(database_url)
    drawer.create(engine)
    with engine.connect() as conn:
        yield conn
    engine.dispose()


@on_one_database
@given(amounts=st.lists(AMOUNTS, min_size=1, max_size=4))
def test_amounts_and_their_sums_come_back_exactly(conn: Connection, amounts: list[Decimal]) -> None:
    conn.execute(drawer.delete())
    conn.execute(insert(drawer), [{"net": amount} for amount in amounts])
    assert list(conn.execute(select(drawer.c.net).order_by(drawer.c.id)).scalars()) == amounts
    total = sum(amounts, Decimal(0))
    if abs(total) < 9_000_000_000_000:
        assert conn.execute(select(func.sum(drawer.c.net))).scalar() == total
    assert conn.execute(select(func.max(drawer.c.net))).scalar() == max(amounts)


@on_one_database
@given(moments=st.lists(MOMENTS, min_size=1, max_size=4))
def test_times_come_back_as_the_same_moment_in_utc_and_in_order(conn: Connection, moments: list[datetime]) -> None:
    conn.execute(drawer.delete())
    conn.execute(insert(drawer), [{"at": moment} for moment in moments])
    found = list(conn.execute(select(drawer.c.at).order_by(drawer.c.at)).scalars())
    assert found == sorted(moments)
    assert all(moment.tzinfo is UTC for moment in found)
    assert conn.execute(select(func.count()).where(drawer.c.at <= moments[0])).scalar() == sum(
        moment <= moments[0] for moment in moments
    )


def test_unknown_stays_unknown(conn: Connection) -> None:
    conn.execute(insert(drawer).values(net=None, at=None))
    assert conn.execute(select(drawer.c.net, drawer.c.at)).one() == (None, None)


@pytest.mark.parametrize("amount", [Decimal("0.0000001"), Decimal("9000000000001"), Decimal("NaN")])
def test_an_amount_that_would_not_be_exact_is_refused(conn: Connection, amount: Decimal) -> None:
    with pytest.raises((StatementError, Exception), match=r"decimals|out of range|not an amount"):
        conn.execute(insert(drawer).values(net=amount))


def test_a_naive_time_is_refused(conn: Connection) -> None:
    with pytest.raises(StatementError, match="naive time"):
        conn.execute(insert(drawer).values(at=datetime(2026, 6, 15)))  # noqa: DTZ001
