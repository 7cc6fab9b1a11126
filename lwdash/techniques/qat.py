"""Quantization-aware training with TFMOT: fine-tuning while weights and activations are rounded to 8 bits.

TFMOT's model is used for the training only. Its learnt weights, which already are on the 8-bit grid, are
copied into the original network. That network is exported and quantized like any other. So the file has the
operators and names of its baseline and is integer throughout, and its activation ranges are measured on the
calibration rows. (TFMOT's own ranges are moving averages that start at ±6 and keep a third of that after a
thousand steps.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.contract import Skipped, Training, Treated
from lwdash.errors import BridgeRefused
from lwdash.keras_models.bridge.flatten import flatten_model, is_nested
from lwdash.keras_models.ports import leaf_layers, library_of
from lwdash.parameters import Names, parameter
from lwdash.training import distillation, fake_quantization, fine_tuning, held_out
from lwdash.training.batch_norm import settle_batch_norm
from lwdash.training.conv1d_as_conv2d import as_2d, weights_back
from lwdash.training.kernel_structure import Structure, keeping, structure_of
from lwdash.training.layer_selection import Selection, matches, select, weight_name
from lwdash.training.model_copies import clone_with

NAME = "qat"
LABEL = "Quantization-aware training"
SUMMARY = (
    "Fine-tunes with simulated 8-bit rounding, so that the integer file loses less. It preserves earlier "
    "zeros and clusters."
)
TRAP = "Useful if int8 alone visibly loses accuracy. Otherwise there is no loss to recover."
STAGE = "keras"
FORMAT = "int8"
"""The number format it trains for: the only export that may follow it."""

STEPS = 500
COMPARED_ROWS = 16
FORMS = {
    (False, False): "QAT",
    (True, False): "PQAT",
    (False, True): "CQAT",
    (True, True): "PCQAT",
}
"""By (zeros kept, clusters kept)."""

Place = tuple[str, int]
"""A weight: the layer's name and its number in it."""


@dataclass(frozen=True)
class Params:
    epochs: int = fine_tuning.epochs(STEPS)
    learning_rate: float = fine_tuning.learning_rate(0.0001)
    batch_size: int = fine_tuning.batch_size()
    teacher: float | None = distillation.teacher()
    temperature: float = distillation.temperature()
    validate: bool = fine_tuning.validate()
    skip: tuple[str, ...] = parameter(
        (), Names("Layers to skip", "Layers that are trained in float. The export still quantizes them.")
    )


def apply(model: Any, params: Params, training: Training) -> Treated:
    """A copy of a tf_keras model with weights on the 8-bit grid.

    Layers that TFMOT does not know are trained in float and listed as skipped. The int8 export that follows
    quantizes them by their ranges.
    Raises BridgeRefused for a Keras 3 model, RecipeError when no layer is left, ConversionFailed when TFMOT
    fails.
    """
    fine_tuning.seed_everything(training.seed)
    if library_of(model).__name__ == "keras":
        raise BridgeRefused(
            "qat: this model has no Keras 2 twin, which TFMOT needs. Use int8, which quantizes after training"
        )
    training = distillation.taught(training, params)
    flat = flatten_model(model) if is_nested(model) else model
    rewritten = as_2d(flat, [values[:COMPARED_ROWS] for values in training.inputs])
    why = fake_quantization.reasons(rewritten.model, _left_alone(model, rewritten.parts, params.skip))
    chosen = _choose(model, rewritten.parts, why, params.skip)
    emulating = fake_quantization.annotated(
        rewritten.model, {name for name, reason in why.items() if reason is None}
    )
    fake_quantization.settle_ranges(emulating, training.inputs, params.batch_size)
    kernels, structures = _structured(emulating, rewritten.model)
    facts = fine_tuning.finetune(
        emulating,
        training,
        epochs=fine_tuning.epochs_for(params.epochs, STEPS, training, params.batch_size),
        learning_rate=params.learning_rate,
        batch_size=params.batch_size,
        what="quantization-aware training",
        callbacks=[keeping(kernels)] if kernels else [],
        validation=held_out.Validation() if params.validate else None,
    )
    shared = {place for place, found in structures.items() if found.is_clustered}
    treated = clone_with(model, lambda layer: layer)
    weights_back(
        rewritten.parts, fake_quantization.learnt_weights(emulating, rewritten.model, shared), treated
    )
    settled = settle_batch_norm(treated, training)
    form = FORMS[
        any(found.is_pruned for found in structures.values()),
        any(found.is_clustered for found in structures.values()),
    ]
    trained = {f"{path}/{name}": len(np.unique(v)) for path, name, v in chosen.kernels(treated) if v.ndim > 1}
    without = [Skipped(name, reason) for name, reason in fake_quantization.weightless(rewritten.model, why)]
    return Treated(
        treated,
        (*chosen.skipped, *without),
        {"form": form, **facts, "batch_norm_settled": settled, "distinct_values": trained},
    )


def _left_alone(model: Any, parts: Mapping[str, tuple[str, ...]], skip: Sequence[str]) -> set[str]:
    """Names of the 2-D layers that correspond to the layers that the recipe skips."""
    return {
        part
        for path, layer in leaf_layers(model)
        if any(matches(path, layer.name, pattern) for pattern in skip)
        for part in parts.get(path, ())
    }


def _choose(
    model: Any, parts: Mapping[str, tuple[str, ...]], why: Mapping[str, str | None], skip: Sequence[str]
) -> Selection:
    """The layers with weights that are trained in 8 bits, and the reason for each of the others."""
    paths = {id(layer): path for path, layer in leaf_layers(model)}

    def kernels_of(layer: Any) -> Sequence[Any] | Skipped:
        found = [why[part] for part in parts[paths[id(layer)]]]
        reason = next((r for r in found if r), None)
        return Skipped(layer.name, reason) if reason else layer.weights

    return select(model, kernels_of, skip)


def _structured(emulating: Any, model: Any) -> tuple[dict[Place, Any], dict[Place, Structure]]:
    """The kernels with zeros or clusters to preserve, and which of the two each has."""
    kernels, structures = {}, {}
    for name, _, own in fake_quantization.variables(emulating, model):
        for i, variable in enumerate(own):
            found = structure_of(variable.numpy())
            if found and "bias" not in weight_name(variable):
                kernels[name, i], structures[name, i] = variable, found
    return kernels, structures
