"""Weights below 8 bits: each kernel is trained with two to sixteen values per channel.

The network computes with the few values from the first step on, and learns to live with them, so that 1 to 3 bits often
cost nothing where rounding after the training would. Activations are not rounded here: no kernel of LiteRT or
TensorFlow Lite Micro computes with fewer than 8 bits of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from lwdash.contract import Training, Treated
from lwdash.errors import InternalFault, RecipeError
from lwdash.keras_models.ports import library_of
from lwdash.parameters import Choice, Flag, Integer, Names, parameter
from lwdash.training import distillation, fine_tuning, held_out
from lwdash.training.batch_norm import settle_batch_norm
from lwdash.training.kernels import DEPTHWISE_STAYS, Kernel, choose
from lwdash.training.latent_weights import LatentWeights
from lwdash.training.model_copies import clone_live
from lwdash.training.weight_levels import make_rounding

NAME = "lowbit"
LABEL = "Training below 8 bits"
SUMMARY = "Trains with weights of 1 to 4 bits: each channel of a kernel keeps at most 2, 4, 8 or 16 values."
TRAP = (
    "A .tflite stores 8 or 4 bits for each weight. To store the few bits, add a last step: lut for TensorFlow Lite Micro, "
    "coded for updates; with 3 and 4 bits int8(bits=4) halves the file for LiteRT."
)
STAGE = "keras"

STEPS = 1000
SPACINGS = {
    "even": "zero and steps of equal size on both sides; 2 bits are −1, 0 and 1 times a scale",
    "powers": "zero and powers of two on both sides, so that small weights are finer",
    "sums": "a sum of one scale for each bit, plus or minus: all 2, 4, 8 or 16 values are used, none is zero",
}


@dataclass(frozen=True)
class Params:
    bits: int = parameter(
        3,
        Integer("Bits", "Bits of each weight. One bit is a sign and a scale for each channel.", 1, 4, "bits"),
        always=True,
    )
    spacing: str = parameter(
        "even", Choice("Values", "The values that weights of a channel may have.", SPACINGS)
    )
    depthwise: bool = parameter(
        False,
        Flag(
            "Depthwise kernels too",
            "They have few weights per channel, and rounding them costs more accuracy.",
        ),
    )
    epochs: int = fine_tuning.epochs(STEPS)
    learning_rate: float = fine_tuning.learning_rate(0.001)
    batch_size: int = fine_tuning.batch_size()
    teacher: float | None = distillation.teacher()
    temperature: float = distillation.temperature()
    validate: bool = fine_tuning.validate()
    skip: tuple[str, ...] = parameter((), Names("Layers to skip", "Layers that keep their float weights."))


def check_after(params: Params, earlier: Sequence[str]) -> None:
    """Raises RecipeError after clustering: both choose the values of the same weights."""
    if "cluster" in earlier:
        raise RecipeError("lowbit: cluster has chosen the values of the weights already. Use one of the two")


def apply(model: Any, params: Params, training: Training) -> Treated:
    """A copy of a model of either Keras with few values in each channel; zeros from pruning stay zeros.

    Kernels that keep their weights are listed as skipped with the reason.
    """
    fine_tuning.seed_everything(training.seed)
    training = distillation.taught(training, params)
    trained = clone_live(model)
    kernels = choose(trained, params.skip, partial(_why_not, params=params))
    rounding = make_rounding(params.bits, params.spacing)
    latent = LatentWeights(kernels.chosen, dict.fromkeys(kernels.chosen, rounding))
    facts = fine_tuning.finetune(
        trained,
        training,
        epochs=fine_tuning.epochs_for(params.epochs, STEPS, training, params.batch_size),
        learning_rate=params.learning_rate,
        batch_size=params.batch_size,
        what=f"training with {params.bits} bits",
        validation=held_out.Validation(partial(latent.rounded_at_once, trained)) if params.validate else None,
        callbacks=[latent.callback(library_of(trained))],
        moves_activations=True,
    )
    settled = settle_batch_norm(trained, training)
    distinct = {path: kernel.most_values for path, kernel in kernels.chosen.items()}
    over = {path: count for path, count in distinct.items() if count > 2**params.bits + 1}
    if over:
        raise InternalFault(f"training with {params.bits} bits left more values in {over}")
    return Treated(
        trained,
        kernels.skipped,
        {**facts, "done_by": "lwdash", "batch_norm_settled": settled, "distinct_values": distinct},
    )


def _why_not(kernel: Kernel, params: Params) -> str | None:
    if kernel.is_depthwise and not params.depthwise:
        return DEPTHWISE_STAYS
    if kernel.channel_size <= 2**params.bits:
        return f"its channels have only {kernel.channel_size} weights each"
    return None
