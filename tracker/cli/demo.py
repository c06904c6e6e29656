"""`tracker demo`: five sandbox providers on this machine, read over HTTP by the real connectors, and what comes out."""

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from time import monotonic
from typing import Annotated, Any

import msgspec
import typer
from sqlalchemy import select, update

from tracker import connections, reports, sample
from tracker import letter as letters
from tracker.cli import columns, income, letter, payouts
from tracker.cli import sync as syncing
from tracker.cli.columns import Written, terminal_width
from tracker.cli.ground import now, open_ledger, out
from tracker.connect.fetch import LOOPBACK
from tracker.connect.pace import NoPace, Pace
from tracker.connect.session import http_session
from tracker.connections import Deps
from tracker.demo.networks import PLAYED
from tracker.demo.server import Sandbox
from tracker.errors import UsageError
from tracker.figures.income import summed
from tracker.months import following, label, month_of
from tracker.rates import newest_bundled_day
from tracker.settings import Settings, load_settings
from tracker.store import tables, writes
from tracker.store.database import reading
from tracker.store.writes import connection_t
from tracker.summary import of_letter

CLOCK = "demo_clock"
setting_t = tables.Setting.__table__  # type: ignore[attr-defined]


def demo(
    later: Annotated[
        int, typer.Option(metavar="DAYS", min=0, max=400, help="Move the sandbox's clock forward and sync again.")
    ] = 0,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the sandbox running until Ctrl-C, to try commands against it.")
    ] = False,
    also: Annotated[
        list[str] | None, typer.Option("--also", metavar="PROVIDER", help="Connect an affiliate network as well.")
    ] = None,
) -> None:
    """Play with invented providers: connect, sync and report, without an account anywhere."""
    started = monotonic()
    deps = open_ledger(_settings())
    refuse_own_connections(deps)
    with sandbox(deps, later) as playground:
        http = partial(http_session, allow_private=True)  # the sandbox is on this machine
        deps = msgspec.structs.replace(deps, pace=NoPace(), now=lambda: playground.now, http=http)
        out.print(
            f"Sandbox: {', '.join(playground.providers)} on this machine, {playground.now:%d %B %Y}. Nothing leaves it."
        )
        if strange := set(also or ()) - set(PLAYED):
            raise UsageError(
                f"the sandbox does not play {', '.join(sorted(strange))}.", hint=f"It plays {', '.join(PLAYED)}."
            )
        rows = connect(deps, playground, also or ())
        story = [row for row in rows if row.slug in playground.providers]
        reports = syncing.run_all(deps, story, None)
        networks = [row for row in rows if row not in story]
        if networks:  # these count calls as they do outside, so their limits are kept
            reports += syncing.run_all(msgspec.structs.replace(deps, pace=Pace()), networks, None)
        if not any(report.new or report.changed for report in reports):
            out.print("Nothing changed since the last time: every row was known.")
        show(deps, playground.now)
        write_letter(deps)
        out.print(f"\n{monotonic() - started:.0f} s. {next_steps(deps.settings)}", markup=False)
        if keep:
            hold(playground)
    raise typer.Exit(syncing.code_of(reports))


def _settings() -> Settings:
    """The demo's own folder, unless TRACKER_DATA_DIR names one."""
    if os.environ.get("TRACKER_DATA_DIR"):
        return load_settings()
    return load_settings({**os.environ, "TRACKER_DATA_DIR": str(load_settings().data_dir / "demo")})


def refuse_own_connections(deps: Deps) -> None:
    """Invented earnings never mix with real ones."""
    from urllib.parse import urlsplit

    own = [
        row.slug
        for row in connections.every(deps.engine)
        if urlsplit(row.options.get("base_url", "")).hostname not in LOOPBACK
    ]
    if own:
        raise UsageError(
            f"this ledger has connections of your own ({', '.join(own[:5])}).",
            hint=f"Give the demo a folder of its own: TRACKER_DATA_DIR=./demo {program()} demo",
        )


@contextmanager
def sandbox(deps: Deps, later: int) -> Iterator[Sandbox]:
    """The providers at the time of the demo's own clock, which stands still, so that a second run finds nothing new."""
    with reading(deps.engine) as conn:
        stored = conn.execute(select(setting_t.c.value).where(setting_t.c.name == CLOCK)).scalar()
        first, clock = (datetime.fromisoformat(text) for text in (stored or f"{_today()} {_today()}").split())
    clock += timedelta(days=later)
    with Sandbox(now=first) as playground:
        playground.now = clock  # refused when there is no history that late, so it is remembered only now
        with deps.engine.begin() as conn:
            row = {"name": CLOCK, "value": f"{first.isoformat()} {clock.isoformat()}"}
            writes.upsert(conn, setting_t, [row], ("name",))
        yield playground


