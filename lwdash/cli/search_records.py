"""A search as a record of the command line."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine

from lwdash.cli.run_records import run_record, table_lines
from lwdash.engine.devices.target_metrics import tried_with_targets
from lwdash.errors import NotFound
from lwdash.search.outcomes import front, limits_of_search
from lwdash.search.search_report import MAX_RUNS, bias_message, ended_early, report_search
from lwdash.search.selection_bias import SelectionBias
from lwdash.search.space import Space, goal_of
from storage import experiments, searches
from storage.frames import baseline_run


def search_record(engine: Engine, search_id: int) -> dict[str, Any]:
    """A search with its runs, and the best of its experiment, whoever started it. Raises NotFound.

    front: runs that no other beats in both quality and the goal, cheapest first; best: the best run by the
    goal that meets all limits, null if none does; luck: `SelectionBias.to_dict`, null if it cannot be
    estimated.
    """
    search = searches.get_search(engine, search_id)
    experiment = experiments.get_experiment(engine, search.experiment_id) if search else None
    if search is None or experiment is None:
        raise NotFound(f"there is no search {search_id}")
    limits = limits_of_search(search.settings, experiment.limits)
    report = report_search(
        search.goal,
        Space.from_dict(search.settings["space"]),
        limits,
        tried_with_targets(engine, search, MAX_RUNS, [search.goal, *limits]),
    )
    bias = report.selection_bias(searches.changed_rows(engine, [outcome.run for outcome in report.found]))
    baseline = baseline_run(engine, search.experiment_id)
    return {
        "experiment": search.experiment_id,
        "search": search_id,
        "goal": search.goal,
        "state": search.state,
        "words": search.words,
        "limits": limits,
        "baseline": run_record(engine, baseline) if baseline else None,
        "runs": [run_record(engine, run) for run in searches.search_runs(engine, search)],
        "front": [run_record(engine, outcome.run) for outcome in front(report.found)],
        "best": report.best.run if report.best else None,
        "luck": bias.to_dict() if bias else None,
        "limits_not_measured": report.unmeasured_limits,
    }


def search_lines(record: Mapping[str, Any]) -> list[str]:
    """Result of a search for a terminal: the runs that no other beats, and the best."""
    runs = record["runs"]
    head = f"search {record['search']} for {goal_of(record['goal']).label}: {record['words']}"
    lines = [f"{head}{ended_early(run['state'] for run in runs)}", *table_lines(record["front"])]
    if not record["limits"]:
        return [*lines, "no limits were set: these are the runs that no other beats in both"]
    if record["best"] is None:
        names = ", ".join(record["limits_not_measured"])
        return [
            *lines,
            f"no run meets all limits{f': {names} was measured on none' if names else ''}",
        ]
    lines.append(f"best under the limits: run {record['best']}")
    if record["luck"]:
        lines.append(bias_message(SelectionBias.from_dict(record["luck"])))
    return lines
