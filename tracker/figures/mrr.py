"""Monthly recurring revenue (MRR): the balance at an instant, its movements over a period, and the rates made of them.

Input is one `Contract` per subscription (`tracker.figures.contracts` says what it is worth and what counts). Output are
dataclasses of `Decimal`s in major units. Everything is integer addition, so

    end = start + new + expansion + reactivation - contraction - churn + fx

holds to the last digit, per customer and in total. Rounding to cents is left to whoever shows a figure (`rounded`).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from fractions import Fraction
from typing import TypeVar

from tracker.figures.contracts import (
    DEFAULT,
    WIDE,
    Brief,
    Change,
    Contract,
    Policy,
    after,
    changes_of,
    customer_of,
    from_picos,
    merged,
    runs_metered,
    steps,
)
from tracker.money import decimals

_MOMENT = timedelta(microseconds=1)

#: The price of one unit of `currency` in the reporting currency on a day, or None when there is no rate.
Rate = Callable[[str, date], Decimal | None]


class Move(StrEnum):
    NEW = "new"
    EXPANSION = "expansion"
    CONTRACTION = "contraction"
    CHURN = "churn"
    REACTIVATION = "reactivation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mrr:
    """MRR at an instant. `total` is in `currency` and leaves out the currencies in `unconverted`."""

    at: datetime
    currency: str
    total: Decimal
    by_currency: Mapping[str, Decimal]  # unconverted, every currency that counts
    customers: int  # whoever pays, in any currency
    customers_unconverted: int  # of these, those with nothing in `total`
    contracts: int
    metered: int  # running contracts that also have usage-priced items, which are in no figure
    unconverted: tuple[str, ...]

    @property
    def arpa(self) -> Decimal | None:
        """MRR per paying customer; None without any."""
        return _ratio(self.total, Decimal(self.customers - self.customers_unconverted))

    @property
    def arr(self) -> Decimal:
        """MRR times twelve: assumes that nothing changes."""
        return WIDE.multiply(self.total, Decimal(12))


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """How MRR went from `start` to `end`, in the reporting currency. All but `fx` are zero or positive."""

    start: Decimal
    new: Decimal
    expansion: Decimal
    contraction: Decimal
    churn: Decimal
    reactivation: Decimal
    fx: Decimal  # what changed rates alone did to the balance
    end: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerFlow(Flow):
    customer: str
    moves: frozenset[Move]
    paying_at_start: bool
    paying_at_end: bool
    unconverted: tuple[str, ...]  # currencies of this customer that are in none of the amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Movements(Flow):
    """All customers together. A rate is None where it is undefined, which is never the same as zero."""

    since: datetime
    until: datetime  # exclusive
    currency: str
    customers: tuple[CustomerFlow, ...]  # whoever pays or paid in the period, in order of name
    unconverted: tuple[str, ...]

    def count(self, move: Move) -> int:
        """How many customers made this movement at least once."""
        return sum(move in row.moves for row in self.customers)

    @property
    def customers_at_start(self) -> int:
        return sum(row.paying_at_start for row in self.customers)

    @property
    def customers_at_end(self) -> int:
        return sum(row.paying_at_end for row in self.customers)

    @property
    def gross_churn(self) -> Decimal | None:
        """(churn + contraction) ÷ start."""
        return _ratio(self.churn + self.contraction, self.start)

    @property
    def net_churn(self) -> Decimal | None:
        """(churn + contraction - expansion - reactivation) ÷ start; below zero when the old customers grew."""
        return _ratio(self.churn + self.contraction - self.expansion - self.reactivation, self.start)

    def net_retention(self, *, with_reactivation: bool = True) -> Decimal | None:
        """NRR: 1 - net churn. Some tools leave customers who came back out of it. New ones are never in it."""
        back = self.reactivation if with_reactivation else Decimal(0)
        return _ratio(self.start + self.expansion + back - self.contraction - self.churn, self.start)

    @property
    def gross_retention(self) -> Decimal | None:
        """GRR: 1 - gross churn, never above 1."""
        return _ratio(self.start - self.contraction - self.churn, self.start)

    @property
    def logo_churn(self) -> Decimal | None:
        """Customers of the start who left in the period ÷ customers at the start."""
        left = sum(row.paying_at_start and Move.CHURN in row.moves for row in self.customers)
        return _ratio(Decimal(left), Decimal(self.customers_at_start))

    @property
    def subscriber_churn(self) -> Decimal | None:
        """Stripe's way: whoever left ÷ (customers at the start + new ones); returning customers are not new."""
        return _ratio(Decimal(self.count(Move.CHURN)), Decimal(self.customers_at_start + self.count(Move.NEW)))


