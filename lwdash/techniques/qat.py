"""Quantization-aware training: fine-tuning while weights and activations are rounded as in the integer file that follows.

The rounding is lwdash's own: weights hold rounded values during the training (`latent_weights`), activations are rounded
where layers end (`rounded_activations`). So it works for every layer with kernels in Keras 2 and 3, recurrent ones included,
and each layer is trained with the bits that the recipe gives it. The trained network is exported and quantized like any
other. The export finds the same integers again, since every scale comes from the largest weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from lwdash.contract import Skipped, Training, Treated
from lwdash.errors import RecipeError
from lwdash.keras_models.ports import leaf_layers, library_of
from lwdash.parameters import Names, parameter
from lwdash.quantize.number_formats import BITS, FALLBACK, FLOAT32, FORMATS, Format, LayerFormats, can_have
from lwdash.quantize.rounding.rounded_model import round_kernels
from lwdash.training import distillation, fine_tuning, held_out
from lwdash.training.batch_norm import settle_batch_norm
from lwdash.training.kernel_structure import keeping, structure_of
from lwdash.training.kernels import Kernel, kernels_of
from lwdash.training.latent_weights import LatentWeights
from lwdash.training.layer_selection import matches, refuse_unknown
from lwdash.training.model_copies import clone_live
from lwdash.training.rounded_activations import rounded_activations
from lwdash.training.weight_levels import make_grid

NAME = "qat"
LABEL = "Quantization-aware training"
SUMMARY = (
    "Fine-tunes with simulated rounding to the bits of the integer file that follows, so that it loses less. It preserves "
    "earlier zeros and clusters."
)
TRAP = "Useful with 4-bit weights, or if int8 alone visibly loses accuracy. Otherwise there is no loss to recover."
STAGE = "keras"
FORMAT = "int8"
"""The number format that follows where a recipe names none."""
EIGHT_BITS = LayerFormats(FORMAT)
FORMATS_AFTER = ("int8", "mixed", "auto")
"""The number formats that it can prepare for."""

STEPS = 500
FEW_BITS = 8
"""Weights of fewer bits start from values that rows have chosen, and learn faster."""
LEARNING_RATE, LEARNING_RATE_FEW_BITS = 0.0001, 0.0003
FORMS = {
    (False, False): "QAT",
    (True, False): "PQAT",
    (False, True): "CQAT",
    (True, True): "PCQAT",
}
"""By (zeros kept, clusters kept)."""
SCALES = {"LSTM": 4, "Embedding": 1}
"""Number of scales of kernels of 8 bits that have not one a channel: a fused LSTM stores a kernel for each gate."""


@dataclass(frozen=True)
class Params:
    epochs: int = fine_tuning.epochs(STEPS)
    learning_rate: float | None = fine_tuning.chosen_learning_rate(
        f"auto is {LEARNING_RATE_FEW_BITS:g} where weights have 4 bits, otherwise {LEARNING_RATE:g}."
    )
    batch_size: int = fine_tuning.batch_size()
    teacher: float | None = distillation.teacher()
    temperature: float = distillation.temperature()
    validate: bool = fine_tuning.validate()
    skip: tuple[str, ...] = parameter(
        (), Names("Layers to skip", "Layers that are trained in float. The export still quantizes them.")
    )


@dataclass(frozen=True)
class _Plan:
    """The kernels of a model by path: rounded ones with their bits, and those whose zeros or clusters are only kept."""

    rounded: Mapping[str, Kernel]
    bits: Mapping[str, int]
    scales: Mapping[str, int | None]
    kept: Mapping[str, Kernel]
    form: str
    skipped: tuple[Skipped, ...]

    @property
    def few(self) -> dict[str, Kernel]:
        return {path: kernel for path, kernel in self.rounded.items() if self.bits[path] < FEW_BITS}


def apply(model: Any, params: Params, training: Training, formats: LayerFormats = EIGHT_BITS) -> Treated:
    """A copy of a model of either Keras whose weights are on the grids of the file in these formats.

    If the training is not kept, the weights are those of `model`. Raises RecipeError when no layer is left.
    """
    fine_tuning.seed_everything(training.seed)
    training = distillation.taught(training, params)
    trained = clone_live(model)
    formats = _as_in_file(trained, formats)
    plan = _plan(trained, params.skip, formats)
    if plan.few:
        training.progress("rounding the weights", 0.0)
        round_kernels(trained, plan.few, training, plan.bits, is_shared=not formats.per_channel)
    latent = LatentWeights(
        plan.rounded,
        {path: make_grid(plan.bits[path], scales=plan.scales[path]) for path in plan.rounded},
    )
    callbacks = [latent.callback(library_of(trained))]
    if plan.kept:
        callbacks.append(keeping(library_of(trained), {p: k.variable for p, k in plan.kept.items()}))
    rate = params.learning_rate or (LEARNING_RATE_FEW_BITS if plan.few else LEARNING_RATE)
    with rounded_activations(
        trained,
        training.inputs,
        partial(_activation_bits, formats=formats, skip=params.skip),
        _bits(FORMATS[formats.default].activations),
    ):
        facts = fine_tuning.finetune(
            trained,
            training,
            epochs=fine_tuning.epochs_for(params.epochs, STEPS, training, params.batch_size),
            learning_rate=rate,
            batch_size=params.batch_size,
            what="quantization-aware training",
            callbacks=callbacks,
            validation=held_out.Validation(partial(latent.rounded_at_once, trained))
            if params.validate
            else None,
        )
        is_kept = facts.get("kept_epoch") != 0
        settled = is_kept and settle_batch_norm(trained, training)
    return Treated(
        clone_live(trained if is_kept else model),
        plan.skipped,
        {
            "form": plan.form,
            **facts,
            "batch_norm_settled": settled,
            "weight_bits": dict(plan.bits),
        },
    )


def _plan(model: Any, skip: Sequence[str], formats: LayerFormats) -> _Plan:
    layers = {path: layer for path, layer in leaf_layers(model) if layer.weights}
    refuse_unknown(skip, layers)
    rounded: dict[str, Kernel] = {}
    kept: dict[str, Kernel] = {}
    bits: dict[str, int] = {}
    scales: dict[str, int | None] = {}
    skipped: list[Skipped] = []
    zeros = clusters = False
    for path, layer in layers.items():
        is_skipped = _is_among(path, skip)
        kernels = kernels_of(path, layer)
        if kernels and is_skipped:
            skipped.append(Skipped(path, "skipped by the recipe"))
        for kernel in kernels:
            structure = structure_of(kernel.values)
            zeros, clusters = zeros or structure.is_pruned, clusters or structure.is_clustered
            found = None if is_skipped else _weight_bits(layer, kernel, _format_of(path, formats))
            if found is None and not is_skipped:
                skipped.append(Skipped(kernel.path, "its weights stay in float in this recipe"))
            if found is not None and not structure.is_clustered:
                rounded[kernel.path], bits[kernel.path] = kernel, found
                scales[kernel.path] = _scales(layer, found, formats)
            elif structure:
                kept[kernel.path] = kernel
    if not rounded and not kept:
        listed = "; ".join(f"{s.layer}: {s.reason}" for s in skipped) or "the model has no kernels"
        raise RecipeError(f"there is no layer to treat ({listed})")
    return _Plan(rounded, bits, scales, kept, FORMS[zeros, clusters], tuple(skipped))


def _as_in_file(model: Any, formats: LayerFormats) -> LayerFormats:
    """The formats, with floats for the recurrent layers where the file leaves these in floats."""
    if not formats.has_float_loops:
        return formats
    loops = [path for path, layer in leaf_layers(model) if _is_recurrent(layer)]
    return replace(formats, overrides=(*formats.overrides, *((path, FLOAT32) for path in loops)))


def _is_recurrent(layer: Any) -> bool:
    """True for recurrent layers, also both ways and inside of other wrappers."""
    inner = getattr(layer, "forward_layer", None) or getattr(layer, "layer", layer)
    return hasattr(inner, "cell")


def _scales(layer: Any, bits: int, formats: LayerFormats) -> int | None:
    """Number of scales of a layer's kernel in the file; None for one a channel."""
    usual = None if formats.per_channel else 1
    inner = getattr(layer, "layer", layer)
    kind = type(inner).__name__
    if kind == "LSTM" and not getattr(
        inner, "_could_use_gpu_kernel", False
    ):  # it becomes a loop, as all of Keras 3 do
        return usual
    return SCALES.get(kind, usual) if bits == FEW_BITS else usual


