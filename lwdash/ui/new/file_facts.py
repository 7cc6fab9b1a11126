"""The facts of an uploaded file, shown before any run."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from lwdash.charts.samples import plot_class_counts, plot_curves, plot_images
from lwdash.datasets.data_facts import DataFacts
from lwdash.datasets.fit import Fit
from lwdash.datasets.preview_arrays import decode_preview, is_image_shape
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.ui.new.model_tables import show_layer_table, show_technique_table
from lwdash.ui.shared.figure import show_figure
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import NOTHING, count, counted, shape, size
from storage.records import StoredFile

MAX_IMAGES = 16


def show_model(facts: ModelFacts, row: StoredFile) -> None:
    """Show name, format, ports, parameters and layers of a model file, and the layers that each technique treats."""
    cells = st.container(horizontal=True, key="figures-model")
    cells.metric("Model", facts.name, help=f"{facts.class_name}, file {row.name}, {size(row.size_bytes)}")
    cells.metric("Written by", facts.written_by, help=f"format {facts.format}")
    cells.metric("Parameters", count(facts.parameters))
    if facts.code is not None:
        network = (
            "It can reach a network: " + facts.code.network if facts.code.network else "It has no network."
        )
        cells.metric("Code", facts.code.name, help=f"SHA-256 {facts.code.sha256}. {network}")
    cells.metric(
        "Likely task", facts.task or "unknown", help="A guess from the model alone. The labels decide."
    )
    ports = [(word, t) for word, ts in (("input", facts.inputs), ("output", facts.outputs)) for t in ts]
    lines = [f"{word} **{plain(t.name)}** {plain(shape(t.shape))} {t.dtype}" for word, t in ports]
    st.markdown("  \n".join([*lines, *(f":material/tune: {plain(text)}" for text in scaling_text(facts))]))
    layers, techniques = st.tabs([f"{len(facts.layers)} layers", "Layers treated by each technique"])
    with layers:
        if facts.layers:
            show_layer_table(facts)
        else:
            kind = ".tflite" if facts.is_tflite else "SavedModel"
            st.caption(f"This {kind} has no Keras metadata, so its layers are unknown.")
    with techniques:
        show_technique_table(facts)


def scaling_text(facts: ModelFacts) -> list[str]:
    """The model's own scaling of each input, one sentence each."""
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
            # A mean as small as rounding errors counts as zero.
            centre = 0.0 if abs(centre) < 1e-6 * spread else centre
            what = f"normalises values around {centre:.4g} ± {spread:.4g}" if known else "normalises"
        else:
            offset = scaling.offset[0]
            what = f"computes {scaling.scale[0]:.4g} · x" + (f" {offset:+.4g}" if offset else "")
        found.append(f"{scaling.input}: {by} in the model {what}. Give the values as they were before that.")
    return found


def data_line(facts: DataFacts, fitted: Fit) -> str:
    """Rows, label and task of a data file in one line."""
    label = f"label “{fitted.label}”" if fitted.label else "no label"
    classes = f" in {len(fitted.classes)} classes" if fitted.classes else ""
    return f"{counted(facts.rows, 'row')}, {label}, {fitted.task}{classes}"


def value_range(facts: DataFacts) -> str:
    """The smallest and the largest number in the input columns."""
    low, high = (NOTHING if v is None else f"{v:.4g}".replace("-", "−") for v in (facts.low, facts.high))
    return f"{low} … {high}"


