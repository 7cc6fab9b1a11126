"""The canonical form of a loaded model: any batch size, float32, channels_last, a fresh state for every row.

A file takes one row at a time, computes in float32 and keeps no state between rows, independent of the saved
Keras model. All later steps work on this form. It is returned only if its outputs equal the original's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.keras_models.bridge.graph import legal_name
from lwdash.keras_models.canonical.channels_last import has_channels_first, with_channels_last
from lwdash.keras_models.learnt_state import learnt_config
from lwdash.keras_models.ports import HALVES, OTHERS, fixed_rows, is_network, library_of, with_flat_ports

TOLERANCE = 1e-4
HALF_TOLERANCE = 5e-2
MIN_SCALE = 1e-2
RANDOM_ROWS = 4
FREE_AXIS = 16
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""Codes for terminals, which Keras 3 writes into its messages."""
BATCH_KEYS = frozenset({"batch_shape", "batch_input_shape", "build_input_shape"})


@dataclass(frozen=True)
class Canonical:
    """A live model in canonical form.

    changes: one sentence per change, for users; empty for a model that was canonical already.
    largest_difference, scale: difference of its outputs from the original's, and the original's largest
    output; 0 without changes.
    """

    model: Any
    changes: tuple[str, ...] = ()
    largest_difference: float = 0.0
    scale: float = 0.0

    @property
    def facts(self) -> dict[str, Any]:
        """The facts that a run displays, JSON-able; empty without changes."""
        if not self.changes:
            return {}
        difference = {"largest_difference": self.largest_difference, "largest_output": self.scale}
        return {"canonical_form": {"changes": list(self.changes), **difference}}


def canonical_form(model: Any, rows: Sequence[np.ndarray] | None = None) -> Canonical:
    """`model`, of either library, or a copy with its weights in canonical form; ports are plain lists.

    rows: one array (n, *input shape) per input, in the order of `model.inputs`, for the comparison of
    outputs; random rows when None. A subclassed model stays unchanged, since its layers have no known
    connections. A model that cannot be rebuilt, or whose outputs would differ, also stays unchanged;
    `changes` then states it.
    """
    if not _is_graph(model):
        return Canonical(model)
    renamed = _with_legal_names(model)
    reasons = list(_reasons(model))
    if not reasons:
        return Canonical(with_flat_ports(model), renamed)
    try:
        copy = _rebuilt(model)
        if has_channels_first(copy):
            copy = with_channels_last(copy)
        copy = with_flat_ports(copy)
        difference, scale = _compare(model, copy, rows)
    except Exception as fault:  # layers may raise any exception when called on other shapes
        told = str(fault)
        told = (
            told.rpartition("Error: ")[2] if told.startswith("in user code:") else told
        )  # after a traceback
        reason = " ".join(COLOURS.sub("", told).split())[:300] or type(fault).__name__
        return Canonical(with_flat_ports(model), (_left(reasons, reason),))
    tolerance = HALF_TOLERANCE if _computes_in(model, HALVES) else TOLERANCE
    if not difference <= tolerance * max(scale, MIN_SCALE):  # also NaN
        reason = f"its outputs would differ by up to {difference:.2g} where the original's reach {scale:.2g}"
        return Canonical(with_flat_ports(model), (_left(reasons, reason),))
    return Canonical(copy, (*renamed, *reasons), difference, scale)


def _with_legal_names(model: Any) -> tuple[str, ...]:
    """Rename layers of a Keras 3 model, in place, whose names TensorFlow cannot use; return a sentence on the renaming."""
    if library_of(model).__name__ != "keras":
        return ()
    renamed: dict[str, str] = {}
    for layers in _levels(model):
        taken = {layer.name for layer in layers}
        for layer in layers:
            legal = base = legal_name(layer.name)
            number = 1
            while legal != layer.name and legal in taken:
                legal, number = f"{base}_{number}", number + 1
            if legal != layer.name and not _is_input(layer):
                renamed[layer.name] = legal
                taken.add(legal)
                layer.name = legal
    if not renamed:
        return ()
    pairs = ", ".join(f"'{old}' is '{new}' here" for old, new in list(renamed.items())[:5])
    return (f"{len(renamed)} layer names have characters that TensorFlow does not allow: {pairs}.",)


