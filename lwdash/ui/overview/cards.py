"""Cards of the overview: an experiment with its main metrics, and the examples."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import streamlit as st

from lwdash.charts.experiment_summary import CardRun, ExperimentSummary, summarize
from lwdash.datasets.data_settings import DataSettings
from lwdash.engine import submit
from lwdash.engine.input_files.file_inspection import inspect_file
from lwdash.examples import EXAMPLES, Example
from lwdash.metrics.limits import limit_of
from lwdash.metrics.run_metrics import ERRORS, WORST_TARGET
from lwdash.search.sweeps import STANDARD_SWEEP
from lwdash.settings import Settings
from lwdash.targets.boards import load_boards
from lwdash.targets.result_columns import COLUMNS, npu_of, run_columns
from lwdash.ui.overview.sketches import example_sketch, show_sketch
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import NOTHING, percent, points, ratio_text, size, utc
from storage.overview import card_metrics
from storage.records import FoundExperiment, StoredFile
from storage.result_frames import figures_of
from storage.store import Store
from storage.target_results import chosen_targets, target_results

MAX_JUDGED = 100
"""Number of the smallest files of an experiment whose metrics are read whole."""
JUDGED = tuple(measure.column for measure in (WORST_TARGET, *ERRORS))


def experiment_card(experiment: FoundExperiment, summary: ExperimentSummary) -> None:
    """An experiment with what its runs come to."""
    with (
        st.container(border=True, key=f"card-{experiment.id}"),
        st.container(horizontal=True, vertical_alignment="top", horizontal_alignment="distribute"),
    ):
        with st.container(width=270, gap=None):
            st.page_link(
                page_paths.EXPERIMENT,
                label=f"**{plain(experiment.name)}**",
                query_params={"experiment": str(experiment.id)},
            )
            private = " · private" if experiment.is_private else ""
            st.caption(
                f"{plain(experiment.model_name)} · {plain(experiment.data_name)}  \n"
                f"{experiment.task} · {utc(experiment.created_at)} UTC{private}"
            )
        _baseline(summary.baseline, is_under_way=bool(experiment.running or experiment.queued))
        _best(summary)
        _runs(experiment)
        if summary.sketch is not None:
            show_sketch(summary.sketch)


def summary_of(store: Store, experiment: FoundExperiment) -> ExperimentSummary:
    """A summary of the succeeded runs of an experiment; computed again when one was added."""
    limits = {key: value for key, value in experiment.limits.items() if value is not None}
    return _summary(store, experiment.id, experiment.succeeded, experiment.last_active, limits)


@st.cache_data(max_entries=1000, ttl=60, show_spinner=False)
def _summary(
    _store: Store, experiment_id: int, succeeded: int, last_active: float, limits: Mapping[str, float]
) -> ExperimentSummary:
    figures = card_metrics(_store.database, [experiment_id], with_arena="arena_bytes" in limits)
    if any(limit_of(key).column not in (None, *figures.columns) or key == "arena_bytes" for key in limits):
        figures = _with_targets(_store, experiment_id, figures)
    return summarize(figures if limits else _with_verdicts(_store, figures), limits)


def _with_targets(store: Store, experiment_id: int, figures: pd.DataFrame) -> pd.DataFrame:
    """The same runs with what was measured of them on targets, for limits on it."""
    results = target_results(store.database, [int(run) for run in figures["id"]])
    npu = npu_of(chosen_targets(store.database, experiment_id))
    found = run_columns(results, load_boards().assumptions, npu)
    values = [found.values.get(int(run), {}) for run in figures["id"]]
    columns = (*COLUMNS, *found.columns)
    return figures.assign(**{column: [value.get(column) for value in values] for column in columns})


def _with_verdicts(store: Store, figures: pd.DataFrame) -> pd.DataFrame:
    """The same runs; the smallest files have all metrics of their quality, from which one is recommended."""
    # Without measured runs the column has no number type, which pandas cannot order.
    smallest = figures["size_bytes"].astype(float).nsmallest(MAX_JUDGED).index
    known = figures_of(store.database, [int(run) for run in figures.loc[smallest, "id"]])
    columns = {
        name: [known.get(int(run), {}).get(name) for run in figures["id"]]
        for name in (
            *JUDGED,
            *(f"baseline_{name}" for name in JUDGED),
            "verdict",
            "output_findings",
            "generated_rows",
        )
    }
    return figures.assign(**columns)


def _baseline(run: CardRun | None, *, is_under_way: bool) -> None:
    if run is None:
        _metric("Baseline", NOTHING, "not measured yet" if is_under_way else "was not measured")
        return
    _metric("Baseline", size(run.size_bytes), _quality(run))


def _best(summary: ExperimentSummary) -> None:
    label = "Best under your limits" if summary.has_limits else "Smallest without loss"
    run, base = summary.best, summary.baseline
    if run is None:
        why = summary.headline or "none so far"
        _metric(label, NOTHING, why if base is not None else "", 230)
        return
    parts = [f"**{plain(run.name)}**"]
    if base is not None:
        parts.append(ratio_text(base.size_bytes / run.size_bytes, "smaller", "larger"))
        if run.accuracy is not None and base.accuracy is not None:
            parts.append(f"accuracy {points(run.accuracy - base.accuracy)}")
        elif run.agreement is not None:
            parts.append(f"agreement {percent(run.agreement)}")
    _metric(label, size(run.size_bytes), "  \n".join([parts[0], ", ".join(parts[1:])]), 230)


def _runs(experiment: FoundExperiment) -> None:
    states = [
        f":{colour}-badge[{number:,} {state}]"
        for state, number, colour in (
            ("running", experiment.running, "blue"),
            ("queued", experiment.queued, "gray"),
            ("failed", experiment.failed, "red"),
            ("stopped", experiment.stopped, "gray"),
            ("cancelled", experiment.cancelled, "gray"),
        )
        if number
    ]
    with st.container(width=120, gap=None):
        st.metric("Runs", f"{experiment.runs:,}")
        if states:
            st.markdown(" ".join(states))
        else:
            st.caption("all done")


def _quality(run: CardRun) -> str:
    return "" if run.accuracy is None else f"accuracy {percent(run.accuracy)}"


def _metric(label: str, value: str, below: str, width: int = 130) -> None:
    with st.container(width=width, gap=None):
        st.metric(label, value)
        st.caption(below or "\u00a0")


def example_cards(settings: Settings, store: Store) -> None:
    """One card per example; its button starts the standard sweep and opens the results."""
    for column, example in zip(st.columns(len(EXAMPLES)), EXAMPLES, strict=True):
        with column.container(border=True, height="stretch", vertical_alignment="distribute"):
            st.markdown(f"**{example.title}**  \n{example.description}")
            show_sketch(example_sketch(example))
            if st.button(
                f"Try {example.title.lower()}", key=f"example-{example.name}", icon=":material/play_arrow:"
            ):
                with st.spinner("Reading the model and the data…"):
                    experiment = start_example(settings, store, example)
                st.switch_page(page_paths.EXPERIMENT, query_params={"experiment": str(experiment)})


def start_example(settings: Settings, store: Store, example: Example) -> int:
    """Create an example's experiment with the standard sweep; return its id."""

    def inspected(kind: str, path: Path) -> StoredFile:
        return inspect_file(settings, store, submit.add_local_file(store, path, kind), kind)

    with ThreadPoolExecutor(2) as pool:
        asked = {
            kind: pool.submit(inspected, kind, path)
            for kind, path in (("model", example.model_path), ("data", example.data_path))
        }
        rows = {kind: answer.result() for kind, answer in asked.items()}
    experiment = submit.create_experiment(
        store,
        name=example.title,
        model_row=rows["model"],
        data_row=rows["data"],
        settings=DataSettings(label=example.label),
    )
    submit.submit_runs(store, experiment, STANDARD_SWEEP)
    return experiment
