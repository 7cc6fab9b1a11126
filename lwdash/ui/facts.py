"""What was understood of an uploaded file, shown before anything is run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from lwdash.charts.samples import plot_class_counts, plot_curves, plot_images
from lwdash.datasets.facts import DataFacts
from lwdash.datasets.fit import Fit
from lwdash.keras_models.facts import ModelFacts
from lwdash.keras_models.obstacles import obstacle
from lwdash.techniques import TECHNIQUES
from lwdash.ui.cards import plain
from lwdash.ui.figure import show_figure
from lwdash.ui.formats import count, percent, shape, size

MOST_IMAGES = 16
MOST_LAYERS = 20


def show_model(facts: ModelFacts, row: Mapping[str, Any]) -> None:
    """Name, format, ports, parameters and layers of a model file, and what each technique will do with it."""
    cells = st.columns(4)
    cells[0].metric(
        "Model", facts.name, help=f"{facts.class_name}, file {row['name']}, {size(row['size_bytes'])}"
    )
    cells[1].metric("Written by", f"Keras {facts.keras_version}", help=f"format {facts.format}")
    cells[2].metric("Parameters", count(facts.parameters))
    cells[3].metric("Likely task", facts.task or "not told")
    ports = [(word, t) for word, ts in (("input", facts.inputs), ("output", facts.outputs)) for t in ts]
    lines = [f"{word} **{plain(t.name)}** {plain(shape(t.shape))} {t.dtype}" for word, t in ports]
    st.markdown("  \n".join([*lines, *(f":material/tune: {plain(words)}" for words in scaling_words(facts))]))
    layers, techniques = st.tabs([f"{len(facts.layers)} layers", "What each technique treats"])
    with layers:
        if facts.layers:
            _layer_table(facts)
        else:
            st.caption("This SavedModel has no Keras metadata, so its layers are not told.")
    with techniques:
        _technique_table(facts)


def scaling_words(facts: ModelFacts) -> list[str]:
    """What the model itself does to the values of each input, a sentence each."""
    found = []
    for scaling in facts.scaling or ():
        if not scaling.is_told or not scaling.layers:
            continue
        by = " → ".join(f"'{name}'" for name in scaling.layers)
        if scaling.is_learnt:
            centre = [-o / s for o, s in zip(scaling.offset, scaling.scale, strict=True) if s]
            what = (
                f"normalises values around {sorted(centre)[len(centre) // 2]:.4g}" if centre else "normalises"
            )
        else:
            offset = scaling.offset[0]
            what = f"computes {scaling.scale[0]:.4g} · x" + (f" {offset:+.4g}" if offset else "")
        found.append(
            f"{scaling.input}: {by} in the model {what}, so give the values as they were before that."
        )
    return found


def _layer_table(facts: ModelFacts) -> None:
    treated = {
        technique: {s.path: (s.treated, s.reason) for s in entries}
        for technique, entries in facts.support.items()
    }
    labels = {name: TECHNIQUES[name].LABEL for name in treated if name in TECHNIQUES}
    table = pd.DataFrame(
        [
            {
                "layer": layer.path,
                "class": layer.class_name,
                "output": shape(layer.output_shape),
                "parameters": layer.parameters,
                "share": 100 * layer.parameters / max(1, facts.parameters),
                **{t: _support(treated[t].get(layer.path)) for t in labels},
                "remarks": _remarks({t: treated[t].get(layer.path) for t in labels}),
            }
            for layer in facts.layers
        ]
    )
    st.dataframe(
        table,
        hide_index=True,
        height="auto" if len(facts.layers) <= MOST_LAYERS else 35 * MOST_LAYERS,
        column_config={
            "layer": st.column_config.TextColumn("Layer", pinned=True),
            "class": "Class",
            "output": st.column_config.TextColumn("Output shape", help="Without the batch axis"),
            "parameters": st.column_config.NumberColumn("Parameters", format="localized"),
            "share": st.column_config.ProgressColumn(
                "Share", format="%.1f %%", min_value=0, max_value=100, width=110, help="Of all parameters"
            ),
            **{
                t: st.column_config.TextColumn(t, width=70, help=f"{label}: {TECHNIQUES[t].SUMMARY}")
                for t, label in labels.items()
            },
            "remarks": st.column_config.TextColumn("Remarks", width=420),
        },
    )


def _technique_table(facts: ModelFacts) -> None:
    """Per technique how much of the model it treats, and why not the rest."""
    parameters = {layer.path: layer.parameters for layer in facts.layers}
    rows = []
    for name, technique in TECHNIQUES.items():
        against = obstacle(facts, name, technique.STAGE)
        entries = facts.support.get(name, ())
        treated = [entry for entry in entries if entry.treated]
        reasons = Counter(entry.reason for entry in entries if not entry.treated and entry.reason)
        share = sum(parameters.get(entry.path, 0) for entry in treated) / max(1, facts.parameters)
        if against:
            verdict, why = "no", against
        elif entries:
            verdict = f"{len(treated)} of {len(entries)} layers, {percent(share, 0)} of the parameters"
            why = "; ".join(f"{number} ×: {reason}" for reason, number in reasons.most_common())
        elif technique.STAGE == "keras":
            verdict, why = (
                "decided at the run",
                "which layers are worth it depends on its parameters; the run lists the others",
            )
        else:
            verdict, why = (
                "the whole file",
                "operators without such a form stay in float and are listed on the run",
            )
        rows.append(
            {
                "technique": technique.LABEL,
                "name": name,
                "treats": verdict,
                "why": why,
                "trap": technique.TRAP,
            }
        )
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height="auto",
        column_config={
            "technique": st.column_config.TextColumn("Technique", pinned=True),
            "name": st.column_config.TextColumn("In a recipe", width="small"),
            "treats": st.column_config.TextColumn("Treats", width="medium"),
            "why": st.column_config.TextColumn("Why not the rest", width="large"),
            "trap": st.column_config.TextColumn("Mind", width="large"),
        },
    )


def _support(entry: tuple[bool, str | None] | None) -> str:
    return "" if entry is None else "✓ yes" if entry[0] else "– no"


def _remarks(entries: Mapping[str, tuple[bool, str | None] | None]) -> str:
    """Why a technique treats a layer as it does; those with the same reason share it: `prune, cluster: …`."""
    reasons: dict[str, list[str]] = {}
    for technique, entry in entries.items():
        if entry is not None and entry[1]:
            reasons.setdefault(entry[1], []).append(technique)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())


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
