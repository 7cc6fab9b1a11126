"""Weight clustering with TFMOT: each kernel keeps only a few distinct values, shared by all its weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.errors import InternalFault, RecipeError
from lwdash.parameters import Choice, Integer, Names, parameter
from lwdash.techniques import distill, finetune, native
from lwdash.techniques.batch_norm import settle_batch_norm
from lwdash.techniques.clone import clone_keras, clone_with
from lwdash.techniques.contract import Skipped, Training, Treated
from lwdash.techniques.selection import Selection, select

NAME = "cluster"
LABEL = "Clustering"
SUMMARY = "Lets each kernel keep only a few distinct values, which compress well."
TRAP = "The .tflite stores every weight all the same: look at the gzip and Huffman sizes."
STAGE = "keras"

PRUNED = 0.05
"""A kernel with a larger share of zeros was pruned on purpose, and its zeros are kept."""
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
    epochs: int = finetune.epochs(STEPS)
    learning_rate: float = finetune.learning_rate(0.0005)
    batch_size: int = finetune.batch_size()
    teacher: float = distill.teacher()
    temperature: float = distill.temperature()
    skip: tuple[str, ...] = parameter((), Names("Leave alone", "Layers that are not clustered."))


def check_after(params: Params, earlier: Sequence[str]) -> None:
    """Keeping zeros takes a value of its own, so TFMOT wants three clusters after a pruning."""
    if "prune" in earlier and params.clusters < 3:
        raise RecipeError(
            f"cluster: clusters must be at least 3 after prune (one of them is zero), but got {params.clusters}"
        )


def apply(model: Any, params: Params, training: Training) -> Treated:
    """A clustered copy of a tf_keras model; zeros made before stay zeros (sparsity-preserving).

    Biases, batch normalization and depthwise kernels are never clustered by TFMOT; they are listed as skipped.
    """
    from tensorflow_model_optimization.clustering import keras as clustering

    finetune.seed_everything(training.seed)
    training = distill.taught(training, params)
    if finetune.library_of(model).__name__ == "keras":
        return _apply_native(model, params, training)
    chosen = select_layers(model, params)
    zeros_before = {(path, name): values == 0 for path, name, values in chosen.kernels(model)}
    init = getattr(clustering.CentroidInitialization, INITS[params.init][0])

    def wrap(layer: Any) -> Any:
        if layer.name not in chosen.names:
            return layer
        return clustering.cluster_weights(
            layer,
            number_of_clusters=params.clusters,
            cluster_centroids_init=init,
            preserve_sparsity=any((k == 0).mean() > PRUNED for k in layer.get_weights() if k.ndim > 1),
        )

    clustered = clone_with(model, wrap)
    facts = finetune.finetune(
        clustered,
        training,
        epochs=finetune.epochs_for(params.epochs, STEPS, training.rows, params.batch_size),
        learning_rate=params.learning_rate,
        batch_size=params.batch_size,
        what="clustering",
    )
    stripped = clustering.strip_clustering(clustered)
    settled = settle_batch_norm(stripped, training)
    distinct = {}
    for path, name, values in chosen.kernels(stripped):
        distinct[f"{path}/{name}"] = len(np.unique(values))
        lost = int((zeros_before[path, name] & (values != 0)).sum())
        if lost > 0.001 * values.size and zeros_before[path, name].mean() > PRUNED:
            raise InternalFault(f"clustering lost {lost} zeros of {path}/{name}")
    over = {name: count for name, count in distinct.items() if count > params.clusters}
    if over:
        raise InternalFault(f"clustering left more than {params.clusters} distinct values in {over}")
    return Treated(
        stripped, chosen.skipped, {**facts, "batch_norm_settled": settled, "distinct_values": distinct}
    )


def _apply_native(model: Any, params: Params, training: Training) -> Treated:
    """The same on a Keras 3 model that TFMOT cannot treat."""
    clustered = clone_keras(model)
    kernels = native.choose(clustered, params.skip, smallest=params.clusters)
    keep_zeros = any((v == 0).mean() > PRUNED for v in kernels.values(clustered).values())
    facts = finetune.finetune(
        clustered,
        training,
        epochs=finetune.epochs_for(params.epochs, STEPS, training.rows, params.batch_size),
        learning_rate=params.learning_rate,
        batch_size=params.batch_size,
        what="clustering",
        callbacks=[native.sharing(kernels, params.clusters, params.init, training.seed, keep_zeros)],
    )
    settled = settle_batch_norm(clustered, training)
    distinct = {path: len(np.unique(values)) for path, values in kernels.values(clustered).items()}
    how = {
        "done_by": "lwdash on the Keras 3 model",
        "batch_norm_settled": settled,
        "distinct_values": distinct,
    }
    return Treated(clustered, kernels.skipped, {**facts, **how})


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
        return kernels

    return select(model, kernels_of, params.skip)
