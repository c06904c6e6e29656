"""`tracker rates`: reference rates between currencies."""

import re
from decimal import Decimal
from typing import Annotated

import typer

from tracker.cli.ground import open_ledger, out, parse_day, print_json
from tracker.connections import Deps
from tracker.errors import MoneyError, UsageError
from tracker.money import currency_code
from tracker.rates import CARRY_DAYS, EuroRate, load_rates, store_rates, update_rates
from tracker.revalue import revalue
from tracker.store.database import reading

app = typer.Typer(help="Reference rates between currencies.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="For scripts.")]


@app.command()
def update(as_json: Json = False) -> None:
    """Get the newest reference rates of the European Central Bank and convert what they are for."""
    deps = open_ledger()
    with deps.http() as http:
        found = update_rates(deps.engine, http, deps.settings, deps.now())
    converted = revalue(deps.engine, deps.settings)
    if as_json:
        print_json(
            {
                "changed": len(found.changed),
                "newest_day": found.newest_day,
                "refused": found.refused,
                "earnings": converted,
            }
        )
        return
    for sentence in found.refused:
        out.print(sentence, markup=False)
    out.print(f"{len(found.changed)} new rates, the newest of {found.newest_day}. {_told(converted)}")


def _told(converted: int) -> str:
    return f"{converted:,} earnings have another value now." if converted else "No earning changed its value."


def _code(text: str) -> str:
    try:
        return currency_code(text)
    except MoneyError as error:
        raise UsageError(error.message, hint=error.hint) from None


@app.command()
def show(
    base: Annotated[str, typer.Argument(help="Such as USD.")],
    quote: Annotated[str, typer.Argument(help="Such as EUR.")],
    day: Annotated[str, typer.Argument(help="Such as 2026-06-30.")],
    as_json: Json = False,
) -> None:
    """What one unit of BASE was worth in QUOTE on a day, and the day that rate was set."""
    one, other, wanted = _code(base), _code(quote), parse_day(day, "DAY")
    with reading(open_ledger().engine) as conn:
        found = load_rates(conn, {one, other}).rate(one, other, wanted)
    rate, set_on = found or (None, None)
    if as_json:
        shown = None if rate is None else f"{rate:f}"
        print_json({"base": one, "quote": other, "day": wanted, "rate": shown, "set_on": set_on})
        return
    if rate is None:
        raise UsageError(
            f"there is no rate from {one} to {other} on {wanted} or the {CARRY_DAYS} days before.",
            hint=f"Enter one: tracker rates set {one if one != 'EUR' else other} {wanted} RATE (units for one euro)",
        )
    out.print(f"1 {one} = {rate:f} {other} (rate of {set_on})")


@app.command("set")
def set_(
    quote: Annotated[str, typer.Argument(help="A currency, such as NGN.")],
    day: Annotated[str, typer.Argument(help="Such as 2026-06-30; it holds for ten days.")],
    rate: Annotated[str, typer.Argument(help="Units of the currency for one euro, such as 1650.25")],
) -> None:
    """Enter a rate by hand, for a currency or day that the bank does not quote. It wins over the bank's."""
    code, wanted, deps = _code(quote), parse_day(day, "DAY"), open_ledger()
    if code == "EUR":
        raise UsageError("the euro is what rates are counted in.", hint="Name the other currency.")
    if not re.fullmatch(r"\d{1,12}(\.\d{1,12})?", rate, re.ASCII) or not Decimal(rate):
        raise UsageError(f"not a rate: {rate[:30]!r}", hint="Write units for one euro, such as 1.0956")
    if wanted > deps.now().date():
        raise UsageError(f"{wanted} lies in the future.", hint="Enter it on that day.")
    _store(deps, EuroRate(code, wanted, Decimal(rate)))


def _store(deps: Deps, rate: EuroRate) -> None:
    with deps.engine.begin() as conn:
        store_rates(conn, [rate], source="manual", now=deps.now())
    converted = revalue(deps.engine, deps.settings)
    out.print(f"1 EUR = {rate.rate:f} {rate.quote} on {rate.day}. {_told(converted)}")
