"""One experiment as an object: runs recipes and searches, and gives all results as a frame and a figure."""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import pandas as pd

from lwdash.api.error_messages import errors_in_words
from lwdash.api.limit_options import LimitOptions, stored_limits
from lwdash.api.progress_bar import ProgressBar
from lwdash.api.run_handle import RunHandle
from lwdash.charts.tradeoff.tradeoff_axes import TradeoffAxes
from lwdash.charts.tradeoff.tradeoff_figure import plot_tradeoff
from lwdash.charts.tradeoff.tradeoff_points import tradeoff_points
from lwdash.cli.run_records import METRICS
from lwdash.cli.search_records import search_lines, search_record
from lwdash.engine import submit
from lwdash.engine.devices.target_metrics import target_metrics, with_titles
from lwdash.engine.home import check_room
from lwdash.engine.new_experiment import inspect_local_file
from lwdash.engine.tensorflow_need import may_need_tensorflow
from lwdash.engine.waiting import wait, wait_for_search, working
from lwdash.errors import NotFound, UserMistake
from lwdash.metrics.limits import best
from lwdash.metrics.offers import all_target_columns, target_metric
from lwdash.metrics.results_frame import results_frame_of
from lwdash.metrics.run_metrics import Measure, quality_of
from lwdash.metrics.target_values import TargetValues, available_with_targets
from lwdash.recipe import Recipe, parse_recipe
from lwdash.search.proposals import DEFAULT_SAMPLER
from lwdash.search.space import GOAL_NAMES
from lwdash.settings import Settings
from storage import result_frames, run_rows
from storage.experiments import get_experiment
from storage.records import StoredExperiment
from storage.store import Store

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class SearchOutcome:
    """The result of a search.

    runs: those that it started. front: runs of the experiment that no other beats in both quality and the goal, cheapest
    first. best: the best run by the goal that meets all limits; None without limits, or if no run meets them. message: the
    result in sentences, with the selection bias.
    """

    runs: list[RunHandle]
    front: list[RunHandle]
    best: RunHandle | None
    message: str

    def __repr__(self) -> str:
        return self.message


