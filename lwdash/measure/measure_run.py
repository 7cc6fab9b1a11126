"""All measurements of one .tflite, compared with its baseline."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.errors import DataRefused
from lwdash.measure.accuracy import Quality, agreement, judge, looks_like_logits, whole_rows
from lwdash.measure.arena import plan_arena
from lwdash.measure.fidelity import (
    OutputFidelity,
    fits_16_bits,
    output_fidelity,
    output_findings,
    task_of_output,
)
from lwdash.measure.flips import changed_rows, find_flips
from lwdash.measure.label_readings import doubted, is_below_chance
from lwdash.measure.layer_error import layer_errors
from lwdash.measure.layers import LayerTable, layer_table
from lwdash.measure.micro_runtime import why_not_on_micro
from lwdash.measure.output_cache import OutputCache
from lwdash.measure.position_accuracy import by_position, compare_positions, compare_positions_without_labels
from lwdash.measure.runner import Runner
from lwdash.measure.size import gzip_bytes
from lwdash.measure.target_verdict import (
    compare_numbers_without_labels,
    compare_targets,
    with_lost_outputs,
)
from lwdash.measure.timing.delegation import Delegation, delegation, delegation_of
from lwdash.measure.timing.host_facts import Host, this_host
from lwdash.measure.timing.latency import compare_latency
from lwdash.measure.timing.operator_time import operator_times
from lwdash.measure.timing.rotation import Latency
from lwdash.measure.timing.speed_reasons import why_not_faster
from lwdash.measure.verdict import (
    MARGIN,
    Verdict,
    compare_errors,
    compare_right_rows,
    compare_without_labels,
    same_file,
)
from lwdash.tflite.reader import read_tflite


@dataclass(frozen=True)
class Measures:
    """All metrics of one file. `to_dict` is the stored form; None means "not measured" or "not defined"."""

    size_bytes: int
    gzip_bytes: int
    baseline_size_bytes: int
    arena_bytes: int | None
    arena_reason: str | None
    table: LayerTable
    details: Mapping[int, Mapping[str, Any]]
    quality: Quality
    baseline_quality: Quality
    agreement: float | None
    agreement_rows: float | None
    answers_per_row: int | None
    fidelity: tuple[OutputFidelity, ...]
    verdict: Verdict
    is_baseline_below_chance: bool
    flips: tuple[dict[str, Any], ...]
    turned: dict[str, list[int]] | None
    latency: Latency | None
    host: Host
    reasons: tuple[str, ...]
    delegation: Delegation
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        quality, baseline, first = self.quality.to_dict(), self.baseline_quality.to_dict(), self.fidelity[0]
        latency: dict[str, Any] = (
            dict.fromkeys(Latency.KEYS) if self.latency is None else self.latency.to_dict()
        )
        return {
            "size_bytes": self.size_bytes,
            "gzip_bytes": self.gzip_bytes,
            "baseline_size_bytes": self.baseline_size_bytes,
            "arena_bytes": self.arena_bytes,
            "arena_reason": self.arena_reason,
            **self.table.totals(),
            **quality,
            **{f"baseline_{key}": baseline[key] for key in _BASELINE_METRICS},
            "agreement": self.agreement,
            "agreement_rows": self.agreement_rows,
            "answers_per_row": self.answers_per_row,
            "sqnr_db": first.sqnr_db,
            "kl_nats": first.kl_nats,
            "is_identical": all(f.largest_difference == 0 for f in self.fidelity),
            "variation_sqnr_db": first.variation_sqnr_db,
            "is_baseline_below_chance": self.is_baseline_below_chance,
            "outputs": [f.to_dict() for f in self.fidelity],
            "output_findings": output_findings(self.fidelity),
            "outputs_fit_16_bits": all(
                fits_16_bits(f.reach, [t.spread for t in f.targets]) for f in self.fidelity
            ),
            "verdict": self.verdict.verdict,
            "verdict_text": self.verdict.text,
            "verdict_details": self.verdict.to_dict(),
            "flips": list(self.flips),
            "turned": self.turned,
            **latency,
            "host": self.host.to_dict(),
            "host_id": self.host.id,
            "threads": self.host.threads,
            "why_not_faster": list(self.reasons),
            "xnnpack": self.delegation.to_dict([str(row["layer"] or "") for row in self.table.rows]),
            "layers": _rows(self.table, self.details, self.delegation),
            "ledger": dict(self.table.ledger.by_category),
            "seconds": self.seconds,
        }


def _rows(
    table: LayerTable, details: Mapping[int, Mapping[str, Any]], delegation: Delegation
) -> list[dict[str, Any]]:
    """The layers' rows with the measurements of each operator of the main graph, and whether XNNPACK runs it.

    `is_in_xnnpack` is None for operators that only unpack weights, and for operators of inner graphs, which
    are not examined.
    """
    place = dict.fromkeys(delegation.inside, True) | {
        operator.index: False for operator in delegation.outside
    }
    nothing = dict.fromkeys(_DETAILS)
    rows = []
    for row in table.rows:
        index = row["index"] if row["subgraph"] == 0 else -1
        rows.append({**row, **details.get(index, nothing), "is_in_xnnpack": place.get(index)})
    return rows


_DETAILS = ("weight_sqnr_db", "output_sqnr_db", "is_output_identical", "ms", "time_share", "scaled_ms")
_BASELINE_METRICS = (
    "accuracy",
    "accuracy_ci",
    "recalls",
    "confusion",
    "macro_f1",
    "mae",
    "rmse",
    "r2",
    "reconstruction_error",
    "targets",
    "nrmse",
    "worst_r2",
    "worst_target",
    "iou",
    "mean_iou",
)


def measure(
    tflite: bytes,
    baseline: bytes,
    inputs: Mapping[str, np.ndarray],
    labels: np.ndarray | None,
    *,
    task: str,
    judged: int = 0,
    is_logit: bool | None = None,
    threads: int = 1,
    cache: OutputCache | None = None,
    layer_names: Sequence[str] = (),
    progress: Callable[[str, float], None] = lambda stage, share: None,
    margin: float = MARGIN,
    latency: Latency | None = None,
    latency_seconds: float = 2.0,
    detail_seconds: float = 0.0,
    detail_inputs: Mapping[str, np.ndarray] | None = None,
) -> Measures:
    """Measure `tflite` against `baseline` on evaluation rows.

    inputs: model input name → (rows, *shape), real numbers; labels: see `accuracy.judge`, None for unlabelled
    rows.
    task: classification, binary, multi-label, regression or reconstruction. judged: index of the baseline's
    output that the labels belong to. is_logit: whether yes/no outputs are logits; None to detect it from the
    outputs.
    cache: cached outputs on these rows, kept between the runs of a sweep.
    margin: largest difference that counts as equivalent, as accuracy (0.01 is one percentage point) or share
    of the error.
    detail_seconds: time limit for each operator's time and SQNR against the baseline, in the layers' rows; 0
    skips them (None). detail_inputs: rows for that SQNR, preferably the calibration rows; `inputs` by
    default.
    latency: an earlier measurement in rotation with other files; otherwise it is measured here for at most
    latency_seconds, where 0 skips it. progress: called with (stage, share of all, 0–1). Raises ResultRejected
    where an output is not finite, DataRefused where rows, labels and task do not match.
    """
    began = time.perf_counter()
    progress("size", 0.0)
    facts = read_tflite(tflite)
    table = layer_table(facts, layer_names)
    zipped = gzip_bytes(tflite)
    progress("accuracy", 0.1)
    cache = cache or OutputCache(inputs, threads=threads)
    if cache.inputs is not inputs:
        raise DataRefused("the cached outputs belong to other rows than the given ones")
    reference_outputs = cache.of(baseline)
    outputs = cache.of(tflite, lambda share: progress("accuracy", 0.1 + 0.5 * share))
    pairs = _paired_outputs(outputs, reference_outputs)
    pairs.insert(0, pairs.pop(judged))
    _, ours, reference = pairs[0]
    is_logit = looks_like_logits(task, reference) if is_logit is None else is_logit
    quality = by_position(judge(task, ours, labels, inputs, is_logit=is_logit))
    baseline_quality = by_position(judge(task, reference, labels, inputs, is_logit=is_logit))
    fidelity = tuple(
        output_fidelity(task if place == 0 else task_of_output(pair[2]), *pair)
        for place, pair in enumerate(pairs)
    )
    agreed = (
        None
        if quality.predicted is None or baseline_quality.predicted is None
        else agreement(quality.predicted, baseline_quality.predicted)
    )
    agreed_rows, answers_per_row = whole_rows(quality.predicted, baseline_quality.predicted)
    if latency is None and latency_seconds > 0:
        progress("latency", 0.6)
        latency = compare_latency(tflite, baseline, inputs, threads=threads, seconds=latency_seconds)
    host = this_host(threads)
    runner = Runner(tflite, threads=threads, facts=facts)
    runner.prepare_row(inputs)
    taken_over = delegation(facts, runner.interpreter)
    details: dict[int, dict[str, Any]] = {}
    if detail_seconds > 0:
        progress("layers", 0.9)
        details = _details(tflite, baseline, detail_inputs or inputs, threads, detail_seconds)
    arena_reason = why_not_on_micro(facts)
    verdict = with_lost_outputs(
        _verdict(
            task, quality, baseline_quality, labels, fidelity[0], is_same=tflite == baseline, margin=margin
        ),
        fidelity,
    )
    below_chance = baseline_quality.confusion is not None and is_below_chance(baseline_quality.confusion)
    if below_chance:
        verdict = doubted(verdict, baseline_quality.accuracy)
    reasons = why_not_faster(
        facts,
        host,
        delegation=taken_over,
        latency=latency,
        sparsity=table.totals()["sparsity"],
    )
    progress("done", 1.0)
    return Measures(
        size_bytes=len(tflite),
        gzip_bytes=zipped,
        baseline_size_bytes=len(baseline),
        arena_bytes=None if arena_reason else plan_arena(facts).arena_bytes,
        arena_reason=arena_reason,
        table=table,
        details=details,
        quality=quality,
        baseline_quality=baseline_quality,
        agreement=agreed,
        agreement_rows=agreed_rows,
        answers_per_row=answers_per_row,
        fidelity=fidelity,
        verdict=verdict,
        is_baseline_below_chance=below_chance,
        flips=find_flips(
            task, (quality, ours), (baseline_quality, reference), labels, inputs, is_logit=is_logit
        ),
        turned=changed_rows(quality, baseline_quality),
        latency=latency,
        host=host,
        reasons=tuple(reasons),
        delegation=taken_over,
        seconds=time.perf_counter() - began,
    )


def detailed_layers(
    tflite: bytes,
    baseline: bytes,
    inputs: Mapping[str, np.ndarray],
    *,
    layer_names: Sequence[str] = (),
    threads: int = 1,
    seconds: float,
) -> list[dict[str, Any]]:
    """The layers' rows of `Measures.to_dict` with each operator's time and SQNR; parameters as for `measure`."""
    facts = read_tflite(tflite)
    details = _details(tflite, baseline, inputs, threads, seconds)
    return _rows(layer_table(facts, layer_names), details, delegation_of(tflite, threads))


def _details(
    run: bytes, baseline: bytes, inputs: Mapping[str, np.ndarray], threads: int, seconds: float
) -> dict[int, dict[str, Any]]:
    """Operator → the values of `_DETAILS`. Each of the two measurements gets half of the time."""
    errors = layer_errors(run, baseline, inputs, seconds=seconds / 2, threads=threads)
    times = operator_times(run, threads=threads, seconds=seconds / 2).operators
    return {
        error.index: {
            "weight_sqnr_db": error.weight_sqnr_db,
            "output_sqnr_db": error.output_sqnr_db,
            "is_output_identical": error.is_output_identical,
            "ms": spent.ms,
            "time_share": spent.share,
            "scaled_ms": spent.scaled_ms,
        }
        for error, spent in zip(errors, times, strict=True)
    }


def _paired_outputs(
    outputs: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(name, of the run, of the baseline) by name where the names agree, by position otherwise."""
    names = list(reference)
    if len(outputs) != len(names):
        raise DataRefused(
            f"the run has {len(outputs)} outputs, the baseline {len(names)}: they cannot be compared"
        )
    ours = [outputs[n] for n in names] if set(outputs) == set(names) else list(outputs.values())
    for name, values in zip(names, ours, strict=True):
        if values.shape != reference[name].shape:
            raise DataRefused(
                f"output '{name}' has shape {values.shape}, the baseline's {reference[name].shape}"
            )
    return [(name, values, reference[name]) for name, values in zip(names, ours, strict=True)]


