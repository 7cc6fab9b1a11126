"""The facts of an uploaded file, shown before anything is run."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from lwdash.charts.samples import plot_class_counts, plot_curves, plot_images
from lwdash.datasets.data_facts import DataFacts
from lwdash.datasets.fit import Fit
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.ui.new.model_tables import show_layer_table, show_technique_table
from lwdash.ui.shared.figure import show_figure
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import NOTHING, count, shape, size

MOST_IMAGES = 16


def show_model(facts: ModelFacts, row: Mapping[str, Any]) -> None:
    """Name, format, ports, parameters and layers of a model file, and what each technique will do with it."""
    cells = st.container(horizontal=True, key="figures-model")
    cells.metric(
        "Model", facts.name, help=f"{facts.class_name}, file {row['name']}, {size(row['size_bytes'])}"
    )
    cells.metric("Written by", f"Keras {facts.keras_version}", help=f"format {facts.format}")
    cells.metric("Parameters", count(facts.parameters))
    cells.metric("Likely task", facts.task or "not told", help="A guess from the model alone. Labels decide.")
    ports = [(word, t) for word, ts in (("input", facts.inputs), ("output", facts.outputs)) for t in ts]
    lines = [f"{word} **{plain(t.name)}** {plain(shape(t.shape))} {t.dtype}" for word, t in ports]
    st.markdown("  \n".join([*lines, *(f":material/tune: {plain(words)}" for words in scaling_words(facts))]))
    layers, techniques = st.tabs([f"{len(facts.layers)} layers", "What each technique treats"])
    with layers:
        if facts.layers:
            show_layer_table(facts)
        else:
            st.caption("This SavedModel has no Keras metadata, so its layers are not told.")
    with techniques:
        show_technique_table(facts)


def scaling_words(facts: ModelFacts) -> list[str]:
    """What the model itself does to the values of each input, a sentence each."""
    found = []
    for scaling in facts.scaling or ():
        if not scaling.is_told or not scaling.layers:
            continue
        by = " → ".join(f"'{name}'" for name in scaling.layers)
        if scaling.is_learnt:
            known = sorted(
                (-o / s, 1 / abs(s)) for o, s in zip(scaling.offset, scaling.scale, strict=True) if s
            )
            centre, spread = known[len(known) // 2] if known else (0.0, 0.0)
            # A mean of rounding errors is a mean of zero.
            centre = 0.0 if abs(centre) < 1e-6 * spread else centre
            what = f"normalises values around {centre:.4g} ± {spread:.4g}" if known else "normalises"
        else:
            offset = scaling.offset[0]
            what = f"computes {scaling.scale[0]:.4g} · x" + (f" {offset:+.4g}" if offset else "")
        found.append(
            f"{scaling.input}: {by} in the model {what}, so give the values as they were before that."
        )
    return found


def show_data(facts: DataFacts, fitted: Fit) -> None:
    """What the CSV holds, how it feeds the model, and what it looks like."""
    cells = st.container(horizontal=True, key="figures-data")
    cells.metric("Rows", count(facts.rows))
    cells.metric("Label", fitted.label or "none")
    cells.metric("Task", fitted.task, help=fitted.task_note or None)
    low, high = (NOTHING if v is None else f"{v:.4g}".replace("-", "−") for v in (facts.low, facts.high))
    cells.metric("Values", f"{low} … {high}", help="smallest and largest number in the input columns")
    st.success(plain(fitted.explanation), icon=":material/check_circle:")
    if fitted.task_note:
        st.caption(
            plain(f"Task: {fitted.task}, {fitted.task_note}. “How the file is read” can state another.")
        )
    for warning in fitted.warnings:
        st.warning(plain(warning), icon=":material/warning:")
    left, right = st.columns([2, 1])
    with left:
        _preview(facts, fitted)
    if fitted.class_counts:
        counts = pd.DataFrame(fitted.class_counts, columns=["label", "rows"])
        with right:
            show_figure(
                plot_class_counts(counts), alt=_count_words(counts), key="facts:classes", file_name="classes"
            )
    if fitted.classes:
        mapping = ", ".join(f"{plain(text)} → output {i}" for i, text in enumerate(fitted.classes))
        st.caption(f"Label mapping: {mapping}")


def show_parts(rows: Mapping[str, int], own_parts: Mapping[str, Any]) -> None:
    """How many rows each part has, and what it is for."""
    uses = {
        "train": "to fine-tune on, where a recipe trains",
        "calibration": "to set the ranges of integers",
        "evaluation": "on which every figure is measured",
    }
    parts = [
        f"**{rows[part]:,}** {use} ({part}{', a file of its own' if part in own_parts else ''})"
        for part, use in uses.items()
        if part in rows
    ]
    st.caption("The rows are split once, and no row is in two parts: " + "; ".join(parts) + ".")


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
        figure = plot_images(images, labels[:MOST_IMAGES])
    else:
        figure = plot_curves(rows, labels, "column")
    show_figure(figure, alt=words, key="facts:rows", file_name="rows")


def _is_image(dimensions: Sequence[int]) -> bool:
    return len(dimensions) in (2, 3) and min(dimensions[:2]) > 3


def _count_words(counts: pd.DataFrame) -> str:
    return "Rows of each class: " + ", ".join(f"{r.label} {r.rows}" for r in counts.itertuples())