class ExperimentHandle:
    """Model, data and settings that all runs share. The dashboard shows the same experiment."""

    def __init__(self, settings: Settings, store: Store, experiment_id: int):
        """Use `lwdash.experiment`."""
        self._settings, self._store = settings, store
        self.id = experiment_id
        """Its number, as in the dashboard's address."""

    @property
    def name(self) -> str:
        return self._row().name

    @property
    def task(self) -> str:
        """The task of the model's outputs, which decides the metrics."""
        return self._row().task

    @property
    def limits(self) -> dict[str, float]:
        """Limits that runs must keep, in stored units: size_bytes, accuracy_drop (0–1), latency_ms, arena_bytes."""
        return dict(self._row().limits)

    def set_limits(self, **limits: Unpack[LimitOptions]) -> None:
        """Replace the limits, see `LimitOptions`. Without arguments there is none."""
        given = stored_limits(limits)
        with errors_in_words(self._settings):
            submit.set_limits(self._store, self.id, given)

    def run(
        self, recipes: str | Sequence[str], *, again: bool = False, progress: bool = True
    ) -> list[RunHandle]:
        """Compress the model by each recipe, measure every file, and wait; return the runs in the order of `recipes`.

        A recipe that has a result already is not run again, unless `again`. A run that fails does not raise: see its
        `state` and `error`. An interrupt cancels the runs. progress: show a bar.
        Raises RecipeError before anything is started, EngineUnavailable, DiskFull.
        """
        wanted = [parse_recipe(text) for text in ([recipes] if isinstance(recipes, str) else recipes)]
        with errors_in_words(self._settings):
            known = {} if again else self._measured()
            missing = list({str(r): r for r in wanted if str(r) not in known}.values())
            if missing:
                known |= self._run_all(missing, progress)
        return [RunHandle(self._settings, self._store, known[str(recipe)]) for recipe in wanted]

    def _run_all(self, recipes: Sequence[Recipe], progress: bool) -> dict[str, int]:
        """Run these recipes and the baseline to their ends; return each recipe's run."""
        check_room(self._settings)
        model_sha256 = self._row().model_sha256
        needs_tensorflow = may_need_tensorflow(self._store, model_sha256, recipes)
        submit.expect_runs(self._settings, tensorflow=needs_tensorflow)
        baseline, ids = submit.submit_runs(self._store, self.id, recipes)
        self._wait({baseline, *ids}, progress)
        return dict(zip(map(str, recipes), ids, strict=True))

    def _wait(self, ids: Collection[int], progress: bool) -> None:
        """Wait for runs with a working engine."""
        with (
            working(self._settings, self._store) as engine,
            ProgressBar(len(ids), is_shown=progress) as bar,
        ):
            wait(self._store, engine, sorted(ids), bar)

    def add(self, tflite: str | PathLike[str] | bytes, *, name: str = "", progress: bool = True) -> RunHandle:
        """Measure a .tflite that was made elsewhere on the same rows, beside the runs of this experiment.

        tflite: its path or its content. name: shown in place of a recipe, by default the file's name.
        Raises ModelRefused for a file that is damaged or needs operators that LiteRT does not have, DataRefused where its
        inputs and outputs are not the model's. A file that fails later gives a failed run.
        """
        with errors_in_words(self._settings), tempfile.TemporaryDirectory() as folder:
            check_room(self._settings)
            path = (
                Path(folder) / (name or "added.tflite")
                if isinstance(tflite, bytes)
                else Path(tflite).expanduser()
            )
            if isinstance(tflite, bytes):
                path.write_bytes(tflite)
            row = inspect_local_file(self._settings, self._store, path, "tflite")
            baseline, run = submit.submit_file(self._store, self.id, replace(row, name=name or row.name))
            self._wait({baseline, run}, progress)
        return self[run]

    def search(
        self,
        goal: str = "size",
        *,
        runs: int = 24,
        formats: Collection[str] | None = None,
        techniques: Collection[str] | None = None,
        sampler: str = DEFAULT_SAMPLER,
        seed: int = 0,
        stops_early: bool = True,
        progress: bool = True,
        **limits: Unpack[LimitOptions],
    ) -> SearchOutcome:
        """Let lwdash choose the recipes of at most `runs` runs, measure them, and wait for the result.

        goal: `size`, `gzip`, `update`, `latency`, `arena`, `npu`, `flash`, or a metric of a target, such as
        `ethos_u55_256.inferences_per_second`. The limits (`LimitOptions`), where one is given, replace
        those of the experiment. formats, techniques: what may be used, by default all that can change
        the goal and can treat the model; no techniques, `()`, is post-training only. sampler: one of
        `guided`, `tpe`, `gp`, `nsga2`, `grid`, `random`. stops_early: stop runs whose training loses more accuracy than
        the limit allows and later steps recover.
        Raises UserMistake, and SearchRefused's message while the experiment has a running search.
        """
        if goal not in GOAL_NAMES and target_metric(goal) is None:
            known = ", ".join([*GOAL_NAMES, *all_target_columns()])
            raise UserMistake(f"a search is for one of {known}; received {goal!r}")
        given = stored_limits(limits)
        with errors_in_words(self._settings):
            if given:
                submit.set_limits(self._store, self.id, given)
            check_room(self._settings)
            submit.expect_runs(self._settings)
            search = submit.start_search(
                self._store,
                self.id,
                goal=GOAL_NAMES.get(goal, goal),
                budget=runs,
                formats=formats,
                techniques=techniques,
                sampler=sampler,
                seed=seed,
                stops_early=stops_early,
            )
            with working(self._settings, self._store) as engine, ProgressBar(runs, is_shown=progress) as bar:
                wait_for_search(self._store, engine, search, bar)
            record = search_record(self._store.database, search)
        return SearchOutcome(
            [self[run["id"]] for run in record["runs"]],
            [self[run["id"]] for run in record["front"]],
            None if record["best"] is None else self[record["best"]],
            "\n".join(search_lines(record)),
        )

    def runs(self) -> pd.DataFrame:
        """One row per run, oldest first: id, recipe, state, error, is_baseline, the metrics with the keys and units of
        `--json` (size_bytes, latency_ms_p50, accuracy as 0–1, …), and seconds. NaN or None where nothing was measured.
        """
        with errors_in_words(self._settings):
            standing, (metrics, late) = self._standing(), self._metrics()
        found = standing[["id", "recipe", "state", "error", "is_baseline"]].copy()
        found["state"] = [str(state) for state in found["state"]]
        columns = {
            key: [metrics.get(run, {}).get(key) for run in standing["id"]]
            for key in (*METRICS, *late.columns)
        }
        found = pd.concat([found, pd.DataFrame(columns, index=found.index)], axis=1)
        found["seconds"] = pd.to_numeric(standing["finished_at"]) - pd.to_numeric(standing["started_at"])
        return found

    def best(self) -> RunHandle | None:
        """The best run that meets all limits of the experiment; None without limits, or if no run meets them."""
        with errors_in_words(self._settings):
            chosen = best(self._frame(), self.limits)
        return None if chosen is None else self[chosen]

    def plot(self, x: str = "size_bytes", y: str | None = None, colour: str | None = None) -> "go.Figure":
        """The trade-off of all measured runs: one metric against another, with the Pareto front and the limits.

        x, y: metrics, such as size_bytes, gzip_bytes, speedup, accuracy; y is by default the quality of the task.
        colour: a metric, by default the technique. Raises UserMistake for a metric that no run has.
        """
        with errors_in_words(self._settings):
            frame, limits = self._frame(), self.limits
        measured = frame[frame["state"] == "succeeded"]
        known = {measure.column: measure for measure in available_with_targets(measured)}
        axes = TradeoffAxes(
            _measure(x, known),
            _measure(quality_of(measured).column if y is None else y, known),
            None if colour is None else _measure(colour, known),
        )
        rows = measured["rows"].max()
        points = tradeoff_points(measured, axes, limits)
        return plot_tradeoff(
            points, axes, runs=measured, limits=limits, rows=None if pd.isna(rows) else int(rows)
        )

    def __getitem__(self, run_id: int) -> RunHandle:
        """A run by its number. Raises NotFound where this experiment has no such run."""
        with errors_in_words(self._settings):
            row = run_rows.get_run(self._store.database, int(run_id))
        if row is None or row.experiment_id != self.id:
            raise NotFound(f"the experiment {self.name!r} has no run {run_id}")
        return RunHandle(self._settings, self._store, int(run_id))

    def __len__(self) -> int:
        return len(self._standing())

    def _row(self) -> StoredExperiment:
        with errors_in_words(self._settings):
            row = get_experiment(self._store.database, self.id)
        if row is None:
            raise NotFound(f"there is no experiment {self.id}")
        return row

    def _standing(self) -> pd.DataFrame:
        """One row per run without metrics, see `storage.result_frames`."""
        parts = [
            result_frames.standing(self._store.database, self.id, has_ended=ended) for ended in (True, False)
        ]
        filled = [part for part in parts if len(part)] or parts[:1]
        return pd.concat(filled).drop_duplicates("id").sort_values("id", ignore_index=True)

    def _metrics(self) -> tuple[Mapping[int, Mapping[str, Any]], TargetValues]:
        """The metrics of each run, those on targets included; and these alone."""
        standing = self._standing()
        done = standing.loc[standing["state"] == "succeeded", "id"]
        ids = [int(run) for run in done]
        late = target_metrics(self._store.database, self.id, ids)
        figures = result_frames.figures_of(self._store.database, ids)
        return {run: {**own, **late.values.get(run, {})} for run, own in figures.items()}, late

    def _frame(self) -> pd.DataFrame:
        metrics, late = self._metrics()
        frame = results_frame_of(self._standing(), metrics, late.columns)
        return with_titles(self._store.database, self.id, frame, late)

    def _measured(self) -> dict[str, int]:
        """Recipe → its newest succeeded run."""
        standing = self._standing()
        done = standing[standing["state"] == "succeeded"]
        return {recipe: int(run) for recipe, run in zip(done["recipe"], done["id"], strict=True)}

    def __repr__(self) -> str:
        row = self._row()
        counted = len(self)
        return (
            f"experiment {self.id}, {row.name}: {row.model_name} on {row.data_name}, {row.task}, "
            f"{counted:,} run{'s' * (counted != 1)}"
        )


def _measure(column: str, known: Mapping[str, Measure]) -> Measure:
    if column not in known:
        raise UserMistake(f"no run has the metric {column!r} (metrics: {', '.join(known) or 'none'})")
    return known[column]
