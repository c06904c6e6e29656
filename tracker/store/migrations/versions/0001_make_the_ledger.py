"""Make the ledger"""

import sqlalchemy as sa
from alembic import op

from tracker.store.columns import Micros, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "exchange_rate",
        sa.Column("base", sa.String(length=3), nullable=False),
        sa.Column("quote", sa.String(length=3), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("rate", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("fetched_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("base", "quote", "day", name=op.f("pk_exchange_rate")),
    )
    op.create_table(
        "setting",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_setting")),
    )
    op.create_table(
        "stream",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("business_model", sa.String(), nullable=True),
        sa.Column("delivery", sa.String(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stream")),
        sa.UniqueConstraint("slug", name=op.f("uq_stream_slug")),
    )
    op.create_table(
        "connection",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("stream_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=True),
        sa.Column("next_sync_at", UtcDateTime(), nullable=True),
        sa.Column("interval_s", sa.Integer(), nullable=False),
        sa.Column("leased_until", UtcDateTime(), nullable=True),
        sa.Column("leased_by", sa.String(), nullable=True),
        sa.Column("paused_at", UtcDateTime(), nullable=True),
        sa.Column("paused_reason", sa.String(), nullable=True),
        sa.Column("as_of", UtcDateTime(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["stream_id"], ["stream.id"], name=op.f("fk_connection_stream_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connection")),
        sa.UniqueConstraint("slug", name=op.f("uq_connection_slug")),
    )
    with op.batch_alter_table("connection", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_connection_next_sync_at"), ["next_sync_at"], unique=False)

    op.create_table(
        "connection_secret",
        sa.Column("connection_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("credentials", sa.String(), nullable=False),
        sa.Column("tokens", sa.String(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_connection_secret_connection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("connection_id", name=op.f("pk_connection_secret")),
    )
    op.create_table(
        "dirty_month",
        sa.Column("connection_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("month", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_dirty_month_connection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("connection_id", "month", name=op.f("pk_dirty_month")),
    )
    op.create_table(
        "earning",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("connection_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("raw_key", sa.String(), nullable=True),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("said_status", sa.String(length=16), nullable=True),
        sa.Column("settlement", sa.String(length=16), nullable=False),
        sa.Column("net", Micros(), nullable=False),
        sa.Column("gross", Micros(), nullable=True),
        sa.Column("fee", Micros(), nullable=True),
        sa.Column("tax", Micros(), nullable=True),
        sa.Column("sale_amount", Micros(), nullable=True),
        sa.Column("sale_currency", sa.String(length=3), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("reporting_net", Micros(), nullable=True),
        sa.Column("rate_day", sa.Date(), nullable=True),
        sa.Column("earned_at", UtcDateTime(), nullable=False),
        sa.Column("validated_at", UtcDateTime(), nullable=True),
        sa.Column("paid_at", UtcDateTime(), nullable=True),
        sa.Column("earned_month", sa.Integer(), nullable=False),
        sa.Column("approved_month", sa.Integer(), nullable=True),
        sa.Column("paid_month", sa.Integer(), nullable=True),
        sa.Column("period_start", sa.Date(), nullable=True),
        sa.Column("period_end", sa.Date(), nullable=True),
        sa.Column("program", sa.String(), nullable=True),
        sa.Column("product", sa.String(), nullable=True),
        sa.Column("payer", sa.String(), nullable=True),
        sa.Column("country", sa.String(length=2), nullable=True),
        sa.Column("sub_id", sa.String(), nullable=True),
        sa.Column("order_ref", sa.String(), nullable=True),
        sa.Column("gateway_ref", sa.String(), nullable=True),
        sa.Column("payment_ref", sa.String(), nullable=True),
        sa.Column("origin_ref", sa.String(), nullable=True),
        sa.Column("subscription_ref", sa.String(), nullable=True),
        sa.Column("payout_ref", sa.String(), nullable=True),
        sa.Column("said_recurrence", sa.String(length=16), nullable=True),
        sa.Column("said_interval", sa.String(length=24), nullable=True),
        sa.Column("override_recurrence", sa.String(length=16), nullable=True),
        sa.Column("recurrence", sa.String(length=16), nullable=False),
        sa.Column("recurrence_by", sa.String(length=16), nullable=False),
        sa.Column("recurrence_reason", sa.String(), nullable=True),
        sa.Column("recurrence_interval", sa.String(length=24), nullable=True),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("paired", sa.Boolean(), nullable=False),
        sa.Column("provider_status", sa.String(), nullable=True),
        sa.Column("fresh", sa.Boolean(), nullable=False),
        sa.Column("stream_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("override_stream_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_earning_connection_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["override_stream_id"], ["stream.id"], name=op.f("fk_earning_override_stream_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["stream_id"], ["stream.id"], name=op.f("fk_earning_stream_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_earning")),
        sa.UniqueConstraint(
            "connection_id", "resource", "external_id", name=op.f("uq_earning_connection_id_resource_external_id")
        ),
    )
    with op.batch_alter_table("earning", schema=None) as batch_op:
        batch_op.create_index("ix_earning_connection_id_earned_month", ["connection_id", "earned_month"], unique=False)
        batch_op.create_index(batch_op.f("ix_earning_earned_at"), ["earned_at"], unique=False)
        batch_op.create_index(
            "ix_earning_fresh",
            ["connection_id", "id"],
            unique=False,
            sqlite_where=sa.text("fresh = 1"),
            postgresql_where=sa.text("fresh"),
        )
        batch_op.create_index(
            "ix_earning_gateway_ref",
            ["gateway_ref"],
            unique=False,
            sqlite_where=sa.text("gateway_ref IS NOT NULL"),
            postgresql_where=sa.text("gateway_ref IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_earning_origin_ref",
            ["connection_id", "origin_ref"],
            unique=False,
            sqlite_where=sa.text("origin_ref IS NOT NULL"),
            postgresql_where=sa.text("origin_ref IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_earning_payer",
            ["connection_id", "payer"],
            unique=False,
            sqlite_where=sa.text("payer IS NOT NULL"),
            postgresql_where=sa.text("payer IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_earning_payment_ref",
            ["payment_ref"],
            unique=False,
            sqlite_where=sa.text("payment_ref IS NOT NULL"),
            postgresql_where=sa.text("payment_ref IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_earning_subscription_ref",
            ["connection_id", "subscription_ref"],
            unique=False,
            sqlite_where=sa.text("subscription_ref IS NOT NULL"),
            postgresql_where=sa.text("subscription_ref IS NOT NULL"),
        )

    op.create_table(
        "invoice",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("connection_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("payment_ref", sa.String(), nullable=False),
        sa.Column("recurrence", sa.String(length=16), nullable=False),
        sa.Column("subscription_ref", sa.String(), nullable=True),
        sa.Column("interval", sa.String(length=24), nullable=True),
        sa.Column("product", sa.String(), nullable=True),
        sa.Column("payer", sa.String(), nullable=True),
        sa.Column("period_start", sa.Date(), nullable=True),
        sa.Column("period_end", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_invoice_connection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoice")),
        sa.UniqueConstraint(
            "connection_id", "resource", "external_id", name=op.f("uq_invoice_connection_id_resource_external_id")
        ),
    )
    with op.batch_alter_table("invoice", schema=None) as batch_op:
        batch_op.create_index("ix_invoice_connection_id_payment_ref", ["connection_id", "payment_ref"], unique=False)

    op.create_table(
        "monthly_income",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("connection_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("earned_month", sa.Integer(), nullable=False),
        sa.Column("approved_month", sa.Integer(), nullable=True),
        sa.Column("paid_month", sa.Integer(), nullable=True),
        sa.Column("stream_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("program", sa.String(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("settlement", sa.String(length=16), nullable=False),
        sa.Column("recurrence", sa.String(length=16), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("paired", sa.Boolean(), nullable=False),
        sa.Column("converted", sa.Boolean(), nullable=False),
        sa.Column("earnings", sa.Integer(), nullable=False),
        sa.Column("net", Micros(), nullable=False),
        sa.Column("reporting_net", Micros(), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_monthly_income_connection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_monthly_income")),
    )
    with op.batch_alter_table("monthly_income", schema=None) as batch_op:
        batch_op.create_index(
            "ix_monthly_income_connection_id_earned_month", ["connection_id", "earned_month"], unique=False
        )
        batch_op.create_index("ix_monthly_income_earned_month", ["earned_month"], unique=False)

    op.create_table(
        "page_digest",
        sa.Column("connection_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_page_digest_connection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("connection_id", "resource", "key", name=op.f("pk_page_digest")),
    )
    op.create_table(
        "payout",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("connection_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("raw_key", sa.String(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("amount", Micros(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("fee", Micros(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("arrives_at", UtcDateTime(), nullable=True),
        sa.Column("itemised", sa.Boolean(), nullable=False),
        sa.Column("itemised_at", UtcDateTime(), nullable=True),
        sa.Column("settled_as", sa.String(length=16), nullable=True),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("provider_status", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_payout_connection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout")),
        sa.UniqueConstraint(
            "connection_id", "resource", "external_id", name=op.f("uq_payout_connection_id_resource_external_id")
        ),
    )
    with op.batch_alter_table("payout", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_payout_created_at"), ["created_at"], unique=False)

    op.create_table(
        "payout_item",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("connection_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("payout_ref", sa.String(), nullable=False),
        sa.Column("earning_ref", sa.String(), nullable=False),
        sa.Column("amount", Micros(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_payout_item_connection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout_item")),
        sa.UniqueConstraint(
            "connection_id", "resource", "external_id", name=op.f("uq_payout_item_connection_id_resource_external_id")
        ),
    )
    with op.batch_alter_table("payout_item", schema=None) as batch_op:
        batch_op.create_index(
            "ix_payout_item_connection_id_earning_ref", ["connection_id", "earning_ref"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_payout_item_payout_ref"), ["payout_ref"], unique=False)

    op.create_table(
        "program",
        sa.Column("connection_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("recurring", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_program_connection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("connection_id", "external_id", name=op.f("pk_program")),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("connection_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("row_key", sa.String(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_quarantine_connection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        sa.UniqueConstraint(
            "connection_id", "resource", "fingerprint", name=op.f("uq_quarantine_connection_id_resource_fingerprint")
        ),
    )
    op.create_table(
        "raw_batch",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("connection_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("fetched_at", UtcDateTime(), nullable=False),
        sa.Column("rows", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_raw_batch_connection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_raw_batch")),
    )
    with op.batch_alter_table("raw_batch", schema=None) as batch_op:
        batch_op.create_index("ix_raw_batch_connection_id_resource", ["connection_id", "resource"], unique=False)

    op.create_table(
        "raw_row",
        sa.Column("connection_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("batch_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("made", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_raw_row_connection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("connection_id", "resource", "key", name=op.f("pk_raw_row")),
    )
    op.create_table(
        "resource_state",
        sa.Column("connection_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.Column("resume", sa.JSON(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_resource_state_connection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("connection_id", "resource", name=op.f("pk_resource_state")),
    )
    op.create_table(
        "stream_rule",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("stream_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("connection_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("program", sa.String(), nullable=True),
        sa.Column("product", sa.String(), nullable=True),
        sa.Column("sub_id", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_stream_rule_connection_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["stream_id"], ["stream.id"], name=op.f("fk_stream_rule_stream_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stream_rule")),
    )
    with op.batch_alter_table("stream_rule", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_stream_rule_position"), ["position"], unique=False)
        batch_op.create_index(batch_op.f("ix_stream_rule_stream_id"), ["stream_id"], unique=False)

    op.create_table(
        "subscription",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("connection_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("raw_key", sa.String(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("payer", sa.String(), nullable=True),
        sa.Column("product", sa.String(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("amount", Micros(), nullable=False),
        sa.Column("discount_forever", Micros(), nullable=False),
        sa.Column("discount_limited", Micros(), nullable=False),
        sa.Column("discount_ends_at", UtcDateTime(), nullable=True),
        sa.Column("interval", sa.String(length=24), nullable=False),
        sa.Column("metered", sa.Boolean(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("trial_end_at", UtcDateTime(), nullable=True),
        sa.Column("current_period_end", UtcDateTime(), nullable=True),
        sa.Column("cancel_requested_at", UtcDateTime(), nullable=True),
        sa.Column("cancel_at_period_end", sa.Boolean(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("provider_status", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_subscription_connection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription")),
        sa.UniqueConstraint(
            "connection_id", "resource", "external_id", name=op.f("uq_subscription_connection_id_resource_external_id")
        ),
    )
    op.create_table(
        "sync_run",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("connection_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("new", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("quarantined", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("message", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_sync_run_connection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_run")),
    )
    with op.batch_alter_table("sync_run", schema=None) as batch_op:
        batch_op.create_index("ix_sync_run_connection_id_started_at", ["connection_id", "started_at"], unique=False)

    op.create_table(
        "earning_change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("earning_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("what", sa.String(length=24), nullable=False),
        sa.Column("old", sa.String(), nullable=True),
        sa.Column("new", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["earning_id"], ["earning.id"], name=op.f("fk_earning_change_earning_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_earning_change")),
    )
    with op.batch_alter_table("earning_change", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_earning_change_changed_at"), ["changed_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_earning_change_earning_id"), ["earning_id"], unique=False)

    op.create_table(
        "subscription_change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("subscription_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("old", sa.JSON(), nullable=False),
        sa.Column("new", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["subscription.id"],
            name=op.f("fk_subscription_change_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription_change")),
    )
    with op.batch_alter_table("subscription_change", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_subscription_change_changed_at"), ["changed_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_subscription_change_subscription_id"), ["subscription_id"], unique=False)


def downgrade() -> None:

    with op.batch_alter_table("subscription_change", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_subscription_change_subscription_id"))
        batch_op.drop_index(batch_op.f("ix_subscription_change_changed_at"))

    op.drop_table("subscription_change")
    with op.batch_alter_table("earning_change", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_earning_change_earning_id"))
        batch_op.drop_index(batch_op.f("ix_earning_change_changed_at"))

    op.drop_table("earning_change")
    with op.batch_alter_table("sync_run", schema=None) as batch_op:
        batch_op.drop_index("ix_sync_run_connection_id_started_at")

    op.drop_table("sync_run")
    op.drop_table("subscription")
    with op.batch_alter_table("stream_rule", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_stream_rule_stream_id"))
        batch_op.drop_index(batch_op.f("ix_stream_rule_position"))

    op.drop_table("stream_rule")
    op.drop_table("resource_state")
    op.drop_table("raw_row")
    with op.batch_alter_table("raw_batch", schema=None) as batch_op:
        batch_op.drop_index("ix_raw_batch_connection_id_resource")

    op.drop_table("raw_batch")
    op.drop_table("quarantine")
    op.drop_table("program")
    with op.batch_alter_table("payout_item", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_payout_item_payout_ref"))
        batch_op.drop_index("ix_payout_item_connection_id_earning_ref")

    op.drop_table("payout_item")
    with op.batch_alter_table("payout", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_payout_created_at"))

    op.drop_table("payout")
    op.drop_table("page_digest")
    with op.batch_alter_table("monthly_income", schema=None) as batch_op:
        batch_op.drop_index("ix_monthly_income_earned_month")
        batch_op.drop_index("ix_monthly_income_connection_id_earned_month")

    op.drop_table("monthly_income")
    with op.batch_alter_table("invoice", schema=None) as batch_op:
        batch_op.drop_index("ix_invoice_connection_id_payment_ref")

    op.drop_table("invoice")
    with op.batch_alter_table("earning", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_earning_subscription_ref",
            sqlite_where=sa.text("subscription_ref IS NOT NULL"),
            postgresql_where=sa.text("subscription_ref IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_earning_payment_ref",
            sqlite_where=sa.text("payment_ref IS NOT NULL"),
            postgresql_where=sa.text("payment_ref IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_earning_payer", sqlite_where=sa.text("payer IS NOT NULL"), postgresql_where=sa.text("payer IS NOT NULL")
        )
        batch_op.drop_index(
            "ix_earning_origin_ref",
            sqlite_where=sa.text("origin_ref IS NOT NULL"),
            postgresql_where=sa.text("origin_ref IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_earning_gateway_ref",
            sqlite_where=sa.text("gateway_ref IS NOT NULL"),
            postgresql_where=sa.text("gateway_ref IS NOT NULL"),
        )
        batch_op.drop_index("ix_earning_fresh", sqlite_where=sa.text("fresh = 1"), postgresql_where=sa.text("fresh"))
        batch_op.drop_index(batch_op.f("ix_earning_earned_at"))
        batch_op.drop_index("ix_earning_connection_id_earned_month")

    op.drop_table("earning")
    op.drop_table("dirty_month")
    op.drop_table("connection_secret")
    with op.batch_alter_table("connection", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_connection_next_sync_at"))

    op.drop_table("connection")
    op.drop_table("stream")
    op.drop_table("setting")
    op.drop_table("exchange_rate")
