"""Experiments, baselines, analyses and searches exist once by construction; share tokens are stored hashed."""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UNDER_WAY_OR_DONE = "state IN ('queued', 'running', 'succeeded')"
INDEXES = (
    ("uq_runs_baseline", "runs", ["experiment_id"], f"is_baseline AND {UNDER_WAY_OR_DONE}"),
    ("uq_runs_analysis", "runs", ["of_run", "kind"], f"kind <> 'recipe' AND {UNDER_WAY_OR_DONE}"),
    ("uq_searches_running", "searches", ["experiment_id"], "state = 'running'"),
)


def upgrade() -> None:
    with op.batch_alter_table("experiments", schema=None) as batch_op:
        batch_op.add_column(sa.Column("identity", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("share_token_sha256", sa.String(length=64), nullable=True))
    _fill_experiments()
    with op.batch_alter_table("experiments", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_experiments_share_token"))
        batch_op.drop_column("share_token")
        batch_op.create_index(batch_op.f("ix_experiments_identity"), ["identity"], unique=True)
        batch_op.create_index(
            batch_op.f("ix_experiments_share_token_sha256"), ["share_token_sha256"], unique=True
        )
    _settle_duplicates()
    for name, table, columns, condition in INDEXES:
        where = sa.text(condition)
        op.create_index(name, table, columns, unique=True, sqlite_where=where, postgresql_where=where)


def _fill_experiments() -> None:
    """The oldest of equal experiments has their identity; the others stay as they are and have none."""
    connection = op.get_bind()
    taken = set()
    rows = connection.execute(
        sa.text("SELECT id, name, fingerprint, owner, share_token FROM experiments ORDER BY id")
    ).all()
    changed = sa.text(
        "UPDATE experiments SET identity = :identity, share_token_sha256 = :token WHERE id = :id"
    )
    for row in rows:
        # As storage.experiments.identity_of makes it: written out, since a migration never changes.
        text = json.dumps([row.name, row.fingerprint, row.owner])
        identity = hashlib.sha256(text.encode()).hexdigest()
        token = hashlib.sha256(row.share_token.encode()).hexdigest() if row.share_token else None
        connection.execute(
            changed, {"identity": None if identity in taken else identity, "token": token, "id": row.id}
        )
        taken.add(identity)


def _settle_duplicates() -> None:
    """Make duplicates of an older lwdash unique: one keeps its identity, the others stay as rows without it.

    Of baselines the one that was used stays: the first that succeeded, else the first under way. The others are
    ordinary runs. Of analyses the newest stays, as the pages showed it. Of searches the oldest goes on.
    """
    op.execute(
        f"""UPDATE runs SET is_baseline = FALSE WHERE is_baseline AND {UNDER_WAY_OR_DONE} AND id <> (
            SELECT other.id FROM runs AS other
            WHERE other.experiment_id = runs.experiment_id AND other.is_baseline
            AND other.{UNDER_WAY_OR_DONE}
            ORDER BY CASE other.state WHEN 'succeeded' THEN 0 ELSE 1 END, other.id LIMIT 1)"""
    )
    op.execute(
        f"""UPDATE runs SET state = 'cancelled' WHERE kind <> 'recipe' AND {UNDER_WAY_OR_DONE} AND id < (
            SELECT max(other.id) FROM runs AS other
            WHERE other.of_run = runs.of_run AND other.kind = runs.kind
            AND other.{UNDER_WAY_OR_DONE})"""
    )
    op.execute(
        """UPDATE searches SET state = 'stopped', words = 'another search of this experiment was running',
            finished_at = created_at WHERE state = 'running' AND id > (
            SELECT min(other.id) FROM searches AS other
            WHERE other.experiment_id = searches.experiment_id AND other.state = 'running')"""
    )


def downgrade() -> None:
    for name, table, _, _ in INDEXES:
        op.drop_index(name, table)
    with op.batch_alter_table("experiments", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_experiments_share_token_sha256"))
        batch_op.drop_index(batch_op.f("ix_experiments_identity"))
        batch_op.drop_column("share_token_sha256")
        batch_op.drop_column("identity")
        batch_op.add_column(sa.Column("share_token", sa.String(length=64), nullable=True))
        batch_op.create_index(batch_op.f("ix_experiments_share_token"), ["share_token"], unique=True)
