"""Low-rank factorization: a layer becomes a chain of smaller ones, by SVD (dense) or Tucker-2 (convolutions).

Tucker-2 of a convolution (Kim et al., arXiv 1511.06530): 1×1 to fewer channels, the k×k core, 1×1 back. The
ranks come from the SVD of the kernel unfolded along its input and its output channels (HOSVD), the factors from the
layer's inputs on the train rows: they change its outputs least (`fitted`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.contract import Skipped, Training, Treated
from lwdash.errors import BridgeRefused
from lwdash.keras_models.bridge.flatten import flatten_model
from lwdash.keras_models.ports import library_of
from lwdash.parameters import Names, Number, parameter
from lwdash.training import distillation, fine_tuning, held_out
from lwdash.training.batch_norm import settle_batch_norm
from lwdash.training.kernel_macs import structure_facts
from lwdash.training.kernels import Kernel, kernels_of
from lwdash.training.layer_selection import select
from lwdash.training.layerwise.brain_surgeon import damped, squared_error
from lwdash.training.layerwise.layer_by_layer import change_in_one_pass, why_not_solved

NAME = "low_rank"
LABEL = "Low rank"
SUMMARY = "Splits dense layers and convolutions into chains of smaller ones, where that saves operations."
TRAP = (
    "Each part of a chain is one more operator, so the latency falls less than the number of operations. "
    "Small layers gain nothing."
)
STAGE = "keras"

STEPS = 500
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
    epochs: int = fine_tuning.epochs(STEPS)
    learning_rate: float = fine_tuning.learning_rate(0.001)
    batch_size: int = fine_tuning.batch_size()
    teacher: float | None = distillation.teacher()
    temperature: float = distillation.temperature()
    validate: bool = fine_tuning.validate()
    skip: tuple[str, ...] = parameter((), Names("Layers to skip", "Layers that are not split."))


@dataclass(frozen=True)
class Factors:
    """A kernel (taps, in, out) as `reduce` (in, r), `core` (taps, r, s) and `restore` (s, out).

    An SVD or a Tucker-1 has only one of the outer two: None means the identity.
    kept: share of the kernel's energy in their product.
    """

    reduce: np.ndarray | None
    core: np.ndarray
    restore: np.ndarray | None
    kept: float

    @property
    def ranks(self) -> list[int]:
        return [int(n) for n in self.core.shape[1:]]

    def product(self) -> np.ndarray:
        """The kernel that the chain computes with, (taps, in, out)."""
        core = self.core if self.reduce is None else np.einsum("ir,trs->tis", self.reduce, self.core)
        return core if self.restore is None else np.einsum("tis,so->tio", core, self.restore)


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

    def kernel_of(layer: Any) -> list[Any] | Skipped:
        found = factorized(layer, params.energy)
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


def _fit(flat: Any, factors: dict[str, Factors], training: Training) -> dict[str, float]:
    """Fit the factors to the layers' inputs in place; returns each layer's squared change, relative to its outputs.

    Biases and normalizations of `flat` follow. A layer whose inputs are not known keeps its factors.
    """
    cannot = why_not_solved(flat)
    kernels = {k.path: k for name in factors for k in kernels_of(name, flat.get_layer(name)) if not cannot(k)}
    names = {kernel.path: kernel.path.rpartition("/")[0] for kernel in kernels.values()}

    def solve(kernel: Kernel, places: np.ndarray, weights: np.ndarray, moments: np.ndarray) -> np.ndarray:
        name = names[kernel.path]
        factors[name] = fitted(factors[name], weights[0], moments[0])
        return factors[name].product().reshape(weights.shape)

    done = change_in_one_pass(
        flat,
        kernels,
        training.inputs,
        solve,
        what="splitting",
        seed=training.seed,
        report=training.progress,
    )
    return {names[path]: error for path, error in done.errors.items()}


def fitted(factors: Factors, weights: np.ndarray, moments: np.ndarray) -> Factors:
    """Factors of the same ranks that change the layer's outputs less, or the given ones.

    weights: (taps · in, out). moments: (taps · in, taps · in), of the layer's inputs.
    The input channels are reduced to the directions that matter most for the outputs. The core is solved for
    by least squares, and projected on the largest directions of the outputs.
    """
    taps, outputs = len(factors.core), weights.shape[1]
    matrix = damped(moments[None])[0]
    reduce, core, spread = factors.reduce, weights, matrix
    if reduce is not None:
        inputs, rank = reduce.shape
        shared = np.einsum("titj->ij", matrix.reshape(taps, inputs, taps, inputs))
        lower = np.linalg.cholesky(shared)
        unfolded = np.moveaxis(weights.reshape(taps, inputs, outputs), 1, 0).reshape(inputs, -1)
        leading = np.linalg.svd(lower.T @ unfolded, full_matrices=False)[0][:, :rank]
        reduce = np.linalg.qr(np.linalg.solve(lower.T, leading))[0]
        basis = np.kron(np.eye(taps), reduce)
        spread = basis.T @ matrix @ basis
        core = np.linalg.solve(spread, basis.T @ matrix @ weights)
    restore = factors.restore
    if restore is not None:
        directions = np.linalg.eigh(core.T @ spread @ core)[1][:, ::-1][:, : len(restore)]
        core, restore = core @ directions, directions.T
    found = Factors(
        None if reduce is None else reduce.astype(np.float32),
        core.reshape(taps, -1, core.shape[1]).astype(np.float32),
        None if restore is None else restore.astype(np.float32),
        factors.kept,
    )
    errors = [
        squared_error((f.product().reshape(weights.shape) - weights)[None], matrix[None])
        for f in (found, factors)
    ]
    return found if errors[0] <= errors[1] else factors


def factorized(layer: Any, energy: float) -> Factors | Skipped:
    """The factors of a layer's kernel with the fewest MACs, or the reason why it is not split."""
    kind = type(layer).__name__
    if kind not in TREATED:
        return Skipped(layer.name, f"{kind} is not split, only {', '.join(TREATED)} are")
    if getattr(layer, "groups", 1) != 1 or getattr(layer, "data_format", None) == "channels_first":
        return Skipped(layer.name, "a grouped or channels_first convolution is not split")
    kernel = layer.get_weights()[0]
    flat = kernel.reshape(-1, *kernel.shape[-2:])
    stride = math.prod(getattr(layer, "strides", (1,)))
    candidates = [f for f in _candidates(flat, energy) if macs_of(f, stride) < kernel.size]
    if not candidates:
        return Skipped(
            layer.name, f"no chain that keeps {energy:g} of its energy has fewer MACs than the layer"
        )
    return min(candidates, key=lambda f: macs_of(f, stride))


