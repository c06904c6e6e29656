"""The table of bank lines: what the user's bank says, against which payouts are held. It is no income of its own."""

from datetime import date
from decimal import Decimal

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import SQLModel

from tracker.store.columns import money, owned_by, row_id, word


class BankLine(SQLModel, table=True):
    """One line of an imported bank statement. See `tracker.records.BankLine`.

    `fingerprint` is the bank's own id of the line or, where its file has none, the digest of what the line says.
    """

    __tablename__ = "bank_line"
    __table_args__ = (
        UniqueConstraint("account", "fingerprint"),
        Index("ix_bank_line_connection_id_resource_external_id", "connection_id", "resource", "external_id"),
        Index("ix_bank_line_booked_on_amount", "booked_on", "amount"),
    )
    id: int | None = row_id()
    connection_id: int = owned_by("connection")
    resource: str
    external_id: str
    account: str
    fingerprint: str
    booked_on: date
    amount: Decimal = money()
    currency: str = word(3)
    text: str = ""
    counterparty: str | None = None
    reference: str | None = None
    bank_type: str | None = None
