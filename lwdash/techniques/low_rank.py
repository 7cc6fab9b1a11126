"""Low-rank factorization: a layer becomes a chain of smaller ones, by SVD (dense) or Tucker-2 (convolutions).

Tucker-2 of a convolution (Kim et al., arXiv 1511.06530): 1×1 to fewer channels, the k×k core, 1×1 back. The
ranks come from the SVD of the kernel unfolded along its input and its output channels (HOSVD), the factors from the
layer's inputs on the train rows: they change its outputs least (`low_rank_factors.fitted`). With a limit of the network's
operations, the ranks of each layer are those that together change the network's outputs least on the train rows.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lwdash.contract import Skipped, Training, Treated
from lwdash.errors import BridgeRefused, RecipeError
from lwdash.keras_models.bridge.flatten import flatten_model
from lwdash.keras_models.ports import library_of
from lwdash.parameters import Names, Number, parameter
from lwdash.training import distillation, fine_tuning, held_out
from lwdash.training.batch_norm import settle_batch_norm
from lwdash.training.kernel_macs import macs_by_layer, structure_facts
from lwdash.training.kernels import Kernel, kernels_of
from lwdash.training.layer_selection import matches, select
from lwdash.training.layerwise.layer_by_layer import change_in_one_pass
from lwdash.training.least_noise import least_noise
from lwdash.training.low_rank_factors import Factors, best_choices, candidates, fitted, macs_of

NAME = "low_rank"
LABEL = "Low rank"
SUMMARY = "Splits dense layers and convolutions into chains of smaller ones, where that saves operations."
TRAP = (
    "Each part of a chain is one more operator, so the latency falls less than the number of operations. "
    "Small layers gain nothing."
)
STAGE = "keras"

STEPS = 500
COMPARED_ROWS = 128
"""Rows on which the choices of ranks are compared."""
TREATED = ("Dense", "Conv1D", "Conv2D")
REDUCE, CORE, RESTORE = "reduce", "core", "restore"
"""Names of the layers that replace `layer`: `layer/reduce`, `layer/core`, `layer/restore`."""
Part = tuple[str, Mapping[str, Any], np.ndarray]
"""One layer of a chain: its name, its own config values, its kernel."""


@dataclass(frozen=True)
class Params:
    energy: float = parameter(
        0.95,
        Number("Energy", "Minimum share of each kernel's squared weights that is kept.", 0.0, 1.0,
               low_open=True, high_open=True),
        always=True,
    )  # fmt: skip
    macs: float | None = parameter(
        None,
        Number(
            "Operations",
            "Share of the network's operations that is left, at most. The ranks of each layer are then chosen by the change "
            "of the network's outputs on the train rows, and the energy does not count. auto: no limit.",
            0.0,
            1.0,
            low_open=True,
            high_open=True,
            has_auto=True,
        ),
    )
    epochs: int = fine_tuning.epochs(STEPS)
    learning_rate: float = fine_tuning.learning_rate(0.001)
    batch_size: int = fine_tuning.batch_size()
    teacher: float | None = distillation.teacher()
    temperature: float = distillation.temperature()
    validate: bool = fine_tuning.validate()
    skip: tuple[str, ...] = parameter((), Names("Layers to skip", "Layers that are not split."))


def apply(model: Any, params: Params, training: Training) -> Treated:
    """A copy of a tf_keras model, in one level, with chains replacing layers, fine-tuned.

    Each layer gets the chain with the fewest MACs whose product keeps `energy`. A layer is skipped if that
    saves nothing. Raises RecipeError when no layer is left.
    """
    fine_tuning.seed_everything(training.seed)
    if library_of(model).__name__ == "keras":
        raise BridgeRefused("low_rank works on a Keras 2 twin of the model, and this model has none")
    training = distillation.taught(training, params)
    flat = flatten_model(model)
    factors: dict[str, Factors] = {}
    by_loss = None if params.macs is None else _choose_by_loss(flat, params, training)

    def kernel_of(layer: Any) -> list[Any] | Skipped:
        found = factorized(layer, params.energy) if by_loss is None else _chosen(layer, by_loss)
        if isinstance(found, Skipped):
            return found
        factors[layer.name] = found
        return [layer.kernel]

    chosen = select(flat, kernel_of, params.skip)
    changes = _fit(flat, factors, training)
    split = flatten_model(flat, lambda layer, path: chain(layer, factors[path]) if path in factors else None)
    facts = fine_tuning.finetune(
        split,
        training,
        epochs=fine_tuning.epochs_for(params.epochs, STEPS, training, params.batch_size),
        learning_rate=params.learning_rate,
        batch_size=params.batch_size,
        what="low rank",
        validation=held_out.Validation() if params.validate else None,
    )
    settled = settle_batch_norm(split, training)
    return Treated(
        split,
        chosen.skipped,
        {
            **facts,
            "batch_norm_settled": settled,
            "ranks": {name: f.ranks for name, f in factors.items()},
            "energy": {name: f.kept for name, f in factors.items()},
            "output_change": changes,
            **structure_facts(flat, split),
        },
    )


def _chosen(layer: Any, factors: Mapping[str, Factors]) -> Factors | Skipped:
    """The factors that were chosen for a layer, or the reason why it is not split."""
    if reason := _why_not(layer):
        return reason
    if layer.name in factors:
        return factors[layer.name]
    return Skipped(layer.name, "it stays whole: to split other layers changes the outputs less")


def _choose_by_loss(flat: Any, params: Params, training: Training) -> dict[str, Factors]:
    """The factors of the layers to split, by name, with the least sum of losses within the limit of operations.

    Each choice is measured alone, in a network whose other layers are whole. Raises RecipeError where no choice is
    within the limit.
    """
    macs = macs_by_layer(flat)
    if macs is None:
        raise RecipeError("macs needs a network whose inputs have a known size. Use energy instead")
    options = _options(flat, params, training)
    rows = np.unique(np.linspace(0, training.rows - 1, COMPARED_ROWS).astype(int))
    inputs = [values[rows] for values in training.inputs]
    targets, losses, _ = fine_tuning.training_targets(replace(training, labels=None), library_of(flat))
    probe = flatten_model(flat)

    def loss() -> float:
        outputs = probe(inputs if len(inputs) > 1 else inputs[0], training=False)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        pairs = zip(losses, targets, outputs, strict=True)
        return sum(float(one(target[rows], output)) for one, target, output in pairs)

    whole = loss()
    costs: dict[str, list[float]] = {}  # MACs of the whole layer, then of each of its options
    added: dict[str, list[float]] = {}  # the losses that these add
    for number, (name, found) in enumerate(options.items()):
        training.progress(f"comparing ranks of {name}", number / len(options))
        layer = probe.get_layer(name)
        kernel, *rest = layer.get_weights()
        costs[name], added[name] = [macs[name]], [0.0]
        for factors in found:
            layer.set_weights([factors.product().reshape(kernel.shape), *rest])
            costs[name].append(macs_of(factors, _stride(layer)) / kernel.size * macs[name])
            added[name].append(max(0.0, loss() - whole))
        layer.set_weights([kernel, *rest])
    assert params.macs is not None
    total = sum(macs.values())
    fixed = sum(count for name, count in macs.items() if name not in costs)
    least = sum(map(min, costs.values()))
    if fixed + least > params.macs * total:
        raise RecipeError(
            f"macs={params.macs:g}: chains leave at least {(fixed + least) / total:.2f} of the operations of this "
            "network. Allow more, or remove channels first"
        )
    chosen = least_noise(list(costs.values()), list(added.values()), params.macs * total - fixed)
    return {name: options[name][place - 1] for name, place in zip(costs, chosen, strict=True) if place}


def _options(flat: Any, params: Params, training: Training) -> dict[str, list[Factors]]:
    """By layer, the factors to choose from, fitted to what the layer receives in the network as it is."""
    probe = flatten_model(flat)
    layers = {
        layer.name: layer
        for layer in probe.layers
        if not _why_not(layer)
        and not any(matches(layer.name, layer.name, pattern) for pattern in params.skip)
    }
    kernels = {k.path: k for name, layer in layers.items() for k in kernels_of(name, layer)}
    options: dict[str, list[Factors]] = {}

    def compare(kernel: Kernel, places: np.ndarray, weights: np.ndarray, moments: np.ndarray) -> np.ndarray:
        name = kernel.path.rpartition("/")[0]
        flat_kernel = kernel.values.reshape(-1, *kernel.shape[-2:])
        options[name] = best_choices(weights[0], moments[0], flat_kernel, _stride(layers[name]))
        return weights

    change_in_one_pass(probe, kernels, training, compare, what="splitting")
    return options


def _fit(flat: Any, factors: dict[str, Factors], training: Training) -> dict[str, float]:
    """Fit the factors to the layers' inputs in place; returns each layer's squared change, relative to its outputs.

    Biases and normalizations of `flat` follow. A layer whose inputs are not known keeps its factors.
    """
    kernels = {k.path: k for name in factors for k in kernels_of(name, flat.get_layer(name))}
    names = {kernel.path: kernel.path.rpartition("/")[0] for kernel in kernels.values()}

    def solve(kernel: Kernel, places: np.ndarray, weights: np.ndarray, moments: np.ndarray) -> np.ndarray:
        name = names[kernel.path]
        factors[name] = fitted(factors[name], weights[0], moments[0])
        return factors[name].product().reshape(weights.shape)

    done = change_in_one_pass(flat, kernels, training, solve, what="splitting")
    return {names[path]: error for path, error in done.errors.items()}


def factorized(layer: Any, energy: float) -> Factors | Skipped:
    """The factors of a layer's kernel with the fewest MACs, or the reason why it is not split."""
    if reason := _why_not(layer):
        return reason
    kernel = layer.get_weights()[0]
    flat = kernel.reshape(-1, *kernel.shape[-2:])
    stride = _stride(layer)
    smaller = [f for f in candidates(flat, energy) if macs_of(f, stride) < kernel.size]
    if not smaller:
        return Skipped(
            layer.name, f"no chain that keeps {energy:g} of its energy has fewer MACs than the layer"
        )
    return min(smaller, key=lambda f: macs_of(f, stride))