def show_data(facts: DataFacts, fitted: Fit) -> None:
    """Show the content of the data file, its assignment to the model, and a preview."""
    cells = st.container(horizontal=True, key="figures-data")
    cells.metric("Rows", count(facts.rows))
    cells.metric("Label", fitted.label or "none")
    cells.metric("Task", fitted.task, help=fitted.task_note or None)
    cells.metric("Values", value_range(facts), help="smallest and largest number in the input columns")
    st.success(plain(fitted.explanation), icon=":material/check_circle:")
    for note in facts.notes:
        st.caption(plain(note))
    if fitted.task_note:
        st.caption(
            plain(f"Task: {fitted.task}, {fitted.task_note}. To change it, open “How the file is read”.")
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
                plot_class_counts(counts), alt=_counts_text(counts), key="facts:classes", file_name="classes"
            )
    if fitted.classes:
        mapping = ", ".join(f"{plain(text)} → output {i}" for i, text in enumerate(fitted.classes))
        st.caption(f"Label mapping: {mapping}")


def show_generated_rows(facts: DataFacts, fitted: Fit) -> None:
    """Show the range and a preview of rows that were generated from the model."""
    cells = st.container(horizontal=True, key="figures-data")
    cells.metric("Generated rows", count(facts.rows))
    cells.metric("Accuracy", "unknown", help="It needs real rows with labels")
    cells.metric("Values", value_range(facts), help="smallest and largest number in the generated rows")
    _preview(facts, fitted)


def show_parts(rows: Mapping[str, int], own_parts: Mapping[str, Any]) -> None:
    """Show the number of rows of each part, and their use."""
    uses = {
        "train": "for fine-tuning, if a recipe trains",
        "calibration": "to set the ranges of integers",
        "evaluation": "for every metric",
    }
    parts = [
        f"**{rows[part]:,}** {use} ({part}{', a separate file' if part in own_parts else ''})"
        for part, use in uses.items()
        if part in rows
    ]
    st.caption("Use of the rows: " + "; ".join(parts) + ".")


def _preview(facts: DataFacts, fitted: Fit) -> None:
    first = fitted.inputs[0]
    if first.source_shape:
        _array_preview(facts, first.columns[0])
        return
    places = {column: i for i, column in enumerate(facts.preview.columns)}
    shown = [places[c] for c in first.columns if c in places]
    rows, labels = [], []
    for row in facts.preview.rows:
        values = [row.values[i] for i in shown]
        if all(isinstance(v, (int, float)) for v in values):
            rows.append([float(v) for v in values])  # type: ignore[arg-type]
            labels.append(row.label)
    if not rows:
        st.caption("The rows hold text, so there is no plot.")
        return
    text = f"{len(rows)} rows of the data, as in the file."
    if _is_image(first.shape) and len(shown) == len(first.columns) == int(np.prod(first.shape)):
        images = [np.reshape(values, first.shape) for values in rows[:MAX_IMAGES]]
        figure = plot_images(images, labels[:MAX_IMAGES])
    else:
        figure = plot_curves(rows, labels, "column")
    show_figure(figure, alt=text, key="facts:rows", file_name="rows")


def _array_preview(facts: DataFacts, column: int) -> None:
    """Small versions of some values of an array column, as images or curves."""
    place = facts.preview.columns.index(column)
    shown = [(row.values[place], row.label) for row in facts.preview.rows]
    arrays = [(decode_preview(value), label) for value, label in shown if isinstance(value, dict)]
    if not arrays:
        st.caption("There is no preview of these rows.")
        return
    if is_image_shape(arrays[0][0].shape):
        arrays = arrays[:MAX_IMAGES]
        figure = plot_images([values for values, _ in arrays], [label for _, label in arrays])
    else:
        curves = [values.reshape(-1).tolist() for values, _ in arrays]
        figure = plot_curves(curves, [label for _, label in arrays], "value")
    text = f"{len(arrays)} rows of the data, as in the file, in fewer values."
    show_figure(figure, alt=text, key="facts:rows", file_name="rows")


def _is_image(dimensions: Sequence[int]) -> bool:
    return len(dimensions) in (2, 3) and min(dimensions[:2]) > 3


def _counts_text(counts: pd.DataFrame) -> str:
    return "Rows of each class: " + ", ".join(f"{r.label} {r.rows}" for r in counts.itertuples())
