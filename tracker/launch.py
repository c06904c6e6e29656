"""What every process of the tracker starts with: its log, the opened ledger, and one line when that fails."""

import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from tracker.connect.declared import folder
from tracker.connect.pace import Pace
from tracker.connect.session import http_session
from tracker.connections import Deps
from tracker.errors import ConfigError, TrackerError
from tracker.revalue import revalue
from tracker.settings import Settings, load_settings, make_data_dir
from tracker.statements.profiles import shelf
from tracker.store.database import database_errors, migrate, open_engine
from tracker.stored import over_stored
from tracker.vault import Vault

if TYPE_CHECKING:
    from redis import Redis

#: How long Redis may take to answer, so that nobody waits for ever for one that vanished.
REDIS_LIMITS = {"socket_timeout": 10.0, "socket_connect_timeout": 10.0}


def open_ledger(settings: Settings) -> Deps:
    """The ledger of this installation, at the newest version, with what pages stored beneath the machine's settings.

    Several processes may do so at once: the first one migrates, the others wait for it. Raises ConfigError.
    """
    make_data_dir(settings)
    shelf.look_in(settings.data_dir / "statements")
    folder.look_in(settings.data_dir)
    engine = open_engine(settings.database_url)
    try:
        migrate(engine)
        vault, pace = Vault.open(settings), Pace(_redis(settings))
        with database_errors(engine):
            settings = over_stored(engine, settings, vault)
            revalue(engine, settings)
    except BaseException:
        engine.dispose()
        raise
    http = partial(http_session, allow_private=settings.allow_private_networks)
    return Deps(engine=engine, settings=settings, vault=vault, pace=pace, now=lambda: datetime.now(UTC), http=http)


def _redis(settings: Settings) -> "Redis | None":
    if not settings.redis_url:
        return None
    try:
        import redis
    except ModuleNotFoundError:
        raise ConfigError(
            "TRACKER_REDIS_URL is set, but the package redis is not installed.",
            hint="Install the extra: income-tracker[distributed]",
        ) from None
    return redis.Redis.from_url(settings.redis_url, **REDIS_LIMITS)


def configure_log(settings: Settings, *, terminal: bool) -> None:
    """Plain lines on a terminal, JSON lines for a collector, on standard output. No secret is ever passed to the log.

    Libraries write in the same form, but only their warnings: they tell of every step, and some with addresses.
    """
    level = logging.getLevelNamesMapping()[settings.log_level]
    plain = settings.log_format == "plain" or (settings.log_format == "auto" and terminal)
    renderer: Any = structlog.processors.JSONRenderer()
    if plain:
        renderer = structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=structlog.dev.plain_traceback)
    steps: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *([] if plain else [structlog.processors.format_exc_info]),
    ]
    structlog.configure(processors=[*steps, renderer], wrapper_class=structlog.make_filtering_bound_logger(level))
    lines = logging.StreamHandler(sys.stdout)
    lines.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=steps))
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[lines], force=True)


def run(main: Callable[[Settings], None]) -> None:
    """The life of a process without a command line: trouble at its start is one line and exit code 2."""
    try:
        settings = load_settings()
        configure_log(settings, terminal=sys.stdout.isatty())
        main(settings)
    except TrackerError as error:
        print(f"tracker: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        print(f"tracker: no package {error.name}. Install the extra: income-tracker[distributed]", file=sys.stderr)
    else:
        return
    sys.exit(2)