def _verdict(
    task: str,
    quality: Quality,
    baseline: Quality,
    labels: np.ndarray | None,
    output: OutputFidelity,
    *,
    is_same: bool,
    margin: float,
) -> Verdict:
    if is_same:
        return same_file(margin=margin)
    errors, baseline_errors = quality.target_errors, baseline.target_errors
    if errors is not None and baseline_errors is not None and labels is not None:
        return compare_targets(errors, baseline_errors, labels, margin=margin)
    scores, baseline_scores = quality.row_scores, baseline.row_scores
    if scores is not None and baseline_scores is not None:
        if quality.accuracy is None:
            metric = "reconstruction error" if task == "reconstruction" else "mean absolute error"
            return compare_errors(scores, baseline_scores, metric=metric, margin=margin)
        if quality.positions is not None:
            return compare_positions(scores, baseline_scores, quality.positions, margin=margin)
        if np.isin(scores, (0, 1)).all() and np.isin(baseline_scores, (0, 1)).all():
            return compare_right_rows(scores == 1, baseline_scores == 1, margin=margin)
        each = 1 if quality.predicted is None else quality.predicted[:1].size
        return compare_positions(scores, baseline_scores, each, of="labels", margin=margin)
    if quality.predicted is not None and baseline.predicted is not None:
        same = (quality.predicted == baseline.predicted).reshape(quality.rows, -1)
        if task in ("classification", "binary") and same.shape[1] > 1:
            return compare_positions_without_labels(same.mean(axis=1), same.shape[1], margin=margin)
        single = (int(same.sum()), same.size) if same.shape[1] > 1 else None
        return compare_without_labels(int(same.all(axis=1).sum()), quality.rows, margin=margin, single=single)
    return compare_numbers_without_labels(output, quality.rows, margin=margin)
