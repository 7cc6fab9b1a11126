"""Metrics of a .tflite's operators: units, colours, and how operators combine into the value of a layer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pandas as pd

SUM: Final = "sum"
MEAN: Final = "mean"
MIN: Final = "min"
Joined = Literal["sum", "mean", "min"]


@dataclass(frozen=True)
class Quantity:
    """A measured column of the operators. Stored value × `factor` = shown value.

    joined: how the operators of one layer are combined: sum, mean weighted by parameters, or minimum.
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
        """The value of one operator in the shown unit; None where it was not measured or is not defined."""
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
            "All bytes that belong to a layer: weights, scales, names, and its part of the graph.",
        ),
        Quantity(
            "weight_bytes",
            "Weights",
            "B",
            "Bytes of the weights as stored, zeros and repeated values included.",
        ),
        Quantity(
            "huffman_bytes",
            "Weights Huffman-coded",
            "B",
            "Bytes of the weights in a Huffman code, code book included.",
        ),
        Quantity(
            "bits_per_weight",
            "Bits a weight",
            "bit",
            "32 in float32, 16 in float16, 8 in int8. Biases are included.",
            MEAN,
            digits=1,
        ),
        Quantity(
            "sparsity",
            "Zeros",
            "%",
            (
                "Weights that are exactly zero. A .tflite stores zeros at full size; the gzipped size "
                "shows the gain."
            ),
            MEAN,
            100.0,
            1,
        ),
        Quantity(
            "distinct_values",
            "Distinct stored values",
            "",
            "Number of different weight values as stored: integers in a quantized kernel. Clustering reduces it.",
            MEAN,
        ),
        Quantity(
            "entropy_bits",
            "Entropy",
            "bit",
            "Minimum bits per weight, computed from the frequency of each value.",
            MEAN,
            digits=2,
        ),
        Quantity("macs", "Multiply-accumulates", "", "Multiply-accumulate operations of one inference."),
        Quantity(
            "time_share",
            "Share of the time",
            "%",
            "Each operator is timed alone; this is its part of the sum.",
            SUM,
            100.0,
            1,
        ),
        Quantity(
            "output_sqnr_db",
            "Output SQNR",
            "dB",
            "Ratio of the signal to the error. At 20 dB, the error is 1 % of the signal's power.",
            MIN,
            digits=1,
        ),
        Quantity(
            "output_sqnr_generated_db",
            "Output SQNR on generated rows",
            "dB",
            "Ratio of the signal to the error on rows that were generated from the model. It does not tell the error on "
            "real rows.",
            MIN,
            digits=1,
        ),
        Quantity(
            "weight_sqnr_db",
            "Weight SQNR",
            "dB",
            "Weights compared with the baseline's weights. A low value means large changes.",
            MIN,
            digits=1,
        ),
        Quantity(
            "alone_db",
            "SQNR if quantized alone",
            "dB",
            "Layer sensitivity: only this layer of the float file is quantized. A low value means a sensitive layer.",
            MIN,
            digits=1,
        ),
        Quantity(
            "gain_db",
            "SQNR gained in float",
            "dB",
            "Layer sensitivity: all layers but this one are quantized. A high value means that it is worth keeping.",
            MIN,
            digits=1,
        ),
        Quantity(
            "cycles", "NPU cycles", "", "Estimate of Arm's compiler Vela for the first NPU of this run."
        ),
    )
}
"""Quantities by column, in the order in which pages offer them."""

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
"""Cividis colours: readable with every kind of colour vision, and in greyscale."""
LIGHT_FROM = 5
"""From this step on, dark text is more readable than white text."""
NO_VALUE = "#c3ccd4"


def measured_quantities(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The quantities that at least one operator has."""
    return [
        name for name, quantity in QUANTITIES.items() if any(quantity.of(row) is not None for row in rows)
    ]


def by_layer(rows: Sequence[Mapping[str, Any]], quantity: Quantity) -> pd.Series:
    """One value per Keras layer, in file order. An operator without a layer is listed under its own name."""
    layers: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        layers.setdefault(layer_of(row), []).append(row)
    values = {name: joined_value(own, quantity) for name, own in layers.items()}
    known = {name: value for name, value in values.items() if value is not None}
    return pd.Series(known, dtype=float, name=quantity.title)


def joined_value(rows: Iterable[Mapping[str, Any]], quantity: Quantity) -> float | None:
    """The value of several operators together, in the shown unit; None where none of them has one."""
    found = [(quantity.of(row), float(row.get("parameters") or 0)) for row in rows]
    values = [(value, parameters) for value, parameters in found if value is not None]
    return _join(values, quantity.joined) if values else None


def with_layer_measurements(
    rows: Sequence[Mapping[str, Any]],
    targets: Mapping[str, Mapping[str, Any]],
    sensitivity: Mapping[str, Any] | None,
) -> list[dict[str, Any]]:
    """The operators with what other measurements tell of them: `alone_db` and `gain_db` of their layers, `cycles`.

    targets: results by name, of which the first with layers gives the cycles. sensitivity: the result of that
    analysis. A target names its operators by the tensor that they write, and may split one into several.
    """
    cycles: dict[str, float] = {}
    for layer in next((found["layers"] for found in targets.values() if found.get("layers")), ()):
        if layer.get("cycles") is not None:
            cycles[layer["name"]] = cycles.get(layer["name"], 0) + layer["cycles"]
    layers = {layer["layer"]: layer for layer in (sensitivity or {}).get("layers", ())}
    joined = []
    for row in rows:
        own = layers.get(layer_of(row), {})
        alone = (own.get("alone") or {}).get("sqnr_db")
        joined.append(
            {
                **row,
                "cycles": cycles.get(row.get("name") or ""),
                "alone_db": alone,
                "gain_db": own.get("gain_db"),
            }
        )
    return joined


def layer_of(row: Mapping[str, Any]) -> str:
    return row.get("layer") or row.get("name") or row["type"]


def _join(found: Sequence[tuple[float, float]], how: Joined) -> float:
    if how == SUM:
        return sum(value for value, _ in found)
    if how == MIN:
        return min(value for value, _ in found)
    weight = sum(parameters for _, parameters in found)
    return sum(v * p for v, p in found) / weight if weight else sum(v for v, _ in found) / len(found)


def colour_of(value: float | None, low: float, high: float) -> tuple[str, str]:
    """(fill, text) colours for a value between `low` and `high`; grey for None."""
    if value is None:
        return NO_VALUE, "#17212b"
    share = 0.5 if high <= low else (value - low) / (high - low)
    step = min(len(SEQUENTIAL) - 1, max(0, round(share * (len(SEQUENTIAL) - 1))))
    return SEQUENTIAL[step], "#ffffff" if step < LIGHT_FROM else "#17212b"
