"""Cards of the overview: an experiment with its main figures, and the examples."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import streamlit as st

from lwdash.charts.experiment_summary import ExperimentSummary, summarize
from lwdash.datasets.data_settings import DataSettings
from lwdash.engine import submit
from lwdash.engine.file_inspection import inspect_file
from lwdash.examples import EXAMPLES, Example
from lwdash.settings import Settings
from lwdash.ui.overview.sketches import example_sketch, show_sketch
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import NOTHING, is_missing, percent, points, size, utc
from storage.overview import card_figures
from storage.store import Store


def experiment_card(row: Mapping[str, Any], summary: ExperimentSummary) -> None:
    """One row of `found_experiments` with what its runs come to."""
    with (
        st.container(border=True, key=f"card-{row['id']}"),
        st.container(horizontal=True, vertical_alignment="top", horizontal_alignment="distribute"),
    ):
        with st.container(width=270, gap=None):
            st.page_link(
                page_paths.EXPERIMENT,
                label=f"**{plain(row['name'])}**",
                query_params={"experiment": str(row["id"])},
            )
            private = " · private" if row["is_private"] else ""
            st.caption(
                f"{plain(row['model_name'])} · {plain(row['data_name'])}  \n"
                f"{row['task']} · {utc(row['created_at'])} UTC{private}"
            )
        _baseline(summary.baseline, is_under_way=bool(row["running"] or row["queued"]))
        _best(summary, row["limits"] or {})
        _runs(row)
        if summary.sketch is not None:
            show_sketch(summary.sketch)


def summary_of(store: Store, row: Mapping[str, Any]) -> ExperimentSummary:
    """What the succeeded runs of one row of `found_experiments` come to; computed anew when one was added."""
    limits = {key: value for key, value in (row["limits"] or {}).items() if value is not None}
    return _summary(store, int(row["id"]), int(row["succeeded"]), float(row["last_active"]), limits)


@st.cache_data(max_entries=1000, ttl=60, show_spinner=False)
def _summary(
    _store: Store, experiment_id: int, succeeded: int, last_active: float, limits: Mapping[str, float]
) -> ExperimentSummary:
    figures = card_figures(_store.database, [experiment_id], with_arena="arena_bytes" in limits)
    return summarize(figures, limits)


def _baseline(run: Mapping[str, Any] | None, *, is_under_way: bool) -> None:
    if run is None:
        _figure("Baseline", NOTHING, "not measured yet" if is_under_way else "was not measured")
        return
    _figure("Baseline", size(run["size_bytes"]), _quality(run))


def _best(summary: ExperimentSummary, limits: Mapping[str, float]) -> None:
    label = "Best under your limits" if summary.has_limits else "Smallest within 1 point"
    run, base = summary.best, summary.baseline
    if run is None:
        why = "no run keeps the limits" if summary.has_limits else "none so far"
        _figure(label, NOTHING, why if base is not None else "", 230)
        return
    parts = [f"**{plain(str(run['title'] or run['recipe']))}**"]
    if base is not None:
        parts.append(f"{base['size_bytes'] / run['size_bytes']:.1f}× smaller")  # type: ignore[operator]
        if not is_missing(run["accuracy"]) and not is_missing(base["accuracy"]):
            parts.append(f"accuracy {points(run['accuracy'] - base['accuracy'])}")  # type: ignore[operator]
        elif not is_missing(run["agreement"]):
            parts.append(f"agreement {percent(run['agreement'])}")  # type: ignore[arg-type]
    _figure(label, size(run["size_bytes"]), "  \n".join([parts[0], ", ".join(parts[1:])]), 230)  # type: ignore[arg-type]


def _runs(row: Mapping[str, Any]) -> None:
    states = [
        f":{colour}-badge[{row[state]:,} {state}]"
        for state, colour in (
            ("running", "blue"),
            ("queued", "gray"),
            ("failed", "red"),
            ("cancelled", "gray"),
        )
        if row[state]
    ]
    with st.container(width=120, gap=None):
        st.metric("Runs", f"{row['runs']:,}")
        if states:
            st.markdown(" ".join(states))
        else:
            st.caption("all done")


def _quality(run: Mapping[str, Any]) -> str:
    return "" if is_missing(run["accuracy"]) else f"accuracy {percent(run['accuracy'])}"


def _figure(label: str, value: str, below: str, width: int = 130) -> None:
    with st.container(width=width, gap=None):
        st.metric(label, value)
        st.caption(below or "\u00a0")


def example_cards(settings: Settings, store: Store) -> None:
    """One card an example; its button starts the standard sweep and opens the results."""
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
    """Enters an example with the standard sweep; returns the experiment's id."""

    def inspected(kind: str, path: Path) -> Mapping[str, Any]:
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
    submit.submit_runs(store, experiment, submit.STANDARD_SWEEP)
    return experiment
