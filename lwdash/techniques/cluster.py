"""Weight clustering: each kernel keeps only a few distinct values, shared by all its weights.

k-means finds clusters. Then, layer by layer, values and clusters are fitted to the inputs that each layer receives from
the train rows, so that its outputs change least (`shared_values`), and all values are fine-tuned. It works on the Keras 2
twin and on a Keras 3 model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lwdash.contract import Training, Treated
from lwdash.errors import InternalFault, RecipeError
from lwdash.keras_models.ports import library_of
from lwdash.parameters import (
    Choice,
    Flag,
    Integer,
    IntegerOrAuto,
    LayerNumbers,
    Names,
    Number,
    parameter,
    write_params,
)
from lwdash.training import distillation, fine_tuning, held_out
from lwdash.training.batch_norm import settle_batch_norm
from lwdash.training.kernel_structure import structure_of
from lwdash.training.kernels import DEPTHWISE_STAYS, Kernel, choose, numbers_of_kernels
from lwdash.training.layerwise.by_layer import AUTO_DROP, Trial, check_by_layer, nothing_kept
from lwdash.training.layerwise.cluster_trials import CLUSTERS as OFFERED
from lwdash.training.layerwise.cluster_trials import ClusterTrials
from lwdash.training.layerwise.layer_by_layer import change_in_one_pass, why_not_solved
from lwdash.training.layerwise.shared_values import fitting
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

NO_LIMIT, MAX_DROP = 0.0, 1.0
STEPS = 300
INITS = {
    "linear": "evenly between the smallest and the largest weight",
    "density": "more where weights are dense",
    "random": "drawn between the smallest and the largest weight",
    "kmeans++": "far apart from each other, by k-means++",
}


CLUSTERS = IntegerOrAuto(
    "Clusters",
    "Number of distinct values in a kernel. auto chooses one for each layer, by the change of the outputs that it causes on "
    "the train rows, see mean_bits and max_drop.",
    2,
    256,
    "values",
)


@dataclass(frozen=True)
class Params:
    clusters: int | None = parameter(16, CLUSTERS, always=True)
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
    mean_bits: float = parameter(
        NO_LIMIT,
        Number(
            "Mean bits",
            "With clusters=auto, the bits of an index into a kernel's values, log2 of their number, on average over all "
            "treated weights. 0: as few as the maximum drop allows.",
            0.0,
            6.0,
            "bits",
            step=0.1,
        ),
    )
    max_drop: float = parameter(MAX_DROP, AUTO_DROP)
    layers: tuple[tuple[str, int], ...] = parameter(
        (),
        LayerNumbers(
            "Clusters of single layers",
            "Layer names or patterns, each with its number of clusters. All other layers have the number above.",
            Integer(CLUSTERS.label, CLUSTERS.help, CLUSTERS.low, CLUSTERS.high, CLUSTERS.unit),
        ),
    )
    epochs: int = fine_tuning.epochs(STEPS)
    learning_rate: float = fine_tuning.learning_rate(0.0005)
    batch_size: int = fine_tuning.batch_size()
    teacher: float | None = distillation.teacher()
    temperature: float = distillation.temperature()
    validate: bool = fine_tuning.validate()
    skip: tuple[str, ...] = parameter((), Names("Layers to skip", "Layers that are not clustered."))


def check(params: Params) -> None:
    """Raises RecipeError for parameters that exclude one another."""
    check_by_layer(NAME, params, "clusters", "mean_bits")


def check_after(params: Params, earlier: Sequence[str]) -> None:
    """Keeping zeros takes one value, so pruned kernels need three clusters."""
    fewest = min([params.clusters, *(count for _, count in params.layers)], key=lambda count: count or 256)
    if "prune" in earlier and fewest is not None and fewest < 3:
        raise RecipeError(
            f"cluster: clusters must be at least 3 after prune (one of them is zero), but got {fewest}"
        )


def apply(model: Any, params: Params, training: Training) -> Treated:
    """A clustered copy of a model of either Keras; earlier zeros stay zeros (sparsity-preserving).

    Biases and normalizations are never clustered; other kernels that are not clustered are listed as skipped
    with the reason.
    """
    fine_tuning.seed_everything(training.seed)
    if params.clusters is None:
        params, chosen = _by_layer(model, params, training)
        treated = apply(model, params, training)
        return replace(treated, facts={**treated.facts, "by_layer": chosen})
    training = distillation.taught(training, params)
    clustered = clone_live(model)
    counts = numbers_of_kernels(clustered, params.clusters, params.layers, "layers")
    kernels = choose(clustered, params.skip, lambda kernel: _why_not(kernel, params, counts[kernel.path]))
    before = {path: kernel.values.copy() for path, kernel in kernels.chosen.items()}
    sharing = Sharing(
        kernels.chosen,
        clusters=counts,
        init=params.init,
        per_channel=params.per_channel,
        seed=training.seed,
    )
    cannot = why_not_solved(clustered)
    done = change_in_one_pass(
        clustered,
        {path: kernel for path, kernel in kernels.chosen.items() if cannot(kernel) is None},
        training.inputs,
        fitting(sharing),
        what="clustering",
        seed=training.seed,
        report=training.progress,
    )
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
    how = {"done_by": "lwdash", "output_change": dict(done.errors), "batch_norm_settled": settled}
    return Treated(clustered, kernels.skipped, {**facts, **how, **_checked(before, after, distinct, counts)})


def _by_layer(model: Any, params: Params, training: Training) -> tuple[Params, dict[str, Any]]:
    """The parameters with a number for each layer in the place of `clusters=auto`, and what was tried."""
    trials = ClusterTrials(
        model,
        lambda trial: choose(trial, params.skip, lambda kernel: _why_not(kernel, params, OFFERED[-1])),
        training,
        init=params.init,
        per_channel=params.per_channel,
    )
    if params.mean_bits:
        chosen: Trial | None = trials.of_cost(params.mean_bits, round(2**params.mean_bits))
    else:
        chosen = trials.within_change(params.max_drop / 100)
    if chosen is None:
        raise nothing_kept(NAME, trials, params.max_drop / 100)

    def as_params(attempt: Trial) -> Params:
        usual, layers = trials.as_numbers(attempt)
        return replace(
            params,
            clusters=int(usual),
            layers=tuple((layer, int(count)) for layer, count in layers),
            mean_bits=NO_LIMIT,
            max_drop=MAX_DROP,
        )

    return as_params(chosen), trials.facts(chosen, lambda one: f"{NAME}({write_params(as_params(one))})")


def _checked(
    before: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
    distinct: Mapping[str, int],
    counts: Mapping[str, int],
) -> dict[str, Any]:
    """The number of distinct values, per kernel or in the channel with most. Raises InternalFault if there
    are too many, or zeros were lost.
    """
    for path, values in after.items():
        lost = int(((before[path] == 0) & (values != 0)).sum())
        if structure_of(before[path]).is_pruned and lost > 0.001 * values.size:
            raise InternalFault(f"clustering lost {lost} zeros of {path}")
    over = {path: count for path, count in distinct.items() if count > counts[path]}
    if over:
        raise InternalFault(f"clustering left more distinct values than it should in {over}")
    return {"distinct_values": dict(distinct)}


def _why_not(kernel: Kernel, params: Params, clusters: int) -> str | None:
    if kernel.is_depthwise and not params.depthwise:
        return DEPTHWISE_STAYS
    if params.per_channel and kernel.channel_size <= clusters:
        return f"its channels have only {kernel.channel_size} weights each"
    return f"it has only {kernel.size} weights" if kernel.size <= clusters else None