def _levels(model: Any) -> Iterator[list[Any]]:
    """The layers of a model, then those of each nested model: names are unique within a level."""
    yield list(model.layers)
    for layer in model.layers:
        if is_network(layer):
            yield from _levels(layer)


def _reasons(model: Any) -> Iterator[str]:
    """Non-canonical properties of a model, as sentences."""
    kinds = sorted({_dtype_of(layer) for layer in model._flatten_layers()} & OTHERS)
    kinds += sorted({_name(tensor.dtype) for tensor in model.inputs} & OTHERS - set(kinds))
    if kinds:
        yield f"The model computes in {' and '.join(kinds)}, the file in float32."
    if has_channels_first(model):
        yield (
            "The channels_first layers are computed channels_last. Inputs and outputs keep their layout: the file "
            "transposes them once."
        )
    batch = fixed_rows(model)
    if any(getattr(layer, "stateful", False) is True for layer in model._flatten_layers()):
        yield (
            "The recurrent layers were saved stateful. Here one row is one sequence that starts from a "
            "fresh state; no state is kept between rows."
        )
    if batch is not None:
        yield f"The model was saved for {batch} row{'s' * (batch != 1)} at once, the file takes one row at a time."


def _left(reasons: Sequence[str], why: str) -> str:
    return f"The model stays as it was saved ({' '.join(reasons)}), because it cannot be rebuilt: {why}"


def _is_graph(model: Any) -> bool:
    is_built = bool(getattr(model, "inputs", None))
    return is_built and (isinstance(model, library_of(model).Sequential) or hasattr(model, "_nodes_by_depth"))


def _computes_in(model: Any, kinds: frozenset[str]) -> bool:
    return any(_dtype_of(layer) in kinds for layer in model._flatten_layers())


def _dtype_of(layer: Any) -> str:
    return _name(layer.compute_dtype)


def _name(dtype: Any) -> str:
    return str(getattr(dtype, "name", dtype))


def _rebuilt(model: Any) -> Any:
    """A copy with its weights: float32, any batch size, stateless."""
    config = _canonical(_with_learnt(model, model.get_config()))
    copy = type(model).from_config(config)
    for source, target in zip(_leaves(model), _leaves(copy), strict=True):
        weights = source.get_weights()
        if target.weights and weights:
            target.set_weights([_in_float32(values) for values in weights])
    return copy


def _in_float32(values: Any) -> np.ndarray:
    array = np.asarray(values)
    is_integer = array.dtype.kind in "iub"
    return array if is_integer else array.astype(np.float32)


def _with_learnt(model: Any, config: Any) -> Any:
    """The config of `model` with the values that layers learnt by `adapt()`, which Keras 3 omits from the config."""
    if library_of(model).__name__ != "keras":
        return config
    by_name = {layer.name: layer for layer in model.layers}
    entries = []
    for entry in config["layers"]:
        inner = entry.get("config")
        layer = by_name.get(inner.get("name")) if isinstance(inner, Mapping) else None
        if layer is not None and is_network(layer):
            entry = {**entry, "config": _with_learnt(layer, inner)}
        elif layer is not None and hasattr(layer, "weights"):
            learnt = learnt_config(layer)
            changed = {
                key: value for key, value in learnt.items() if key in LEARNT and inner.get(key) != value
            }
            entry = {**entry, "config": {**inner, **changed}} if changed else entry
        entries.append(entry)
    return {**config, "layers": entries}


LEARNT = ("mean", "variance", "bin_boundaries", "num_bins", "vocabulary")


