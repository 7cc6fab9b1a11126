"""Changes kernels of a live model one after the other, without training, while rows pass through the model.

A kernel is changed at the moment that its layer receives its inputs, which come from layers that are changed already. So
one pass is enough, and later layers correct for the earlier ones. The bias absorbs the mean change of the outputs. The
statistics of batch normalization follow what its inputs have become: they shift by the difference between this pass and
one through the unchanged model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.contract import Training
from lwdash.spread_rows import spread
from lwdash.training.batch_norm import norms_of
from lwdash.training.inference_mode import replaced
from lwdash.training.kernels import Kernel
from lwdash.training.layerwise.brain_surgeon import squared_error
from lwdash.training.layerwise.layer_inputs import moments_of, owners, product_of, why_no_product

MAX_ROWS = 1024
MAX_BYTES = 1 << 30
"""Limits of the rows that pass through the model at once: their number, and the memory of what layers receive."""
COPIES = 4
"""Tensors held for each input of a layer with kernels: those of normalizations, activations and additions."""
MAX_INPUTS = 4096
"""Largest number of inputs per output: the moments of more would take more than a gigabyte."""


Statistics = tuple[np.ndarray, np.ndarray]
Solve = Callable[[Kernel, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(kernel, places, weights, moments) → the new weights; places and weights are (G, k, o), moments (G, k, k)."""


@dataclass(frozen=True)
class Changes:
    """The result of one pass.

    rows: the number used. errors: kernel path → squared change of its outputs relative to their size, 0–1.

    unseen: paths of kernels whose layers are called inside of a compiled graph, and so stay unchanged.
    outputs: of the changed model for these rows, one array per output.
    """

    rows: int
    errors: Mapping[str, float]
    unseen: tuple[str, ...]
    outputs: Sequence[np.ndarray]


def why_not_solved(model: Any) -> Callable[[Kernel], str | None]:
    """Reason why a kernel of `model` cannot be changed by its layer's inputs; None where it can."""
    owner = owners(model)

    def reason(kernel: Kernel) -> str | None:
        if kernel.channel_size > MAX_INPUTS:
            return f"it has {kernel.channel_size:,} inputs per output, but one pass treats at most {MAX_INPUTS:,}"
        return why_no_product(owner[kernel.path], kernel)

    return reason


def change_in_one_pass(
    model: Any,
    kernels: Mapping[str, Kernel],
    training: Training,
    solve: Solve,
    *,
    what: str,
) -> Changes:
    """Change the kernels of a live model in place by `solve`, in the order in which its layers compute.

    Kernels that `why_not_solved` names stay as they are, and are in neither part of the result. what: the present work, for
    the progress.
    """
    cannot = why_not_solved(model)
    solved = {path: kernel for path, kernel in kernels.items() if cannot(kernel) is None}
    return Passes(model, solved, training.inputs, seed=training.seed).change(
        solved, solve, lambda path, share: training.progress(f"{what} {path}", share)
    )


class Passes:
    """Passes of the same rows through a live model. Each changes some of the `kernels`, from the weights of the beginning.

    outputs: of the unchanged model for these rows, one array per output.
    """

    def __init__(
        self,
        model: Any,
        kernels: Mapping[str, Kernel],
        inputs: Sequence[np.ndarray],
        *,
        seed: int,
        max_rows: int = MAX_ROWS,
    ):
        self.model, self.seed = model, seed
        self._owner = owners(model)
        layers = list({id(self._owner[path]): self._owner[path] for path in kernels}.values())
        self._norms = norms_of(model)
        sizes, self._normalized = _looked_at(model, layers, self._norms, [values[:1] for values in inputs])
        fitting = MAX_BYTES // max(1, COPIES * sizes)
        rows = spread(len(inputs[0]), int(np.clip(fitting, 1, max_rows)))
        self._inputs = [values[rows] for values in inputs]
        self._unchanged: dict[int, list[Statistics]] = {}
        with _watching(
            self._norms,
            lambda norm, given: self._unchanged.setdefault(id(norm), []).append(_statistics(norm, given)),
        ):
            self.outputs = _pass(model, self._inputs)

    def change(
        self, kernels: Mapping[str, Kernel], solve: Solve, report: Callable[[str, float], None]
    ) -> Changes:
        """Change these kernels in place by `solve`; report: called with a kernel's path and the finished share."""
        by_layer: dict[int, list[str]] = {}
        layers = {}
        for path in kernels:
            layers[id(self._owner[path])] = self._owner[path]
            by_layer.setdefault(id(self._owner[path]), []).append(path)
        errors: dict[str, float] = {}

        def shift_norm(norm: Any, given: Any) -> None:
            if len(self._unchanged[id(norm)]) == 1:
                _shift_statistics(norm, self._unchanged[id(norm)][0], _statistics(norm, given))

        def change_layer(layer: Any, tensor: Any) -> None:
            given = np.asarray(tensor)
            for path in by_layer[id(layer)]:
                if path not in errors:
                    report(path, len(errors) / len(kernels))
                    is_normalized = id(layer) in self._normalized
                    errors[path] = _change_kernel(
                        layer, kernels[path], given, solve, is_normalized, self.seed
                    )

        with _watching(layers.values(), change_layer), _watching(self._norms, shift_norm):
            outputs = _pass(self.model, self._inputs)
        unseen = tuple(path for path in kernels if path not in errors)
        return Changes(len(self._inputs[0]), errors, unseen, outputs)