def _is_among(path: str, patterns: Sequence[str]) -> bool:
    return any(matches(path, path.rpartition("/")[2], pattern) for pattern in patterns)


def _format_of(path: str, formats: LayerFormats) -> Format:
    """The format of the last override that matches a layer, or the default."""
    name = next(
        (name for pattern, name in reversed(formats.overrides) if _is_among(path, [pattern])), formats.default
    )
    return FORMATS[name]


def _weight_bits(layer: Any, kernel: Kernel, format: Format) -> int | None:
    """Bits of a kernel in the file; None where it stays in (half) floats."""
    if format.name in FALLBACK and not can_have(_operator(layer, kernel), format):
        format = FORMATS[FALLBACK[format.name]]
    return _bits(format.weights)


def _operator(layer: Any, kernel: Kernel) -> str:
    """The operator of the file that computes with a kernel."""
    kind = type(getattr(layer, "layer", layer)).__name__
    if kernel.is_depthwise:
        return "DEPTHWISE_CONV_2D"
    if kind == "Embedding":
        return "GATHER"
    if "Conv" not in kind:
        return "FULLY_CONNECTED"
    if "3D" in kind:
        return "CONV_3D"
    return "TRANSPOSE_CONV" if kind.endswith("Transpose") else "CONV_2D"


def _activation_bits(path: str, formats: LayerFormats, skip: Sequence[str]) -> int | None:
    return None if _is_among(path, skip) else _bits(_format_of(path, formats).activations)


def _bits(name: str) -> int | None:
    """Bits of an integer type; None for floats."""
    return None if name.startswith("float") else BITS[name]
