"""The measured quantities of a run: their columns, words, units, and which way is better."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Measure:
    """A column of a frame of runs. `factor` turns the stored unit into the shown one, `digits` are its decimals."""

    column: str
    label: str
    unit: str
    factor: float = 1.0
    is_higher_better: bool = True
    digits: int = 2
    help: str = ""
    is_of_host: bool = False
    """Whether the figure is of the host that it was taken on, so that hosts must not be ranked together."""

    @property
    def title(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def write(self, value: float | None) -> str:
        """A stored value with its unit, as it is shown, a change with its sign; a dash where nothing was measured."""
        if value is None or value != value:
            return "–"
        sign = "+" if self.unit == "points" else ""
        text = f"{value * self.factor:{sign},.{self.digits}f}".replace("-", "−")
        return f"{text}{self.unit}" if self.unit == "×" else f"{text} {self.unit}".strip()


def _size(column: str, label: str, help: str) -> Measure:
    return Measure(column, label, "kB", 1e-3, is_higher_better=False, digits=1, help=help)


def _latency(column: str, label: str, help: str) -> Measure:
    return Measure(column, label, "µs", 1e3, is_higher_better=False, digits=1, help=help, is_of_host=True)


def _error(column: str, label: str, help: str) -> Measure:
    return Measure(column, label, "", is_higher_better=False, digits=4, help=help)


ACCURACY = Measure(
    "accuracy", "Accuracy", "%", 100.0,
    help="Share of the evaluation rows whose class is right; where a row has several answers, all of them",
)  # fmt: skip
AGREEMENT = Measure(
    "agreement", "Agreement with the original", "%", 100.0,
    help="Share of the answers that are the original's: one a row, or several, each counted by itself",
)  # fmt: skip
WORST_TARGET = _error(
    "nrmse", "Error of the worst target",
    "Of several targets, the largest root mean square error in standard deviations of that target's labels: 1 is no better "
    "than to answer the mean",
)  # fmt: skip
ERRORS = (
    _error("rmse", "Root mean square error", "Of the outputs against the labels"),
    _error("reconstruction_error", "Reconstruction error", "Mean square error of an auto-encoder's output"),
)
SQNR = Measure(
    "sqnr_db", "SQNR against the original", "dB", digits=1,
    help="How much stronger the output is than what was added to it: 20 dB is one part noise to a hundred",
)  # fmt: skip
SIZES = (
    _size("size_bytes", "Size of the .tflite", "Bytes of the file / 1,000: what it takes in flash"),
    _size("gzip_bytes", "Size gzipped", "The file compressed: where pruning and clustering show"),
    _size("huffman_bytes", "Weights Huffman-coded", "Weights coded by how often each value occurs, code book included"),
)  # fmt: skip

MEASURES: Mapping[str, Measure] = {
    measure.column: measure
    for measure in (
        *SIZES,
        _size("weight_bytes", "Weights in the file", "As they are stored, zeros and repeated values included"),
        Measure("smaller", "Compression rate", "×", help="Size of the baseline / size"),
        ACCURACY,
        Measure("macro_f1", "Macro F1", "%", 100.0,
                help="Mean of the classes' F1 scores, each class counting alike however rare it is"),
        Measure("mean_iou", "Mean IoU", "%", 100.0,
                help="Mean over classes of intersection / union of their positions (pixels, time steps)"),
        Measure("accuracy_change", "Change of accuracy", "points", 100.0, help="Against the baseline, same rows"),
        WORST_TARGET,
        *ERRORS,
        _error("mae", "Mean absolute error", "Of the outputs against the labels"),
        Measure("r2", "R²", "", digits=4, help="Share of the labels' variance that is explained"),
        Measure("worst_r2", "R² of the worst target", "", digits=4,
                help="Of several targets, the least share of a target's variance that is explained"),
        AGREEMENT,
        SQNR,
        Measure("variation_sqnr_db", "SQNR of the variation", "dB", digits=1,
                help="How much stronger the output's change from row to row is than its error, of the worst number: 0 dB is "
                     "no better than one constant answer"),
        Measure("kl_nats", "KL divergence", "nats", is_higher_better=False, digits=4,
                help="Of the output probabilities from the original's"),
        _latency("latency_ms_p50", "Latency p50", "Median time of one sample"),
        _latency("latency_ms_p90", "Latency p90", "Nine of ten samples take less"),
        _latency("latency_ms_p99", "Latency p99", "99 of 100 samples take less"),
        Measure("speedup", "Speed-up", "×", is_of_host=True,
                help="Latency of the baseline / latency, measured interleaved on the same host"),
        _latency("cold_start_ms", "First inference", "Load, allocate and run once"),
        _size("arena_bytes", "Arena", "RAM that TensorFlow Lite Micro plans for activations; its own tables come on top"),
        Measure("sparsity", "Sparsity", "%", 100.0, digits=1, help="Weights in the file that are exactly zero"),
        Measure("parameters", "Parameters", "", is_higher_better=False, digits=0, help="Weights and biases"),
        Measure("macs", "MACs", "", is_higher_better=False, digits=0, help="Multiply-accumulates of one inference"),
        Measure("run_seconds", "Time of the run", "s", is_higher_better=False, digits=1,
                help="From its start to its end, training included"),
    )
}  # fmt: skip
"""Column → measure, in the order in which choices list them."""

INTERVALS: Mapping[str, str] = {"accuracy": "accuracy_ci", "speedup": "speedup_ci"}
"""Measure → the column with its 95 % interval, [low, high] in the stored unit."""


def available(runs: pd.DataFrame) -> list[Measure]:
    """The measures that at least one of these runs has."""
    return [m for m in MEASURES.values() if m.column in runs and runs[m.column].notna().any()]


def quality_of(runs: pd.DataFrame) -> Measure:
    """The measure that these runs have in common: accuracy with labels, else what their task gives."""
    for measure in (ACCURACY, WORST_TARGET, *ERRORS, AGREEMENT, SQNR):
        if measure.column in runs and runs[measure.column].notna().any():
            return measure
    return ACCURACY


def is_log_possible(runs: pd.DataFrame, measure: Measure) -> bool:
    """Whether all values are above zero, so that a logarithmic axis shows each of them."""
    values = runs[measure.column].dropna() if measure.column in runs else pd.Series(dtype=float)
    return len(values) > 0 and bool((values > 0).all())
