"""The ranges of activations, measured on calibration rows. They determine the scales of a static quantization."""

import contextlib
import hashlib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from lwdash.contract import Rows
from lwdash.errors import ConversionFailed
from lwdash.quantize.input_types import rows_in_file_types
from lwdash.quantize.ranges.clamped_ranges import clamped_ranges
from lwdash.quantize.ranges.narrow_ranges import usable_ranges
from lwdash.quantize.read_back import shape_of
from lwdash.tflite.flatbuffer import read_model, text
from lwdash.tflite.rewrites.padding_constants import BELOW, LARGEST, padded_activations

Ranges = Mapping[str, Mapping[str, Any]]
"""Tensor name → litert-quantizer's quantization statistics: "min" and "max"."""

HOW = {
    "minmax": "from the smallest to the largest value",
    "percentile": "without the outermost 0.01 % on each side",
    "mse": "the range with the least squared error of rounding and clipping together",
}
PERCENTILE = 99.99
BINS = 2048
LEVELS = 256
SHARES = np.linspace(0.2, 1.0, 81)
"""Shares of each side of a range that the search for the least error tries."""


def activation_ranges(data: bytes, rows: Rows, how: str) -> Ranges:
    """The range of every activation of a float .tflite over all of `rows`, `how` as in HOW.

    The results of the last few calls are cached: a sweep of recipes calibrates once. Raises ConversionFailed.
    """
    watched = Watched(data, rows)
    limits = _limits(watched)
    if how != "minmax":
        limits = {name: _clipped(counts, *limits[name], how) for name, counts in _counts(watched).items()}
    limits = usable_ranges(watched.model, clamped_ranges(watched.model, limits))
    return {
        name: {
            "min": np.full(watched.shapes[name], low, np.float32),
            "max": np.full(watched.shapes[name], high, np.float32),
        }
        for name, (low, high) in limits.items()
    }


class Watched:
    """A file with the rows to run through it; equal when both are equal, so that results can be cached."""

    def __init__(self, data: bytes, rows: Rows):
        self.data, self.rows = data, rows_in_file_types(data, rows)
        rows = self.rows
        self.count = len(next(iter(rows.values())))
        self.model = read_model(data)
        self.graph = self.model.subgraphs[0]
        self.names = [text(tensor.name) for tensor in self.graph.tensors]
        self.activations = _activations(self.model)
        self.padded = padded_activations(self.model, self.graph)
        self.shapes = {self.names[i]: (1,) * len(shape_of(self.graph.tensors[i])) for i in self.activations}
        digest = hashlib.sha256(data)
        for name in sorted(rows):
            digest.update(f"{name} {rows[name].shape} {rows[name].dtype}".encode())
            digest.update(np.ascontiguousarray(rows[name]).data)
        self.key = digest.digest()

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Watched) and self.key == other.key

    def run(self) -> Iterator[Any]:
        """Yield the interpreter after each row, with all tensors readable."""
        from ai_edge_litert.interpreter import Interpreter

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # keeping every tensor takes memory
                interpreter = Interpreter(
                    model_content=self.data, num_threads=1, experimental_preserve_all_tensors=True
                )
            interpreter.allocate_tensors()
            for i in range(self.count):
                interpreter.reset_all_variables()
                for index in self.graph.inputs:
                    row = self.rows[self.names[index]][i]
                    interpreter.set_tensor(index, row.reshape(shape_of(self.graph.tensors[index])))
                interpreter.invoke()
                yield interpreter
        except (RuntimeError, ValueError, KeyError) as error:
            raise ConversionFailed(f"the float .tflite cannot run the calibration rows: {error}") from error


def _activations(model: Any) -> list[int]:
    """Tensors of the first subgraph that hold float values at run time."""
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    used = {i for op in graph.operators for i in (*op.inputs, *op.outputs) if i >= 0} | set(graph.inputs)
    constant = {i for i in used if model.buffers[graph.tensors[i].buffer].data is not None}
    return sorted(
        i for i in used - constant
        if graph.tensors[i].type == schema.TensorType.FLOAT32 and not graph.tensors[i].isVariable
    )  # fmt: skip


@lru_cache(maxsize=8)
def _limits(watched: Watched) -> dict[str, tuple[float, float]]:
    """Tensor name → (smallest, largest) value over all rows; without tensors that LiteRT does not keep."""
    low: dict[int, float] = {}
    high: dict[int, float] = {}
    for interpreter in watched.run():
        for index, values in _readable(interpreter, watched.activations):
            smallest, largest = values.min(initial=np.inf), values.max(initial=-np.inf)
            bound = LARGEST if index in watched.padded else np.inf
            if not (smallest > -bound and largest < bound):
                inside = values[np.abs(values) < bound]
                is_padded = bool((values <= -bound).any())
                smallest = inside.min(initial=np.inf) - (BELOW if is_padded else 0.0)
                largest = inside.max(initial=-np.inf)
            low[index] = min(low.get(index, np.inf), float(smallest))
            high[index] = max(high.get(index, -np.inf), float(largest))
    return {
        watched.names[index]: (low[index], high[index]) if low[index] <= high[index] else (0.0, 0.0)
        for index in low
    }


def _readable(interpreter: Any, indices: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
    """The tensors that can be read after a run: values that only pass between loops have no data, nor have empty parts."""
    for index in indices:
        with contextlib.suppress(ValueError):
            yield index, interpreter.get_tensor(index)


@lru_cache(maxsize=8)
def _counts(watched: Watched) -> dict[str, np.ndarray]:
    """Tensor name → number of values in each of BINS equal parts of its range."""
    limits = _limits(watched)
    names = {watched.names.index(name): name for name in limits}
    counts = {name: np.zeros(BINS, np.int64) for name in limits}
    for interpreter in watched.run():
        for index, values in _readable(interpreter, names):
            counts[names[index]] += np.histogram(values, BINS, _wide(limits[names[index]]))[0]
    return counts


def _wide(limits: tuple[float, float]) -> tuple[float, float]:
    """A range with a width above 0, so that a histogram can divide it."""
    low, high = limits
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _clipped(counts: np.ndarray, low: float, high: float, how: str) -> tuple[float, float]:
    """The part of the range from `low` to `high` that `how` keeps; it always includes zero."""
    if high <= low:
        return low, high
    edges = np.linspace(low, high, BINS + 1)
    if how == "percentile":
        below = np.cumsum(counts) / counts.sum()
        first = int(np.searchsorted(below, 1 - PERCENTILE / 100, side="right"))
        last = int(np.searchsorted(below, PERCENTILE / 100, side="left"))
        return min(float(edges[first]), 0.0), max(float(edges[last + 1]), 0.0)
    middles = (edges[:-1] + edges[1:]) / 2
    low, high = min(low, 0.0), max(high, 0.0)
    best_low, best_high = low, high
    for _ in range(2):
        best_high = (
            min(high * SHARES, key=lambda high: _error(middles, counts, best_low, high)) if high else 0.0
        )
        best_low = min(low * SHARES, key=lambda low: _error(middles, counts, low, best_high)) if low else 0.0
    return float(best_low), float(best_high)


def _error(values: np.ndarray, counts: np.ndarray, low: float, high: float) -> float:
    """The sum of squared errors of `values`, weighted by `counts`, when rounded to LEVELS steps from `low` to `high`."""
    step = (high - low) / (LEVELS - 1)
    if step <= 0:
        return np.inf
    rounded = np.clip(np.round(values / step) * step, low, high)
    return float(np.dot(counts, (values - rounded) ** 2))
