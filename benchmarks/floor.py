"""The floor of this machine: what reading the same pages costs with nothing around it.

HTTP, typed decoding, the 12 main columns, a sqlite3 UPSERT, a commit per page. Nothing kept raw, no history, no months,
no recurrence: this is no tracker, but no tracker can be faster. Run: `python -m benchmarks.floor URL DATABASE_FILE`.
"""

import http.client
import json
import sqlite3
import sys
import time
from contextlib import closing
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import msgspec

TABLE = """
create table earning (account int, external_id text, kind text, status text, settlement text, net int, currency text,
earned_at text, program text, product text, payer text, order_ref text,
primary key (account, external_id)) without rowid
"""
UPSERT = """
insert into earning values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set status = excluded.status,
settlement = excluded.settlement, net = excluded.net, currency = excluded.currency, earned_at = excluded.earned_at,
program = excluded.program, product = excluded.product, payer = excluded.payer, order_ref = excluded.order_ref
"""


class Money(msgspec.Struct):
    amount: Decimal
    currency: str


class Sale(msgspec.Struct, rename="camel"):
    id: int
    commission_status: str
    commission_amount: Money
    transaction_date: str
    advertiser_id: int
    order_ref: str | None
    paid_to_publisher: bool

    def row(self) -> tuple[Any, ...]:
        money, paid = self.commission_amount, str(self.paid_to_publisher)
        return (
            str(self.id), "commission", self.commission_status, paid, int(money.amount * 1_000_000), money.currency,
            self.transaction_date, str(self.advertiser_id), None, None, self.order_ref,
        )  # fmt: skip


class Source(msgspec.Struct):
    id: str
    customer: str | None = None
    payment_intent: str | None = None


class Movement(msgspec.Struct):
    id: str
    type: str
    status: str
    net: int
    currency: str
    created: int
    source: Source

    def row(self) -> tuple[Any, ...]:
        return (
            self.id, self.type, self.status, None, self.net * 10_000, self.currency, self.created, None, None,
            self.source.customer, self.source.payment_intent,
        )  # fmt: skip


class Listed(msgspec.Struct):
    data: list[Movement]


class Item(msgspec.Struct):
    name: str


class Noted(msgspec.Struct):
    key: str
    value: str


class Order(msgspec.Struct):
    id: int
    status: str
    total: str
    currency: str
    date_created_gmt: str
    customer_id: int
    number: str
    line_items: list[Item]
    meta_data: list[Noted]

    def row(self) -> tuple[Any, ...]:
        fee = next((noted.value for noted in self.meta_data if noted.key == "_stripe_fee"), "0")
        net = int((Decimal(self.total) - Decimal(fee)) * 1_000_000)
        return (
            str(self.id), "sale", self.status, None, net, self.currency, self.date_created_gmt, None,
            self.line_items[0].name, str(self.customer_id), self.number,
        )  # fmt: skip


DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    "awin": msgspec.json.Decoder(list[Sale]),
    "stripe": msgspec.json.Decoder(Listed),
    "woocommerce": msgspec.json.Decoder(list[Order]),
}


def load(provider: http.client.HTTPConnection, ledger: sqlite3.Connection) -> dict[str, Any]:
    """What it took, and the sums that were read."""
    provider.request("GET", "/-/plan")
    plan = json.loads(provider.getresponse().read())
    ledger.execute("pragma journal_mode = wal")
    ledger.execute("pragma synchronous = normal")
    ledger.execute(TABLE)
    count, wall, cpu = 0, time.perf_counter(), time.process_time()
    for account, (name, about) in enumerate(plan.items()):
        decoder = DECODERS[about["provider"]]
        for page in about["pages"]:
            provider.request("GET", f"/{name}{page}")
            found = decoder.decode(provider.getresponse().read())
            rows = [(account, *row.row()) for row in (found.data if isinstance(found, Listed) else found)]
            ledger.execute("begin immediate")
            ledger.executemany(UPSERT, rows)
            ledger.execute("commit")
            count += len(rows)
    took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "rows": count}
    sums = ledger.execute("select account, upper(currency), sum(net) from earning group by 1, 2")
    return {**took, "net": [(list(plan)[account], *money) for account, *money in sums]}


def main(url: str, path: str) -> None:
    with (
        closing(http.client.HTTPConnection(urlsplit(url).netloc)) as provider,
        closing(sqlite3.connect(path, isolation_level=None)) as ledger,
    ):
        print(json.dumps(load(provider, ledger)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
