"""What was understood of an uploaded file, shown before anything is run."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from lwdash.charts.samples import plot_class_counts, plot_curves, plot_images
from lwdash.datasets.facts import DataFacts
from lwdash.datasets.fit import Fit
from lwdash.keras_models.facts import ModelFacts
from lwdash.ui.cards import plain
from lwdash.ui.formats import count, shape, size

MOST_IMAGES = 16


def show_model(facts: ModelFacts, row: Mapping[str, Any]) -> None:
    """Name, format, ports, parameters and layers of a model file."""
    cells = st.columns(4)
    cells[0].metric(
        "Model", facts.name, help=f"{facts.class_name}, file {row['name']}, {size(row['size_bytes'])}"
    )
    cells[1].metric("Written by", f"Keras {facts.keras_version}", help=f"format {facts.format}")
    cells[2].metric("Parameters", count(facts.parameters))
    cells[3].metric("Likely task", facts.task or "not told")
    ports = [(word, t) for word, ts in (("input", facts.inputs), ("output", facts.outputs)) for t in ts]
    st.markdown(
        "  \n".join(f"{word} **{plain(t.name)}** {plain(shape(t.shape))} {t.dtype}" for word, t in ports)
    )
    treated = {
        technique: {s.path: (s.treated, s.reason) for s in entries}
        for technique, entries in facts.support.items()
    }
    table = pd.DataFrame(
        [
            {
                "layer": layer.path,
                "class": layer.class_name,
                "output": shape(layer.output_shape),
                "parameters": layer.parameters,
                **{t: _support(treated[t].get(layer.path)) for t in ("prune", "cluster") if t in treated},
            }
            for layer in facts.layers
        ]
    )
    with st.expander(f"{len(facts.layers)} layers", expanded=len(facts.layers) <= 12):
        st.dataframe(
            table,
            hide_index=True,
            height="auto",
            column_config={
                "layer": "Layer",
                "class": "Class",
                "output": st.column_config.TextColumn("Output shape", help="Without the batch axis"),
                "parameters": st.column_config.NumberColumn("Parameters", format="localized"),
                "prune": st.column_config.TextColumn("Pruning", width="medium"),
                "cluster": st.column_config.TextColumn("Clustering", width="medium"),
            },
        )


def _support(entry: tuple[bool, str | None] | None) -> str:
    if entry is None:
        return ""
    return ("yes" if entry[0] else "no") + (f": {entry[1]}" if entry[1] else "")


def show_data(facts: DataFacts, fitted: Fit) -> None:
    """What the CSV holds, how it feeds the model, and what it looks like."""
    cells = st.columns(4)
    cells[0].metric("Rows", count(facts.rows))
    cells[1].metric("Label", fitted.label or "none")
    cells[2].metric("Task", fitted.task)
    low, high = (f"{v:.4g}" if v is not None else "–" for v in (facts.low, facts.high))
    cells[3].metric("Values", f"{low} … {high}", help="smallest and largest number in the input columns")
    st.success(plain(fitted.explanation), icon=":material/check_circle:")
    for warning in fitted.warnings:
        st.warning(plain(warning), icon=":material/warning:")
    left, right = st.columns([2, 1])
    with left:
        _preview(facts, fitted)
    if fitted.class_counts:
        counts = pd.DataFrame(fitted.class_counts, columns=["label", "rows"])
        right.plotly_chart(plot_class_counts(counts), alt=_count_words(counts))
    if fitted.classes:
        mapping = ", ".join(f"{plain(text)} → output {i}" for i, text in enumerate(fitted.classes))
        st.caption(f"Label mapping: {mapping}")
    st.caption(
        "The rows are split once, by label: 60 % to fine-tune (train), 20 % to set ranges (calibration), and 20 % "
        "(evaluation) on which every figure is measured. No row is in two parts."
    )


def _preview(facts: DataFacts, fitted: Fit) -> None:
    first = fitted.inputs[0]
    places = {column: i for i, column in enumerate(facts.preview.columns)}
    shown = [places[c] for c in first.columns if c in places]
    rows, labels = [], []
    for row in facts.preview.rows:
        values = [row.values[i] for i in shown]
        if all(isinstance(v, (int, float)) for v in values):
            rows.append([float(v) for v in values])  # type: ignore[arg-type]
            labels.append(row.label)
    if not rows:
        st.caption("The rows hold text, so they cannot be drawn.")
        return
    words = f"{len(rows)} rows of the data, drawn as they are in the file."
    if _is_image(first.shape) and len(shown) == len(first.columns) == int(np.prod(first.shape)):
        images = [np.reshape(values, first.shape) for values in rows[:MOST_IMAGES]]
        st.plotly_chart(plot_images(images, labels[:MOST_IMAGES]), alt=words)
    else:
        st.plotly_chart(plot_curves(rows, labels, "column"), alt=words)


def _is_image(dimensions: Sequence[int]) -> bool:
    return len(dimensions) in (2, 3) and min(dimensions[:2]) > 3


def _count_words(counts: pd.DataFrame) -> str:
    return "Rows of each class: " + ", ".join(f"{r.label} {r.rows}" for r in counts.itertuples())
