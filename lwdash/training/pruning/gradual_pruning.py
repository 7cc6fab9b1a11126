"""Pruning while a model is fine-tuned: by TFMOT, or by lwdash's masks, also in rounds and with rewinding."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from lwdash.contract import Training, Treated
from lwdash.errors import InternalFault
from lwdash.keras_models.ports import library_of
from lwdash.training import fine_tuning
from lwdash.training.batch_norm import settle_batch_norm
from lwdash.training.kernels import Kernels
from lwdash.training.pruning import tfmot_pruning
from lwdash.training.pruning.pruned_training import PrunedTraining, emptied, zero_share
from lwdash.training.pruning.pruning_masks import Masks
from lwdash.training.pruning.sparsity_schedule import ramp, rising

MAX_MISSING_SPARSITY = 0.02
"""TFMOT rounds the number of weights that it removes from each kernel."""


def prune_with_tfmot(
    model: Any,
    training: Training,
    settings: PrunedTraining,
    *,
    skip: tuple[str, ...],
    sparsity: float,
    schedule: str,
) -> Treated:
    """A pruned copy of a Keras 2 model, all of whose layers TFMOT knows. schedule: "polynomial" or "constant"."""
    from tensorflow_model_optimization.sparsity.keras import UpdatePruningStep

    chosen = tfmot_pruning.select_layers(model, skip)
    steps = settings.steps(training)
    pruned = tfmot_pruning.wrapped(model, chosen.names, schedule, sparsity, steps)
    facts = settings.run(
        pruned,
        training,
        "pruning",
        UpdatePruningStep(),
        pruned_kernels=partial(tfmot_pruning.pruned_kernels, pruned),
        untrained=partial(tfmot_pruning.masked_at_once, pruned, sparsity),
        first_step=(ramp(steps)[1] if schedule == "polynomial" else 0) + 1,
    )
    bare = tfmot_pruning.stripped(pruned)
    settled = settle_batch_norm(bare, training)
    reached = {f"{path}/{name}": zero_share(values) for path, name, values in chosen.kernels(bare)}
    short = {name: share for name, share in reached.items() if share < sparsity - MAX_MISSING_SPARSITY}
    if short:
        raise InternalFault(f"pruning did not reach {sparsity:g} in {short}")
    how = {"done_by": "TFMOT", "batch_norm_settled": settled, "sparsity": reached}
    return Treated(bare, chosen.skipped, {**facts, **how})


def prune_with_masks(
    pruned: Any,
    kernels: Kernels,
    masks: Masks,
    training: Training,
    settings: PrunedTraining,
    *,
    sparsity: float,
    schedule: str,
    rounds: int,
    rewind: str,
) -> Treated:
    """`pruned`, changed in place. masks: of the chosen kernels.

    rewind: the weights that each round after the first begins with: "no" (as they are), "uploaded" (as they are
    now), or "early" (after one epoch of fine-tuning).
    """
    library = library_of(pruned)
    if rewind == "early":
        fine_tuning.finetune(
            pruned,
            training,
            epochs=1,
            learning_rate=settings.learning_rate,
            batch_size=settings.batch_size,
            what="fine-tuning to the early weights",
        )
    early = pruned.get_weights()
    frequency, ramp_end = ramp(settings.steps(training))
    before, facts = 0.0, {}
    curves: list[Mapping[str, Any]] = []
    for number in range(1, rounds + 1):
        after = 1 - (1 - sparsity) ** (number / rounds)
        if schedule == "constant":
            masks.raise_to(after)
        if rewind != "no" and number > 1:
            pruned.set_weights(early)
        facts = settings.run(
            pruned,
            training,
            "pruning" if rounds == 1 else f"pruning, round {number} of {rounds}",
            masks.callback(library, rising(schedule, before, after, frequency, ramp_end)),
            pruned_kernels=masks.values,
            untrained=partial(masks.raised_at_once, pruned, after),
            first_step=ramp_end if schedule == "polynomial" else 0,
        )
        curves.append(facts["training_curve"])
        if facts.get("kept_epoch") == 0:
            masks.take_zeros()
        before = after
    if rounds > 1 and "fine_tuning" in facts:
        facts["fine_tuning"] = f"in the last round {facts['fine_tuning']}"
    settled = settle_batch_norm(pruned, training)
    reached = {path: zero_share(kernel.values) for path, kernel in kernels.chosen.items()}
    how = {
        "training_curve": fine_tuning.curve_of_rounds(curves),
        "rounds": rounds,
        "done_by": "lwdash",
        "batch_norm_settled": settled,
        "sparsity": reached,
    }
    return Treated(pruned, (*kernels.skipped, *emptied(reached)), {**facts, **how})
