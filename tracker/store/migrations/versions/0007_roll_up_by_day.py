"""Roll up by day"""

import sqlalchemy as sa
from alembic import op

from tracker.store.columns import Micros

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "daily_income",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("connection_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("earned_month", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("stream_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("recurrence", sa.String(length=16), nullable=False),
        sa.Column("converted", sa.Boolean(), nullable=False),
        sa.Column("earnings", sa.Integer(), nullable=False),
        sa.Column("net", Micros(), nullable=False),
        sa.Column("reporting_net", Micros(), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_daily_income_connection_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_daily_income")),
    )
    with op.batch_alter_table("daily_income", schema=None) as batch_op:
        batch_op.create_index(
            "ix_daily_income_connection_id_earned_month", ["connection_id", "earned_month"], unique=False
        )
        batch_op.create_index("ix_daily_income_earned_month_day", ["earned_month", "day"], unique=False)

    with op.batch_alter_table("user", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("seen_earning", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
        )


def downgrade() -> None:
    with op.batch_alter_table("user", schema=None) as batch_op:
        batch_op.drop_column("seen_earning")

    with op.batch_alter_table("daily_income", schema=None) as batch_op:
        batch_op.drop_index("ix_daily_income_earned_month_day")
        batch_op.drop_index("ix_daily_income_connection_id_earned_month")

    op.drop_table("daily_income")
