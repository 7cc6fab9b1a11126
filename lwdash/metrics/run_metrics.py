"""The metrics of a run: column, label, unit, and direction (whether more is better)."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Measure:
    """A metric column in a frame of runs. Stored value × `factor` = shown value; `digits` are its decimals."""

    column: str
    label: str
    unit: str
    factor: float = 1.0
    is_higher_better: bool = True
    digits: int = 2
    help: str = ""
    is_of_host: bool = False
    """True if the value depends on the host: then runs of different hosts must not be ranked together."""

    @property
    def title(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def write(self, value: float | None) -> str:
        """The stored value as shown text with its unit. A change has its sign; a missing value is a dash."""
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
    help=(
        "Share of the evaluation rows with the right class. Where a row has several outputs, all of them "
        "must be right"
    ),
)  # fmt: skip
AGREEMENT = Measure(
    "agreement", "Agreement with the original", "%", 100.0,
    help="Share of the predictions that equal the original's. Each output of a row counts separately",
)  # fmt: skip
WORST_TARGET = _error(
    "nrmse", "Error of the worst target",
    "With several targets, the largest root mean square error in standard deviations of that target's "
    "labels. At 1, the model is no better than predicting the mean",
)  # fmt: skip
ERRORS = (
    _error("rmse", "Root mean square error", "Error of the outputs compared with the labels"),
    _error("reconstruction_error", "Reconstruction error", "Mean square error of an auto-encoder's output"),
)
SQNR = Measure(
    "sqnr_db", "SQNR against the original", "dB", digits=1,
    help=(
        "Ratio of the signal to the error, compared with the original's output. At 20 dB, the error is 1 "
        "% of the signal's power"
    ),
)  # fmt: skip
AGREEMENT_GENERATED = Measure(
    "agreement_generated", "Agreement on generated rows", "%", 100.0,
    help=(
        "Share of the predictions that equal the original's, on rows generated from the model. It does not tell the "
        "accuracy"
    ),
)  # fmt: skip
SQNR_GENERATED = Measure(
    "sqnr_generated_db", "SQNR on generated rows", "dB", digits=1,
    help="Ratio of the signal to the error, compared with the original's output, on rows generated from the model",
)  # fmt: skip
SIZES = (
    _size("size_bytes", "Size of the .tflite", "Bytes of the file / 1,000: the flash memory that it needs"),
    _size(
        "stored_bytes",
        "Size as stored",
        "Bytes of the file in its storage form (sparse, look-up tables, coded)",
    ),
    _size("gzip_bytes", "Size gzipped", "Size of the compressed file. It shows the gain of pruning and clustering"),
    _size("huffman_bytes", "Weights Huffman-coded", "Bytes of the weights in a Huffman code, code book included"),
)  # fmt: skip

MEASURES: Mapping[str, Measure] = {
    measure.column: measure
    for measure in (
        *SIZES,
        _size("weight_bytes", "Weights in the file", "Bytes of the weights as stored, zeros and repeated values included"),
        Measure("smaller", "Compression rate", "×", help="Size of the baseline / size"),
        ACCURACY,
        Measure("macro_f1", "Macro F1", "%", 100.0,
                help="Mean of the classes' F1 scores. Rare and frequent classes have equal weight"),
        Measure("mean_iou", "Mean IoU", "%", 100.0,
                help="Mean over classes of intersection / union of their positions (pixels, time steps)"),
        Measure("accuracy_change", "Change of accuracy", "points", 100.0, help="On the same rows as the baseline"),
        WORST_TARGET,
        *ERRORS,
        _error("mae", "Mean absolute error", "Error of the outputs compared with the labels"),
        Measure("r2", "R²", "", digits=4, help="Share of the labels' variance that the model explains"),
        Measure("worst_r2", "R² of the worst target", "", digits=4,
                help=(
                    "With several targets, the smallest share of a target's variance that the model "
                    "explains"
                )),
        AGREEMENT,
        SQNR,
        AGREEMENT_GENERATED,
        SQNR_GENERATED,
        Measure("variation_sqnr_db", "SQNR of the variation", "dB", digits=1,
                help="Ratio of the output's variation between rows to its error, for the worst number. "
                     "At 0 dB, the output is no better than a constant"),
        Measure("kl_nats", "KL divergence", "nats", is_higher_better=False, digits=4,
                help="Distance of the output probabilities from the original's"),
        _latency("latency_ms_p50", "Latency p50", "Median time of one sample"),
        _latency("latency_ms_p90", "Latency p90", "90 % of the samples take less time"),
        _latency("latency_ms_p99", "Latency p99", "99 % of the samples take less time"),
        Measure("speedup", "Speed-up", "×", is_of_host=True,
                help="Latency of the baseline / latency of the run, measured interleaved on the same host"),
        _latency("cold_start_ms", "First inference", "Time to load, allocate and run once"),
        _size("arena_bytes", "Arena", "RAM that TensorFlow Lite Micro plans for activations. Its tables need some kB more"),
        _size("arena_total_bytes", "Arena, measured",
              "RAM that TensorFlow Lite Micro took when it ran the file, its own tables included"),
        _size("micro_flash_bytes", "Flash on a microcontroller",
              "The file, the runtime and an assumed size of code for each type of operator"),
        Measure("npu_cycles", "NPU cycles", "", is_higher_better=False, digits=0,
                help="Estimate of Arm's compiler Vela for the experiment's NPU, by default an Ethos-U55 with 128 MACs"),
        _size("npu_sram_bytes", "SRAM with an NPU", "RAM that the network takes beside the experiment's NPU"),
        _size("npu_flash_bytes", "Flash with an NPU",
              "Constants of the file as compiled for the experiment's NPU, with encoded weights"),
        Measure("sparsity", "Sparsity", "%", 100.0, digits=1, help="Share of the weights that are exactly zero"),
        Measure("parameters", "Parameters", "", is_higher_better=False, digits=0, help="Weights and biases"),
        Measure("macs", "MACs", "", is_higher_better=False, digits=0, help="Multiply-accumulates of one inference"),
        Measure("run_seconds", "Time of the run", "s", is_higher_better=False, digits=1,
                help="Time from start to end of the run, training included"),
    )
}  # fmt: skip
"""Column → metric, in the order in which lists offer them."""

INTERVALS: Mapping[str, str] = {"accuracy": "accuracy_ci", "speedup": "speedup_ci"}
"""Metric → the column with its 95 % interval, [low, high] in the stored unit."""


def available(runs: pd.DataFrame) -> list[Measure]:
    """The metrics that at least one of these runs has."""
    return [m for m in MEASURES.values() if m.column in runs and runs[m.column].notna().any()]


def quality_of(runs: pd.DataFrame) -> Measure:
    """The quality metric that these runs have in common: accuracy with labels, otherwise the metric of their
    task.
    """
    for measure in (ACCURACY, WORST_TARGET, *ERRORS, AGREEMENT, SQNR, AGREEMENT_GENERATED, SQNR_GENERATED):
        if measure.column in runs and runs[measure.column].notna().any():
            return measure
    return ACCURACY


def is_log_possible(runs: pd.DataFrame, measure: Measure) -> bool:
    """True if all values are above zero, so that a logarithmic axis can show them all."""
    values = runs[measure.column].dropna() if measure.column in runs else pd.Series(dtype=float)
    return len(values) > 0 and bool((values > 0).all())
