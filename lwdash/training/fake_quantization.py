"""TFMOT's model for quantization-aware training: the layers that it can emulate in 8 bits, and their learnt weights."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lwdash.errors import ConversionFailed
from lwdash.training.layer_selection import weight_name
from lwdash.training.model_copies import clone_with

FOLDING = {"Conv2D", "DepthwiseConv2D", "Dense"}
"""Layers into which a batch normalization right after them is folded."""
NORMS = {"BatchNormalization", "SyncBatchNormalization"}
OPERATIONS = {"KerasOperation", "TFOpLambda", "SlicingOpLambda"}
"""Classes in a tf_keras graph for functions that are called between layers."""
PREFIX = "quant_"
DECAY = 0.999
"""Decay of TFMOT's moving averages."""
RANGES = {
    f"{place}_{end}" for place in ("pre_activation", "post_activation", "output") for end in ("min", "max")
}
"""Names of the variables that hold moving averages of activation ranges."""
INPUT_RANGE = "quantize_layer"
"""Name prefix of the ranges of inputs: not averages, but the smallest and the largest value so far."""
RANGE_ROUNDS = 8
SETTLED = 0.02
"""Ranges that change by less than this share of their width count as found."""


def reasons(model: Any, left: Collection[str]) -> dict[str, str | None]:
    """For each layer of a flat model except the inputs: the reason why TFMOT does not emulate it, None where
    it does.

    left: names of layers that the recipe skips.
    """
    found: dict[str, str | None] = {}
    for layer in model.layers:
        if type(layer).__name__ == "InputLayer":
            continue
        found[layer.name] = "skipped by the recipe" if layer.name in left else _reason(layer, left)
    return found


def annotated(model: Any, names: Collection[str]) -> Any:
    """A copy of a flat model that rounds the weights and outputs of the layers named in `names` during
    training.

    Raises ConversionFailed with TFMOT's reason.
    """
    from tensorflow_model_optimization.python.core.quantization.keras import quantize

    def wrap(layer: Any) -> Any:
        return quantize.quantize_annotate_layer(layer) if layer.name in names else layer

    try:
        return quantize.quantize_apply(
            clone_with(model, wrap), scheme=_scheme(), quantized_layer_name_prefix=PREFIX
        )
    except (ValueError, RuntimeError, TypeError, KeyError, AttributeError) as error:
        raise ConversionFailed(
            f"TFMOT could not prepare this model for quantization-aware training: {str(error)[:500]}. "
            "Skip the named layer with skip=[…], or quantize after training with int8"
        ) from error


def settle_ranges(model: Any, inputs: Sequence[np.ndarray], batch_size: int) -> None:
    """Set the activation ranges of an emulating model to those of its first rows, in place.

    TFMOT starts at ±6 and approaches the real range with a moving average, by a third in 500 steps. A short
    training would adapt to ranges that the file never has. One step of the average reveals the rows' own
    range.
    """
    rows = [values[: max(256, batch_size)] for values in inputs]
    ranges = [v for v in model.weights if weight_name(v) in RANGES]
    others = [
        v
        for v in model.weights
        if weight_name(v) not in RANGES and not weight_name(v).startswith(INPUT_RANGE)
    ]
    values = [v.numpy() for v in others]
    for _ in range(RANGE_ROUNDS):
        before = [v.numpy() for v in ranges]
        model(rows if len(rows) > 1 else rows[0], training=True)
        moved = False
        for variable, old in zip(ranges, before, strict=True):
            new = old + (variable.numpy() - old) / (1 - DECAY)
            new = np.minimum(new, 0) if weight_name(variable).endswith("_min") else np.maximum(new, 1e-3)
            moved |= bool(np.any(np.abs(new - old) > SETTLED * np.maximum(np.abs(old), 1e-3)))
            variable.assign(new)
        for variable, value in zip(others, values, strict=True):
            variable.assign(value)
        if not moved:
            return


def variables(emulating: Any, model: Any) -> Iterator[tuple[str, Any, list[Any]]]:
    """(name, emulating layer, its variables in the order of the layer's own) of each layer of `model` with weights."""
    by_name = {layer.name: layer for layer in emulating.layers}
    for layer in model.layers:
        if not layer.weights:
            continue
        wrapper = by_name.get(PREFIX + layer.name)
        if wrapper is None:
            yield layer.name, by_name[layer.name], list(by_name[layer.name].weights)
        else:
            known = {weight_name(variable): variable for variable in wrapper.weights}
            yield layer.name, wrapper, [known[weight_name(weight)] for weight in layer.weights]


