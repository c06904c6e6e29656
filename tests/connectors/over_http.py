"""Reads a connector's resource over real HTTP, as a sync does, and keeps what came in memory instead of a database."""

from collections.abc import Iterator, Mapping
from datetime import datetime

import requests

from tracker.connect.connector import Connector
from tracker.connect.fetch import Client, Limits
from tracker.connect.fields import Row
from tracker.connect.normalise import normalise, prepare
from tracker.connect.pace import Pace
from tracker.connect.plans import Leg, When
from tracker.connect.replay import MemoryTokens
from tracker.connect.rows import Page
from tracker.records import Earning, Payout, Record, Settlement, Status


class Book:
    """What one connection knows: records by type and external id, and the state of its resources."""

    def __init__(self, connector: Connector, address: str, credentials: Mapping[str, str], **options: str) -> None:
        self.connector = connector
        self.options = {"base_url": address, **options}
        self.credentials = credentials
        self.records: dict[tuple[str, str], Record] = {}
        self.state: dict[str, str] = {}
        self.pace = Pace()

    @property
    def earnings(self) -> dict[str, Earning]:
        return {record.external_id: record for record in self.records.values() if isinstance(record, Earning)}

    def open_ids(self, after: str, limit: int) -> list[str]:
        open_ones = (
            key
            for key, earning in self.earnings.items()
            if earning.settlement is not Settlement.PAID and earning.status in (Status.PENDING, Status.APPROVED)
        )
        return sorted(key for key in open_ones if key > after)[:limit]

    def payouts_to_itemise(self, limit: int) -> list[str]:
        payouts = (record for record in self.records.values() if isinstance(record, Payout))
        return [payout.external_id for payout in payouts if payout.itemised][:limit]

    def read(self, name: str, *, now: datetime, since: datetime) -> None:
        """One sync of a resource. Raises what the kit raises; a row that cannot be understood fails the test."""
        resource = self.connector.resource(name)
        with requests.Session() as http:
            client = Client(
                self.connector,
                slug="test",
                credentials=self.credentials,
                options=self.options,
                tokens=MemoryTokens(now, http),
                http=http,
                pace=self.pace,
                limits=Limits(tries=1),
            )

            def detail(row: Row) -> Row:
                return client.detail(resource, row)

            def pages(leg: Leg) -> Iterator[Page]:
                return (page for _, page, _ in client.pages(resource, leg))

            for leg in resource.plan.legs(self.state, When(now=now, since=since), self, pages):
                for _, page, _ in client.pages(resource, leg):
                    for raw in page.rows:
                        prepared = prepare(resource, raw, str.upper, detail)
                        assert prepared.fault is None, prepared.fault
                        for record in normalise(resource, prepared.row, client.options, now):
                            self.records[type(record).__name__, record.external_id] = record
                    self.state = {**leg.begin, **self.state}
                self.state |= leg.done
