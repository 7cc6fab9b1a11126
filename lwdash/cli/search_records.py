"""A search as the command line gives it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Engine

from lwdash.cli.run_records import run_record, table_lines
from lwdash.errors import NotFound
from lwdash.search.outcomes import front
from lwdash.search.search_report import LOOKED_AT, luck_words, tell
from lwdash.search.selection_bias import Luck
from lwdash.search.space import GOALS
from storage import experiments, searches
from storage.frames import baseline_run


def search_record(engine: Engine, search_id: int) -> dict[str, Any]:
    """A search with its runs, and what is best in its experiment, whoever started it. Raises NotFound.

    front: runs that no other beats in both quality and the goal, cheapest first; best: the run that comes nearest to
    the goal among those that keep all limits, null where none does; luck: see `search.luck.Luck`, null where it cannot
    be told.
    """
    search = searches.get_search(engine, search_id)
    experiment = search and experiments.get_experiment(engine, search["experiment_id"])
    if search is None or experiment is None:
        raise NotFound(f"there is no search {search_id}")
    limits = experiment["limits"] or {}
    story = tell(search, limits, searches.tried(engine, search, LOOKED_AT))
    luck = story.luck(searches.turned_rows(engine, [outcome.run for outcome in story.found]))
    baseline = baseline_run(engine, search["experiment_id"])
    return {
        "experiment": search["experiment_id"],
        "search": search_id,
        "goal": search["goal"],
        "state": search["state"],
        "words": search["words"],
        "limits": limits,
        "baseline": run_record(engine, baseline) if baseline else None,
        "runs": [run_record(engine, run) for run in searches.search_runs(engine, search)],
        "front": [run_record(engine, outcome.run) for outcome in front(story.found)],
        "best": story.best.run if story.best else None,
        "luck": asdict(luck) if luck else None,
        "limits_not_measured": story.untold,
    }


def search_lines(record: Mapping[str, Any]) -> list[str]:
    """What a search found, for a terminal: the runs that none beats, and which of them to take."""
    runs = record["runs"]
    failed = sum(run["state"] == "failed" for run in runs)
    head = f"search {record['search']} for {GOALS[record['goal']].label}: {record['words']}"
    lines = [f"{head}{f', {failed} of them failed' if failed else ''}", *table_lines(record["front"])]
    if not record["limits"]:
        return [*lines, "no limits were set: these are the runs that no other beats in both"]
    if record["best"] is None:
        untold = ", ".join(record["limits_not_measured"])
        return [*lines, f"no run keeps all limits{f': {untold} was measured on none' if untold else ''}"]
    lines.append(f"best under the limits: run {record['best']}")
    if record["luck"]:
        lines.append(luck_words(Luck(**record["luck"])))
    return lines
