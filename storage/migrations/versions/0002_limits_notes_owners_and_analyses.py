"""limits, notes and tags, owners, analyses of runs, preferences."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("experiments", schema=None) as batch_op:
        batch_op.add_column(sa.Column("limits", sa.JSON(), nullable=False, server_default="{}"))
        batch_op.add_column(sa.Column("threads", sa.Integer(), nullable=False, server_default="1"))
        batch_op.add_column(sa.Column("note", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("owner", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("is_private", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("share_token", sa.String(length=64), nullable=True))
        batch_op.create_index(batch_op.f("ix_experiments_share_token"), ["share_token"], unique=True)

    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.alter_column("step", existing_type=sa.String(length=10), type_=sa.String(length=20))
        batch_op.add_column(sa.Column("kind", sa.String(length=20), nullable=False, server_default="recipe"))
        batch_op.add_column(sa.Column("of_run", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("owner", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("title", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("tags", sa.JSON(), nullable=False, server_default="[]"))
        batch_op.add_column(sa.Column("note", sa.Text(), nullable=False, server_default=""))
        batch_op.create_foreign_key("fk_runs_of_run", "runs", ["of_run"], ["id"])
        batch_op.create_index(batch_op.f("ix_runs_of_run"), ["of_run"], unique=False)

    op.create_table(
        "preferences",
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "key"),
    )


def downgrade() -> None:
    op.drop_table("preferences")
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_runs_of_run"))
        batch_op.drop_constraint("fk_runs_of_run", type_="foreignkey")
        for column in ("note", "tags", "title", "owner", "of_run", "kind"):
            batch_op.drop_column(column)
        batch_op.alter_column("step", existing_type=sa.String(length=20), type_=sa.String(length=10))
    with op.batch_alter_table("experiments", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_experiments_share_token"))
        for column in ("share_token", "is_private", "owner", "note", "threads", "limits"):
            batch_op.drop_column(column)
