"""A run at a glance: its result in a sentence, its metrics, its verdict, or why there are none."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from lwdash.metrics.hosts import describe_host, training_device
from lwdash.ui.run.actions import show_neighbours
from lwdash.ui.shared.code_text import code_text
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
from storage.records import StoredExperiment, StoredRun
from storage.store import Store

METRIC_WIDTH = 170
ERRORS = {
    "nrmse": "error of the worst target",
    "rmse": "RMSE",
    "reconstruction_error": "reconstruction error",
}
"""Metrics for tasks without classes, and their names in sentences."""
VERDICTS = {
    "better": ": a significant gain on {rows} rows",
    "worse": ": a significant loss on {rows} rows",
    "equivalent": ": equivalent on {rows} rows",
    "cannot tell": ": not significant with {rows} rows",
}
VERDICT_BOXES: Mapping[str, tuple[Callable[..., Any], str]] = {
    "better": (st.success, ":material/trending_up:"),
    "worse": (st.warning, ":material/trending_down:"),
    "equivalent": (st.success, ":material/balance:"),
    "cannot tell": (st.info, ":material/help:"),
}


def show_name(store: Store, run: StoredRun, experiment: StoredExperiment) -> None:
    """One line: the run's title or recipe, its experiment, state and tags, and its neighbours; below it its note."""
    parts = [
        f"run {run.id} of {plain(experiment.name)}",
        code_text(experiment),
        run.state,
        duration(run),
        f"attempt {run.attempt}" if run.attempt > 1 else "",
    ]
    tags = [f"#{plain(str(tag))}" for tag in run.tags]
    facts = " · ".join(part for part in (*parts, *tags) if part)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            st.title(plain(run.title or run.recipe), width="content")
            st.caption(facts, width="content")
        show_neighbours(store, run)
    if run.title:
        st.markdown(f"**{plain(run.recipe)}**")
    if run.note:
        st.caption(f":material/sticky_note_2: {plain(run.note)}")


def summary(run: StoredRun) -> str:
    """`3.9× smaller, 1.1× faster, accuracy −0.4 points: equivalent on 500 rows`, from the metrics."""
    if run.is_baseline:
        quality = "" if is_missing(run.accuracy) else f", accuracy {percent(run.accuracy)}"
        return f"the baseline: {size(run.size_bytes)}{quality}, {milliseconds(run.latency_ms_p50)}"
    metrics = run.metrics
    parts = []
    if metrics.get("baseline_size_bytes") and run.size_bytes:
        parts.append(_ratio(metrics["baseline_size_bytes"] / run.size_bytes, "smaller", "larger"))
    if run.speedup is not None:
        between = metrics.get("speedup_ci")
        is_as_fast = isinstance(between, (list, tuple)) and between[0] <= 1 <= between[1]
        parts.append("as fast" if is_as_fast else _ratio(run.speedup, "faster", "slower"))
    error = next((key for key in ERRORS if _has(metrics, key, f"baseline_{key}")), None)
    if run.accuracy is not None and _has(metrics, "baseline_accuracy"):
        parts.append(f"accuracy {points(run.accuracy - metrics['baseline_accuracy'])}")
    elif error:
        parts.append(f"{ERRORS[error]} {metrics[error]:.4g} instead of {metrics[f'baseline_{error}']:.4g}")
    elif not is_missing(run.agreement):
        parts.append(f"agrees with the original on {percent(run.agreement)} of the {_unit(run)}")
    elif not is_missing(metrics.get("agreement_generated")):
        parts.append(
            f"on generated rows agrees with the original on {percent(metrics['agreement_generated'])}"
        )
    elif not is_missing(metrics.get("sqnr_generated_db")):
        parts.append(f"{metrics['sqnr_generated_db']:.1f} dB SQNR on generated rows")
    verdict = VERDICTS.get(metrics.get("verdict") or "", "") if parts else ""
    return ", ".join(parts) + verdict.format(rows=count(metrics.get("rows")))


