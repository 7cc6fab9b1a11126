"""Which weights go, and on which axes of a kernel, without any training."""

import importlib
from typing import Any

import numpy as np
import pytest
from support.variables import Variable

from lwdash.training.kernels import Kernel, kernels_of
from lwdash.training.pruning.pruning_masks import Masks

pytestmark = pytest.mark.tensorflow

CHANCE = np.random.default_rng(7)


def kernel(name: str, shape: tuple[int, ...], scale: float = 1.0) -> Kernel:
    values = CHANCE.normal(0, scale, shape).astype("float32")
    return Kernel(name, Variable(values), (len(shape) - 1,), len(shape) - 2, False)


def masks(kernels: list[Kernel], **changed: Any) -> Masks:
    settings = {"scope": "layer", "criterion": "magnitude", "structure": "none", "seed": 0, **changed}
    return Masks({k.path: k for k in kernels}, **settings)


def test_one_threshold_parts_all_kernels() -> None:
    kernels = [kernel("wide", (9, 20)), kernel("narrow", (3, 3, 4, 8), scale=0.1)]
    before = [np.abs(k.values) for k in kernels]
    masks(kernels, scope="global").raise_to(0.6)
    gone = np.concatenate([b[k.values == 0] for b, k in zip(before, kernels, strict=True)])
    left = np.concatenate([b[k.values != 0] for b, k in zip(before, kernels, strict=True)])
    assert len(gone) == round(0.6 * (len(gone) + len(left)))
    assert gone.max() <= left.min()


def test_chance_spares_no_kernel_and_does_not_look_at_magnitudes() -> None:
    kernels = [kernel("wide", (50, 40)), kernel("narrow", (20, 30))]
    before = [np.abs(k.values) for k in kernels]
    masks(kernels, scope="global", criterion="random").raise_to(0.5)
    for values, k in zip(before, kernels, strict=True):
        assert np.mean(k.values == 0) == pytest.approx(0.5, abs=0.08)
        assert values[k.values == 0].mean() == pytest.approx(values[k.values != 0].mean(), abs=0.1)


@pytest.mark.parametrize("structure", ["none", "2:4", "4x1", "4x4"])
@pytest.mark.parametrize("criterion", ["magnitude", "random"])
def test_what_is_gone_stays_gone_as_the_sparsity_rises(criterion: str, structure: str) -> None:
    one = kernel("one", (3, 3, 12, 16))
    chosen = masks([one], criterion=criterion, structure=structure)
    gone = np.zeros(one.shape, bool)
    for share in (0.1, 0.25, 0.4, 0.5):
        chosen.raise_to(share)
        assert np.mean(one.values == 0) == pytest.approx(share, abs=16 / one.size)
        assert (one.values[gone] == 0).all()
        gone = one.values == 0
        one.variable.assign(one.values + 1)
        chosen.apply()
        np.testing.assert_array_equal(one.values == 0, gone)


def test_two_of_four_keeps_the_two_largest() -> None:
    one = kernel("one", (8, 1))
    one.variable.values = np.array([[4, -3, 2, 1, 0.1, -9, 0.3, 0.2]], "float32").T
    masks([one], structure="2:4").raise_to(0.5)
    np.testing.assert_array_equal(np.flatnonzero(one.values), [0, 1, 5, 6])


LAYERS = {
    "conv": ("Conv2D", (8, 3), (6, 6, 4), [("kernel", (3,), 2, False)]),
    "grouped": ("Conv1D", (8, 3), (6, 4), [("kernel", (2,), 1, False)]),
    "transposed": ("Conv2DTranspose", (8, 3), (6, 6, 4), [("kernel", (2,), 3, False)]),
    "depthwise": ("DepthwiseConv2D", (3,), (6, 6, 4), [("kernel", (2, 3), None, True)]),
    "separable": ("SeparableConv1D", (8, 3), (6, 4),
                  [("depthwise_kernel", (1, 2), None, True), ("pointwise_kernel", (2,), 1, False)]),
    "dense": ("Dense", (8,), (4,), [("kernel", (1,), 0, False)]),
    "gru": ("GRU", (8,), (6, 4), [("kernel", (1,), 0, False), ("recurrent_kernel", (1,), 0, False)]),
    "words": ("Embedding", (9, 8), (6,), [("embeddings", (1,), None, False)]),
    "prelu": ("PReLU", (), (6, 4), []),
}  # fmt: skip


@pytest.mark.parametrize("library_name", ["tf_keras", "keras"])
@pytest.mark.parametrize("name", LAYERS)
def test_the_axes_of_kernels_are_known_and_biases_are_none(name: str, library_name: str) -> None:
    kind, arguments, shape, expected = LAYERS[name]
    library = importlib.import_module(library_name)
    layer = getattr(library.layers, kind)(*arguments, name=name)
    layer(library.Input(shape))
    found = kernels_of(name, layer)
    assert [(k.channels, k.inputs, k.is_depthwise) for k in found] == [e[1:] for e in expected]
    for k, (called, *_) in zip(found, expected, strict=True):
        assert k.path.startswith(f"{name}/")
        assert called in k.path


@pytest.mark.parametrize("library_name", ["tf_keras", "keras"])
def test_attention_and_both_directions_have_kernels_in_their_parts(library_name: str) -> None:
    library = importlib.import_module(library_name)
    x = library.Input((6, 4))
    attention = library.layers.MultiHeadAttention(2, 3, name="attention")
    both = library.layers.Bidirectional(library.layers.LSTM(5), name="both")
    attention(x, x)
    both(x)
    axes = {k.path: (k.channels, k.inputs) for k in kernels_of("attention", attention)}
    assert [len(k.shape) for k in kernels_of("attention", attention)] == [3, 3, 3, 3]
    assert sum(found == ((2,), 1) for path, found in axes.items() if "output" in path) == 1
    assert sum(found == ((1, 2), 0) for path, found in axes.items() if "output" not in path) == 3
    paths = [k.path for k in kernels_of("block/both", both)]
    assert len(set(paths)) == 4
    assert all(path.startswith("block/both/") for path in paths)
