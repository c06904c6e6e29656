"""What the recurrence inference reads and says: charges of one group, what is known about the group, verdicts."""

from datetime import date

import msgspec

from tracker.records import Interval, Recurrence


class Charge(msgspec.Struct, frozen=True):
    """One movement of a group, in millionths of its currency. A negative one takes an earlier charge back.

    The gross amount is better than the net one where both are known: parts of a price add up before fees, not after.
    """

    day: date
    micros: int
    currency: str
    product: str | None = None  # the provider's text, which may count parts: "Course (2/3)"
    order_ref: str | None = None  # shared by all payments of one order or contract, at some providers


class Hints(msgspec.Struct, frozen=True):
    """What the ledger knows about a group beyond its own charges. Every hint may be missing."""

    #: The last day up to which charges are known. Without it no series counts as ended.
    as_of: date | None = None
    #: False for a network that names no payer: the group then mixes many buyers of one program.
    payer_known: bool = True
    #: Amounts in millionths that other payers paid once, and never again, for the same product in the same currency.
    full_prices: tuple[int, ...] = ()
    #: How many charges other payers of the same product made before they stopped; single purchases left out.
    endings: tuple[int, ...] = ()


class Verdict(msgspec.Struct, frozen=True):
    """The judgement of one charge. `confidence` lies between 0 and 1; `reason` is one line for the user."""

    recurrence: Recurrence
    interval: Interval | None
    confidence: float
    reason: str