def macs_of(factors: Factors, stride: int) -> int:
    """MACs for one output position; the reduction runs on the input, which has `stride` positions for each."""
    outer = [0 if part is None else part.size for part in (factors.reduce, factors.restore)]
    return outer[0] * stride + factors.core.size + outer[1]


def _candidates(kernel: np.ndarray, energy: float) -> list[Factors]:
    """Reduced inputs, reduced outputs, or both; with both, each may lose half of the allowed loss."""
    half = 1 - (1 - energy) / 2
    inputs, outputs = _basis(np.moveaxis(kernel, 1, 0)), _basis(np.moveaxis(kernel, 2, 0))
    choices = [
        (_leading(inputs, energy), None),
        (None, _leading(outputs, energy)),
        (_leading(inputs, half), _leading(outputs, half)),
    ]
    return [_project(kernel, *choice) for choice in (choices if len(kernel) > 1 else choices[:2])]


def _basis(unfolded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left singular vectors of a kernel unfolded along its first axis, and the energy along each."""
    matrix = unfolded.reshape(len(unfolded), -1).astype(np.float64)
    vectors, values, _ = np.linalg.svd(matrix, full_matrices=False)
    return vectors, values**2


def _leading(basis: tuple[np.ndarray, np.ndarray], energy: float) -> np.ndarray:
    """The smallest number of vectors that keep `energy`, at least one."""
    vectors, energies = basis
    shares = np.cumsum(energies) / max(float(energies.sum()), 1e-300)
    rank = min(int(np.searchsorted(shares, energy - 1e-12)) + 1, len(energies))
    return vectors[:, :rank]


def _project(kernel: np.ndarray, inputs: np.ndarray | None, outputs: np.ndarray | None) -> Factors:
    core = kernel.astype(np.float64)
    if inputs is not None:
        core = np.einsum("tio,ir->tro", core, inputs)
    if outputs is not None:
        core = np.einsum("tio,os->tis", core, outputs)
    kept = float((core**2).sum() / max(float((kernel.astype(np.float64) ** 2).sum()), 1e-300))
    return Factors(
        None if inputs is None else inputs.astype(np.float32),
        core.astype(np.float32),
        None if outputs is None else outputs.T.astype(np.float32),
        kept,
    )


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
