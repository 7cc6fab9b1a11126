"""The recommended run of an experiment as a record of the command line."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine

from lwdash.engine.devices.target_metrics import target_metrics, titles_of_devices
from lwdash.errors import NotFound
from lwdash.metrics.recommendation import recommend_of_records
from storage import experiments
from storage.result_frames import figures_of, standing


def recommendation_record(engine: Engine, experiment_id: int) -> dict[str, Any] | None:
    """`Recommendation.to_dict`; None as long as no run besides the baseline is measured. Raises NotFound."""
    experiment = experiments.get_experiment(engine, experiment_id)
    if experiment is None:
        raise NotFound(f"there is no experiment {experiment_id}")
    runs = standing(engine, experiment_id, has_ended=True).to_dict("records")
    done = [run for run in runs if run["state"] == "succeeded"]
    ids = [int(run["id"]) for run in done]
    figures = figures_of(engine, ids)
    late = target_metrics(engine, experiment_id, ids).values
    found = recommend_of_records(
        [{**figures.get(int(run["id"]), {}), **late.get(int(run["id"]), {}), **run} for run in done],
        experiment.limits,
        titles_of_devices(engine),
    )
    return None if found is None else found.to_dict()


def recommendation_lines(record: Mapping[str, Any] | None) -> list[str]:
    """For a terminal: the run and the reason."""
    if record is None:
        return []
    run = f": run {record['run']}" if record["run"] is not None else ""
    return [f"{record['headline']}{run}. {record['reason']}"]
