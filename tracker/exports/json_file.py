"""Earnings as one JSON document: what was asked for, how fresh it is, and the rows. Amounts are decimal text."""

from collections.abc import Iterable, Iterator

import msgspec

from tracker.exports.about import About, Row, told


def write(rows: Iterable[Row], about: About) -> Iterator[bytes]:
    head = {
        "made_at": told(about.made_at),
        "time_zone": about.zone.key,
        "reporting_currency": about.currency,
        "filter": about.wanted.params(),
        "as_of": {slug: told(moment) for slug, moment in about.as_of.items()},
    }
    yield msgspec.json.encode(head)[:-1] + b',"earnings":['
    before = b"\n"
    for row in rows:
        yield before + msgspec.json.encode({name: told(value) for name, value in row.items()})
        before = b",\n"
    yield b"\n]}\n"
