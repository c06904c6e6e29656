"""Alembic's entry point: always runs on the connection that `tracker.store.database.migrate` hands over."""

from typing import Any, Literal

from alembic import context

from tracker.store.columns import Micros, UtcDateTime
from tracker.store.tables import metadata


def _render(kind: str, value: Any, autogen_context: Any) -> str | Literal[False]:
    """Our column types by name, the migration importing them."""
    if kind == "type" and isinstance(value, Micros | UtcDateTime):
        autogen_context.imports.add("from tracker.store.columns import Micros, UtcDateTime")
        return f"{type(value).__name__}()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
    render_item=_render,
    transaction_per_migration=False,
)
context.run_migrations()
