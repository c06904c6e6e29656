"""A ledger filled row by row, without a provider: for reports, whose input is the ledger and nothing else."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from sqlalchemy import insert, select

from tracker.money import convert_micros, from_micros, to_micros
from tracker.rates import EuroRate, Rates, store_rates
from tracker.revalue import months_of
from tracker.settings import Settings
from tracker.store import writes
from tracker.store.database import migrate, open_engine
from tracker.store.tables import metadata

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
NO_RATES = Rates()


def moment(day: str, time: str = "12:00") -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(f"{day}T{time}:00+00:00")


class Ledger:
    """`earning("awin", "10.00", "2026-06-03", status="pending")` and so on; months and values as a sync makes them."""

    def __init__(self, url: str, folder: Path, **more: Any) -> None:
        self.settings = Settings(data_dir=folder, database_url=url, **{"time_zone": "Europe/Berlin", **more})
        self.engine = open_engine(self.settings.database_url)
        migrate(self.engine)
        self._connections: dict[str, int] = {}
        self._streams: dict[str, int] = {}
        self._count = 0
        self.written: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.engine.dispose()

    def insert(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        with self.engine.begin() as conn:
            conn.execute(insert(metadata.tables[table]), list(rows))

    def stream(self, title: str) -> int:
        if title not in self._streams:
            number = self._streams[title] = len(self._streams) + 1
            row = {"id": number, "slug": f"s{number}", "title": title, "position": 0, "created_at": NOON}
            self.insert("stream", [row])
        return self._streams[title]

    def connection(self, slug: str, role: str = "cash", **more: Any) -> int:
        if slug not in self._connections:
            number = len(self._connections) + 1
            shared = {
                "options": {},
                "interval_s": 3600,
                "failures": 0,
                "created_at": NOON,
                "as_of": NOON,
                "next_sync_at": NOON,
            }
            row = {"id": number, "slug": slug, "provider": slug, "title": slug.title(), "role": role}
            self.insert("connection", [{**shared, **row, "stream_id": self.stream(slug.title()), **more}])
            self._connections[slug] = number
        return self._connections[slug]

    def earning(self, slug: str, net: str, day: str, **more: Any) -> None:
        row = self.row(slug, net, day, **more)
        with self.engine.begin() as conn:
            conn.execute(insert(writes.earning_t), [row])
            writes.mark_dirty(conn, row["connection_id"], [row["earned_month"]])

    def row(self, slug: str, net: str, day: str, *, time: str = "12:00", stream: str | None = None, **more: Any) -> Any:
        """The columns of an earning, approved and not yet paid unless `more` says otherwise."""
        self._count += 1
        values: dict[str, Any] = {
            "connection_id": self.connection(slug),
            "resource": "earnings",
            "external_id": f"e{self._count}",
            "kind": "sale",
            "status": "approved",
            "settlement": "unpaid",
            "net": Decimal(net),
            "currency": "EUR",
            "earned_at": moment(day, time),
            "validated_at": None,
            "paid_at": None,
            "recurrence": "one_off",
            "recurrence_by": "default",
            "estimated": False,
            "paired": False,
            "fresh": False,
            "stream_id": self.stream(stream or slug.title()),
            **more,
        }
        found = NO_RATES.rate(values["currency"], self.settings.currency, values["earned_at"].date())
        worth = from_micros(convert_micros(to_micros(values["net"]), found[0])) if found else None
        values["reporting_net"] = worth
        values["rate_day"] = found[1] if found and values["currency"] != self.settings.currency else None
        months = months_of(SimpleNamespace(**values), self.settings.zone)
        return values | dict(zip(("earned_month", "approved_month", "paid_month"), months, strict=True))

    def rate(self, quote: str, day: str, rate: str, now: datetime = NOON) -> None:
        with self.engine.begin() as conn:
            store_rates(conn, [EuroRate(quote, date.fromisoformat(day), Decimal(rate))], source="manual", now=now)

    def subscription(self, slug: str, name: str, amount: str, start: str, **more: Any) -> int:
        self._count += 1
        shared: dict[str, Any] = {"discount_forever": Decimal(0), "discount_limited": Decimal(0), "metered": False}
        row = {
            "id": self._count,
            "connection_id": self.connection(slug),
            "resource": "subscriptions",
            "external_id": name,
            "status": "active",
            "payer": name,
            "currency": "EUR",
            "amount": Decimal(amount),
            "interval": "month",
            "started_at": moment(start),
            "cancel_at_period_end": False,
        }
        self.insert("subscription", [{**shared, **row, **more}])
        return self._count

    def changed(self, subscription: int, day: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        row = {"subscription_id": subscription, "changed_at": moment(day), "old": dict(old), "new": dict(new)}
        self.insert("subscription_change", [row])

    def months(self) -> list[Any]:
        """Value and months of every earning, in order of id."""
        e = writes.earning_t.c
        with self.engine.connect() as conn:
            query = select(e.reporting_net, e.earned_month, e.approved_month, e.paid_month).order_by(e.id)
            return [tuple(row) for row in conn.execute(query)]
