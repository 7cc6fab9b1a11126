"""Channel pruning: whole filters and units are removed, and the model is rebuilt with smaller layers.

Criteria: what the following layers lose without a channel, by optimal brain surgeon (`channel_surgeon`); l1 of a filter's
weights (Li et al., arXiv 1608.08710); scale of its batch normalization (Liu et al., "network slimming", arXiv
1708.06519). With each of them, the following layers are solved for again before the fine-tuning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.contract import Skipped, Training, Treated
from lwdash.errors import BridgeRefused, InternalFault, RecipeError
from lwdash.keras_models.bridge.flatten import flatten_model
from lwdash.keras_models.ports import leaf_layers, library_of
from lwdash.parameters import Choice, Names, Number, parameter
from lwdash.training import distillation, fine_tuning, held_out
from lwdash.training.batch_norm import settle_batch_norm
from lwdash.training.channel_groups import MAKERS, ChannelGraph, LayerChannels, narrow, silence
from lwdash.training.kernel_macs import structure_facts
from lwdash.training.layer_selection import matches, refuse_unknown
from lwdash.training.layerwise.channel_surgeon import ChannelSurgeon

NAME = "channels"
LABEL = "Channel pruning"
SUMMARY = "Removes whole filters and units, so that the model becomes smaller and faster."
TRAP = (
    "Layers that are added to each other lose the same channels, and a matrix shrinks on both sides: "
    "half of the channels leaves about a quarter of the weights."
)
STAGE = "keras"

STEPS = 1000
OBS = "obs"
COMPARED_ROWS = 16
TOLERANCE = 1e-4
"""Largest difference between the narrowed model and the silenced one, relative to the largest output: float rounding."""
HALF_TOLERANCE = 2e-2
"""The same where a layer computes in half precision."""


@dataclass(frozen=True)
class Params:
    ratio: float = parameter(
        0.5,
        Number("Ratio", "Share of each layer's channels to remove.", 0.0, 1.0, low_open=True, high_open=True),
        always=True,
    )
    criterion: str = parameter(
        OBS,
        Choice(
            "Criterion",
            "Order in which channels are removed.",
            {
                OBS: "those that the following layers can replace best by others, on the train rows",
                "l1": "those with the smallest weights",
                "bn_scale": "those with the smallest batch normalization scale",
            },
        ),
    )
    epochs: int = fine_tuning.epochs(STEPS)
    learning_rate: float = fine_tuning.learning_rate(0.002)
    batch_size: int = fine_tuning.batch_size()
    teacher: float | None = distillation.teacher()
    temperature: float = distillation.temperature()
    validate: bool = fine_tuning.validate()
    skip: tuple[str, ...] = parameter((), Names("Layers to skip", "Layers that keep all their channels."))


def apply(model: Any, params: Params, training: Training) -> Treated:
    """A narrower copy of a tf_keras model, in one level, fine-tuned.

    Before fine-tuning, its outputs must equal those of the original model in which all layers ignore the
    removed channels.
    """
    fine_tuning.seed_everything(training.seed)
    if library_of(model).__name__ == "keras":
        raise BridgeRefused("channels works on a Keras 2 twin of the model, and this model has none")
    training = distillation.taught(training, params)
    flat = flatten_model(model)
    graph = graph_of(flat, params.skip)
    surgeon = ChannelSurgeon(flat, graph, training)
    removed, unscaled = choose(graph, params, surgeon)
    skipped = unshrunk(flat, graph, removed)
    if not removed:
        raise RecipeError(
            f"there is no layer to treat ({'; '.join(f'{s.layer}: {s.reason}' for s in skipped)})"
        )
    surgeon.compensate(removed)
    narrowed = cut(flat, graph, removed)
    difference = compare(silenced(flat, graph, removed), narrowed, training)
    facts = fine_tuning.finetune(
        narrowed,
        training,
        epochs=fine_tuning.epochs_for(params.epochs, STEPS, training, params.batch_size),
        learning_rate=params.learning_rate,
        batch_size=params.batch_size,
        what="channel pruning",
        validation=held_out.Validation() if params.validate else None,
    )
    settled = settle_batch_norm(narrowed, training)
    kept = {c.layer.name: _kept(graph, c.outputs, removed) for c in graph.makers()}
    return Treated(
        narrowed,
        skipped,
        {
            **facts,
            "batch_norm_settled": settled,
            "channels": {name: [len(k), int(k.sum())] for name, k in kept.items() if not k.all()},
            **structure_facts(flat, narrowed),
            "largest_difference_to_silenced": difference,
            **({"without_batch_norm": unscaled} if unscaled else {}),
        },
    )


def graph_of(flat: Any, skip: Sequence[str]) -> ChannelGraph:
    """The channels of a model in one level; layers that match `skip` keep theirs."""
    refuse_unknown(skip, {path: layer for path, layer in leaf_layers(flat) if layer.weights})

    def fixed(name: str) -> str | None:
        return "skipped by the recipe" if any(matches(name, name, pattern) for pattern in skip) else None

    return ChannelGraph(flat, fixed)


def choose(
    graph: ChannelGraph, params: Params, surgeon: ChannelSurgeon | None = None
) -> tuple[frozenset[int], list[str]]:
    """The channels to remove: of each group of coupled layers the share `ratio` that comes first in the order.

    A layer keeps at least one channel. l1 replaces obs where there is no surgeon, or no following layer whose
    inputs are known. Also returns the layers that are scored by l1 because they have no batch normalization.
    """
    l1 = _scores(graph, [(c.layer, c.outputs, filter_l1(c.layer)) for c in graph.makers()])
    scales = _scores(graph, _scales(graph)) if params.criterion == "bn_scale" else {}
    removed: set[int] = set()
    unscaled = []
    for group in graph.groups():
        outputs = [graph.roots(c.outputs) for c in group]
        free = sorted({int(r) for roots in outputs for r in roots if graph.reason(int(r)) is None})
        if params.criterion == "bn_scale" and free and not all(root in scales for root in free):
            unscaled += [c.layer.name for c in group]
        left = [len(roots) for roots in outputs]
        wanted = int(params.ratio * len(free) + 1e-9)
        by_score = sorted(free, key=lambda r: scales.get(r, l1[r]))
        by_loss = surgeon.order(free, wanted) if surgeon and params.criterion == OBS else []
        for root in by_loss or by_score:
            counts = [int((roots == root).sum()) for roots in outputs]
            if wanted and all(n == 0 or have > n for have, n in zip(left, counts, strict=True)):
                left = [have - n for have, n in zip(left, counts, strict=True)]
                removed.add(root)
                wanted -= 1
    return frozenset(removed), unscaled


def unshrunk(flat: Any, graph: ChannelGraph, removed: frozenset[int]) -> tuple[Skipped, ...]:
    """The layers that keep all their channels, with the reason."""
    skipped = []
    for path, layer in leaf_layers(flat):
        channels = graph.layers.get(layer.name)
        kind = type(layer).__name__
        if not layer.weights or (channels and kind not in MAKERS):
            continue
        if channels is None:
            skipped.append(Skipped(path, f"{kind} uses its channels in an unknown way, so it keeps them"))
        elif _kept(graph, channels.outputs, removed).all():
            reasons = [graph.reason(int(root)) for root in graph.roots(channels.outputs)]
            free = f"the ratio leaves none of its {len(reasons)} channels to remove"
            skipped.append(Skipped(path, next((reason for reason in reasons if reason), free)))
    return tuple(skipped)


def cut(flat: Any, graph: ChannelGraph, removed: frozenset[int]) -> Any:
    """The model without the removed channels."""

    def replace(layer: Any, path: str) -> Sequence[tuple[Any, Sequence[np.ndarray]]] | None:
        channels = graph.layers.get(path)
        if channels is None:
            return None
        takes, makes = (_kept(graph, numbers, removed) for numbers in (channels.inputs, channels.outputs))
        if takes.all() and makes.all():
            return None
        changed, weights = narrow(channels, takes, makes)
        return [(type(layer).from_config({**layer.get_config(), **changed}), weights)]

    return flatten_model(flat, replace)


def silenced(flat: Any, graph: ChannelGraph, removed: frozenset[int]) -> Any:
    """The whole model with layers that ignore the removed channels: the weights for them are zero."""

    def replace(layer: Any, path: str) -> Sequence[tuple[Any, Sequence[np.ndarray]]] | None:
        channels = graph.layers.get(path)
        weights = silence(channels, _kept(graph, channels.inputs, removed)) if channels else None
        return None if weights is None else [(type(layer).from_config(layer.get_config()), weights)]

    return flatten_model(flat, replace)


def compare(silent: Any, narrowed: Any, training: Training) -> float:
    """The largest difference between the outputs of the two. Raises InternalFault when it is more than rounding."""
    rows = [values[:COMPARED_ROWS] for values in training.inputs]
    expected, got = (_outputs(model, rows) for model in (silent, narrowed))
    difference = max(float(np.abs(e - g).max(initial=0)) for e, g in zip(expected, got, strict=True))
    scale = max(float(np.abs(e).max(initial=0)) for e in expected)
    is_half = any("float16" in str(layer.compute_dtype) for layer in narrowed.layers)
    if not difference <= (HALF_TOLERANCE if is_half else TOLERANCE) * max(scale, 1e-2):
        raise InternalFault(
            f"removing channels changed the model's outputs: they differ by up to {difference:.3g} where "
            f"they reach {scale:.3g}, although no layer used these channels"
        )
    return difference


def filter_l1(layer: Any) -> np.ndarray:
    """The sum of the magnitudes of the weights of each output channel."""
    kind, kernels = type(layer).__name__, layer.get_weights()
    kernel = kernels[1 if kind.startswith("Separable") else 0]
    axis = -2 if kind.endswith("Transpose") else -1
    return np.abs(np.moveaxis(kernel, axis, -1)).reshape(-1, kernel.shape[axis]).sum(axis=0)


def _scales(graph: ChannelGraph) -> list[tuple[Any, np.ndarray, np.ndarray]]:
    norms: list[LayerChannels] = [
        c for c in graph.layers.values() if type(c.layer).__name__ == "BatchNormalization" and c.layer.scale
    ]
    return [(c.layer, c.inputs, np.abs(c.layer.gamma.numpy())) for c in norms]


def _scores(
    graph: ChannelGraph, measured: Sequence[tuple[Any, np.ndarray, np.ndarray]]
) -> Mapping[int, float]:
    """For each channel the sum of its layers' scores, each relative to the layer's mean, so that layers have
    equal weight.
    """
    scores: dict[int, float] = {}
    for _, numbers, values in measured:
        for root, value in zip(graph.roots(numbers), values / max(float(values.mean()), 1e-30), strict=True):
            scores[int(root)] = scores.get(int(root), 0.0) + float(value)
    return scores


def _kept(graph: ChannelGraph, numbers: np.ndarray, removed: frozenset[int]) -> np.ndarray:
    return ~np.isin(graph.roots(numbers), list(removed))


def _outputs(model: Any, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
    import tensorflow as tf

    return tf.nest.flatten(model.predict(list(rows) if len(rows) > 1 else rows[0], verbose=0))
