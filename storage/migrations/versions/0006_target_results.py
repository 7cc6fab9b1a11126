"""Results of targets in a table of their own, and the targets that an experiment measures besides the usual ones."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("experiments", schema=None) as batch_op:
        batch_op.add_column(sa.Column("targets", sa.JSON(), nullable=False, server_default="[]"))
    op.create_table(
        "target_results",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("target", sa.String(length=40), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("measured_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
        sa.PrimaryKeyConstraint("run_id", "target"),
    )
    _copy_from_details()


def _copy_from_details() -> None:
    """The results of runs that were measured before, one analysis at a time: their documents are large."""
    connection = op.get_bind()
    ended = connection.execute(
        sa.text(
            "SELECT id, of_run, finished_at FROM runs WHERE kind = 'details' AND state = 'succeeded' ORDER BY id"
        )
    ).all()
    read = sa.text("SELECT measured FROM run_details WHERE run_id = :id")
    results: dict[tuple[int, str], dict[str, object]] = {}
    for analysis, run, finished in ended:
        document = connection.execute(read, {"id": analysis}).scalar()
        measured = json.loads(document) if isinstance(document, str) else document
        for target, result in ((measured or {}).get("targets") or {}).items():
            results[run, target] = {
                "run_id": run,
                "target": target,
                "result": json.dumps(result),
                "measured_at": finished or 0.0,
            }
    if results:
        insert = sa.text(
            "INSERT INTO target_results (run_id, target, result, measured_at) "
            "VALUES (:run_id, :target, :result, :measured_at)"
        )
        connection.execute(insert, list(results.values()))


def downgrade() -> None:
    op.drop_table("target_results")
    with op.batch_alter_table("experiments", schema=None) as batch_op:
        batch_op.drop_column("targets")
