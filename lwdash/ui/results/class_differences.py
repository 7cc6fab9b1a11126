"""Differences between the compared runs' confusion matrices, and the rows on which the runs disagree."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.confusion_matrix import confused_pairs, names_of, plot_confusion
from lwdash.ui.shared.figure import show_figure, written
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.memo import remembered
from lwdash.ui.shared.number_text import NOTHING

ACROSS = 2
MOST_ROWS = 500


def show_classes(measured: Mapping[str, Mapping[str, Any]], baseline: str | None, name: str) -> None:
    """measured: heading of a run → what was measured of it; baseline: the heading of the experiment's, if among them."""
    with_matrix = {heading: found for heading, found in measured.items() if found.get("confusion")}
    if with_matrix:
        with st.expander("Which classes are taken for which", icon=":material/grid_on:"):
            _matrices(with_matrix, name)
    rows = rows_apart(measured, baseline)
    if rows is not None:
        with st.expander(f"Rows on which they differ: {len(rows):,}", icon=":material/swap_horiz:"):
            st.caption(
                "Evaluation rows to which one of these runs gives another class than the baseline; of each run the first "
                f"{MOST_ROWS} at most are kept. An empty cell is the baseline's class."
            )
            st.dataframe(rows, hide_index=True, placeholder="", column_config={
                "Row": st.column_config.NumberColumn(help="Number among the evaluation rows, the first is 0", width=70),
                "Line": st.column_config.NumberColumn(help="Line of the CSV", width=70),
            })  # fmt: skip


def rows_apart(measured: Mapping[str, Mapping[str, Any]], baseline: str | None) -> pd.DataFrame | None:
    """One row an evaluation row that changed its class: Row, Line, Label, Baseline, and each run's class where it is
    another. None where no run has any, or for tasks without classes."""
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
                f"{p.rows:,} rows of {p.label} taken for {p.predicted}" for p in pairs.itertuples()
            )
            with column:
                st.markdown(f"**{plain(heading)}**")
                show_figure(
                    remembered(
                        f"confusion {headings.index(heading)}",
                        (heading,),
                        lambda one=one: written(plot_confusion(one["confusion"], one.get("classes"))),  # type: ignore[misc]
                    ),
                    key=f"results:confusion:{headings.index(heading)}",
                    alt=f"Confusion matrix of {heading}. {worst or 'No row is wrong'}.",
                    file_name=f"{name}-confusion-{heading.partition(' ')[0]}",
                )