def _change_kernel(
    layer: Any, kernel: Kernel, given: np.ndarray, solve: Solve, is_normalized: bool, seed: int
) -> float:
    product = product_of(layer, kernel)
    is_linear = product.is_output and getattr(layer.activation, "__name__", "") == "linear"
    is_mean_free = product.bias is not None or (is_normalized and is_linear)
    found = moments_of(product, given, seed, is_mean_free=is_mean_free)
    before = kernel.values
    weights = before.ravel()[product.places].astype(np.float64)
    after = solve(kernel, product.places, weights, found.products)
    changed = np.empty(kernel.size, before.dtype)
    changed[product.places] = after
    kernel.variable.assign(changed.reshape(before.shape))
    if product.bias is not None:
        shift = np.einsum("gk,gko->go", found.means, weights - after).ravel()
        product.bias.assign(np.asarray(product.bias) + shift.astype(before.dtype))
    size = squared_error(weights, found.products)
    return squared_error(weights - after, found.products) / size if size > 0 else 0.0


def _looked_at(
    model: Any, layers: Sequence[Any], norms: Sequence[Any], row: Sequence[np.ndarray]
) -> tuple[int, set[int]]:
    """Bytes that the layers receive for one row, and the ids of those whose outputs go to batch normalization."""
    sizes: list[int] = []
    outputs: list[tuple[Any, Any]] = []
    received: list[Any] = []
    with (
        _watching(
            layers,
            lambda layer, given: sizes.append(np.asarray(given).nbytes),
            lambda layer, output: outputs.append((layer, output)),
        ),
        _watching(norms, lambda norm, given: received.append(given)),
    ):
        _pass(model, row)
    found = {id(given) for given in received}
    return sum(sizes), {id(layer) for layer, output in outputs if id(output) in found}


def _statistics(norm: Any, inputs: Any) -> Statistics:
    """(mean, variance) of each channel."""
    given = np.asarray(inputs)
    channels = int(np.ravel(norm.axis)[0]) % given.ndim
    axes = tuple(axis for axis in range(given.ndim) if axis != channels)
    return given.mean(axis=axes, dtype=np.float64), given.var(axis=axes, dtype=np.float64)


def _shift_statistics(norm: Any, before: Statistics, after: Statistics) -> None:
    """Change a normalization so that the mean and the variance of its outputs are what they were."""
    mean, variance = (np.asarray(value) for value in (norm.moving_mean, norm.moving_variance))
    ratio = (after[1] + norm.epsilon) / (before[1] + norm.epsilon)
    norm.moving_mean.assign((after[0] - (before[0] - mean) * np.sqrt(ratio)).astype(mean.dtype))
    norm.moving_variance.assign(
        np.maximum((variance + norm.epsilon) * ratio - norm.epsilon, 0).astype(variance.dtype)
    )


def _pass(model: Any, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs of a model, one array per output."""
    import tensorflow as tf

    tensors = [tf.constant(values) for values in inputs]
    outputs = model(tensors if len(tensors) > 1 else tensors[0], training=False)
    return [np.asarray(values) for values in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]


See = Callable[[Any, Any], None]
"""Receives a layer, and the tensor that it is called with or returns."""


@contextmanager
def _watching(layers: Iterable[Any], before: See, after: See | None = None) -> Iterator[None]:
    """Calls `before` and `after` at each call of these layers that computes at once, not in a graph."""
    with ExitStack() as stack:
        for layer in layers:
            stack.enter_context(_watched(layer, before, after))
        yield


@contextmanager
def _watched(layer: Any, before: See, after: See | None) -> Iterator[None]:
    import tensorflow as tf

    call = layer.call

    def seen(inputs: Any, *args: Any, **options: Any) -> Any:
        if tf.executing_eagerly():
            before(layer, inputs)
        outputs = call(inputs, *args, **options)
        if after is not None and tf.executing_eagerly():
            after(layer, outputs)
        return outputs

    with replaced(layer, "call", seen):
        yield
