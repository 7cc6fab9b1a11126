"""Result of a layer sensitivity: the scores of each layer's files, and of the files that keep the worst layers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Scores:
    """A file compared with the float file: sqnr_db is None where no output differs. value: share of right
    rows; without labels, share of rows with the float file's class; None for tasks without classes.
    """

    sqnr_db: float | None
    value: float | None


@dataclass(frozen=True)
class LayerSensitivity:
    """One layer of the float file. alone: all others in floats; without: all others quantized, this one in
    floats.

    gain_db: SQNR gained by keeping it in floats. reason: why it could not be quantized; the metrics are None
    then.
    """

    layer: str
    operators: tuple[str, ...]
    parameters: int
    alone: Scores | None
    without: Scores | None
    gain_db: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Kept:
    """The file with the `layers` kept in `format`, as produced by the recipe."""

    recipe: str
    layers: tuple[str, ...]
    format: str
    figure: Scores
    size_bytes: int


@dataclass(frozen=True)
class Sensitivity:
    """Scores of a file in which one layer at a time has another format.

    measure: name of `value`, "accuracy" or "agreement", or None. advice: the recommended one of `kept`, or None.
    """

    format: str
    measure: str | None
    rows: int
    range_rows: int
    float_value: float | None
    everything: Scores
    everything_bytes: int
    layers: tuple[LayerSensitivity, ...]
    kept: tuple[Kept, ...]
    advice: str | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)
