"""Predictions of a run: its confusion matrix or outputs beside the baseline's, and the rows that changed class."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.changed_rows import is_image, plot_flips
from lwdash.charts.confusion_matrix import (
    class_figures,
    confused_pairs,
    names_of,
    plot_confusion,
    plot_confusion_change,
)
from lwdash.ui.shared.figure import show_figure
from lwdash.ui.shared.number_text import NOTHING, counted, percent

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
    st.header("Which classes are taken for which", anchor=False)
    drawn = st.segmented_control(
        "Matrix", [MATRIX, CHANGE] if baseline else [MATRIX], default=MATRIX, required=True,
        key="run:matrix", label_visibility="collapsed",
    )  # fmt: skip
    pairs = confused_pairs(confusion, baseline, classes)
    if drawn == CHANGE and baseline:
        figure = plot_confusion_change(confusion, baseline, classes)
    else:
        figure = plot_confusion(confusion, classes)
    show_figure(figure, alt=_in_words(pairs), key="run:confusion", file_name="confusion")
    _show_classes(class_figures(confusion, baseline, classes))
    if len(pairs):
        with st.expander(f"Every confusion, {counted(len(pairs), 'pair')} of classes"):
            st.dataframe(
                pairs, hide_index=True,
                column_config={
                    "label": "Label", "predicted": "Predicted", "rows": "Rows", "baseline_rows": "Baseline's rows",
                },
            )  # fmt: skip


def _in_words(pairs: pd.DataFrame) -> str:
    worst = [
        f"{row.rows:,} rows of {row.label} taken for {row.predicted}" for row in pairs.head(3).itertuples()
    ]
    return f"Confusion matrix. {'; '.join(worst)}." if worst else "Confusion matrix: no row is wrong."


def _show_classes(figures: pd.DataFrame) -> None:
    percents = [c for c in figures if c not in ("class", "rows")]
    number = st.column_config.NumberColumn
    st.dataframe(
        figures.assign(**{c: 100 * figures[c] for c in percents}),
        hide_index=True,
        placeholder=NOTHING,
        column_config={
            "class": "Class",
            "rows": number("Rows", format="localized", help="Evaluation rows with this label"),
            "recall": number("Recall (%)", format="%.1f", help="Of the label's rows, the share found"),
            "precision": number("Precision (%)", format="%.1f", help="Of the rows given this class, the share right"),
            "baseline_recall": number("Baseline's recall (%)", format="%.1f"),
            "baseline_precision": number("Baseline's precision (%)", format="%.1f"),
        },
    )  # fmt: skip


def show_answers(run: Mapping[str, Any], measured: Mapping[str, Any]) -> None:
    """For models that answer several questions a row: how many of the rows with a yes are found, or how far each number
    is off."""
    recalls, targets = run.get("recalls"), run.get("targets")
    if isinstance(targets, list):
        _show_targets(run, targets, measured)
        return
    if isinstance(run.get("iou"), list):
        _show_overlap(run, measured)
        return
    if not isinstance(recalls, list) or measured.get("confusion"):
        return
    table = pd.DataFrame(
        {
            "answer": names_of(measured.get("classes"), len(recalls)),
            "recall": recalls,
            "baseline_recall": run.get("baseline_recalls") or [None] * len(recalls),
        }
    )
    st.header("Which answers are found", anchor=False)
    st.caption("A row counts as right in the accuracy when all its answers are right.")
    number = st.column_config.NumberColumn
    st.dataframe(
        table.assign(**{c: 100 * pd.to_numeric(table[c]) for c in ("recall", "baseline_recall")}),
        hide_index=True,
        placeholder=NOTHING,
        alt=f"Recall of {counted(len(recalls), 'answer')}",
        column_config={
            "answer": "Answer",
            "recall": number("Recall (%)", format="%.1f", help="Of the rows with a yes, the share found"),
            "baseline_recall": number("Baseline's recall (%)", format="%.1f"),
        },
    )


def _show_overlap(run: Mapping[str, Any], measured: Mapping[str, Any]) -> None:
    """Intersection over union of each class, where each position of a row has one."""
    shares = run["iou"]
    table = pd.DataFrame(
        {
            "class": names_of(measured.get("classes"), len(shares)),
            "iou": shares,
            "baseline_iou": run.get("baseline_iou") or [None] * len(shares),
        }
    )
    st.header("How well each class is covered", anchor=False)
    st.caption(
        f"Each row has a class for each of {int(run['positions']):,} positions. The accuracy and the tables above count "
        "positions; the verdict compares rows, since positions of one row are not independent."
    )
    number = st.column_config.NumberColumn
    st.dataframe(
        table.assign(**{c: 100 * pd.to_numeric(table[c]) for c in ("iou", "baseline_iou")}),
        hide_index=True,
        placeholder=NOTHING,
        alt=f"IoU of {len(shares)} classes",
        column_config={
            "class": "Class",
            "iou": number(
                "IoU (%)", format="%.1f", help="Positions of the class in both, of those in either"
            ),
            "baseline_iou": number("Baseline's IoU (%)", format="%.1f"),
        },
    )


def _show_targets(
    run: Mapping[str, Any], targets: Sequence[Mapping[str, Any]], measured: Mapping[str, Any]
) -> None:
    baseline = run.get("baseline_targets") or []
    outputs = run.get("outputs") or [{}]
    kept = {t["index"]: t["variation_sqnr_db"] for t in outputs[0].get("targets") or ()}
    table = pd.DataFrame({"target": names_of(measured.get("classes"), len(targets))})
    for key in ("nrmse", "mae", "rmse", "r2"):
        table[key] = [target.get(key) for target in targets]
        table[f"baseline_{key}"] = [target.get(key) for target in baseline] or None
    table["variation_sqnr_db"] = [kept.get(place) for place in range(len(targets))]
    table = table.sort_values("nrmse", ascending=False, na_position="last", kind="stable")
    st.header("How far each number is off", anchor=False)
    st.caption(
        "The worst first: RMSE / σ is the root mean square error in standard deviations of the labels, 1 is no better than "
        "to answer the mean. MAE and RMSE are in the unit of their column."
    )
    words = {"nrmse": "RMSE / σ", "mae": "MAE", "rmse": "RMSE", "r2": "R²"}
    number = st.column_config.NumberColumn
    st.dataframe(
        table,
        hide_index=True,
        placeholder=NOTHING,
        alt=f"Errors of {counted(len(targets), 'number')}",
        column_config={
            "target": "Number",
            "variation_sqnr_db": number(
                "Follows the original (dB)",
                format="%.1f",
                help="SQNR of what varies from row to row; below 3 dB it is lost",
            ),
            **{key: number(word, format="%.4g") for key, word in words.items()},
            **{f"baseline_{key}": number(f"Baseline's {word}", format="%.4g") for key, word in words.items()},
        },
    )


def show_flips(run: Mapping[str, Any], measured: Mapping[str, Any]) -> None:
    """The rows whose class changed against the baseline: drawn, and as a table; one line where there are none."""
    flips = measured.get("flips")
    if flips is None or not measured.get("layers"):
        return
    if run.get("agreement") is None:
        return
    if not flips and run["agreement"] < 1:
        st.caption(
            f"{percent(run.get('agreement'))} of the answers are the baseline's. Rows are listed where each has one class."
        )
        return
    st.header("Rows that changed their class", anchor=False)
    if not flips:
        st.caption("No evaluation row has another class than the baseline gives it.")
        return
    names = _Names(measured, flips)
    counts = pd.Series([flip.get("kind", "changed") for flip in flips]).value_counts()
    words = "; ".join(
        f"{counted(int(counts[kind]), 'row')} {KINDS[kind]}" for kind in KINDS if kind in counts
    )
    st.caption(f"{words}{'' if len(flips) < 200 else '; the first 200 are kept'}.")
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
        st.dataframe(
            pd.DataFrame([names.row(flip) for flip in flips]),
            hide_index=True,
            placeholder=NOTHING,
            column_config={
                "Row": st.column_config.NumberColumn(help="Number among the evaluation rows, the first is 0"),
                "Line": st.column_config.NumberColumn(help="Line of the CSV"),
            },
        )


class _Names:
    """How classes are called."""

    def __init__(self, measured: Mapping[str, Any], flips: Sequence[Mapping[str, Any]]):
        largest = max(max(flip["baseline"], flip["run"], flip["label"] or 0) for flip in flips)
        self.names = names_of(measured.get("classes"), largest + 1)

    def of(self, index: int | None) -> str | None:
        return None if index is None else self.names[index]

    def title(self, flip: Mapping[str, Any], letters: int) -> str:
        """`3 → 5` and below it `label 3`, over the row's picture; longer names are cut."""

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
