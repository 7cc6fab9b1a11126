"""A model before any run: its layers, and the effect of each technique on them."""

import re
from collections import Counter
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from lwdash.keras_models.model_facts import ModelFacts
from lwdash.keras_models.obstacles import obstacle
from lwdash.techniques import TECHNIQUES
from lwdash.ui.shared.data_table import data_table
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import counted, percent, shape

MAX_LAYERS = 20
"""Maximum number of layers shown without scrolling."""
NAMED, OTHER = re.compile(r"'([^']+)'"), "the layer in brackets"
"""A layer name inside a reason, and its replacement when reasons differ only in the name."""


def show_layer_table(facts: ModelFacts) -> None:
    """Show one row per layer, and below the table each reason once: a column of sentences would be cut."""
    labels = {name: TECHNIQUES[name].LABEL for name in facts.support if name in TECHNIQUES}
    table, notes = layer_table(facts)
    data_table(
        table,
        hide_index=True,
        height="content" if len(table) <= MAX_LAYERS else 35 * MAX_LAYERS,
        alt=f"{counted(len(table), 'layer')} with parameters, and which techniques treat them",
        column_config={
            "layer": st.column_config.TextColumn("Layer", pinned=True, width=170),
            "class": st.column_config.TextColumn("Class", width=140),
            "output": st.column_config.TextColumn("Output shape", help="Without the batch axis", width=100),
            "parameters": st.column_config.NumberColumn("Parameters", format="localized", width=90),
            "share": st.column_config.ProgressColumn(
                "Share", format="%.1f %%", min_value=0, max_value=100, width=100, help="Of all parameters"
            ),
            **{
                t: st.column_config.TextColumn(t, width=64, help=f"{label}: {TECHNIQUES[t].SUMMARY}")
                for t, label in labels.items()
            },
            "notes": st.column_config.TextColumn("Notes", width=210, help="See the notes below"),
        },
    )
    if notes:
        st.caption("  \n".join(f"{i}: {plain(note)}" for i, note in enumerate(notes, start=1)))


def layer_table(facts: ModelFacts) -> tuple[pd.DataFrame, list[str]]:
    """One row per layer of the model, with the numbers of its notes, and the notes: each reason once, as text."""
    treated = {
        technique: {s.path: (s.treated, s.reason) for s in entries}
        for technique, entries in facts.support.items()
        if technique in TECHNIQUES
    }
    reasons_of = {
        layer.path: _reasons({t: treated[t].get(layer.path) for t in treated}) for layer in facts.layers
    }
    alike = Counter(
        NAMED.sub(OTHER, reason) for reason in {r for reasons in reasons_of.values() for r in reasons}
    )

    def note(reason: str) -> str:
        """The reason, or its common form if others differ only in the layer name."""
        common = NAMED.sub(OTHER, reason)
        return common if alike[common] > 1 else reason

    layers = Counter(note(reason) for reasons in reasons_of.values() for reason in reasons)
    number = {text: i for i, text in enumerate(layers, start=1)}

    def mark(reason: str) -> str:
        names = [] if note(reason) == reason else NAMED.findall(reason)
        return f"{number[note(reason)]}" + (f" ({', '.join(names)})" if names else "")

    table = pd.DataFrame(
        [
            {
                "layer": layer.path,
                "class": layer.class_name,
                "output": shape(layer.output_shape),
                "parameters": layer.parameters,
                "share": 100 * layer.parameters / max(1, facts.parameters),
                **{t: _support(treated[t].get(layer.path)) for t in treated},
                "notes": ", ".join(mark(reason) for reason in reasons_of[layer.path]),
            }
            for layer in facts.layers
        ]
    )
    if not number:
        table = table.drop(columns="notes", errors="ignore")
    return table, [f"{text} ({counted(layers[text], 'layer')})" for text in number]


def show_technique_table(facts: ModelFacts) -> None:
    """Show for each technique the treated share of the model, the reasons for the rest, and the common mistake."""
    rows = {
        f"**{plain(technique.LABEL)}**  \n`{name}`": [_treats(facts, name), plain(technique.TRAP)]
        for name, technique in TECHNIQUES.items()
    }
    st.caption(
        "Number formats apply to the whole file. Operators without such a form stay in float and are "
        "listed on the run."
    )
    st.table(
        pd.DataFrame.from_dict(rows, orient="index", columns=["In this model", "Mind"]), border="horizontal"
    )


def _treats(facts: ModelFacts, name: str) -> str:
    """The part of this model that a technique treats, as Markdown."""
    technique = TECHNIQUES[name]
    against = obstacle(facts, name, technique.STAGE)
    if against:
        return f"**not possible**  \n:small[{plain(against)}]"
    entries = facts.support.get(name, ())
    if not entries:
        if technique.STAGE != "keras":
            return "the whole file"
        return "decided during the run  \n:small[by its parameters; the run lists the treated layers]"
    parameters = {layer.path: layer.parameters for layer in facts.layers}
    treated = [entry for entry in entries if entry.treated]
    reasons = Counter(entry.reason for entry in entries if not entry.treated and entry.reason)
    share = sum(parameters.get(entry.path, 0) for entry in treated) / max(1, facts.parameters)
    left = "; ".join(f"{number} not: {plain(reason)}" for reason, number in reasons.most_common())
    text = f"{len(treated)} of {len(entries)} layers, {percent(share, 0)} of the parameters"
    return f"{text}  \n:small[{left}]" if left else text


def _support(entry: tuple[bool, str | None] | None) -> str:
    return "" if entry is None else "✓ yes" if entry[0] else "– no"


def _reasons(entries: Mapping[str, tuple[bool, str | None] | None]) -> list[str]:
    """Reasons why techniques treat a layer or not; techniques with the same reason share it: `prune, cluster: …`."""
    reasons: dict[str, list[str]] = {}
    for technique, entry in entries.items():
        if entry is not None and entry[1]:
            reasons.setdefault(entry[1], []).append(technique)
    return [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]
