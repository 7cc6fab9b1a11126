"""The bridge: converts a Keras 3 model to the same model in Keras 2 (tf_keras), which techniques then change.

The live graph of the Keras 3 model is replayed on tf_keras tensors, layer by layer (bridge/graph.py,
bridge/twin_layers.py). The weights are copied, and the outputs of the two models are compared. Only a model
with equal outputs is returned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.errors import BridgeRefused

ROWS_COMPARED = 32
FLOAT32_TOLERANCE = 1e-4
HALF_TOLERANCE = 2e-2
SMALLEST_SCALE = 1e-2
FREE_AXIS = 16


@dataclass(frozen=True)
class Bridged:
    """A tf_keras model and the difference of its outputs from the original's, on the same rows.

    largest_difference: largest absolute difference of any output value; scale: largest absolute value of the
    original's; compared_on: description of the rows. Both values are 0 for a model that was tf_keras from the
    start.
    """

    model: Any
    largest_difference: float
    scale: float
    compared_on: str


def to_tf_keras(model: Any, *, rows: Sequence[np.ndarray] | None = None) -> Bridged:
    """The tf_keras twin of `model`; a tf_keras model is returned unchanged.

    rows: one array (n, *input shape) per model input, in the order of `model.inputs`, for the comparison of
    outputs; random rows when None. Layers keep their names: recipes and reports refer to them.
    Raises BridgeRefused, with the layer and the reason, for models that Keras 2 cannot express or whose
    outputs differ.
    """
    import tf_keras

    if isinstance(model, tf_keras.Model):
        return Bridged(model, 0.0, 0.0, "nothing: it is the file's own model")
    import keras

    if not isinstance(model, keras.Model):
        raise BridgeRefused(f"this is a {type(model).__name__}, not a Keras model")
    if keras.backend.backend() != "tensorflow":
        raise BridgeRefused(
            f"Keras 3 runs on '{keras.backend.backend()}' here; the bridge needs KERAS_BACKEND=tensorflow"
        )
    from lwdash.keras_models.bridge.graph import convert

    try:
        twin = convert(model)
    except BridgeRefused:
        raise
    except Exception as fault:  # a tf_keras layer may raise any exception when it is called
        message = " ".join(str(fault).split())[:300]
        raise BridgeRefused(
            f"'{model.name}' cannot be rebuilt in Keras 2: {type(fault).__name__} {message}"
        ) from fault
    return _compared(model, twin, rows)


def _compared(model: Any, twin: Any, rows: Sequence[np.ndarray] | None) -> Bridged:
    """`twin`, if its outputs equal those of `model`; otherwise raises BridgeRefused."""
    batches = list(_random_rows(model) if rows is None else _given_rows(model, rows))
    kind = "random" if rows is None else "calibration"
    difference, scale = _compare(model, twin, batches)
    if (
        scale == 0 and rows is not None
    ):  # a model whose outputs are all zero on these rows would equal anything
        batches, kind = list(_random_rows(model)), "random"
        difference, scale = _compare(model, twin, batches)
    tolerance = HALF_TOLERANCE if _computes_in_half(model) else FLOAT32_TOLERANCE
    if not difference <= tolerance * max(scale, SMALLEST_SCALE):  # also refuses NaN
        raise BridgeRefused(
            f"the Keras 2 twin of '{model.name}' has different outputs: they differ by up to "
            f"{difference:.2g} where the original's reach {scale:.2g}. Use pruning or clustering, which "
            "also work on the Keras 3 model itself"
        )
    return Bridged(twin, difference, scale, f"{sum(len(batch[0]) for batch in batches)} {kind} rows")


def _compare(model: Any, twin: Any, batches: Iterable[list[np.ndarray]]) -> tuple[float, float]:
    """Largest difference between the outputs of the two models, and the largest output of the original."""
    import keras

    from lwdash.keras_models.bridge.graph import functional

    structure = functional(model)._inputs_struct
    difference = scale = 0.0
    for batch in batches:
        packed = keras.tree.pack_sequence_as(structure, batch)
        expected = keras.tree.flatten(model(packed, training=False))
        received = keras.tree.flatten(twin(packed, training=False))
        if len(expected) != len(received):
            raise BridgeRefused(
                f"'{model.name}' has {len(expected)} outputs, its Keras 2 twin {len(received)}"
            )
        for one, other in zip(expected, received, strict=True):
            a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
            if a.shape != b.shape:
                raise BridgeRefused(f"an output of '{model.name}' has shape {a.shape}, in Keras 2 {b.shape}")
            # Infinities and NaN in both count as equal. If only one has them, the difference is NaN, which is
            # refused.
            gap = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
            difference = _largest(difference, gap)
            scale = max(scale, _largest(0.0, np.abs(a[np.isfinite(a)])))
    return difference, scale


def _largest(so_far: float, values: np.ndarray) -> float:
    return float(np.maximum(so_far, values.max())) if values.size else so_far


def _given_rows(model: Any, rows: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
    if len(rows) != len(model.inputs):
        raise BridgeRefused(f"'{model.name}' has {len(model.inputs)} inputs, rows were given for {len(rows)}")
    count = min([ROWS_COMPARED, *(len(part) for part in rows)])
    fixed = next((tensor.shape[0] for tensor in model.inputs if tensor.shape[0] is not None), None)
    size = fixed or count
    if not count or count < size:
        raise BridgeRefused(
            f"'{model.name}' takes {size} rows at once, {count} were given to compare the outputs on"
        )
    for start in range(0, count - size + 1, size):
        yield [
            np.asarray(part[start : start + size], dtype=tensor.dtype)
            for part, tensor in zip(rows, model.inputs, strict=True)
        ]


def _random_rows(model: Any) -> Iterator[list[np.ndarray]]:
    """Two batches, normal around 0 and uniform in 0–1: with only one, a saturated model could output zeros only."""
    generator = np.random.default_rng(0)
    codes = _vocabulary(model)
    for is_normal in (True, False):
        batch = []
        for tensor in model.inputs:
            first, *rest = tensor.shape
            shape = (first or 4, *(size or FREE_AXIS for size in rest))
            if "int" in tensor.dtype or tensor.dtype == "bool":
                values: np.ndarray = generator.integers(0, codes, shape)
            elif is_normal:
                values = generator.normal(0, 1, shape)
            else:
                values = generator.uniform(0, 1, shape)
            batch.append(values.astype(tensor.dtype))
        yield batch


def _vocabulary(model: Any) -> int:
    """Number of integer codes that every embedding of the model accepts; 2 without embeddings."""
    sizes = [layer.input_dim for layer in model._flatten_layers() if type(layer).__name__ == "Embedding"]
    return min(sizes, default=2)


def _computes_in_half(model: Any) -> bool:
    return any(str(layer.compute_dtype) in ("float16", "bfloat16") for layer in model._flatten_layers())
