"""Pruning: weights become zero, step by step, while the others are fine-tuned.

TFMOT prunes each kernel by magnitude (schedule: Zhu & Gupta, arXiv 1710.01878). One threshold for all kernels, chance,
patterns, depthwise kernels, rounds and rewinding, which it does not know, are lwdash's own masks, on the Keras 2 twin and
on a Keras 3 model alike; so are models with layers that it does not look into, such as Bidirectional.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lwdash.contract import Skipped, Training, Treated
from lwdash.errors import InternalFault, RecipeError
from lwdash.keras_models.ports import library_of
from lwdash.parameters import Choice, Flag, Integer, Names, Number, parameter
from lwdash.training import distillation, fine_tuning
from lwdash.training.batch_norm import settle_batch_norm
from lwdash.training.kernels import DEPTHWISE_STAYS, Kernel, beyond, choose, only_depthwise
from lwdash.training.layer_selection import Selection, select
from lwdash.training.model_copies import clone_live, clone_with
from lwdash.training.pruning_masks import TWO_OF_FOUR, Masks, fits_two_of_four

NAME = "prune"
LABEL = "Pruning"
SUMMARY = "Sets the smallest weights to zero, step by step, while the rest is fine-tuned."
TRAP = "It does not make the .tflite smaller by itself, zeros are stored too: look at the gzip and Huffman sizes."
STAGE = "keras"

UPDATES = 20
"""How many times the polynomial schedule raises the sparsity."""
STEPS = 1000
"""Training steps by default: measured on three small networks, 80 % sparsity took fewer with a visible loss."""
RAMP = 0.7
"""Share of the training steps in which the sparsity rises; the rest recovers."""
STRUCTURES = {
    "none": "anywhere",
    "2:4": "two of every four neighbours along the input channels, as sparse tensor cores need: sparsity is 0.5",
    "4x1": "blocks of 4 inputs × 1 output, as sparse kernels for CPUs take them",
    "16x1": "blocks of 16 inputs × 1 output",
    "1x4": "blocks of 1 input × 4 outputs",
    "1x16": "blocks of 1 input × 16 outputs",
    "4x4": "blocks of 4 inputs × 4 outputs",
}
DONE_BY_TFMOT: Mapping[str, Any] = {
    "scope": "layer",
    "criterion": "magnitude",
    "structure": "none",
    "rounds": 1,
    "depthwise": False,
}
"""TFMOT knows no other values of these. Its own 2:4 and blocks take kernels of some ranks only, and it lays blocks over
kernels that they do not divide in another place than it prunes."""


@dataclass(frozen=True)
class Params:
    sparsity: float = parameter(
        0.5,
        Number(
            "Sparsity",
            "Share of each kernel's weights that become zero.",
            0.0,
            1.0,
            low_open=True,
            high_open=True,
        ),
        always=True,
    )
    scope: str = parameter(
        "layer",
        Choice(
            "Scope",
            "Of what the sparsity is a share.",
            {
                "layer": "every kernel loses the same share",
                "global": "one threshold for all kernels: those with many small weights lose more",
            },
        ),
    )
    criterion: str = parameter(
        "magnitude",
        Choice(
            "Criterion",
            "Which weights go.",
            {
                "magnitude": "the smallest",
                "random": "any, as the control: what a better criterion has to beat",
            },
        ),
    )
    schedule: str = parameter(
        "polynomial",
        Choice(
            "Schedule",
            "How the sparsity is reached, in each round.",
            {"polynomial": "rises step by step, then recovers", "constant": "at once, then recovers"},
        ),
    )
    structure: str = parameter("none", Choice("Pattern", "Where zeros may lie.", STRUCTURES))
    rounds: int = parameter(
        1,
        Integer(
            "Rounds",
            "Prune, fine-tune, prune again: each round takes the same share of the weights that are left, and each is "
            "fine-tuned for all the epochs.",
            1,
            50,
            "rounds",
        ),
    )
    rewind: str = parameter(
        "no",
        Choice(
            "Rewind",
            "Lottery tickets: what the weights that are left go back to before each round after the first, when the "
            "trained ones have shown which of them matter. What a network was before its training is not in the file.",
            {
                "no": "they go on from where they are",
                "uploaded": "their values in the uploaded model",
                "early": "their values after one epoch of fine-tuning the uploaded model, before any was pruned",
            },
        ),
    )
    depthwise: bool = parameter(
        False,
        Flag("Depthwise kernels too", "They have few weights a channel to spare; TFMOT leaves them dense."),
    )
    epochs: int = fine_tuning.epochs(STEPS)
    learning_rate: float = fine_tuning.learning_rate(0.002)
    batch_size: int = fine_tuning.batch_size()
    teacher: float = distillation.teacher()
    temperature: float = distillation.temperature()
    skip: tuple[str, ...] = parameter((), Names("Leave alone", "Layers that are not pruned."))


def check(params: Params) -> None:
    """What excludes one another."""
    if params.structure == TWO_OF_FOUR and (params.sparsity, params.scope) != (0.5, "layer"):
        raise RecipeError(
            "prune: structure=2:4 takes half of every kernel, so that it needs sparsity=0.5 and scope=layer, but got "
            f"sparsity={params.sparsity:g} and scope={params.scope}"
        )
    if params.rewind != "no" and (params.rounds < 2 or params.schedule != "constant"):
        raise RecipeError(
            f"prune: rewind={params.rewind} needs two rounds or more that prune at once, rounds=2 and schedule=constant, "
            f"but got rounds={params.rounds} and schedule={params.schedule}"
        )


def apply(model: Any, params: Params, training: Training) -> Treated:
    """A pruned copy of a model of either Keras; kernels reach `sparsity` exactly (to a weight or a block).

    What is not pruned is listed as skipped with the reason.
    """
    fine_tuning.seed_everything(training.seed)
    training = distillation.taught(training, params)
    epochs = fine_tuning.epochs_for(params.epochs, STEPS, training.rows, params.batch_size)
    by_tfmot = (
        params == replace(params, **DONE_BY_TFMOT)
        and library_of(model).__name__ == "tf_keras"
        and not beyond(model, params.skip, _tfmot_knows)
    )
    return (_with_tfmot if by_tfmot else _with_masks)(model, params, training, epochs)


def _with_tfmot(model: Any, params: Params, training: Training, epochs: int) -> Treated:
    from tensorflow_model_optimization.python.core.sparsity.keras import pruning_wrapper
    from tensorflow_model_optimization.sparsity import keras as sparsity

    chosen = select_layers(model, params.skip)
    schedule = _schedule(params, fine_tuning.steps_in_all(training.rows, params.batch_size, epochs))

    def wrap(layer: Any) -> Any:
        if layer.name not in chosen.names:
            return layer
        return sparsity.prune_low_magnitude(layer, pruning_schedule=schedule)

    pruned = clone_with(model, wrap)
    facts = _finetune(pruned, params, training, epochs, "pruning", sparsity.UpdatePruningStep())
    stripped = _strip(pruned, pruning_wrapper.PruneLowMagnitude)
    settled = settle_batch_norm(stripped, training)
    reached = {f"{path}/{name}": zero_share(values) for path, name, values in chosen.kernels(stripped)}
    short = {name: share for name, share in reached.items() if share < params.sparsity - 0.02}
    if short:
        raise InternalFault(f"pruning did not reach {params.sparsity:g} in {short}")
    how = {"done_by": "TFMOT", "batch_norm_settled": settled, "sparsity": reached}
    return Treated(stripped, chosen.skipped, {**facts, **how})


def _with_masks(model: Any, params: Params, training: Training, epochs: int) -> Treated:
    library = library_of(model)
    pruned = clone_live(model)
    kernels = choose(pruned, params.skip, lambda kernel: _why_not(kernel, params))
    masks = Masks(
        kernels.chosen,
        scope=params.scope,
        criterion=params.criterion,
        structure=params.structure,
        seed=training.seed,
    )
    if params.rewind == "early":
        _finetune(pruned, params, training, 1, "fine-tuning to the early weights")
    early = pruned.get_weights()
    ramp = _ramp(fine_tuning.steps_in_all(training.rows, params.batch_size, epochs))
    before, facts = 0.0, {}
    for number in range(1, params.rounds + 1):
        after = 1 - (1 - params.sparsity) ** (number / params.rounds)
        if params.schedule == "constant":
            masks.raise_to(after)
        if params.rewind != "no" and number > 1:
            pruned.set_weights(early)
        doing = "pruning" if params.rounds == 1 else f"pruning, round {number} of {params.rounds}"
        callback = masks.callback(library, _rising(params, before, after, *ramp))
        facts = _finetune(pruned, params, training, epochs, doing, callback)
        before = after
    settled = settle_batch_norm(pruned, training)
    reached = {path: zero_share(kernel.values) for path, kernel in kernels.chosen.items()}
    empty = [
        Skipped(path, "nothing is left of it, every weight is zero") for path in reached if reached[path] == 1
    ]
    how = {"done_by": "lwdash", "batch_norm_settled": settled, "sparsity": reached}
    return Treated(pruned, (*kernels.skipped, *empty), {**facts, "rounds": params.rounds, **how})


def _finetune(
    model: Any, params: Params, training: Training, epochs: int, doing: str, *callbacks: Any
) -> dict[str, Any]:
    return fine_tuning.finetune(
        model,
        training,
        epochs=epochs,
        learning_rate=params.learning_rate,
        batch_size=params.batch_size,
        what=doing,
        callbacks=callbacks,
    )


def _rising(params: Params, before: float, after: float, frequency: int, end: int) -> Callable[[int], float]:
    """The sparsity at each step of a round, as `_schedule` has it for TFMOT."""

    def share_at(step: int) -> float:
        if params.schedule == "constant" or step >= end:
            return after
        left = 1 - (step // frequency * frequency) / end
        return after - (after - before) * left**3

    return share_at


def _why_not(kernel: Kernel, params: Params) -> str | None:
    if kernel.is_depthwise and not params.depthwise:
        return DEPTHWISE_STAYS
    if kernel.size == 1:
        return "it has only one weight"
    return fits_two_of_four(kernel) if params.structure == TWO_OF_FOUR else None


def _tfmot_knows(layer: Any) -> bool:
    from tensorflow_model_optimization.python.core.sparsity.keras import prune_registry

    return bool(prune_registry.PruneRegistry.supports(layer))


def select_layers(model: Any, skip: tuple[str, ...]) -> Selection:
    """Which layers TFMOT prunes, with the kernels it prunes in each."""
    from tensorflow_model_optimization.python.core.sparsity.keras import prune_registry

    def kernels_of(layer: Any) -> list[Any] | Skipped:
        if not prune_registry.PruneRegistry.supports(layer):
            return Skipped(layer.name, f"TFMOT does not prune {type(layer).__name__}")
        prune_registry.PruneRegistry.make_prunable(layer)
        return list(layer.get_prunable_weights()) or only_depthwise(layer)

    return select(model, kernels_of, skip)


def zero_share(values: np.ndarray) -> float:
    """Share of the values that are exactly 0."""
    return float(np.mean(values == 0))


def _schedule(params: Params, steps: int) -> Any:
    """A schedule from the real number of steps: TFMOT's default frequency of 100 would prune nothing in 50."""
    from tensorflow_model_optimization.sparsity import keras as sparsity

    if params.schedule == "constant":
        return sparsity.ConstantSparsity(params.sparsity, begin_step=0, frequency=1)
    frequency, end = _ramp(steps)
    return sparsity.PolynomialDecay(
        initial_sparsity=0.0, final_sparsity=params.sparsity, begin_step=0, end_step=end, frequency=frequency
    )


def _ramp(steps: int) -> tuple[int, int]:
    """Every how many steps the sparsity rises, and the step at which it is reached."""
    frequency = max(1, int(steps * RAMP) // UPDATES)
    return frequency, max(1, int(steps * RAMP) // frequency) * frequency


def _strip(model: Any, wrapper: type) -> Any:
    """The model without TFMOT's wrappers, as a copy; nested models too."""
    import tf_keras

    def unwrap(layer: Any) -> Any:
        if isinstance(layer, tf_keras.Model):
            return _strip(layer, wrapper)
        return getattr(layer, "layer") if isinstance(layer, wrapper) else layer  # noqa: B009

    return tf_keras.models.clone_model(model, clone_function=unwrap)
