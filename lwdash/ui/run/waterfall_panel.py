"""The accuracy waterfall on a run's page: the loss of each stage, plotted and as a table."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.waterfall_bars import MEASURES, change_text, plot_waterfall
from lwdash.ui.shared.data_table import data_table
from lwdash.ui.shared.figure import show_figure
from lwdash.ui.shared.number_text import NOTHING, count, counted, percent


def show_waterfall(measured: Mapping[str, Any]) -> None:
    """Chart, one sentence and table; nothing for runs of versions without a waterfall."""
    stages = measured.get("waterfall")
    if not stages:
        return
    st.header("Loss of each stage")
    st.caption(
        f"Every stage was run on the same {count(stages[0]['rows'])} evaluation rows. SQNR is the ratio "
        "of the outputs to their difference from the Keras model's: at 20 dB the error is 1 % of the "
        "signal's power."
    )
    st.markdown(worst_stage(stages))
    show_figure(
        plot_waterfall(stages), alt=worst_stage(stages), key="run:waterfall", file_name="what-each-stage-lost"
    )
    with st.expander("As a table"):
        data_table(
            pd.DataFrame([_row(stage) for stage in stages]),
            hide_index=True,
            placeholder=NOTHING,
            column_config={
                "SQNR (dB)": st.column_config.NumberColumn(format="%.1f", help="Against the Keras model"),
                "Agreement": st.column_config.TextColumn(help="Rows with the Keras model's class"),
                "Lost": st.column_config.NumberColumn(
                    help="Rows that were right before this stage and are wrong after it"
                ),
                "Gained": st.column_config.NumberColumn(
                    help="Rows that were wrong before this stage and are right now"
                ),
            },
        )


def worst_stage(stages: Sequence[Mapping[str, Any]]) -> str:
    """A sentence on the stage with the largest loss of the metric, or that none lost any."""
    measure = MEASURES[stages[0]["measure"]]
    sign = -1 if measure.is_higher_better else 1
    lossy = [s for s in stages[1:] if s["change"] is not None and sign * s["change"] > 0]
    if not lossy:
        noisiest = most_noise(stages)
        if noisiest is None:
            return "No stage changed the outputs."
        kept = "" if stages[0]["value"] is None else f"No stage lost {measure.label.lower()} on these rows. "
        return (
            f"{kept}Most of the outputs' difference comes with *{noisiest['stage']}*, with "
            f"{noisiest['sqnr_db']:.1f} dB after it."
        )
    worst = max(lossy, key=lambda s: sign * s["change"])
    flips = (
        f", {counted(worst['lost'], 'row')} lost and {count(worst['gained'])} gained" if worst["lost"] else ""
    )
    return f"*{worst['stage']}* costs most: {change_text(worst)}{flips}{_is_real(worst)}."


def most_noise(stages: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The stage that added most noise to the outputs; None if no stage changed any."""
    noise = [0.0 if s["sqnr_db"] is None else 10 ** (-s["sqnr_db"] / 10) for s in stages]
    added = [after - before for before, after in pairwise(noise)]
    most = max(added, default=0.0)
    return stages[1 + added.index(most)] if most > 0 else None


def _is_real(stage: Mapping[str, Any]) -> str:
    return {
        "worse": ", which is significant",
        "equivalent": ", which is within the margin of equivalence",
        "cannot tell": ", which is not significant with these rows",
    }.get(stage["verdict"] or "", "")


def _row(stage: Mapping[str, Any]) -> dict[str, Any]:
    measure = MEASURES[stage["measure"]]
    shown = None if stage["value"] is None else stage["value"] * measure.factor
    interval = stage["change_ci"]
    scale = measure.factor
    return {
        "Stage": stage["stage"],
        measure.title: shown,
        "Change": None if stage["change"] is None else change_text(stage),
        "95 % interval": None
        if interval is None
        else f"{scale * interval[0]:+.3g} to {scale * interval[1]:+.3g}".replace("-", "−"),
        "Lost": stage["lost"],
        "Gained": stage["gained"],
        "Agreement": None if stage["agreement"] is None else percent(stage["agreement"]),
        "SQNR (dB)": stage["sqnr_db"],
    }
