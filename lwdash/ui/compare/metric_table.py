"""The table of compared runs: one row per metric, each with its difference to the reference and whether that is real."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lwdash.metrics.offers import target_metric
from lwdash.metrics.run_metrics import INTERVALS, Measure
from lwdash.metrics.target_values import available_with_targets, measured_target_columns
from lwdash.metrics.technique_families import short_recipe
from lwdash.metrics.verdict_labels import verdict_label
from lwdash.ui.results.table_columns import limits_text
from lwdash.ui.shared.addresses import download_url, run_url
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import NOTHING, counted, is_missing

MAIN_METRICS = (
    "size_bytes", "gzip_bytes", "huffman_bytes", "accuracy", "macro_f1", "mean_iou", "nrmse", "rmse",
    "reconstruction_error", "agreement", "sqnr_db", "agreement_generated", "sqnr_generated_db",
    "latency_ms_p50", "latency_ms_p90", "speedup", "arena_bytes", "arena_total_bytes", "micro_flash_bytes", "npu_cycles",
    "npu_sram_bytes", "npu_flash_bytes", "sparsity", "macs", "parameters",
)  # fmt: skip
OF_THE_TASK = frozenset(
    {
        "accuracy",
        "accuracy_change",
        "macro_f1",
        "mean_iou",
        "nrmse",
        "rmse",
        "mae",
        "r2",
        "worst_r2",
        "reconstruction_error",
    }
)
"""Metrics that the verdict is about: with few rows a difference may be chance."""
UNJUDGED = frozenset({"sparsity", "agreement", "agreement_generated"})
"""Metrics whose differences are neither better nor worse: more zeros are no aim of their own, and the changed rows, of which
agreement is the share, may be gained ones; the verdict judges them."""


def comparable(run: Mapping[str, Any], other: Mapping[str, Any], measure: Measure) -> bool:
    """True if both have the metric, and, for a metric of the host, from the same host. The columns of targets hold values
    of one host each.
    """
    both = not is_missing(run[measure.column]) and not is_missing(other[measure.column])
    return both and (not measure.is_of_host or run["host_name"] == other["host_name"])


def change_text(
    run: Mapping[str, Any], other: Mapping[str, Any], measure: Measure
) -> tuple[str, bool | None]:
    """Difference of a metric from another run's as text, and whether that is better (None: no difference, or
    not significant).

    A change of the task's quality is significant according to the paired test against the baseline; one of
    the speed-up, if the two intervals do not overlap. Latencies depend on the time of measurement, since a
    busy host changes them:
    the speed-up, measured interleaved, is comparable. See also UNJUDGED.
    """
    if not comparable(run, other, measure) or _depends_on_the_moment(measure):
        return "", None
    a, b = float(run[measure.column]), float(other[measure.column])
    if a == b:
        return "same", None
    is_better = (a > b) == measure.is_higher_better if _is_sure(run, other, measure) else None
    if measure.unit in ("%", "points"):
        return f"{measure.factor * (a - b):+.2f} points".replace("-", "−"), is_better
    is_count = not measure.unit and not measure.digits
    if measure.unit in ("dB", "nats", "") and not is_count:
        return f"{measure.factor * (a - b):+.{measure.digits}f} {measure.unit}".strip().replace(
            "-", "−"
        ), is_better
    if not b:
        return f"{measure.factor * (a - b):+,.{measure.digits}f} {measure.unit}".strip().replace(
            "-", "−"
        ), is_better
    return f"{100 * (a / b - 1):+.1f} %".replace("-", "−"), is_better


def _depends_on_the_moment(measure: Measure) -> bool:
    """True for a time or memory of a host. Speed-ups are measured interleaved."""
    metric = target_metric(measure.column)
    if metric is not None:
        return metric.offering.is_of_host and metric.offer.name in ("latency_ms_p50", "added_memory_bytes")
    return measure.is_of_host and measure.column != "speedup"


def _is_sure(run: Mapping[str, Any], other: Mapping[str, Any], measure: Measure) -> bool:
    if measure.column in OF_THE_TASK:
        return bool(other["is_baseline"]) and run["verdict"] in ("better", "worse")
    if measure.column in UNJUDGED:
        return False
    metric = target_metric(measure.column)
    if metric is not None and metric.offer.name == "speedup":
        return False  # its interval is not in the table of results
    if measure.is_of_host:
        ours, theirs = run["speedup_ci"], other["speedup_ci"]
        if not isinstance(ours, (list, tuple)) or not isinstance(theirs, (list, tuple)):
            return False
        return bool(ours[0] > theirs[1] or ours[1] < theirs[0])
    return True


def metric_table(
    chosen: pd.DataFrame,
    reference: int,
    verdicts: Sequence[Mapping[str, Any] | None],
    limits: Mapping[str, float],
    *,
    is_whole: bool = False,
) -> tuple[pd.DataFrame, list[str]]:
    """Markdown cells, one row per metric and one column per run; and the metrics left out, as text: `MACs 237,504`.

    chosen: the compared runs. reference: id of the run that the others are compared with. verdicts: `Verdict.to_dict`s.
    is_whole: True keeps the metrics that are equal in all runs.
    """
    runs = chosen.to_dict("records")
    first = next(run for run in runs if int(run["id"]) == reference)
    heads = [
        f"[{run['id']}]({run_url(int(run['id']))}) · {plain(short_recipe(str(run['name'])))}" for run in runs
    ]
    rows: dict[str, list[str]] = {}
    alike: list[str] = []
    shown: list[str] = []
    known = {measure.column: measure for measure in available_with_targets(chosen)}
    for column in (*MAIN_METRICS, *measured_target_columns(chosen)):
        if column not in known:
            continue
        measure = known[column]
        if not is_whole and any(_is_shown_as(chosen, measure, known[other]) for other in shown):
            continue
        shown.append(column)
        if not is_whole and chosen[column].nunique(dropna=False) == 1:
            alike.append(f"{measure.label} {measure.write(chosen[column].iloc[0])}")
        else:
            rows[measure.label] = [_cell(run, first, measure) for run in runs]
    rows["Verdict"] = [
        "baseline" if run["is_baseline"] else _verdict(run, details or {})
        for run, details in zip(runs, verdicts, strict=True)
    ]
    if limits:
        rows["Limits"] = [plain(text or NOTHING) for text in limits_text(chosen, limits)]
    if chosen["host_name"].nunique() > 1:
        rows["Measured on"] = [plain(run["host_name"] or NOTHING) for run in runs]
    rows["File"] = [f"[:material/download: .tflite]({download_url(int(run['id']))})" for run in runs]
    return pd.DataFrame.from_dict(rows, orient="index", columns=heads), alike


def _is_shown_as(chosen: pd.DataFrame, measure: Measure, other: Measure) -> bool:
    """True if a metric of a target has the same values as another metric in the same unit: the part of the arena that is
    planned is measured as well.
    """
    if target_metric(measure.column) is None or measure.unit != other.unit:
        return False
    return bool((chosen[measure.column] * measure.factor).equals(chosen[other.column] * other.factor))


def _verdict(run: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    """The verdict and its counts; the whole sentence is on the run's page."""
    if not run["verdict"]:
        return NOTHING
    label = verdict_label(run["verdict"], details.get("interval"), is_share=not is_missing(run["accuracy"]))
    if details.get("lost") is None:
        return f"**{plain(label or '')}**"
    return (
        f"**{plain(label or '')}**  \n:small[{counted(details['lost'], 'row')} lost, {details['gained']:,} gained "
        f"of {run['rows']:,.0f}]"
    )


def _cell(run: Mapping[str, Any], first: Mapping[str, Any], measure: Measure) -> str:
    if is_missing(run[measure.column]):
        return NOTHING
    text = f"**{_unbroken(measure.write(run[measure.column]))}**"
    bounds = run.get(INTERVALS.get(measure.column, ""))
    if isinstance(bounds, (list, tuple)):
        low, high = (f"{measure.factor * bound:,.{measure.digits}f}" for bound in bounds)
        text += f"  \n:small[{low} to {high}]"
    if run is first:
        return text
    change, is_better = change_text(run, first, measure)
    if is_better is None:
        return f"{text}  \n:small[{_unbroken(change)}]" if change else text
    word = "better" if is_better else "worse"
    return f"{text}  \n:{'green' if is_better else 'red'}[{_unbroken(change)}, {word}]"


def _unbroken(text: str) -> str:
    """A number and its unit, which stay in one line in a narrow column."""
    return plain(text).replace(" ", "\u00a0")