def _why_not(layer: Any) -> Skipped | None:
    kind = type(layer).__name__
    if kind not in TREATED:
        return Skipped(layer.name, f"{kind} is not split, only {', '.join(TREATED)} are")
    if getattr(layer, "groups", 1) != 1 or getattr(layer, "data_format", None) == "channels_first":
        return Skipped(layer.name, "a grouped or channels_first convolution is not split")
    return None


def _stride(layer: Any) -> int:
    """Positions of the input for each position of the output."""
    return math.prod(getattr(layer, "strides", (1,)))


def chain(layer: Any, factors: Factors) -> list[tuple[Any, Sequence[np.ndarray]]]:
    """The layers that replace `layer`, with their weights; the last has its bias and activation."""
    config = {
        key: value
        for key, value in layer.get_config().items()
        if not key.startswith(("kernel_", "batch_input"))
    }
    if type(layer).__name__ == "Dense":
        dense: list[Part] = [
            (REDUCE, {}, factors.reduce if factors.reduce is not None else factors.core[0]),
            (RESTORE, {}, factors.core[0] if factors.restore is None else factors.restore),
        ]
        return _built(layer, config, dense, "units")
    size, ones = tuple(layer.kernel_size), tuple(1 for _ in layer.kernel_size)
    pointwise = {"kernel_size": ones, "strides": ones, "dilation_rate": ones, "padding": "valid"}
    core = factors.core.reshape(*size, *factors.core.shape[1:])
    parts: list[Part] = [(CORE, {"kernel_size": size}, core)]
    if factors.reduce is not None:
        parts.insert(0, (REDUCE, pointwise, factors.reduce.reshape(*ones, *factors.reduce.shape)))
    if factors.restore is not None:
        parts.append((RESTORE, pointwise, factors.restore.reshape(*ones, *factors.restore.shape)))
    return _built(layer, config, parts, "filters")


def _built(
    layer: Any, config: Mapping[str, Any], parts: Sequence[Part], width: str
) -> list[tuple[Any, Sequence[np.ndarray]]]:
    pairs: list[tuple[Any, Sequence[np.ndarray]]] = []
    for name, changed, kernel in parts:
        is_last = name == parts[-1][0]
        plain = {} if is_last else {"use_bias": False, "activation": "linear", "activity_regularizer": None}
        own = {**config, **changed, **plain, width: kernel.shape[-1], "name": f"{layer.name}/{name}"}
        bias = layer.get_weights()[1:] if is_last else []
        pairs.append((type(layer).from_config(own), [kernel, *bias]))
    return pairs