def _unit(run: StoredRun) -> str:
    """The unit that an agreement is a share of."""
    return "single answers" if (run.metrics.get("answers_per_row") or 1) > 1 else "rows"


def _has(metrics: Mapping[str, Any], *names: str) -> bool:
    return not any(is_missing(metrics.get(name)) for name in names)


def _ratio(value: float, more: str, less: str) -> str:
    return f"{value:.2f}× {more}" if value >= 1 else f"{1 / value:.2f}× {less}"


def show_metrics(run: StoredRun, compressed: Mapping[str, Any]) -> None:
    """The main metrics with their difference to the baseline, the measured rows and host, and the verdict.

    compressed: what is stored of the run's stages.
    """
    metrics = run.metrics
    rows = measured_rows(metrics)
    with st.container(horizontal=True, key="figures-run"):
        _metric(
            "Size", size(run.size_bytes), f"{count(run.size_bytes)} bytes",
            _relative(run.size_bytes, metrics.get("baseline_size_bytes")),
        )  # fmt: skip
        if run.stored_sha256:
            stored = metrics.get("stored_bytes")
            _metric(
                "Stored", size(stored), f"{count(stored)} bytes", _relative(stored, metrics.get("baseline_size_bytes")),
                help="In its storage form; all other metrics are of the .tflite before it",
            )  # fmt: skip
        _metric("Gzip", size(run.gzip_bytes), "compressed", help="Shows the gain from pruning and clustering")
        _quality(run, rows)
        p90, p99 = (milliseconds(metrics.get(f"latency_ms_{name}")) for name in ("p90", "p99"))
        _metric("Latency p50", milliseconds(run.latency_ms_p50), f"p90 {p90}, p99 {p99}", help=_where(run))
        _metric(
            "Speed-up", times(run.speedup), _interval(metrics.get("speedup_ci"), times),
            help="Compared with the baseline, measured interleaved",
        )  # fmt: skip
        _metric("Zeros", percent(run.sparsity), "of the weights", help="Sparsity, in the .tflite")
    st.caption(
        f"Measured on {rows}; {plain(_where(run))}.{_trained(compressed)} Below a metric: its 95 % interval, "
        "if there is one. Arrows compare with the baseline; a grey one is not significant."
    )
    if metrics.get("verdict_text") and not run.is_baseline:
        show, icon = VERDICT_BOXES.get(metrics.get("verdict") or "", (st.info, ":material/balance:"))
        show(plain(metrics["verdict_text"]), icon=icon)


def measured_rows(metrics: Mapping[str, Any]) -> str:
    """`800 evaluation rows`, or `128 rows generated from the model`."""
    if generated := metrics.get("generated_rows"):
        return f"{count(generated)} rows generated from the model"
    return f"{count(metrics.get('rows'))} evaluation rows"


def show_output_findings(run: StoredRun) -> None:
    """Reasons why metrics of an output mean nothing, or less than they seem to; above all tabs."""
    metrics = run.metrics
    for text in metrics.get("output_findings") or ():
        if text not in (metrics.get("verdict_text") or ""):
            st.error(plain(text), icon=":material/warning:")