def learnt_weights(
    emulating: Any, model: Any, as_trained: Collection[tuple[str, int]]
) -> dict[str, list[np.ndarray]]:
    """The weights of each layer of `model` after the training, kernels rounded as TFMOT rounds them.

    as_trained: (layer, index of the weight in it) of kernels that are not rounded.
    """
    learnt = {}
    for name, form, own in variables(emulating, model):
        rounding = {
            id(variable): (quantizer, state)
            for variable, quantizer, state in getattr(form, "_weight_vars", ())
        }
        learnt[name] = [variable.numpy() for variable in own]
        for i, variable in enumerate(own):
            if id(variable) in rounding and (name, i) not in as_trained:
                quantizer, state = rounding[id(variable)]
                learnt[name][i] = np.asarray(quantizer(variable, True, weights=state))
    return learnt


def _reason(layer: Any, left: Collection[str]) -> str | None:
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
        default_8bit_quantize_registry as registry,
    )

    kind = type(layer).__name__
    if len(layer._inbound_nodes) > 1:
        return (
            f"it is used in {len(layer._inbound_nodes)} places, but TFMOT emulates a layer in one place only"
        )
    if kind in NORMS:
        return _norm_reason(layer, left)
    if kind in OPERATIONS:
        return "it is an operation, not a layer"
    if not registry.Default8BitQuantizeRegistry().supports(layer):
        return f"TFMOT does not emulate {kind} in 8 bits"
    activation = _unknown_activation(layer)
    return f"TFMOT does not emulate the activation {activation!r} in 8 bits" if activation else None


def _unknown_activation(layer: Any) -> str | None:
    """The name of the layer's activation if TFMOT raises an error for it."""
    activation = getattr(getattr(layer, "activation", None), "__name__", None)
    return (
        activation
        if activation is not None and activation not in _activations(type(layer).__name__)
        else None
    )


def _scheme() -> Any:
    """TFMOT's own 8-bit scheme, which skips a layer that ends in an unknown activation.

    TFMOT rounds the output of a layer before an annotated one, without checking whether it can.
    """
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
        default_8bit_quantize_registry as registry,
    )
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
        default_8bit_quantize_scheme as scheme,
    )

    class Registry(registry.Default8BitQuantizeRegistry):  # type: ignore[misc]
        def supports(self, layer: Any) -> bool:
            return super().supports(layer) and _unknown_activation(layer) is None

    class Scheme(scheme.Default8BitQuantizeScheme):  # type: ignore[misc]
        def get_quantize_registry(self) -> Any:
            return Registry()

    return Scheme()


def _activations(kind: str) -> frozenset[str]:
    from tensorflow_model_optimization.python.core.quantization.keras.quantize_aware_activation import (
        QuantizeAwareActivation as Known,
    )

    known: frozenset[str] = Known._PRE_QUANT_ACTIVATIONS | Known._POST_QUANT_ACTIVATIONS
    return known | {"relu6"} if kind == "Activation" else known


def _norm_reason(layer: Any, left: Collection[str]) -> str | None:
    """A batch normalization is emulated only as part of the linear layer right before it."""
    source = _single_source(layer)
    kind = type(source).__name__
    if source is None or kind not in FOLDING:
        after = "several layers" if source is None else kind
        return f"it comes after {after}, not right after a convolution or a dense layer"
    activation = getattr(source.activation, "__name__", "linear")
    if activation != "linear":
        return f"'{source.name}' before it has the activation {activation!r}, so it cannot be folded into it"
    if len(source._outbound_nodes) > 1 or len(source._inbound_nodes) > 1:
        return f"the output of '{source.name}' before it is also used elsewhere"
    if source.name in left:
        return f"'{source.name}' before it is skipped by the recipe"
    return None


def _single_source(layer: Any) -> Any:
    before = layer._inbound_nodes[0].inbound_layers
    return before if not isinstance(before, (list, tuple)) else before[0] if len(before) == 1 else None


def weightless(model: Any, why: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """(layer, reason) of layers without weights that are not emulated."""
    for layer in model.layers:
        reason = why.get(layer.name)
        if reason and not layer.weights:
            yield layer.name, reason
