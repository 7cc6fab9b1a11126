"""Pruning at once by optimal brain surgeon, and fine-tuning that keeps the zeros where they are."""

from collections.abc import Mapping
from typing import Any

from lwdash.contract import Skipped, Training, Treated
from lwdash.keras_models.ports import library_of
from lwdash.training import fine_tuning
from lwdash.training.batch_norm import settle_batch_norm
from lwdash.training.kernels import Kernels
from lwdash.training.layerwise.layer_by_layer import change_in_one_pass
from lwdash.training.layerwise.one_shot_pruning import pruning
from lwdash.training.pruning.pruned_training import PrunedTraining, emptied, zero_share
from lwdash.training.pruning.pruning_masks import Masks


def prune_at_once(
    pruned: Any,
    kernels: Kernels,
    shares: Mapping[str, float],
    training: Training,
    settings: PrunedTraining,
    *,
    structure: str,
    is_magnitude_too: bool,
) -> Treated:
    """`pruned`, changed in place; without epochs it is not fine-tuned.

    shares: path of each kernel → share of its weights to remove. is_magnitude_too: the smallest weights go where a layer's
    inputs are not known; otherwise such kernels are listed as skipped.
    """
    done = change_in_one_pass(pruned, kernels.chosen, training, pruning(shares, structure), what="pruning")
    treated = kernels.chosen if is_magnitude_too else {path: kernels.chosen[path] for path in done.errors}
    left = [path for path in kernels.chosen if path not in treated]
    unseen = [Skipped(path, "its layer computes inside of a compiled graph") for path in left]
    masks = Masks(treated, scope="layer", criterion="magnitude", structure=structure, seed=training.seed)
    masks.take_zeros()
    if is_magnitude_too:
        masks.raise_to(shares)
    learnt = {}
    if settings.epochs:
        callback = masks.callback(library_of(pruned), None)
        learnt = settings.run(pruned, training, "pruning", callback, pruned_kernels=masks.values)
        if not fine_tuning.is_gentle(training):
            learnt["batch_norm_settled"] = settle_batch_norm(pruned, training)
    reached = {path: zero_share(kernel.values) for path, kernel in treated.items()}
    facts = {
        **learnt,
        "done_by": "lwdash",
        "moment_rows": done.rows,
        "output_change": dict(done.errors),
        "sparsity": reached,
    }
    return Treated(pruned, (*kernels.skipped, *unseen, *emptied(reached)), facts)