def _quality(run: StoredRun, rows: str) -> None:
    """The main metric of the task."""
    metrics = run.metrics
    if run.accuracy is not None:
        change = run.accuracy - metrics["baseline_accuracy"] if _has(metrics, "baseline_accuracy") else None
        below = _interval(metrics.get("accuracy_ci"), percent)
        shown = None if change is None or run.is_baseline else points(change)
        _metric(
            "Accuracy", percent(run.accuracy, 2), below, shown,
            is_good="higher", is_sure=metrics.get("verdict") in ("better", "worse"), help=rows,
        )  # fmt: skip
        if not is_missing(metrics.get("mean_iou")):
            _metric(
                "Mean IoU",
                percent(metrics["mean_iou"], 2),
                "over classes",
                help="Intersection over union of each class; see Predictions",
            )
        return
    for key, name in ERRORS.items():
        if not is_missing(metrics.get(key)):
            label = name[0].upper() + name[1:]
            change = _relative(metrics[key], metrics.get(f"baseline_{key}"))
            is_sure = metrics.get("verdict") in ("better", "worse")
            below = "lower is better"
            if key == "nrmse" and metrics.get("worst_target") is not None:
                below = f"target {metrics['worst_target'] + 1}, in its standard deviations"
            _metric(label, f"{metrics[key]:.4g}", below, change, is_sure=is_sure, help=rows)
            return
    if not is_missing(run.agreement):
        below = " with the original"
        if _unit(run) != "rows" and not is_missing(metrics.get("agreement_rows")):
            below = f"of single answers; {percent(metrics['agreement_rows'])} of whole rows"
        _metric("Agreement", percent(run.agreement, 2), below, help=rows)
    elif not is_missing(metrics.get("agreement_generated")):
        _metric(
            "Agreement",
            percent(metrics["agreement_generated"], 2),
            "on generated rows, not accuracy",
            help=rows,
        )
    elif not is_missing(metrics.get("sqnr_generated_db")):
        _metric("SQNR", f"{metrics['sqnr_generated_db']:.1f} dB", "on generated rows", help=rows)
    elif not is_missing(metrics.get("sqnr_db")):
        _metric("SQNR", f"{metrics['sqnr_db']:.1f} dB", " against the original", help=rows)


def _trained(compressed: Mapping[str, Any]) -> str:
    """A sentence on the GPU that trained; empty without one."""
    device = training_device(compressed.get("stages", ()))
    return f" Trained on {plain(device)}." if device else ""


def _where(run: StoredRun) -> str:
    host = run.metrics.get("host")
    return describe_host(host) if host else "the host was not recorded"


def _relative(value: float | None, baseline: float | None) -> str | None:
    """`−50.2 %` against the baseline; None if there is no difference."""
    if is_missing(value) or is_missing(baseline) or not baseline or value == baseline:
        return None
    return f"{100 * (value / baseline - 1):+.1f} %".replace("-", "−")  # type: ignore[operator]


def _metric(
    label: str,
    value: str,
    below: str,
    change: str | None = None,
    *,
    is_good: str = "lower",
    is_sure: bool = True,
    help: str | None = None,
) -> None:
    """A card with one metric and its change.

    is_good: the better direction, "lower" or "higher". is_sure: a change that is not significant is grey.
    """
    is_up = bool(change) and change.startswith("+")  # type: ignore[union-attr]
    arrow: Any = "off" if not change or change.startswith("±") else "up" if is_up else "down"
    is_better = is_up == (is_good == "higher")
    colour: Any = "gray" if arrow == "off" or not is_sure else "green" if is_better else "red"
    with st.container(border=True, width=METRIC_WIDTH, height="stretch", gap=None):
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


def show_state(run: StoredRun) -> None:
    """Reason for the end of a run that did not succeed, and its available data."""
    if run.state == "failed":
        why = run.error or "it failed without a message"
        st.error(plain(why[:1].upper() + why[1:]), icon=":material/error:")
        st.caption("The stages and the log below show its progress.")
    elif run.state == "stopped":
        why = run.error or "stopped by its search"
        st.warning(plain(f"{why[:1].upper()}{why[1:]}."), icon=":material/block:")
        st.caption(
            "Its finished stages stay in the cache. *Try again* runs it to its end. The stages and the log below show its "
            "progress."
        )
    elif run.state == "cancelled":
        st.warning("This run was cancelled. Its finished stages stay in the cache.", icon=":material/cancel:")


def duration(run: StoredRun) -> str:
    """From the first claim to the end."""
    return "" if run.seconds is None else seconds(run.seconds)


def waiting_message(run: StoredRun) -> str:
    """Message on a run that has not ended."""
    if run.state == "running":
        return "The run is in progress. This page shows the metrics as soon as they are available."
    return "This page is updated. Runs that share work may overtake each other in the queue."
