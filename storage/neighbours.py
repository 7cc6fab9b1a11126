"""What a run's page asks about the runs around it."""

from collections.abc import Sequence

from sqlalchemy import Engine, func, select

from storage.tables import RECIPE, Run, State


def runs_of_recipes(engine: Engine, experiment_id: int, recipes: Sequence[str]) -> dict[str, int]:
    """Recipe → the newest run of it in the experiment that has not failed and was not cancelled."""
    query = (
        select(Run.recipe, func.max(Run.id))
        .where(
            Run.experiment_id == experiment_id,
            Run.kind == RECIPE,
            Run.recipe.in_(list(recipes)),
            Run.state.in_((State.QUEUED, State.RUNNING, State.SUCCEEDED)),
        )
        .group_by(Run.recipe)
    )
    with engine.connect() as connection:
        return dict(connection.execute(query).tuples().all())


def runs_ahead(engine: Engine, run_id: int) -> int:
    """How many runs, of all experiments, are under way or were queued earlier than this one."""
    query = select(func.count()).where(
        (Run.state == State.RUNNING) | (Run.state == State.QUEUED) & (Run.id < run_id), Run.id != run_id
    )
    with engine.connect() as connection:
        return connection.execute(query).scalar_one()
