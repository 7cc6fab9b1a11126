"""Differences between the compared runs' confusion matrices, and the rows on which the runs disagree."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.changed_rows import plot_flips
from lwdash.charts.confusion_matrix import confused_pairs, names_of, plot_confusion, plot_confusion_change
from lwdash.ui.results.view_state import settle
from lwdash.ui.shared.data_table import data_table
from lwdash.ui.shared.figure import show_figure, written
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.memo import remembered
from lwdash.ui.shared.number_text import NOTHING

ACROSS = 2
MAX_ROWS = 500
MAX_INPUTS = 24
"""Number of changed rows whose inputs are drawn."""


def show_classes(
    measured: Mapping[str, Mapping[str, Any]], reference: str, name: str, *, is_baseline: bool
) -> None:
    """The classes of the runs: changes of each, confusion matrices, rows on which the runs differ.

    The last two are drawn when they are opened.

    measured: heading of a run → its measurements. reference: the heading of the run that the others are compared with.
    is_baseline: True if that is the experiment's baseline.
    """
    baseline = reference if is_baseline else None
    _show_change(measured, reference, name)
    with_matrix = {heading: found for heading, found in measured.items() if found.get("confusion")}
    if with_matrix:
        place = st.expander(
            "Confusion matrix", icon=":material/grid_on:", key="compare:matrices", on_change="rerun"
        )
        if place.open:
            with place:
                _matrices(with_matrix, name)
    rows = rows_apart(measured, baseline)
    if rows is None:
        return
    place = st.expander(
        f"Rows on which they differ: {len(rows):,}",
        icon=":material/swap_horiz:",
        key="compare:rows",
        on_change="rerun",
    )
    if place.open:
        with place:
            st.caption(
                "Evaluation rows whose class differs from the baseline's in one of these runs; at most "
                f"the first {MAX_ROWS} per run are stored. An empty cell is the baseline's class."
            )
            _show_inputs(measured, name)
            data_table(rows, hide_index=True, placeholder="", column_config={
                "Row": st.column_config.NumberColumn(help="Number among the evaluation rows, from 0", width=70),
                "Line": st.column_config.NumberColumn(help="Line of the CSV", width=70),
            })  # fmt: skip


def rows_with_inputs(measured: Mapping[str, Mapping[str, Any]]) -> tuple[list[Any], list[str]]:
    """The stored inputs of rows that changed in any run, those that most runs changed first, and a title for each:
    the label, and the class of each run that changed it.
    """
    rows: dict[int, dict[str, Any]] = {}
    for heading, one in measured.items():
        flips = [flip for flip in one.get("flips") or () if flip.get("input")]
        numbers = [n for f in flips for n in (f["label"], f["baseline"], f["run"]) if n is not None]
        names = names_of(one.get("classes"), max(numbers, default=-1) + 1)
        for flip in flips:
            label = (
                f"label {names[flip['label']]}"
                if flip["label"] is not None
                else f"was {names[flip['baseline']]}"
            )
            row = rows.setdefault(flip["row"], {"input": flip["input"], "label": label, "runs": []})
            row["runs"].append(f"{heading.partition(' ')[0]}: {names[flip['run']]}")
    shown = [rows[number] for number in sorted(rows, key=lambda n: (-len(rows[n]["runs"]), n))][:MAX_INPUTS]
    return [row["input"] for row in shown], [f"{', '.join(row['runs'])}\n{row['label']}" for row in shown]


def _show_inputs(measured: Mapping[str, Mapping[str, Any]], name: str) -> None:
    inputs, titles = rows_with_inputs(measured)
    if inputs:
        st.caption("Their inputs; above each, the runs that changed its class.")
        show_figure(
            plot_flips(inputs, titles), key="compare:flips", file_name=f"{name}-changed-rows",
            alt=f"The inputs of {len(inputs)} of these rows, each with the runs that changed it.",
        )  # fmt: skip


def _show_change(measured: Mapping[str, Mapping[str, Any]], reference: str, name: str) -> None:
    """One matrix: how much more often each confusion occurs in a run than in the reference."""
    before = measured[reference]
    others = [h for h, one in measured.items() if h != reference and one.get("confusion")]
    if not others or not before.get("confusion"):
        return
    st.header("Classes", anchor=False)
    settle("compare:confusion", others, others[0])
    heading = st.selectbox("Change of the confusion matrix of", others, key="compare:confusion", width=420)
    one = measured[heading]
    if one["confusion"] == before["confusion"]:
        st.caption(f"Every pair of label and prediction has as many rows as in run {plain(reference)}.")
        return
    show_figure(
        plot_confusion_change(
            one["confusion"], before["confusion"], one.get("classes"), than=f"run {reference}"
        ),
        key="compare:confusion-change",
        alt=f"Rows of each pair of label and prediction in {heading}, minus those in {reference}.",
        file_name=f"{name}-confusion-change",
    )


def rows_apart(measured: Mapping[str, Mapping[str, Any]], baseline: str | None) -> pd.DataFrame | None:
    """One row per evaluation row whose class changed: Row, Line, Label, Baseline, and each run's class if it
    differs. None if no run has any, or for tasks without classes.
    """
    found: dict[int, dict[str, Any]] = {}
    for heading, one in measured.items():
        flips: Sequence[Mapping[str, Any]] = one.get("flips") or ()
        numbers = [n for f in flips for n in (f["label"], f["baseline"], f["run"]) if n is not None]
        names = names_of(one.get("classes"), max(numbers, default=-1) + 1)
        for flip in flips:
            label = flip["label"]
            row = found.setdefault(
                flip["row"],
                {
                    "Row": flip["row"],
                    "Line": flip.get("line"),
                    "Label": NOTHING if label is None else names[label],
                    "Baseline": names[flip["baseline"]],
                },
            )
            row[heading] = names[flip["run"]]
    if not found:
        return None
    runs = [heading for heading in measured if heading != baseline]
    table = pd.DataFrame(
        [found[row] for row in sorted(found)], columns=["Row", "Line", "Label", "Baseline", *runs]
    )
    return table.dropna(axis="columns", how="all") if table["Line"].isna().all() else table


def _matrices(measured: Mapping[str, Mapping[str, Any]], name: str) -> None:
    headings = list(measured)
    for start in range(0, len(headings), ACROSS):
        for column, heading in zip(st.columns(ACROSS), headings[start : start + ACROSS], strict=False):
            one = measured[heading]
            pairs = confused_pairs(one["confusion"], None, one.get("classes")).head(3)
            worst = "; ".join(
                f"{p.rows:,} rows of {p.label} predicted as {p.predicted}" for p in pairs.itertuples()
            )
            with column:
                st.markdown(f"**{plain(heading)}**")
                show_figure(
                    remembered(
                        f"confusion {headings.index(heading)}",
                        (heading,),
                        lambda one=one: written(plot_confusion(one["confusion"], one.get("classes"))),  # type: ignore[misc]
                    ),
                    key=f"compare:confusion:{headings.index(heading)}",
                    alt=f"Confusion matrix of {heading}. {worst or 'No row is wrong'}.",
                    file_name=f"{name}-confusion-{heading.partition(' ')[0]}",
                )