def mrr_at(contracts: Iterable[Contract], at: datetime, *, currency: str, rate: Rate, policy: Policy = DEFAULT) -> Mrr:
    """MRR at the instant `at` in `currency`, converted at the rate of that day (in the time zone of `at`).

    Raises DataError for a billing interval that is none.
    """
    books: dict[tuple[bool, str], dict[str, int]] = {}
    native: dict[str, int] = {}
    counted = metered = 0
    for contract in contracts:
        _, money, value = next((step for step in reversed(steps(contract, policy)) if step[0] <= at), (at, "", 0))
        metered += runs_metered(contract, at, policy)
        if value:
            counted += 1
            for book in (native, books.setdefault(customer_of(contract), {})):
                book[money] = book.get(money, 0) + value
    total, left_out = _settled(currency, rate, lambda worth: sum(worth.of(book, at.date()) for book in books.values()))
    return Mrr(
        at=at,
        currency=currency,
        total=from_picos(total),
        by_currency={money: from_picos(native[money]) for money in sorted(native)},
        customers=len(books),
        customers_unconverted=sum(left_out.issuperset(book) for book in books.values()),
        contracts=counted,
        metered=metered,
        unconverted=tuple(sorted(left_out)),
    )


def movements(
    contracts: Iterable[Contract],
    since: datetime,
    until: datetime,
    *,
    currency: str,
    rate: Rate,
    policy: Policy = DEFAULT,
) -> Movements:
    """What happened to each customer from `since` to just before `until`, in `currency`.

    Balances are converted at the rate of the last day before `since` and before `until`, movements at that of their own
    day, all in the time zone of `since`; so one period starts with the figure the one before ended with. A currency
    that lacks a rate on any day it is needed is left out of the whole period and listed in `unconverted`.
    Raises ValueError unless `since` is before `until`, DataError for a billing interval that is none.
    """
    if since >= until:
        raise ValueError("a period ends after it starts")
    changes: dict[tuple[bool, str], list[Change]] = {}
    for contract in contracts:
        changes.setdefault(customer_of(contract), []).extend(changes_of(contract, policy))
    for own in changes.values():
        own.sort(key=lambda change: change.at)

    def follow(worth: _Worth) -> list[_Ledger]:
        ledgers = (_Ledger.of(key, changes[key], since, until, worth, policy) for key in sorted(changes))
        return [ledger for ledger in ledgers if ledger.tells(policy)]

    ledgers, left_out = _settled(currency, rate, follow)
    return Movements(
        **_flow(ledgers),
        since=since,
        until=until,
        currency=currency,
        customers=tuple(ledger.row(left_out) for ledger in ledgers),
        unconverted=tuple(sorted(left_out)),
    )


def lifetime_value(arpa: Decimal | None, churn: Decimal | None) -> Decimal | None:
    """ARPA ÷ churn rate of the same period length; None when either is unknown or nobody left."""
    return None if arpa is None or churn is None else _ratio(arpa, churn)


def rounded(amount: Decimal, currency: str) -> Decimal:
    """For display: half-up to the currency's minor unit."""
    return amount.quantize(Decimal(1).scaleb(-decimals(currency)), rounding=ROUND_HALF_UP, context=WIDE)


# What one customer did.


