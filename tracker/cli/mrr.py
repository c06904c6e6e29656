"""`tracker mrr`: monthly recurring revenue and its movements in a month."""

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Annotated, Any

import typer

from tracker import reports
from tracker.cli import asked
from tracker.cli.columns import Line, Written, freshness, laid_out, several, show, terminal_width
from tracker.cli.ground import open_ledger, print_json
from tracker.figures.contracts import PRESETS
from tracker.figures.mrr import Move, lifetime_value, rounded
from tracker.months import label, read_month
from tracker.reports import Recurring
from tracker.settings import Settings

_FLOW = ("start", "new", "expansion", "reactivation", "contraction", "churn", "fx", "end")
_MILLIONTH = Decimal("0.000001")


def mrr(
    month: Annotated[str | None, typer.Option(metavar="MONTH", help="Such as 2026-06; by default this month.")] = None,
    currency: asked.Currency = None,
    policy: Annotated[str, typer.Option(metavar="NAME", help=f"Count as {', '.join(PRESETS)} does.")] = "default",
    as_json: asked.Json = False,
) -> None:
    """MRR at the end of a month, or now while it runs, and how it moved: new, expansion, contraction, churn."""
    wanted = read_month(month, "--month") if month else None
    code = asked.code(currency)
    deps = open_ledger()
    report = reports.recurring(deps.engine, deps.settings, deps.now(), month=wanted, currency=code, policy=policy)
    if as_json:
        print_json(told(report))
    else:
        show(table(report, deps.settings, terminal_width()))


def told(report: Recurring) -> dict[str, Any]:
    """The report for scripts. Amounts are rounded to the currency's minor unit, rates are shares of one."""
    balance, moves, code = report.balance, report.movements, report.balance.currency
    return {
        "month": label(report.month),
        "currency": code,
        "time_zone": report.time_zone,
        "as_of": report.as_of,
        "until": report.until,
        "policy": {"name": report.policy_name, **_policy(report)},
        "mrr": rounded(balance.total, code),
        "arr": rounded(balance.arr, code),
        "arpa": None if balance.arpa is None else rounded(balance.arpa, code),
        "customers": balance.customers,
        "subscriptions": balance.contracts,
        "metered": balance.metered,
        "by_currency": {money: rounded(amount, money) for money, amount in balance.by_currency.items()},
        "movements": {name: rounded(getattr(moves, name), code) for name in _FLOW},
        "customers_moved": {move.value: moves.count(move) for move in Move},
        "rates": {name: None if rate is None else rate.quantize(_MILLIONTH) for name, rate in rates(report).items()},
        "ltv": None if (value := lifetime_value(balance.arpa, moves.logo_churn)) is None else rounded(value, code),
        "unconverted": sorted({*balance.unconverted, *moves.unconverted}),
    }


def rates(report: Recurring) -> Mapping[str, Decimal | None]:
    moves = report.movements
    return {
        "gross_churn": moves.gross_churn,
        "net_churn": moves.net_churn,
        "net_retention": moves.net_retention(),
        "gross_retention": moves.gross_retention,
        "logo_churn": moves.logo_churn,
        "subscriber_churn": moves.subscriber_churn,
    }


def _policy(report: Recurring) -> dict[str, Any]:
    named = asdict(report.policy)
    window = named.pop("merge_within")
    return {**named, "merge_within_s": int(window.total_seconds())}


def table(report: Recurring, settings: Settings, width: int | None) -> list[Line]:
    written, balance, moves = Written(settings.locale, settings.zone), report.balance, report.movements
    code = balance.currency
    if not balance.contracts and not moves.customers:
        return [
            Line(["No running subscriptions. Connect a billing provider (tracker connector list), then: tracker sync"])
        ]
    lines = [
        Line(
            ["MRR", written.amount(rounded(balance.total, code), code), several(balance.customers, "customer")], "bold"
        ),
        Line(["ARR", written.amount(rounded(balance.arr, code), code), several(balance.contracts, "subscription")]),
        Line(["MRR per customer", written.amount(balance.arpa, code), ""]),
        Line(["", "", ""]),
    ]
    for name in _FLOW:
        amount = rounded(getattr(moves, name), code)
        signed = -amount if name in (Move.CONTRACTION, Move.CHURN) else amount
        count = moves.count(Move(name)) if name in list(Move) else 0
        who = several(count, "customer") if count else ""
        lines.append(Line([name, written.amount(signed, code), who], "bold" if name in ("start", "end") else ""))
    lines.append(Line(["", "", ""]))
    lines += [Line([name.replace("_", " "), written.share(rate), ""]) for name, rate in rates(report).items()]
    below = [
        f"{code}, until {written.minute(report.until)} in {report.time_zone}; policy {report.policy_name}: "
        + ", ".join(
            f"{name} {word}".replace("_", " ") for name, word in _policy(report).items() if isinstance(word, str)
        ),
        freshness(report.as_of, written),
    ]
    if balance.metered:
        below.append(
            f"With usage-priced parts on top, which are in no figure: {several(balance.metered, 'subscription')}."
        )
    if left_out := sorted({*balance.unconverted, *moves.unconverted}):
        below.append(f"Not in these figures, because a rate to {code} is missing: {', '.join(left_out)}.")
    header = [written.month(report.month), code, ""]
    return [*laid_out(header, lines, width=width), Line([""]), *(Line([line], "dim") for line in below)]
