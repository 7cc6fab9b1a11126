"""Weight clustering: each kernel keeps only a few distinct values, shared by all its weights.

By TFMOT, whole kernels of the layers it knows. Values channel by channel (TFMOT: in Conv2D alone), depthwise kernels and
models with layers that it does not know, such as TimeDistributed, are lwdash's own, on the Keras 2 twin and on a Keras 3
model alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.contract import Skipped, Training, Treated
from lwdash.errors import InternalFault, RecipeError
from lwdash.keras_models.ports import library_of
from lwdash.parameters import Choice, Flag, Integer, Names, parameter
from lwdash.training import distillation, fine_tuning
from lwdash.training.batch_norm import settle_batch_norm
from lwdash.training.kernel_structure import structure_of
from lwdash.training.kernels import DEPTHWISE_STAYS, Kernel, beyond, choose, only_depthwise
from lwdash.training.layer_selection import Selection, select
from lwdash.training.model_copies import clone_live, clone_with
from lwdash.training.weight_sharing import Sharing

NAME = "cluster"
LABEL = "Clustering"
SUMMARY = "Lets each kernel keep only a few distinct values, which compress well."
TRAP = "The .tflite stores every weight all the same: look at the gzip and Huffman sizes."
STAGE = "keras"

STEPS = 300
INITS = {
    "linear": ("LINEAR", "evenly between the smallest and the largest weight"),
    "density": ("DENSITY_BASED", "more where weights are dense"),
    "random": ("RANDOM", "drawn between the smallest and the largest weight"),
    "kmeans++": ("KMEANS_PLUS_PLUS", "far apart from each other, by k-means++"),
}


@dataclass(frozen=True)
class Params:
    clusters: int = parameter(
        16, Integer("Clusters", "Distinct values a kernel keeps.", 2, 256, "values"), always=True
    )
    init: str = parameter(
        "linear",
        Choice("Start values", "Where the shared values start.", {k: v[1] for k, v in INITS.items()}),
    )
    per_channel: bool = parameter(
        False,
        Flag(
            "Values of its own each channel",
            "Each output channel keeps so many values of its own: more exact, and an export with a scale a channel does "
            "not spread them, but there are as many code books as channels.",
        ),
    )
    depthwise: bool = parameter(
        False,
        Flag(
            "Depthwise kernels too",
            "They have few weights a channel to share; TFMOT leaves them as they are.",
        ),
    )
    epochs: int = fine_tuning.epochs(STEPS)
    learning_rate: float = fine_tuning.learning_rate(0.0005)
    batch_size: int = fine_tuning.batch_size()
    teacher: float = distillation.teacher()
    temperature: float = distillation.temperature()
    skip: tuple[str, ...] = parameter((), Names("Leave alone", "Layers that are not clustered."))


def check_after(params: Params, earlier: Sequence[str]) -> None:
    """Keeping zeros takes a value of its own, so TFMOT wants three clusters after a pruning."""
    if "prune" in earlier and params.clusters < 3:
        raise RecipeError(
            f"cluster: clusters must be at least 3 after prune (one of them is zero), but got {params.clusters}"
        )


def apply(model: Any, params: Params, training: Training) -> Treated:
    """A clustered copy of a model of either Keras; zeros made before stay zeros (sparsity-preserving).

    Biases and normalizations are never clustered; kernels that are not are listed as skipped with the reason.
    """
    fine_tuning.seed_everything(training.seed)
    training = distillation.taught(training, params)
    is_twin = library_of(model).__name__ == "tf_keras"
    by_tfmot = (
        is_twin
        and not params.per_channel
        and not params.depthwise
        and not beyond(model, params.skip, _tfmot_knows)
    )
    return (_with_tfmot if by_tfmot else _with_sharing)(model, params, training)


def _with_tfmot(model: Any, params: Params, training: Training) -> Treated:
    from tensorflow_model_optimization.clustering import keras as clustering

    chosen = select_layers(model, params)
    before = {f"{path}/{name}": values for path, name, values in chosen.kernels(model)}
    init = getattr(clustering.CentroidInitialization, INITS[params.init][0])

    def wrap(layer: Any) -> Any:
        if layer.name not in chosen.names:
            return layer
        return clustering.cluster_weights(
            layer,
            number_of_clusters=params.clusters,
            cluster_centroids_init=init,
            preserve_sparsity=any(structure_of(values).is_pruned for values in layer.get_weights()),
        )

    clustered = clone_with(model, wrap)
    facts = _finetune(clustered, params, training)
    stripped = clustering.strip_clustering(clustered)
    settled = settle_batch_norm(stripped, training)
    after = {f"{path}/{name}": values for path, name, values in chosen.kernels(stripped)}
    how = {"done_by": "TFMOT", "batch_norm_settled": settled}
    distinct = {path: len(np.unique(values)) for path, values in after.items()}
    return Treated(stripped, chosen.skipped, {**facts, **how, **_checked(before, after, distinct, params)})


def _with_sharing(model: Any, params: Params, training: Training) -> Treated:
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
    facts = _finetune(clustered, params, training, sharing.callback(library_of(clustered)))
    settled = settle_batch_norm(clustered, training)
    after = {path: kernel.values for path, kernel in kernels.chosen.items()}
    distinct = {
        path: _most_in_a_channel(kernel) if params.per_channel else len(np.unique(kernel.values))
        for path, kernel in kernels.chosen.items()
    }
    how = {"done_by": "lwdash", "batch_norm_settled": settled}
    return Treated(clustered, kernels.skipped, {**facts, **how, **_checked(before, after, distinct, params)})


def _finetune(model: Any, params: Params, training: Training, *callbacks: Any) -> dict[str, Any]:
    return fine_tuning.finetune(
        model,
        training,
        epochs=fine_tuning.epochs_for(params.epochs, STEPS, training.rows, params.batch_size),
        learning_rate=params.learning_rate,
        batch_size=params.batch_size,
        what="clustering",
        callbacks=callbacks,
    )


def _checked(
    before: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
    distinct: Mapping[str, int],
    params: Params,
) -> dict[str, Any]:
    """The facts on distinct values, in a kernel or in its fullest channel. Raises InternalFault if values are too
    many or zeros were lost."""
    for path, values in after.items():
        lost = int(((before[path] == 0) & (values != 0)).sum())
        if structure_of(before[path]).is_pruned and lost > 0.001 * values.size:
            raise InternalFault(f"clustering lost {lost} zeros of {path}")
    over = {path: count for path, count in distinct.items() if count > params.clusters}
    if over:
        raise InternalFault(f"clustering left more than {params.clusters} distinct values in {over}")
    return {"distinct_values": dict(distinct)}


def _most_in_a_channel(kernel: Kernel) -> int:
    """Distinct values of the channel that has most of them."""
    pairs = np.stack([kernel.channel_numbers.ravel(), kernel.values.ravel()])
    return int(np.bincount(np.unique(pairs, axis=1)[0].astype(np.int64)).max())


def _why_not(kernel: Kernel, params: Params) -> str | None:
    if kernel.is_depthwise and not params.depthwise:
        return DEPTHWISE_STAYS
    if params.per_channel and kernel.channel_size <= params.clusters:
        return f"its channels have only {kernel.channel_size} weights each"
    return f"it has only {kernel.size} weights" if kernel.size <= params.clusters else None


def _tfmot_knows(layer: Any) -> bool:
    from tensorflow_model_optimization.python.core.clustering.keras import clustering_registry

    return bool(clustering_registry.ClusteringRegistry.supports(layer))


def select_layers(model: Any, params: Params) -> Selection:
    """Which layers TFMOT clusters, with the kernels it clusters in each."""
    from tensorflow_model_optimization.python.core.clustering.keras import clustering_registry

    def kernels_of(layer: Any) -> list[Any] | Skipped:
        kind = type(layer).__name__
        if not clustering_registry.ClusteringRegistry.supports(layer):
            return Skipped(layer.name, f"TFMOT does not cluster {kind}")
        clustering_registry.ClusteringRegistry.make_clusterable(layer)
        kernels = [weight for _, weight in layer.get_clusterable_weights()]
        small = [w for w in kernels if w.shape.num_elements() <= params.clusters]
        if small:
            return Skipped(layer.name, f"its kernel has only {small[0].shape.num_elements()} weights")
        return kernels or only_depthwise(layer)

    return select(model, kernels_of, params.skip)