class _Worth:
    """Turns picos of several currencies into picos of the reporting currency, and notes which have no rate."""

    def __init__(self, currency: str, rate: Rate, left_out: frozenset[str] = frozenset()) -> None:
        self._currency, self._rate, self._left_out = currency, rate, left_out
        self._seen: dict[tuple[str, date], Fraction | None] = {}
        self.missing: set[str] = set()

    def of(self, book: Mapping[str, int], day: date) -> int:
        return sum(self._one(money, value, day) for money, value in book.items() if money not in self._left_out)

    def _one(self, money: str, value: int, day: date) -> int:
        if money == self._currency:
            return value
        key = (money, day)
        if key not in self._seen:
            rate = self._rate(money, day)
            self._seen[key] = None if rate is None else Fraction(rate)
        known = self._seen[key]
        if known is None:
            self.missing.add(money)
            return 0
        return round(value * known)


_T = TypeVar("_T")


def _settled(currency: str, rate: Rate, build: Callable[[_Worth], _T]) -> tuple[_T, frozenset[str]]:
    """Builds a figure, and once more without the currencies that turned out to lack a rate on some day: half a currency
    would look like churn.
    """
    worth = _Worth(currency, rate)
    built = build(worth)
    left_out = frozenset(worth.missing)
    return (build(_Worth(currency, rate, left_out)) if left_out else built), left_out


@dataclass(slots=True)
class _Ledger:
    """One customer's period, in picos of the reporting currency."""

    customer: str
    start: int = 0
    end: int = 0
    fx: int = 0
    moved: dict[Move, int] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    currencies: set[str] = field(default_factory=set)
    paying_at_start: bool = False
    paying_at_end: bool = False

    @classmethod
    def of(
        cls,
        key: tuple[bool, str],
        changes: Sequence[Change],
        since: datetime,
        until: datetime,
        worth: _Worth,
        policy: Policy,
    ) -> "_Ledger":
        ledger = cls(key[1])
        first, last = (bisect_left(changes, edge, key=lambda change: change.at) for edge in (since, until))
        book: dict[str, int] = {}  # only what is not zero, so that an empty book is a customer who does not pay
        known = False
        for _, group in merged(changes[:first], policy.merge_within):
            book = after(book, group)
            known = known or bool(book)
        day = (since - _MOMENT).date()
        ledger.start, ledger.paying_at_start = worth.of(book, day), bool(book)
        ledger.currencies.update(book)
        for at, group in merged(changes[first:last], policy.merge_within):
            was, book, then = book, after(book, group), at.astimezone(since.tzinfo).date()
            before = worth.of(was, then)
            ledger.fx += before - worth.of(was, day)
            ledger.note(was, book, known, worth.of(book, then) - before)
            ledger.currencies.update(book)
            day, known = then, known or bool(book)
        closing = (until - _MOMENT).astimezone(since.tzinfo).date()
        ledger.end, ledger.paying_at_end = worth.of(book, closing), bool(book)
        ledger.fx += ledger.end - worth.of(book, day)
        return ledger

    def note(self, was: Mapping[str, int], book: Mapping[str, int], known: bool, change: int) -> None:
        if bool(was) != bool(book):
            move = Move.CHURN if was else Move.REACTIVATION if known else Move.NEW
        elif change:
            move = Move.EXPANSION if change > 0 else Move.CONTRACTION
        else:
            return
        self.moves.append(move)
        self.moved[move] = self.moved.get(move, 0) + abs(change)

    def tells(self, policy: Policy) -> bool:
        """Whether there is anything to say about this customer."""
        if self.paying_at_start or self.paying_at_end:
            return True
        return bool(self.moves) and not (policy.brief is Brief.DROP and Move.NEW in self.moves)

    def row(self, left_out: frozenset[str]) -> CustomerFlow:
        return CustomerFlow(
            **_flow([self]),
            customer=self.customer,
            moves=frozenset(self.moves),
            paying_at_start=self.paying_at_start,
            paying_at_end=self.paying_at_end,
            unconverted=tuple(sorted(self.currencies & left_out)),
        )


def _flow(ledgers: Sequence[_Ledger]) -> dict[str, Decimal]:
    flow = {move.value: from_picos(sum(ledger.moved.get(move, 0) for ledger in ledgers)) for move in Move}
    for name in ("start", "fx", "end"):
        flow[name] = from_picos(sum(getattr(ledger, name) for ledger in ledgers))
    return flow


def _ratio(part: Decimal, whole: Decimal) -> Decimal | None:
    return None if whole == 0 else WIDE.divide(part, whole)
