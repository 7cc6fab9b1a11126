"""Magnitude pruning with TFMOT: the smallest weights become zero while the others are fine-tuned.

Schedule: Zhu & Gupta, arXiv 1710.01878.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.errors import InternalFault
from lwdash.parameters import Choice, Names, Number, parameter
from lwdash.techniques import distill, finetune, native
from lwdash.techniques.batch_norm import settle_batch_norm
from lwdash.techniques.clone import clone_keras, clone_with
from lwdash.techniques.contract import Skipped, Training, Treated
from lwdash.techniques.selection import Selection, select

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
    schedule: str = parameter(
        "polynomial",
        Choice(
            "Schedule",
            "How the sparsity is reached.",
            {"polynomial": "rises step by step, then recovers", "constant": "at once, then recovers"},
        ),
    )
    epochs: int = finetune.epochs(STEPS)
    learning_rate: float = finetune.learning_rate(0.002)
    batch_size: int = finetune.batch_size()
    teacher: float = distill.teacher()
    temperature: float = distill.temperature()
    skip: tuple[str, ...] = parameter((), Names("Leave alone", "Layers that are not pruned."))


def apply(model: Any, params: Params, training: Training) -> Treated:
    """A pruned copy of a tf_keras model; kernels reach `sparsity` exactly (to a weight).

    Depthwise kernels are left dense by TFMOT and listed as skipped, with every layer it does not know.
    """
    from tensorflow_model_optimization.python.core.sparsity.keras import pruning_wrapper
    from tensorflow_model_optimization.sparsity import keras as sparsity

    finetune.seed_everything(training.seed)
    training = distill.taught(training, params)
    if finetune.library_of(model).__name__ == "keras":
        return _apply_native(model, params, training)
    chosen = select_layers(model, params.skip)
    epochs = finetune.epochs_for(params.epochs, STEPS, training.rows, params.batch_size)
    schedule = _schedule(params, finetune.steps_in_all(training.rows, params.batch_size, epochs))

    def wrap(layer: Any) -> Any:
        if layer.name not in chosen.names:
            return layer
        return sparsity.prune_low_magnitude(layer, pruning_schedule=schedule)

    pruned = clone_with(model, wrap)
    facts = finetune.finetune(
        pruned,
        training,
        epochs=epochs,
        learning_rate=params.learning_rate,
        batch_size=params.batch_size,
        what="pruning",
        callbacks=[sparsity.UpdatePruningStep()],
    )
    stripped = _strip(pruned, pruning_wrapper.PruneLowMagnitude)
    settled = settle_batch_norm(stripped, training)
    reached = {f"{path}/{name}": zero_share(values) for path, name, values in chosen.kernels(stripped)}
    short = {name: share for name, share in reached.items() if share < params.sparsity - 0.02}
    if short:
        raise InternalFault(f"pruning did not reach {params.sparsity:g} in {short}")
    return Treated(stripped, chosen.skipped, {**facts, "batch_norm_settled": settled, "sparsity": reached})


def _apply_native(model: Any, params: Params, training: Training) -> Treated:
    """The same on a Keras 3 model that TFMOT cannot treat."""
    pruned = clone_keras(model)
    kernels = native.choose(pruned, params.skip, smallest=1)
    epochs = finetune.epochs_for(params.epochs, STEPS, training.rows, params.batch_size)
    frequency, end = _ramp(finetune.steps_in_all(training.rows, params.batch_size, epochs))

    def sparsity_at(step: int) -> float:
        if params.schedule == "constant" or step >= end:
            return params.sparsity
        left = 1 - (step // frequency * frequency) / end
        return params.sparsity * (1 - left**3)

    facts = finetune.finetune(
        pruned,
        training,
        epochs=epochs,
        learning_rate=params.learning_rate,
        batch_size=params.batch_size,
        what="pruning",
        callbacks=[native.masking(kernels, sparsity_at)],
    )
    settled = settle_batch_norm(pruned, training)
    reached = {path: zero_share(values) for path, values in kernels.values(pruned).items()}
    how = {"done_by": "lwdash on the Keras 3 model", "batch_norm_settled": settled, "sparsity": reached}
    return Treated(pruned, kernels.skipped, {**facts, **how})


def select_layers(model: Any, skip: tuple[str, ...]) -> Selection:
    """Which layers TFMOT prunes, with the kernels it prunes in each."""
    from tensorflow_model_optimization.python.core.sparsity.keras import prune_registry

    def kernels_of(layer: Any) -> list[Any] | Skipped:
        if not prune_registry.PruneRegistry.supports(layer):
            return Skipped(layer.name, f"TFMOT does not prune {type(layer).__name__}")
        prune_registry.PruneRegistry.make_prunable(layer)
        return list(layer.get_prunable_weights())

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
