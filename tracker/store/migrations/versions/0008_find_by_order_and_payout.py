"""Find by order and payout"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("earning", schema=None) as batch_op:
        batch_op.create_index(
            "ix_earning_order_ref",
            ["order_ref"],
            unique=False,
            sqlite_where=sa.text("order_ref IS NOT NULL"),
            postgresql_where=sa.text("order_ref IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_earning_payout_ref",
            ["connection_id", "payout_ref", "currency", "status", "net"],
            unique=False,
            sqlite_where=sa.text("payout_ref IS NOT NULL"),
            postgresql_where=sa.text("payout_ref IS NOT NULL"),
        )

    with op.batch_alter_table("payout_item", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_payout_item_payout_ref"))
        batch_op.create_index(
            "ix_payout_item_payout_ref", ["connection_id", "payout_ref", "currency", "amount"], unique=False
        )


def downgrade() -> None:
    with op.batch_alter_table("payout_item", schema=None) as batch_op:
        batch_op.drop_index("ix_payout_item_payout_ref")
        batch_op.create_index(batch_op.f("ix_payout_item_payout_ref"), ["payout_ref"], unique=False)

    with op.batch_alter_table("earning", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_earning_payout_ref",
            sqlite_where=sa.text("payout_ref IS NOT NULL"),
            postgresql_where=sa.text("payout_ref IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_earning_order_ref",
            sqlite_where=sa.text("order_ref IS NOT NULL"),
            postgresql_where=sa.text("order_ref IS NOT NULL"),
        )
