"""The queue on Redis, and the worker that syncs what it names: `python -m workers.queue [--concurrency 8]`.

The database is the schedule. A message only says "look at connection 7": one that is lost is sent again by the clock,
one that comes twice finds the lease taken or nothing due. So nothing here retries, waits or keeps a result.
"""

import sys
from collections.abc import Sequence
from typing import Any

from tracker import pulse
from tracker.errors import ConfigError
from tracker.hand import SYNC_MAX_S, Hand
from tracker.launch import REDIS_LIMITS, open_ledger, run
from tracker.schedule import HAND_OUT
from tracker.settings import Settings

#: A process whose sync does not end by itself is killed a quarter of an hour later.
KILL_AFTER_S = SYNC_MAX_S + 900


def queue(settings: Settings) -> Any:
    """The Celery application. Raises ConfigError without an address of Redis."""
    from celery import Celery

    if not settings.redis_url:
        why = "TRACKER_REDIS_URL is not set, and clock and workers meet on Redis."
        raise ConfigError(why, hint="Set it, such as redis://localhost:6379/0; `tracker serve` does without.")
    # Celery has words of its own for a socket in the file system.
    address = settings.redis_url.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1)
    app = Celery("tracker", broker=address)
    app.conf.update(
        task_default_queue="tracker", accept_content=["json"], task_serializer="json", task_ignore_result=True,
        # Off the queue when the sync is done, no more at once than there are processes: none waits behind a long one.
        # A sync that kills its process is not put back, or it would kill the next; the clock sends it again.
        task_acks_late=True, task_reject_on_worker_lost=False, worker_prefetch_multiplier=1,
        task_time_limit=KILL_AFTER_S,
        # Redis hands out again what is not done in the visibility time, so that is longer than any sync. Without the
        # sockets' limits a message to a Redis that vanished is sent for ever.
        broker_transport_options={"visibility_timeout": KILL_AFTER_S + 3600, "max_retries": 2, **REDIS_LIMITS},
        task_publish_retry_policy={"max_retries": 2, "interval_start": 0.2, "interval_step": 0.3},
        # Waits for Redis as long as it takes (by default it gives up at the 100th try); what it is doing goes on.
        broker_connection_retry_on_startup=True, broker_connection_max_retries=None,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_remote_control=False,  # whoever reaches Redis could stop workers
        worker_pool_start_method="fork", worker_concurrency=4,
    )  # fmt: skip
    return app


def send(app: Any, ids: Sequence[int]) -> None:
    """Ask a worker to sync connections, one after the other. Raises ConfigError when Redis does not take it."""
    from kombu.exceptions import OperationalError

    try:
        app.send_task("sync", (list(ids),), expires=HAND_OUT.total_seconds())
    except OperationalError:  # its text may hold the address
        why = "Redis does not take messages, so no sync is handed to a worker."
        hint = "See that it runs (TRACKER_REDIS_URL), and workers too. Nothing is lost; the clock goes on trying."
        raise ConfigError(why, hint=hint) from None


def main(settings: Settings) -> None:
    from celery import signals

    app, hand = queue(settings), Hand(settings)
    open_ledger(settings).engine.dispose()  # what is wrong is said once, and not by every process
    app.task(hand.sync, name="sync")
    for happened in (signals.worker_process_init, signals.worker_shutting_down):
        happened.connect(hand.let_go)
    signals.setup_logging.connect(lambda **_: None, weak=False)  # somebody listens, so Celery leaves the log alone
    signals.heartbeat_sent.connect(pulse.beat)
    app.worker_main(["--quiet", "worker", "--without-gossip", "--without-mingle", *sys.argv[1:]])


if __name__ == "__main__":
    run(main)
