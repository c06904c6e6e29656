"""The sandbox's sense of time and chance: months, seasons, ids and working days, each from its own seeded source."""

import random
from base64 import b64encode
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

#: How busy a month is: outdoor season in early summer, presents in November and December.
SEASON = (0.84, 0.86, 0.95, 1.02, 1.10, 1.14, 1.08, 0.98, 0.94, 1.00, 1.28, 1.22)
_CENT = Decimal("0.01")


def chance(seed: int, *names: object) -> random.Random:
    """A source of its own for each subject, so that one subject's dice never move another's."""
    return random.Random("/".join(map(str, (seed, *names))))  # noqa: S311 - believable, not secret


def child(rng: random.Random) -> random.Random:
    """A source for one long story: however far it is told, its siblings' dice fall as before."""
    return random.Random(rng.getrandbits(64))  # noqa: S311 - believable, not secret


def months(start: datetime, end: datetime) -> Iterator[tuple[int, datetime]]:
    number, first = 0, start
    while first < end:
        yield number, first
        number += 1
        first = later(start, number)


def moment(rng: random.Random, first: datetime) -> datetime:
    """Some second of the month that starts at `first`, by day rather than by night."""
    days = monthrange(first.year, first.month)[1]
    return first + timedelta(days=rng.randrange(days), seconds=int(rng.triangular(5, 23, 18) * 3600))


def token(rng: random.Random, length: int) -> str:
    """Letters and digits, as in a provider's ids."""
    return b64encode(rng.randbytes(length), b"Qx").decode()[:length]


def later(at: datetime, months_: int) -> datetime:
    """Some months later on the same day, or on the month's last: the 31st, then the 28th, then the 31st again."""
    year, month = divmod(at.year * 12 + at.month - 1 + months_, 12)
    return at.replace(year=year, month=month + 1, day=min(at.day, monthrange(year, month + 1)[1]))


def cents(value: Decimal) -> Decimal:
    return value.quantize(_CENT, rounding=ROUND_HALF_EVEN)


def between(rng: random.Random, low: int, high: int) -> Decimal:
    """A price between two amounts, more often near the lower one, usually ending in 9."""
    amount = int(rng.triangular(low * 100, high * 100, low * 100 + (high - low) * 25))
    return cents(Decimal(amount // 10 * 10 + 9 if rng.random() < 0.7 else amount) / 100)


def next_pay_day(after: datetime) -> datetime:
    """The next 1st or 15th at 09:00 UTC that is not before `after`, moved on to a working day."""
    first = after.replace(day=1, hour=9, minute=0, second=0, microsecond=0)
    for day in (first, first.replace(day=15), later(first, 1), later(first, 1).replace(day=15)):
        while day.weekday() >= 5:
            day += timedelta(days=1)
        if day >= after:
            return day
    raise AssertionError("two pay days a month")


def unix(at: datetime) -> int:
    return int(at.timestamp())


def midnight(at: datetime) -> datetime:
    return datetime(at.year, at.month, at.day, tzinfo=UTC)
