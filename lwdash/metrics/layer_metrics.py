"""Metrics of a .tflite's operators: their units, how they add up over a layer, and their colours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pandas as pd

SUM: Final = "sum"
MEAN: Final = "mean"
LEAST: Final = "least"
Joined = Literal["sum", "mean", "least"]


@dataclass(frozen=True)
class Quantity:
    """A column of the operators as measured. `factor` turns the stored unit into the shown one.

    joined: what a layer of several operators has: their sum, their mean by parameters, or the least of them.
    """

    column: str
    label: str
    unit: str
    meaning: str
    joined: Joined = SUM
    factor: float = 1.0
    digits: int = 0

    @property
    def title(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def of(self, row: Mapping[str, Any]) -> float | None:
        """The value of one operator in the shown unit; None where it was not measured or has no meaning."""
        value = row.get(self.column)
        if value is None or value != value:
            return None
        if self.column in OF_WEIGHTS and not row.get("parameters"):
            return None
        return self.factor * float(value)

    def write(self, value: float | None) -> str:
        return "–" if value is None else f"{value:,.{self.digits}f} {self.unit}".strip()


OF_WEIGHTS = frozenset(
    {"weight_bytes", "huffman_bytes", "bits_per_weight", "sparsity", "distinct_values", "entropy_bits"}
)
QUANTITIES = {
    quantity.column: quantity
    for quantity in (
        Quantity(
            "bytes",
            "Bytes in the file",
            "B",
            "All that belongs to a layer: weights, scales, names, its part of the graph.",
        ),
        Quantity(
            "weight_bytes",
            "Weights",
            "B",
            "What the weights take as stored, zeros and repeated values included.",
        ),
        Quantity(
            "huffman_bytes",
            "Weights Huffman-coded",
            "B",
            "What they would take coded by how often each value occurs, code book included.",
        ),
        Quantity(
            "bits_per_weight",
            "Bits a weight",
            "bit",
            "32 in float32, 16 in float16, 8 in int8; biases are counted in.",
            MEAN,
            digits=1,
        ),
        Quantity(
            "sparsity",
            "Zeros",
            "%",
            "Weights that are exactly zero. A .tflite stores them all the same: look at gzip.",
            MEAN,
            100.0,
            1,
        ),
        Quantity(
            "distinct_values",
            "Distinct values",
            "",
            "How many different weights there are: clustering makes them few.",
            MEAN,
        ),
        Quantity(
            "entropy_bits",
            "Entropy",
            "bit",
            "Bits a weight would need at the least, by how often each value occurs.",
            MEAN,
            digits=2,
        ),
        Quantity("macs", "Multiply-accumulates", "", "Multiplications with an addition in one inference."),
        Quantity(
            "time_share",
            "Share of the time",
            "%",
            "Each operator cut out and timed on its own, in proportion.",
            SUM,
            100.0,
            1,
        ),
        Quantity(
            "output_sqnr_db",
            "Output SQNR",
            "dB",
            "How much stronger the signal is than what was added to it; 20 dB is one part noise to a hundred.",
            LEAST,
            digits=1,
        ),
        Quantity(
            "weight_sqnr_db",
            "Weight SQNR",
            "dB",
            "Weights against the baseline's: low means that few of the original's values are left.",
            LEAST,
            digits=1,
        ),
    )
}
"""By column, in the order in which pages offer them."""

SEQUENTIAL = (
    "#00224e",
    "#123570",
    "#3b496c",
    "#575d6d",
    "#707173",
    "#8f8b7c",
    "#a59c74",
    "#c3b369",
    "#e1cc55",
    "#fee838",
)
"""Cividis: reads the same with every kind of colour vision, and in grey."""
LIGHT_FROM = 5
"""From this step on, dark text reads better than white."""
NO_VALUE = "#c3ccd4"


def measured_quantities(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The quantities that at least one operator has."""
    return [
        name for name, quantity in QUANTITIES.items() if any(quantity.of(row) is not None for row in rows)
    ]


def by_layer(rows: Sequence[Mapping[str, Any]], quantity: Quantity) -> pd.Series:
    """One value a Keras layer, in the order of the file; an operator without a layer goes by its own name."""
    values: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        value = quantity.of(row)
        if value is not None:
            values.setdefault(layer_of(row), []).append((value, float(row.get("parameters") or 0)))
    joined = {name: _join(found, quantity.joined) for name, found in values.items()}
    return pd.Series(joined, dtype=float, name=quantity.title)


def layer_of(row: Mapping[str, Any]) -> str:
    return row.get("layer") or row.get("name") or row["type"]


def _join(found: Sequence[tuple[float, float]], how: Joined) -> float:
    if how == SUM:
        return sum(value for value, _ in found)
    if how == LEAST:
        return min(value for value, _ in found)
    weight = sum(parameters for _, parameters in found)
    return sum(v * p for v, p in found) / weight if weight else sum(v for v, _ in found) / len(found)


def colour_of(value: float | None, low: float, high: float) -> tuple[str, str]:
    """(fill, text) for a value between `low` and `high`; grey for None."""
    if value is None:
        return NO_VALUE, "#17212b"
    share = 0.5 if high <= low else (value - low) / (high - low)
    step = min(len(SEQUENTIAL) - 1, max(0, round(share * (len(SEQUENTIAL) - 1))))
    return SEQUENTIAL[step], "#ffffff" if step < LIGHT_FROM else "#17212b"