def _canonical(config: Any, key: str = "") -> Any:
    """A model's config with other float types as float32, free batch axes and no state; inner layers included."""
    if key == "dtype":
        name = config.get("config", {}).get("name", "") if isinstance(config, dict) else _name(config)
        return "float32" if name.startswith("mixed_") or name in OTHERS else config
    if key == "stateful":
        return False
    if key in BATCH_KEYS and isinstance(config, (list, tuple)):
        return _free_batch(config)
    if isinstance(config, dict):
        return {name: _canonical(value, name) for name, value in config.items() if name != "build_config"}
    if isinstance(config, (list, tuple)):
        return type(config)(_canonical(value) for value in config)
    return config


def _free_batch(shape: Sequence[Any]) -> Any:
    if shape and isinstance(shape[0], (list, tuple)):
        return [_free_batch(one) for one in shape]
    return (None, *shape[1:])


def _leaves(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        if is_network(layer):
            yield from _leaves(layer)
        elif hasattr(layer, "get_weights") and not _is_input(layer):
            yield layer


def _is_input(layer: Any) -> bool:
    return type(layer).__name__ == "InputLayer"


def _compare(model: Any, copy: Any, rows: Sequence[np.ndarray] | None) -> tuple[float, float]:
    """Largest difference between the outputs of the two models, and the largest output of `model`."""
    columns = _random_rows(model) if rows is None else [np.asarray(values) for values in rows]
    expected = _outputs(model, columns)
    received = _outputs(copy, columns)
    # A constant may have as many rows as were given: the copy would take no other number.
    expected += [values[:1] for values in expected]
    received += _outputs(copy, [values[:1] for values in columns])
    difference = scale = 0.0
    for one, other in zip(expected, received, strict=True):
        if one.shape != other.shape:
            raise ValueError(f"an output has shape {one.shape}, in canonical form {other.shape}")
        known = np.isfinite(one)  # float16 overflows where float32 does not
        gap = np.abs(one[known] - other[known])
        difference = float(np.maximum(difference, gap.max(initial=0)))
        scale = max(scale, float(np.abs(one[known]).max(initial=0)))
    return difference, scale


def _outputs(model: Any, columns: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs for rows, float64, each row from a fresh state, for any batch size that the model requires."""
    count = len(columns[0])
    size = fixed_rows(model) or count
    flat = with_flat_ports(model)
    parts = []
    for start in range(0, count, size):
        batch = [
            _filled(values[start : start + size], size, tensor)
            for values, tensor in zip(columns, flat.inputs, strict=True)
        ]
        _forget(flat)
        outputs = _call(flat, batch)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        parts.append([np.asarray(_as_float(values))[: count - start] for values in outputs])
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


def _call(model: Any, batch: Sequence[Any]) -> Any:
    """The outputs for one batch; compiled by XLA where TensorFlow has no kernel, as for channels_first on a CPU."""
    import tensorflow as tf

    def call(*tensors: Any) -> Any:
        return model(list(tensors) if len(tensors) > 1 else tensors[0], training=False)

    try:
        return call(*batch)
    except tf.errors.OpError:
        return tf.function(call, jit_compile=True)(*batch)


def _as_float(values: Any) -> Any:
    import tensorflow as tf

    return tf.cast(values, tf.float64)


def _filled(values: np.ndarray, size: int, tensor: Any) -> Any:
    """A batch of `size` rows in the input's type; the last row is repeated where there are fewer."""
    import tensorflow as tf

    missing = size - len(values)
    if missing > 0:
        values = np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
    return tf.cast(tf.constant(values), _name(tensor.dtype))


def _forget(model: Any) -> None:
    """Reset every stateful layer to its fresh state."""
    for layer in model._flatten_layers():
        if getattr(layer, "stateful", False) is True:
            reset = getattr(layer, "reset_state", None) or getattr(layer, "reset_states", None)
            if reset is not None and not is_network(layer):
                reset()


def _random_rows(model: Any) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    columns = []
    for tensor in model.inputs:
        shape = (RANDOM_ROWS, *(int(size or FREE_AXIS) for size in tensor.shape[1:]))
        is_number = "int" not in _name(tensor.dtype) and _name(tensor.dtype) != "bool"
        columns.append(generator.normal(0, 1, shape) if is_number else generator.integers(0, 2, shape))
    return columns
