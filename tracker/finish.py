"""The steps after the pages: settle, pair, classify and roll up what is fresh."""

import msgspec
from sqlalchemy import Connection, func, select, text

from tracker import schedule
from tracker.classify import classify
from tracker.connect import catalog
from tracker.errors import UsageError
from tracker.ledger import Book
from tracker.settle import pair, processors_of, settle
from tracker.store import rollup
from tracker.store.writes import connection_t
from tracker.store.writes import earning_t as e

#: So many new earnings at once change what is known of the tables.
MANY = 2_000


def finish(conn: Connection, book: Book, *, anew: bool = False) -> None:
    """Settle, pair, classify and roll up what is fresh, also in other connections that this one's rows touch.

    `anew` pairs everything again. Another connection is finished whole, and under its lease: its fresh rows lose their
    mark here, and a run that is writing more of them meanwhile would never settle those. Where such a run is under way,
    its own end does the same work.
    """
    processors = processors_of(conn)
    _know_statistics(conn, book)
    books, waiting = {book.connection_id: book}, [book.connection_id]
    leases: dict[int, str] = {}
    while waiting:
        connection_id = waiting.pop()
        settle(conn, books[connection_id])
        touched = pair(conn, processors, None if anew and connection_id == book.connection_id else connection_id)
        for other in sorted(touched - books.keys() - leases.keys()):
            try:
                theirs = other_book(conn, book, other)
                leases[other] = schedule.claim(conn, other, book.now)
            except UsageError:
                leases[other] = ""  # somebody else is at it, or its provider is not known here
                continue
            books[other] = theirs
            waiting.append(other)
    # Shops first: the processor's rows learn from their paired orders.
    for connection_id in sorted(books, key=lambda one: (one in processors, one)):
        classify(conn, books[connection_id], processors)
        rollup.work_off(conn, connection_id)
    for other, lease in leases.items():
        if lease:
            schedule.release(conn, other, lease, {})


def _know_statistics(conn: Connection, book: Book) -> None:
    """Let PostgreSQL look at a ledger that a first load just filled: it joins row by row what it believes to be empty.

    It does so by itself, but minutes later.
    """
    if conn.dialect.name == "postgresql":
        fresh = select(e.c.id).where(e.c.connection_id == book.connection_id, e.c.fresh).limit(MANY).subquery()
        if conn.execute(select(func.count()).select_from(fresh)).scalar_one() == MANY:
            for table in ("earning", "invoice", "payout", "payout_item", "program", "subscription"):
                conn.execute(text(f"ANALYZE {table}"))


def other_book(conn: Connection, book: Book, connection_id: int) -> Book:
    row = conn.execute(select(connection_t).where(connection_t.c.id == connection_id)).one()
    return msgspec.structs.replace(
        book, connection_id=row.id, connector=catalog.find(row.provider), options=row.options, stream_id=row.stream_id
    )
