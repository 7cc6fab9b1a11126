"""Queries of a run's page about the other runs of its experiment."""

from collections.abc import Sequence

from sqlalchemy import Engine, func, select

from storage.tables import RECIPE, Run, State


def runs_of_recipes(engine: Engine, experiment_id: int, recipes: Sequence[str]) -> dict[str, int]:
    """Recipe → its newest run in the experiment that has not failed and was not cancelled."""
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


def neighbours(engine: Engine, experiment_id: int, run_id: int) -> tuple[int | None, int | None]:
    """The previous and the next run of the experiment; None at its ends."""
    own = (Run.experiment_id == experiment_id, Run.kind == RECIPE)
    query = select(
        select(func.max(Run.id)).where(*own, Run.id < run_id).scalar_subquery(),
        select(func.min(Run.id)).where(*own, Run.id > run_id).scalar_subquery(),
    )
    with engine.connect() as connection:
        before, after = connection.execute(query).one()
        return before, after
