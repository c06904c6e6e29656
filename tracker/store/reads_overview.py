"""The grouped queries of the overview, besides those of the reports: part of a month by stream, and the pipeline."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, case, func, select

from tracker.records import NOT_INCOME, Settlement, Status
from tracker.store import rollup
from tracker.store.reads import COUNTED, stream_t, verdict
from tracker.store.writes import earning_t as e

m = rollup.m.c


def income_between(conn: Connection, start: datetime, end: datetime) -> list[Any]:
    """What is counted and what is pending of all earned from `start` to before `end`, by stream and recurrence.

    As `reads.income`: `currency` is None where `reporting_net` is known of all earnings of the row.
    """
    word = verdict(e)
    currency = case((e.c.reporting_net.is_(None), e.c.currency))
    inner = (
        select(
            stream_t.c.title.label("label"),
            word.label("verdict"),
            case((word == COUNTED, e.c.recurrence)).label("recurrence"),
            currency.label("currency"),
            e.c.net,
            e.c.reporting_net,
        )
        .select_from(e.outerjoin(stream_t, stream_t.c.id == e.c.stream_id))
        .where(e.c.earned_at >= start, e.c.earned_at < end, word.in_((COUNTED, "pending")))
    )
    s = inner.subquery().c
    groups = (s.label, s.verdict, s.recurrence, s.currency)
    sums = (func.count().label("earnings"), func.sum(s.net).label("net"), func.sum(s.reporting_net))
    return list(conn.execute(select(*groups, *sums[:2], sums[2].label("reporting_net")).group_by(*groups)))


def pipeline(conn: Connection, month: int) -> list[Any]:
    """Pending, approved and not known to be paid, and paid in `month`, each by currency where no rate is known."""
    approved = m.status == Status.APPROVED
    stage = case(
        (m.status == Status.PENDING, "pending"),
        (and_(approved, m.settlement != Settlement.PAID), "approved"),
        (and_(approved, m.paid_month == month), "paid"),
    )
    currency = case((~m.converted, m.currency))
    sums = (
        func.sum(m.earnings).label("earnings"),
        func.sum(m.net).label("net"),
        func.sum(m.reporting_net).label("reporting_net"),
    )
    query = (
        select(stage.label("stage"), currency.label("currency"), *sums)
        .where(~m.paired, ~m.estimated, m.kind.not_in(NOT_INCOME), stage.is_not(None))
        .group_by(stage, currency)
    )
    return list(conn.execute(query))