def _today() -> str:
    """This hour, but no later than the exchange rates that came with the installation reach."""
    latest = datetime.combine(newest_bundled_day(), time(10), UTC) + timedelta(days=100)
    return min(now().replace(minute=0, second=0, microsecond=0), latest).isoformat()


def connect(deps: Deps, playground: Sandbox, also: Sequence[str] = ()) -> list[Any]:
    """Connections to every provider; those of an earlier run learn the new port."""
    known = {row.slug: row for row in connections.every(deps.engine)}
    for slug in dict.fromkeys((*playground.providers, *also, *(slug for slug in known if slug in PLAYED))):
        options = sample.options_for(slug, playground.url(slug))
        if slug in known:
            with deps.engine.begin() as conn:
                values = {"options": {**known[slug].options, **options}}
                conn.execute(update(connection_t).where(connection_t.c.slug == slug).values(values))
        else:
            connections.add(
                deps,
                slug,
                slug,
                credentials=playground.credentials(slug),
                options=options,
                stream=sample.STREAMS.get(slug),
            )
    if not known:
        sample.add_rules(deps)
    return connections.every(deps.engine)


def show(deps: Deps, moment: datetime) -> None:
    """The last full months by stream, what is open or was taken back, the newest payouts."""
    settings, width = deps.settings, terminal_width()
    written = Written(settings.locale, settings.zone)
    this = month_of(moment, settings.zone)
    report = reports.income(deps.engine, settings, first=following(this, -2), last=this)
    out.print("\n[bold]Income of the last three months[/], recurring against one-off")
    columns.show(income.table(report, settings, width))
    whole = summed(reports.income(deps.engine, settings, first=following(this, -24), last=this).rows)

    def money(amount: Decimal) -> str:
        return written.money(amount, settings.currency)

    for line in (
        f"\nAll 24 months: {money(whole.total)} from {whole.earnings:,} earnings",
        f"  recurring  {money(whole.recurring)}, everything else {money(whole.total - whole.recurring)}",
        f"  pending    {money(whole.pending)}: not approved yet, in no total",
        f"  taken back {money(whole.declined)} declined before approval, {money(whole.reversed)} reversed after it",
        "\nNewest payouts",
    ):
        out.print(line, markup=False)
    columns.show(payouts.table(reports.payouts(deps.engine, settings)[:6], written, width))


def write_letter(deps: Deps) -> None:
    """The letter of the newest full month, in a folder in place of a mail box."""
    month = letter.newest_full_month(deps)
    summary = of_letter(deps.engine, deps.settings, month, deps.now())
    written = letters.write(summary)
    outbox = deps.settings.data_dir / "outbox"
    outbox.mkdir(exist_ok=True)
    out.print(f"\nThe letter about {label(summary.month)}, as it would be mailed")
    for kind, content in (
        ("html", written.html.encode()),
        ("txt", written.text.encode()),
        ("eml", letter.as_mail(summary, written, deps).as_bytes()),
    ):
        path = outbox / f"letter-{label(summary.month)}.{kind}"
        path.write_bytes(content)
        out.print(f"  {path}", markup=False, soft_wrap=True)


def next_steps(settings: Settings) -> str:
    """Commands to copy and paste, in the folder where the demo was started."""
    return f"""What next, in this ledger:
  export TRACKER_DATA_DIR={shlex.quote(str(settings.data_dir))}
  {program()} income --by recurrence   # the same ledger, asked by hand
  {program()} mrr                      # subscriptions this month
  {program()} demo --later 10          # ten days on: sales are approved, reversed, paid
And your own accounts, in a ledger of their own:
  unset TRACKER_DATA_DIR
  {program()} serve                    # all of this on pages: set a password, look around, connect
  {program()} connector list           # or in the terminal
  {program()} connection add awin --slug awin"""


def program() -> str:
    """The command as it was called, so that what we print can be copied."""
    called = sys.argv[0] if os.sep in sys.argv[0] and sys.argv[0].endswith("tracker") else "tracker"
    return shlex.quote(called)


def hold(playground: Sandbox) -> None:
    """Wait for Ctrl-C."""
    from threading import Event

    out.print("\nConnect them by hand, in another ledger. They are on this machine, which has to be allowed there:")
    out.print("  export TRACKER_ALLOW_PRIVATE_NETWORKS=true")
    for slug in playground.providers:
        given = " ".join(f"--credential {name}={value}" for name, value in playground.credentials(slug).items())
        address = f"--option base_url={playground.url(slug)}"
        out.print(f"  {program()} connection add {slug} --slug {slug} {address} {given}", markup=False)
    out.print("The sandbox runs until Ctrl-C.")
    try:
        Event().wait()
    except KeyboardInterrupt:
        out.print("Stopped.")
