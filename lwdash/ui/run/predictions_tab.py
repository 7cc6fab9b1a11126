"""Predictions of a run: its confusion matrix or outputs beside the baseline's, and the rows that changed class."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.changed_rows import is_image, plot_flips
from lwdash.charts.confusion_matrix import (
    class_metrics,
    confused_pairs,
    names_of,
    plot_confusion,
    plot_confusion_change,
)
from lwdash.ui.shared.data_table import data_table
from lwdash.ui.shared.figure import show_figure
from lwdash.ui.shared.number_text import NOTHING, counted, percent
from storage.records import StoredRun

KINDS = {
    "lost": "right before, wrong now",
    "gained": "wrong before, right now",
    "changed": "of another class than before",
}
MATRIX, CHANGE = "Predicted classes", "Change against the baseline"


def show_confusion(measured: Mapping[str, Any]) -> None:
    """The confusion matrix, its change, and recall and precision of each class; nothing for tasks without classes."""
    confusion, baseline = measured.get("confusion"), measured.get("baseline_confusion")
    if not confusion:
        return
    classes = measured.get("classes")
    st.header("Confusion matrix", anchor=False)
    drawn = st.segmented_control(
        "Matrix", [MATRIX, CHANGE] if baseline else [MATRIX], default=MATRIX, required=True,
        key="run:matrix", label_visibility="collapsed",
    )  # fmt: skip
    pairs = confused_pairs(confusion, baseline, classes)
    if drawn == CHANGE and baseline:
        figure = plot_confusion_change(confusion, baseline, classes)
    else:
        figure = plot_confusion(confusion, classes)
    show_figure(figure, alt=_pairs_text(pairs), key="run:confusion", file_name="confusion")
    _show_classes(class_metrics(confusion, baseline, classes))
    if len(pairs):
        with st.expander(f"Every confusion, {counted(len(pairs), 'pair')} of classes"):
            data_table(
                pairs, hide_index=True,
                column_config={
                    "label": "Label", "predicted": "Predicted", "rows": "Rows", "baseline_rows": "Baseline's rows",
                },
            )  # fmt: skip


def _pairs_text(pairs: pd.DataFrame) -> str:
    worst = [
        f"{row.rows:,} rows of {row.label} predicted as {row.predicted}" for row in pairs.head(3).itertuples()
    ]
    return f"Confusion matrix. {'; '.join(worst)}." if worst else "Confusion matrix: no row is wrong."


def _show_classes(metrics: pd.DataFrame) -> None:
    percents = [c for c in metrics if c not in ("class", "rows")]
    number = st.column_config.NumberColumn
    data_table(
        metrics.assign(**{c: 100 * metrics[c] for c in percents}),
        hide_index=True,
        placeholder=NOTHING,
        column_config={
            "class": "Class",
            "rows": number("Rows", format="localized", help="Evaluation rows with this label"),
            "recall": number("Recall (%)", format="%.1f", help="Share of the label's rows that were found"),
            "precision": number("Precision (%)", format="%.1f", help="Share of this class's predictions that are right"),
            "baseline_recall": number("Baseline's recall (%)", format="%.1f"),
            "baseline_precision": number("Baseline's precision (%)", format="%.1f"),
        },
    )  # fmt: skip


def show_output_recalls(run: StoredRun, measured: Mapping[str, Any]) -> None:
    """For models with several yes/no outputs: recall of each. For several numbers: the error of each."""
    recalls, targets = run.metrics.get("recalls"), run.metrics.get("targets")
    if isinstance(targets, list):
        _show_targets(run, targets, measured)
        return
    if isinstance(run.metrics.get("iou"), list):
        _show_overlap(run, measured)
        return
    if not isinstance(recalls, list) or measured.get("confusion"):
        return
    table = pd.DataFrame(
        {
            "answer": names_of(measured.get("classes"), len(recalls)),
            "recall": recalls,
            "baseline_recall": run.metrics.get("baseline_recalls") or [None] * len(recalls),
        }
    )
    st.header("Recall of each output", anchor=False)
    st.caption("A row counts as right in the accuracy if all its outputs are right.")
    number = st.column_config.NumberColumn
    data_table(
        table.assign(**{c: 100 * pd.to_numeric(table[c]) for c in ("recall", "baseline_recall")}),
        hide_index=True,
        placeholder=NOTHING,
        alt=f"Recall of {counted(len(recalls), 'output')}",
        column_config={
            "answer": "Output",
            "recall": number(
                "Recall (%)", format="%.1f", help="Share of the rows with a yes that were found"
            ),
            "baseline_recall": number("Baseline's recall (%)", format="%.1f"),
        },
    )


def _show_overlap(run: StoredRun, measured: Mapping[str, Any]) -> None:
    """Intersection over union of each class, for rows with a class per position."""
    shares = run.metrics["iou"]
    table = pd.DataFrame(
        {
            "class": names_of(measured.get("classes"), len(shares)),
            "iou": shares,
            "baseline_iou": run.metrics.get("baseline_iou") or [None] * len(shares),
        }
    )
    st.header("IoU of each class", anchor=False)
    st.caption(
        f"Each row has a class for each of {int(run.metrics['positions']):,} positions. The accuracy and the tables above "
        "count positions; the verdict compares rows, since positions of one row are not independent."
    )
    number = st.column_config.NumberColumn
    data_table(
        table.assign(**{c: 100 * pd.to_numeric(table[c]) for c in ("iou", "baseline_iou")}),
        hide_index=True,
        placeholder=NOTHING,
        alt=f"IoU of {len(shares)} classes",
        column_config={
            "class": "Class",
            "iou": number(
                "IoU (%)", format="%.1f", help="Positions of the class in both / positions in either"
            ),
            "baseline_iou": number("Baseline's IoU (%)", format="%.1f"),
        },
    )


def _show_targets(run: StoredRun, targets: Sequence[Mapping[str, Any]], measured: Mapping[str, Any]) -> None:
    baseline = run.metrics.get("baseline_targets") or []
    outputs = run.metrics.get("outputs") or [{}]
    kept = {t["index"]: t["variation_sqnr_db"] for t in outputs[0].get("targets") or ()}
    table = pd.DataFrame({"target": names_of(measured.get("classes"), len(targets))})
    for key in ("nrmse", "mae", "rmse", "r2"):
        table[key] = [target.get(key) for target in targets]
        table[f"baseline_{key}"] = [target.get(key) for target in baseline] or None
    table["variation_sqnr_db"] = [kept.get(place) for place in range(len(targets))]
    table = table.sort_values("nrmse", ascending=False, na_position="last", kind="stable")
    st.header("Error of each number", anchor=False)
    st.caption(
        "The worst first. RMSE / σ is the root mean square error in standard deviations of the labels; "
        "at 1 the model is no better than predicting the mean. MAE and RMSE are in the unit of their "
        "column."
    )
    headings = {"nrmse": "RMSE / σ", "mae": "MAE", "rmse": "RMSE", "r2": "R²"}
    number = st.column_config.NumberColumn
    data_table(
        table,
        hide_index=True,
        placeholder=NOTHING,
        alt=f"Errors of {counted(len(targets), 'number')}",
        column_config={
            "target": "Number",
            "variation_sqnr_db": number(
                "Follows the original (dB)",
                format="%.1f",
                help="SQNR of the variation between rows; below 3 dB the number is lost",
            ),
            **{key: number(word, format="%.4g") for key, word in headings.items()},
            **{
                f"baseline_{key}": number(f"Baseline's {word}", format="%.4g")
                for key, word in headings.items()
            },
        },
    )


def show_flips(run: StoredRun, measured: Mapping[str, Any]) -> None:
    """The rows whose class changed compared with the baseline: plotted, and as a table; one line if there are none."""
    flips = measured.get("flips")
    if flips is None or not measured.get("layers"):
        return
    if run.agreement is None:
        return
    if not flips and run.agreement < 1:
        st.caption(
            f"{percent(run.agreement)} of the outputs are the baseline's. Changed rows are listed "
            "only for tasks with one class per row."
        )
        return
    st.header("Changed rows", anchor=False)
    if not flips:
        st.caption("No evaluation row changed its class compared with the baseline.")
        return
    names = _Names(measured, flips)
    counts = pd.Series([flip.get("kind", "changed") for flip in flips]).value_counts()
    headings = "; ".join(
        f"{counted(int(counts[kind]), 'row')} {KINDS[kind]}" for kind in KINDS if kind in counts
    )
    st.caption(f"{headings}{'' if len(flips) < 200 else '; the first 200 are kept'}.")
    drawn = [flip for flip in flips if flip.get("input")]
    if drawn:
        inputs = [flip["input"] for flip in drawn]
        kind, letters = ("images", 8) if is_image(inputs[0]) else ("curves", 18)
        titles = [names.title(flip, letters) for flip in drawn]
        show_figure(
            plot_flips(inputs, titles),
            alt=f"The inputs of {len(drawn)} of these rows, as {kind}.",
            key="run:flips",
            file_name="rows-that-changed",
        )
    with st.expander("As a table"):
        data_table(
            pd.DataFrame([names.row(flip) for flip in flips]),
            hide_index=True,
            placeholder=NOTHING,
            column_config={
                "Row": st.column_config.NumberColumn(help="Number among the evaluation rows, from 0"),
                "Line": st.column_config.NumberColumn(help="Line of the file, or number of the row"),
            },
        )


class _Names:
    """Display names of classes."""

    def __init__(self, measured: Mapping[str, Any], flips: Sequence[Mapping[str, Any]]):
        largest = max(max(flip["baseline"], flip["run"], flip["label"] or 0) for flip in flips)
        self.names = names_of(measured.get("classes"), largest + 1)

    def of(self, index: int | None) -> str | None:
        return None if index is None else self.names[index]

    def title(self, flip: Mapping[str, Any], letters: int) -> str:
        """`3 → 5` and below it `label 3`, as title of a row's plot; longer names are cut."""

        def short(index: int) -> str:
            name = self.names[index]
            return name if len(name) <= letters else f"{name[: letters - 1]}…"

        change = f"{short(flip['baseline'])} → {short(flip['run'])}"
        return change if flip["label"] is None else f"{change}\nlabel {short(flip['label'])}"

    def row(self, flip: Mapping[str, Any]) -> dict[str, Any]:
        """One flip for the table."""
        return {
            "Row": flip["row"],
            "Line": flip.get("line"),
            "Label": self.of(flip["label"]),
            "Baseline": self.of(flip["baseline"]),
            "Baseline sure": percent(flip.get("baseline_confidence")),
            "Run": self.of(flip["run"]),
            "Run sure": percent(flip.get("run_confidence")),
            "What changed": KINDS[flip.get("kind", "changed")],
        }
