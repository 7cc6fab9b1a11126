"""Weight clustering: each kernel keeps only a few distinct values, shared by all its weights.

k-means finds clusters. Then, layer by layer, values and clusters are fitted to the inputs that each layer receives from
the train rows, so that its outputs change least (`shared_values`), and all values are fine-tuned. It works on the Keras 2
twin and on a Keras 3 model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.contract import Training, Treated
from lwdash.errors import InternalFault, RecipeError
from lwdash.keras_models.ports import library_of
from lwdash.parameters import Choice, Flag, Integer, Names, parameter
from lwdash.training import distillation, fine_tuning, held_out
from lwdash.training.batch_norm import settle_batch_norm
from lwdash.training.kernel_structure import structure_of
from lwdash.training.kernels import DEPTHWISE_STAYS, Kernel, choose
from lwdash.training.layerwise import shared_values
from lwdash.training.layerwise.layer_by_layer import change_in_one_pass
from lwdash.training.model_copies import clone_live
from lwdash.training.weight_sharing import Sharing

NAME = "cluster"
LABEL = "Clustering"
SUMMARY = "Reduces each kernel to a few distinct values, which compress well."
TRAP = (
    "The .tflite still stores every weight at full size. To make the file smaller, add a last step: lut for TensorFlow Lite "
    "Micro, coded for updates."
)
STAGE = "keras"

STEPS = 300
INITS = {
    "linear": "evenly between the smallest and the largest weight",
    "density": "more where weights are dense",
    "random": "drawn between the smallest and the largest weight",
    "kmeans++": "far apart from each other, by k-means++",
}


@dataclass(frozen=True)
class Params:
    clusters: int = parameter(
        16, Integer("Clusters", "Number of distinct values in a kernel.", 2, 256, "values"), always=True
    )
    init: str = parameter(
        "linear",
        Choice("Start values", "Initial choice of the shared values.", INITS),
    )
    per_channel: bool = parameter(
        False,
        Flag(
            "Values per channel",
            "Each output channel has its own shared values. This is more exact, and per-channel scales "
            "do not multiply the values, but there are as many code books as channels.",
        ),
    )
    depthwise: bool = parameter(
        False,
        Flag(
            "Depthwise kernels too",
            "They have few weights per channel to share.",
        ),
    )
    epochs: int = fine_tuning.epochs(STEPS)
    learning_rate: float = fine_tuning.learning_rate(0.0005)
    batch_size: int = fine_tuning.batch_size()
    teacher: float | None = distillation.teacher()
    temperature: float = distillation.temperature()
    validate: bool = fine_tuning.validate()
    skip: tuple[str, ...] = parameter((), Names("Layers to skip", "Layers that are not clustered."))


def check_after(params: Params, earlier: Sequence[str]) -> None:
    """Keeping zeros takes one value, so pruned kernels need three clusters."""
    if "prune" in earlier and params.clusters < 3:
        raise RecipeError(
            f"cluster: clusters must be at least 3 after prune (one of them is zero), but got {params.clusters}"
        )


def apply(model: Any, params: Params, training: Training) -> Treated:
    """A clustered copy of a model of either Keras; earlier zeros stay zeros (sparsity-preserving).

    Biases and normalizations are never clustered; other kernels that are not clustered are listed as skipped
    with the reason.
    """
    fine_tuning.seed_everything(training.seed)
    training = distillation.taught(training, params)
    clustered = clone_live(model)
    kernels = choose(clustered, params.skip, lambda kernel: _why_not(kernel, params))
    before = {path: kernel.values.copy() for path, kernel in kernels.chosen.items()}
    sharing = Sharing(
        kernels.chosen,
        clusters=params.clusters,
        init=params.init,
        per_channel=params.per_channel,
        seed=training.seed,
    )
    changes = _fit(clustered, kernels.chosen, sharing, training)
    sharing.apply()
    facts = fine_tuning.finetune(
        clustered,
        training,
        epochs=fine_tuning.epochs_for(params.epochs, STEPS, training, params.batch_size),
        learning_rate=params.learning_rate,
        batch_size=params.batch_size,
        what="clustering",
        validation=held_out.Validation() if params.validate else None,
        callbacks=[sharing.callback(library_of(clustered))],
    )
    settled = settle_batch_norm(clustered, training)
    after = {path: kernel.values for path, kernel in kernels.chosen.items()}
    distinct = {
        path: kernel.most_values if params.per_channel else len(np.unique(kernel.values))
        for path, kernel in kernels.chosen.items()
    }
    how = {"done_by": "lwdash", "output_change": changes, "batch_norm_settled": settled}
    return Treated(clustered, kernels.skipped, {**facts, **how, **_checked(before, after, distinct, params)})


def _fit(model: Any, kernels: Mapping[str, Kernel], sharing: Sharing, training: Training) -> dict[str, float]:
    """Fit the shared values to each layer's inputs, in place; returns each kernel's squared change of its outputs."""

    def solve(kernel: Kernel, places: np.ndarray, weights: np.ndarray, moments: np.ndarray) -> np.ndarray:
        clusters, books = sharing.clusters(kernel.path)
        values, found = shared_values.fitted(weights, moments, clusters.ravel()[places], books)
        regrouped = np.empty(kernel.size, np.int64)
        regrouped[places] = found
        sharing.regroup(kernel.path, regrouped.reshape(kernel.shape))
        return values

    done = change_in_one_pass(model, kernels, training, solve, what="clustering")
    return dict(done.errors)


def _checked(
    before: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
    distinct: Mapping[str, int],
    params: Params,
) -> dict[str, Any]:
    """The number of distinct values, per kernel or in the channel with most. Raises InternalFault if there
    are too many, or zeros were lost.
    """
    for path, values in after.items():
        lost = int(((before[path] == 0) & (values != 0)).sum())
        if structure_of(before[path]).is_pruned and lost > 0.001 * values.size:
            raise InternalFault(f"clustering lost {lost} zeros of {path}")
    over = {path: count for path, count in distinct.items() if count > params.clusters}
    if over:
        raise InternalFault(f"clustering left more than {params.clusters} distinct values in {over}")
    return {"distinct_values": dict(distinct)}


def _why_not(kernel: Kernel, params: Params) -> str | None:
    if kernel.is_depthwise and not params.depthwise:
        return DEPTHWISE_STAYS
    if params.per_channel and kernel.channel_size <= params.clusters:
        return f"its channels have only {kernel.channel_size} weights each"
    return f"it has only {kernel.size} weights" if kernel.size <= params.clusters else None
