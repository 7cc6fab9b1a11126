"""Results of runs on targets (other runtimes and devices): small documents, read for many runs at once."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from storage.database import now
from storage.tables import RECIPE, Experiment, Run, State, TargetOutcome
from storage.visitors import must_change

KIND_PREFIX = "on-"
"""Begins the kind of an analysis that runs a file on one target, or prepares that."""
DEVICE_ROWS = f"{KIND_PREFIX}device-rows"
"""The kind of the analysis that packs the rows for measurements on devices."""
AT_ONCE = 500


def target_kind(target: str) -> str:
    """The kind, and the step, of the analysis that runs a file on `target`."""
    return KIND_PREFIX + target


def target_of(kind: str) -> str | None:
    """The target of an analysis; None for another kind."""
    return kind.removeprefix(KIND_PREFIX) if kind.startswith(KIND_PREFIX) else None


def keep_results(
    engine: Engine, connection: Connection, run_id: int, results: Mapping[str, Mapping[str, Any]]
) -> None:
    """Record the results of a run by target, in the caller's transaction; they replace earlier ones."""
    connection.execute(
        delete(TargetOutcome).where(TargetOutcome.run_id == run_id, TargetOutcome.target.in_(list(results)))
    )
    for target, result in results.items():
        connection.execute(
            insert(TargetOutcome).values(
                run_id=run_id, target=target, result=dict(result), measured_at=now(engine)
            )
        )


def target_results(engine: Engine, run_ids: Sequence[int]) -> dict[int, dict[str, Mapping[str, Any]]]:
    """Run → target → stored result; runs without results are left out."""
    found: dict[int, dict[str, Mapping[str, Any]]] = {}
    with engine.connect() as connection:
        for start in range(0, len(run_ids), AT_ONCE):
            part = list(run_ids[start : start + AT_ONCE])
            query = select(TargetOutcome.run_id, TargetOutcome.target, TargetOutcome.result)
            rows = connection.execute(
                query.where(TargetOutcome.run_id.in_(part)).order_by(TargetOutcome.measured_at)
            )
            for run_id, target, result in rows:
                found.setdefault(run_id, {})[target] = result
    return found


def results_mark(engine: Engine, experiment_id: int) -> tuple[Any, ...]:
    """A value that changes whenever a result of one of the experiment's runs is recorded, or its targets are chosen."""
    counted = (
        select(func.count(), func.max(TargetOutcome.measured_at))
        .join(Run, Run.id == TargetOutcome.run_id)
        .where(Run.experiment_id == experiment_id)
    )
    with engine.connect() as connection:
        mark = connection.execute(counted).one()
    return (*mark, chosen_targets(engine, experiment_id))


def chosen_targets(engine: Engine, experiment_id: int) -> tuple[str, ...]:
    """The targets that an experiment measures besides the usual ones."""
    query = select(Experiment.targets).where(Experiment.id == experiment_id)
    with engine.connect() as connection:
        return tuple(connection.execute(query).scalar() or ())


def changed_since(engine: Engine, experiment_id: int, moment: float) -> list[int]:
    """The experiment's runs with a result that was recorded at `moment` or later."""
    query = (
        select(TargetOutcome.run_id)
        .join(Run, Run.id == TargetOutcome.run_id)
        .where(Run.experiment_id == experiment_id, TargetOutcome.measured_at >= moment)
        .distinct()
    )
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())


def set_targets(engine: Engine, experiment_id: int, targets: Sequence[str]) -> None:
    """Replace the targets that an experiment measures besides the usual ones. Raises NotAllowed."""
    must_change(engine, experiment_id)
    with engine.begin() as connection:
        connection.execute(
            update(Experiment).where(Experiment.id == experiment_id).values(targets=list(targets))
        )


def runs_without(engine: Engine, experiment_id: int, target: str, limit: int) -> list[int]:
    """The experiment's newest succeeded runs that have no result on `target`, newest first."""
    query = (
        select(Run.id)
        .outerjoin(TargetOutcome, (TargetOutcome.run_id == Run.id) & (TargetOutcome.target == target))
        .where(
            Run.experiment_id == experiment_id,
            Run.kind == RECIPE,
            Run.state == State.SUCCEEDED,
            TargetOutcome.run_id.is_(None),
        )
        .order_by(Run.id.desc())
        .limit(limit)
    )
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())


def is_measuring(engine: Engine, experiment_id: int) -> bool:
    """True while an analysis that may record results of targets waits or runs."""
    query = select(Run.id).where(
        Run.experiment_id == experiment_id,
        (Run.kind == "details") | Run.kind.startswith(KIND_PREFIX),
        Run.state.in_((State.QUEUED, State.RUNNING)),
    )
    with engine.connect() as connection:
        return connection.execute(query.limit(1)).scalar() is not None
