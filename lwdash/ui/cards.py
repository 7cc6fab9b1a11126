"""Cards of the overview: an experiment with its main figures, and the examples."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from lwdash.datasets.settings import DataSettings
from lwdash.engine import submit
from lwdash.engine.inspection import inspect_file
from lwdash.examples import EXAMPLES, Example
from lwdash.settings import Settings
from lwdash.ui import places
from lwdash.ui.formats import NOTHING, is_missing, percent, size
from storage.store import Store


def experiment_card(row: Mapping[str, Any]) -> None:
    """One row of `experiments_frame`."""
    made = datetime.fromtimestamp(row["created_at"], UTC)
    smallest, baseline = row["smallest_bytes"], row["baseline_bytes"]
    is_compressed = not is_missing(smallest) and not is_missing(baseline) and smallest < baseline
    states = [
        f"{row[key]:,} {word}" for key, word in (("active", "under way"), ("failed", "failed")) if row[key]
    ]
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        with st.container(width=488, gap=None):
            st.markdown(f"**{plain(row['name'])}**")
            st.caption(
                f"{plain(row['model_name'])} · {plain(row['data_name'])}  \n{row['task']} · {made:%Y-%m-%d %H:%M} UTC"
            )
        accuracy = (
            "" if is_missing(row["baseline_accuracy"]) else f"accuracy {percent(row['baseline_accuracy'])}"
        )
        _figure("Baseline", size(baseline), accuracy)
        _figure(
            "Smallest",
            size(smallest) if is_compressed else NOTHING,
            f"{baseline / smallest:.1f}× smaller" if is_compressed else "",
        )
        _figure("Runs", f"{row['runs']:,}", ", ".join(states) or "all done")
        if st.button("Open", key=f"open-{row['id']}", icon=":material/arrow_forward:"):
            st.switch_page(places.EXPERIMENT, query_params={"id": str(row["id"])})


def _figure(label: str, value: str, below: str) -> None:
    with st.container(width=150, gap=None):
        st.metric(label, value)
        st.caption(below or "\u00a0")


def example_cards(settings: Settings, store: Store) -> None:
    """One card an example; its button starts the standard sweep and opens the results."""
    for column, example in zip(st.columns(len(EXAMPLES)), EXAMPLES, strict=True):
        with column.container(border=True, height="stretch", vertical_alignment="distribute"):
            st.markdown(f"**{example.title}**  \n{example.description}")
            if st.button(
                f"Try {example.title.lower()}", key=f"example-{example.name}", icon=":material/play_arrow:"
            ):
                with st.spinner("Reading the model and the data…"):
                    experiment = start_example(settings, store, example)
                st.switch_page(places.EXPERIMENT, query_params={"id": str(experiment)})


def start_example(settings: Settings, store: Store, example: Example) -> int:
    """Enters an example with the standard sweep; returns the experiment's id."""
    rows = {}
    for kind, path in (("model", example.model_path), ("data", example.data_path)):
        rows[kind] = inspect_file(settings, store, submit.add_local_file(store, path, kind), kind)
    experiment = submit.create_experiment(
        store,
        name=example.title,
        model_row=rows["model"],
        data_row=rows["data"],
        settings=DataSettings(label=example.label),
    )
    submit.submit_runs(store, experiment, submit.STANDARD_SWEEP)
    return experiment


def plain(text: str) -> str:
    """A user's text as Markdown that shows it letter by letter."""
    return "".join(f"\\{char}" if char in r"\`*_{}[]()<>#+-.!|~$:" else char for char in text)
