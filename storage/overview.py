"""Queries of the overview: experiments found by name, their runs counted, and the metrics on cards."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from sqlalchemy import ColumnElement, Engine, case, func, or_, select

from storage.records import FoundExperiment
from storage.tables import RECIPE, Experiment, Run, State
from storage.visitors import is_seen

ORDERS = ("newest", "active", "name", "runs")
"""By creation time, last activity, name, number of runs."""
COUNTED = {
    "runs": func.count(Run.id),
    "succeeded": func.count(case((Run.state == State.SUCCEEDED, 1))),
    "running": func.count(case((Run.state == State.RUNNING, 1))),
    "queued": func.count(case((Run.state == State.QUEUED, 1))),
    "failed": func.count(case((Run.state == State.FAILED, 1))),
    "stopped": func.count(case((Run.state == State.STOPPED, 1))),
    "cancelled": func.count(case((Run.state == State.CANCELLED, 1))),
}


def count_found(engine: Engine, text: str = "") -> int:
    """Total number of experiments that `found_experiments` finds."""
    query = select(func.count()).select_from(Experiment).where(is_seen(engine), *_matches(text))
    with engine.connect() as connection:
        return connection.execute(query).scalar_one()


def found_experiments(
    engine: Engine, text: str = "", order: str = "newest", limit: int = 20, offset: int = 0
) -> list[FoundExperiment]:
    """Experiments with their limits and how many of their runs are in each state.

    text: each of its words must be in the experiment's, the model's or the data's name. order: one of ORDERS.
    """
    last = func.coalesce(
        func.max(func.coalesce(Run.finished_at, Run.started_at, Run.created_at)), Experiment.created_at
    )
    orders: Mapping[str, Any] = {
        "newest": Experiment.id.desc(),
        "active": last.desc(),
        "name": func.lower(Experiment.name),
        "runs": COUNTED["runs"].desc(),
    }
    query = (
        select(
            Experiment.id, Experiment.name, Experiment.created_at, Experiment.model_name, Experiment.data_name,
            Experiment.task, Experiment.limits, Experiment.owner, Experiment.is_private,
            last.label("last_active"), *(counted.label(name) for name, counted in COUNTED.items()),
        )
        .outerjoin(Run, (Run.experiment_id == Experiment.id) & (Run.kind == RECIPE))
        .where(is_seen(engine), *_matches(text))
        .group_by(Experiment.id)
        .order_by(orders[order], Experiment.id.desc())
        .limit(limit)
        .offset(offset)
    )  # fmt: skip
    with engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return [FoundExperiment(**{**row, "limits": row["limits"] or {}}) for row in rows]


def card_metrics(engine: Engine, experiment_ids: Sequence[int], *, with_arena: bool = False) -> pd.DataFrame:
    """The succeeded runs of these experiments, oldest first, with the metrics that limits apply to.

    with_arena: also read `arena_bytes`, which reads each run's JSON metrics.
    """
    arena = [Run.figures["arena_bytes"].as_float().label("arena_bytes")] if with_arena else []
    query = (
        select(
            Run.experiment_id, Run.id, Run.recipe, Run.title, Run.is_baseline, Run.state, Run.size_bytes, Run.accuracy,
            Run.agreement, Run.latency_ms_p50, *arena,
        )
        .where(Run.experiment_id.in_(experiment_ids), Run.kind == RECIPE, Run.state == State.SUCCEEDED)
        .order_by(Run.id)
    )  # fmt: skip
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return pd.DataFrame(
        [tuple(row) for row in rows], columns=[column["name"] for column in query.column_descriptions]
    )


def _matches(text: str) -> list[ColumnElement[bool]]:
    places = (Experiment.name, Experiment.model_name, Experiment.data_name)
    return [or_(*(place.icontains(word, autoescape=True) for place in places)) for word in text.split()[:8]]
