"""A run at a glance: what it cost in a sentence, its figures, its verdict, or why there are none."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from lwdash.metrics.hosts import words_of
from lwdash.ui.run.actions import show_neighbours
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import (
    count,
    is_missing,
    milliseconds,
    percent,
    points,
    seconds,
    size,
    times,
)
from storage.store import Store

FIGURE_WIDTH = 170
ERRORS = {
    "nrmse": "error of the worst target",
    "rmse": "RMSE",
    "reconstruction_error": "reconstruction error",
}
"""What is judged by where there are no classes, and what a sentence calls it."""
VERDICTS = {
    "better": ": a real gain on {rows} rows",
    "worse": ": a real loss on {rows} rows",
    "equivalent": ": equivalent on {rows} rows",
    "cannot tell": ": {rows} rows cannot tell whether that is real",
}
VERDICT_BOXES: Mapping[str, tuple[Callable[..., Any], str]] = {
    "better": (st.success, ":material/trending_up:"),
    "worse": (st.warning, ":material/trending_down:"),
    "equivalent": (st.success, ":material/balance:"),
    "cannot tell": (st.info, ":material/help:"),
}


def show_name(store: Store, run: Mapping[str, Any], experiment: Mapping[str, Any]) -> None:
    """What a person calls the run, or its recipe, and its neighbours; then where it belongs, its tags and its note.

    run: all columns, as of `get_run`.
    """
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.title(plain(run["title"] or run["recipe"]), width="content")
        show_neighbours(store, run)
    if run["title"]:
        st.markdown(f"**{plain(run['recipe'])}**")
    parts = [
        f"run {run['id']} of {plain(experiment['name'])}",
        run["state"],
        duration(run),
        f"attempt {run['attempt']}" if run["attempt"] > 1 else "",
    ]
    tags = [f"#{plain(str(tag))}" for tag in run["tags"] or ()]
    st.caption(" · ".join(part for part in (*parts, *tags) if part))
    if run["note"]:
        st.caption(f":material/sticky_note_2: {plain(run['note'])}")


def summary(run: Mapping[str, Any]) -> str:
    """`3.9× smaller, 1.1× faster, accuracy −0.4 points: equivalent on 500 rows`, from what was measured."""
    if run.get("is_baseline"):
        quality = "" if is_missing(run.get("accuracy")) else f", accuracy {percent(run['accuracy'])}"
        return f"the baseline: {size(run['size_bytes'])}{quality}, {milliseconds(run['latency_ms_p50'])}"
    parts = []
    if run.get("baseline_size_bytes") and run.get("size_bytes"):
        parts.append(_ratio(run["baseline_size_bytes"] / run["size_bytes"], "smaller", "larger"))
    if not is_missing(run.get("speedup")):
        between = run.get("speedup_ci")
        is_as_fast = isinstance(between, (list, tuple)) and between[0] <= 1 <= between[1]
        parts.append("as fast" if is_as_fast else _ratio(run["speedup"], "faster", "slower"))
    error = next((key for key in ERRORS if _has(run, key, f"baseline_{key}")), None)
    if _has(run, "accuracy", "baseline_accuracy"):
        parts.append(f"accuracy {points(run['accuracy'] - run['baseline_accuracy'])}")
    elif error:
        parts.append(f"{ERRORS[error]} {run[error]:.4g} instead of {run[f'baseline_{error}']:.4g}")
    elif not is_missing(run.get("agreement")):
        parts.append(f"agrees with the original on {percent(run['agreement'])} of the {_unit(run)}")
    verdict = VERDICTS.get(run.get("verdict") or "", "") if parts else ""
    return ", ".join(parts) + verdict.format(rows=count(run.get("rows")))


def _unit(run: Mapping[str, Any]) -> str:
    """What an agreement is a share of."""
    return "single answers" if (run.get("answers_per_row") or 1) > 1 else "rows"


def _has(run: Mapping[str, Any], *figures: str) -> bool:
    return not any(is_missing(run.get(figure)) for figure in figures)


def _ratio(value: float, more: str, less: str) -> str:
    return f"{value:.2f}× {more}" if value >= 1 else f"{1 / value:.2f}× {less}"


def show_figures(run: Mapping[str, Any]) -> None:
    """The headline figures with their difference to the baseline, what they were measured on, and the verdict."""
    rows = f"{count(run.get('rows'))} evaluation rows"
    with st.container(horizontal=True, key="figures-run"):
        _figure(
            "Size", size(run["size_bytes"]), f"{count(run['size_bytes'])} bytes",
            _relative(run["size_bytes"], run.get("baseline_size_bytes")),
        )  # fmt: skip
        _figure("Gzip", size(run.get("gzip_bytes")), "compressed", help="Where pruning and clustering show")
        _quality(run, rows)
        tail = f"p90 {milliseconds(run.get('latency_ms_p90'))}, p99 {milliseconds(run.get('latency_ms_p99'))}"
        _figure("Latency p50", milliseconds(run.get("latency_ms_p50")), tail, help=_where(run))
        _figure(
            "Speed-up", times(run.get("speedup")), _interval(run.get("speedup_ci"), times),
            help="Against the baseline, measured interleaved with it",
        )  # fmt: skip
        _figure("Zeros", percent(run.get("sparsity")), "of the weights", help="Sparsity, in the .tflite")
    st.caption(
        f"Measured on {rows}; {plain(_where(run))}. Below a figure: its 95 % interval, where there is one. Arrows compare "
        "with the baseline; a grey one may be chance."
    )
    if run.get("verdict_text") and not run.get("is_baseline"):
        show, icon = VERDICT_BOXES.get(run.get("verdict") or "", (st.info, ":material/balance:"))
        show(plain(run["verdict_text"]), icon=icon)
    for text in run.get("output_findings") or ():
        if text not in (run.get("verdict_text") or ""):
            st.error(plain(text), icon=":material/warning:")


def _quality(run: Mapping[str, Any], rows: str) -> None:
    """The figure that the task judges by."""
    if not is_missing(run.get("accuracy")):
        change = (
            None if is_missing(run.get("baseline_accuracy")) else run["accuracy"] - run["baseline_accuracy"]
        )
        below = _interval(run.get("accuracy_ci"), percent)
        shown = None if change is None or run.get("is_baseline") else points(change)
        _figure(
            "Accuracy", percent(run["accuracy"], 2), below, shown,
            is_good="higher", is_sure=run.get("verdict") in ("better", "worse"), help=rows,
        )  # fmt: skip
        if not is_missing(run.get("mean_iou")):
            _figure(
                "Mean IoU",
                percent(run["mean_iou"], 2),
                "over classes",
                help="Intersection over union of each class; see Predictions",
            )
        return
    for key, name in ERRORS.items():
        if not is_missing(run.get(key)):
            label = name[0].upper() + name[1:]
            change = _relative(run[key], run.get(f"baseline_{key}"))
            is_sure = run.get("verdict") in ("better", "worse")
            below = "the lower, the better"
            if key == "nrmse" and run.get("worst_target") is not None:
                below = f"target {run['worst_target'] + 1}, in its standard deviations"
            _figure(label, f"{run[key]:.4g}", below, change, is_sure=is_sure, help=rows)
            return
    if not is_missing(run.get("agreement")):
        below = "with the original"
        if _unit(run) != "rows" and not is_missing(run.get("agreement_rows")):
            below = f"of single answers; {percent(run['agreement_rows'])} of whole rows"
        _figure("Agreement", percent(run["agreement"], 2), below, help=rows)
    elif not is_missing(run.get("sqnr_db")):
        _figure("SQNR", f"{run['sqnr_db']:.1f} dB", "against the original", help=rows)


def _where(run: Mapping[str, Any]) -> str:
    host = run.get("host")
    return words_of(host) if host else "the host was not recorded"


def _relative(value: float | None, baseline: float | None) -> str | None:
    """`−50.2 %` against the baseline; None where there is no difference to tell."""
    if is_missing(value) or is_missing(baseline) or not baseline or value == baseline:
        return None
    return f"{100 * (value / baseline - 1):+.1f} %".replace("-", "−")  # type: ignore[operator]


def _figure(
    label: str,
    value: str,
    below: str,
    change: str | None = None,
    *,
    is_good: str = "lower",
    is_sure: bool = True,
    help: str | None = None,
) -> None:
    """is_good: which way is better, "lower" or "higher". is_sure: a change that may be chance is grey."""
    is_up = bool(change) and change.startswith("+")  # type: ignore[union-attr]
    arrow: Any = "off" if not change or change.startswith("±") else "up" if is_up else "down"
    is_better = is_up == (is_good == "higher")
    colour: Any = "gray" if arrow == "off" or not is_sure else "green" if is_better else "red"
    with st.container(border=True, width=FIGURE_WIDTH, height="stretch", gap=None):
        st.metric(
            label,
            value,
            change,
            delta_color=colour,
            delta_arrow=arrow,
            help=help,
        )
        st.caption(below)


def _interval(bounds: Sequence[float] | None, write: Callable[[float], str]) -> str:
    return f"{write(bounds[0])} to {write(bounds[1])}" if bounds else "no interval"


def show_state(run: Mapping[str, Any]) -> None:
    """Why a run ended that did not succeed, and what there is of it."""
    if run["state"] == "failed":
        why = run["error"] or "it failed without a message"
        st.error(plain(why[:1].upper() + why[1:]), icon=":material/error:")
        st.caption("The stages and the log below show how far it came.")
    elif run["state"] == "cancelled":
        st.warning(
            "This run was cancelled. What it had finished stays in the cache.", icon=":material/cancel:"
        )


def duration(run: Mapping[str, Any]) -> str:
    """From the first claim to the end."""
    if is_missing(run["started_at"]) or is_missing(run["finished_at"]):
        return ""
    return seconds(run["finished_at"] - run["started_at"])


def waiting_words(run: Mapping[str, Any]) -> str:
    """What to expect of a run that has not ended."""
    if run["state"] == "running":
        return "It is being worked on; this page follows it and shows the figures when they are there."
    return "This page follows it. Runs that share work may pass each other in the queue."
