"""Quantization-aware training with TFMOT: fine-tuning while weights and activations are rounded to 8 bits.

TFMOT's model serves the training only. What it has learnt, weights that already lie on the 8-bit grid, goes back
into the network as it was, which is exported and quantized like any other: the file has the operators and names of
its baseline, is integer throughout, and its activation ranges are measured on the calibration rows. (TFMOT's own are
moving averages that start at ±6 and keep a third of that after a thousand steps.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.errors import BridgeRefused, ConversionFailed
from lwdash.keras_models.flatten import flatten_model, is_nested
from lwdash.parameters import Names, parameter
from lwdash.techniques import distill, finetune
from lwdash.techniques.as_2d import as_2d, weights_back
from lwdash.techniques.batch_norm import settle_batch_norm
from lwdash.techniques.clone import clone_with
from lwdash.techniques.contract import Skipped, Training, Treated
from lwdash.techniques.fake_quant import Support, annotated, learnt_weights, settle_ranges, support_of
from lwdash.techniques.selection import Selection, leaf_layers, select, weight_name
from lwdash.techniques.structure import Structure, keeping, structure_of

NAME = "qat"
LABEL = "Quantization-aware training"
SUMMARY = "Fine-tunes while rounding to 8 bits, so that the integer file loses less; keeps zeros and clusters made before."
TRAP = "It pays where int8 alone visibly loses accuracy; where int8 loses nothing there is nothing to win back."
STAGE = "keras"
FORMAT = "int8"
"""The number format it trains for: the export that follows, and the only one that may be named after it."""

STEPS = 500
COMPARED_ROWS = 16
FORMS = {
    (False, False): "QAT",
    (True, False): "PQAT",
    (False, True): "CQAT",
    (True, True): "PCQAT",
}
"""By (zeros kept, clusters kept)."""


@dataclass(frozen=True)
class Params:
    epochs: int = finetune.epochs(STEPS)
    learning_rate: float = finetune.learning_rate(0.0005)
    batch_size: int = finetune.batch_size()
    teacher: float = distill.teacher()
    temperature: float = distill.temperature()
    skip: tuple[str, ...] = parameter(
        (), Names("Leave alone", "Layers that are trained in float; the export quantizes them all the same.")
    )


def apply(model: Any, params: Params, training: Training) -> Treated:
    """A copy of a tf_keras model with weights on the 8-bit grid.

    Layers that TFMOT does not know are trained in float and listed as skipped; the int8 export that follows
    quantizes them by their ranges.
    Raises BridgeRefused for a Keras 3 model, RecipeError when no layer is left, ConversionFailed when TFMOT fails.
    """
    finetune.seed_everything(training.seed)
    if finetune.library_of(model).__name__ == "keras":
        raise BridgeRefused(
            "qat: this model has no Keras 2 twin, and TFMOT trains no other; int8 quantizes it after training"
        )
    training = distill.taught(training, params)
    flat = flatten_model(model) if is_nested(model) else model
    rewritten = as_2d(flat, [values[:COMPARED_ROWS] for values in training.inputs])
    support = support_of(rewritten.model)
    chosen = _choose(model, rewritten.parts, support, params.skip)
    left = {part for path in _left(chosen) for part in rewritten.parts.get(path, ())}
    names = {name for name, reason in support.items() if reason is None and name not in left}
    emulated = annotated(rewritten.model, names)
    settle_ranges(emulated, training.inputs, params.batch_size)
    kernels, found = _structured(emulated, rewritten.model)
    facts = finetune.finetune(
        emulated,
        training,
        epochs=finetune.epochs_for(params.epochs, STEPS, training.rows, params.batch_size),
        learning_rate=params.learning_rate,
        batch_size=params.batch_size,
        what="quantization-aware training",
        callbacks=[keeping(kernels)] if kernels else [],
    )
    treated = clone_with(model, lambda layer: layer)
    weights_back(rewritten.parts, learnt_weights(emulated, rewritten.model, keep=set(kernels)), treated)
    settled = settle_batch_norm(treated, training)
    form = FORMS[any(s.is_pruned for s in found), any(s.is_clustered for s in found)]
    return Treated(
        treated,
        (*chosen.skipped, *_float_operations(rewritten.model, support)),
        {**facts, "form": form, "batch_norm_settled": settled, "quantized_kernels": _reached(chosen, treated)},
    )
