"""How fresh the figures of a page are: a line that stands wherever there are figures."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from fastapi import Request

from tracker import revalue
from tracker.overview import longest_ago
from tracker.store import reads
from tracker.store.database import reading
from tracker.web.site import deps_of


@dataclass(frozen=True, slots=True)
class Fresh:
    """`oldest` is the connection that was read longest ago, and when; None without any.

    `done` is how far the ledger has come where its figures are being brought in line with other settings or rates; None
    when they are.
    """

    oldest: tuple[str, datetime | None] | None
    done: Decimal | None


def fresh(request: Request, connections: Collection[str] = ()) -> Fresh:
    """Of these connections, or of all."""
    engine = deps_of(request).engine
    with reading(engine) as conn:
        as_of, synced = reads.freshness(conn), reads.synced(conn)
    mine = {slug: at for slug, at in as_of.items() if not connections or slug in connections}
    return Fresh(longest_ago(mine, synced), revalue.outstanding(engine))
