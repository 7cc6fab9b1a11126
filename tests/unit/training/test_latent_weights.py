"""Float weights behind rounded kernels."""

import numpy as np
from support.variables import Variable

from lwdash.training.kernels import Kernel
from lwdash.training.latent_weights import LatentWeights, channels_back, channels_first
from lwdash.training.weight_levels import make_rounding


def kernel(values: np.ndarray, channels: tuple[int, ...]) -> Kernel:
    return Kernel("layer/kernel", Variable(values), channels, None, is_depthwise=False)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype("float32")


def test_channels_come_first_and_go_back():
    for channels in ((3,), (2,), (2, 3), (0,)):
        own = kernel(random(3, 4, 5, 6), channels)
        rows = channels_first(own, own.values)
        assert rows.shape == (np.prod([own.shape[axis] for axis in channels]), own.channel_size)
        np.testing.assert_array_equal(channels_back(own, rows), own.values)
        numbers = channels_first(own, own.channel_numbers)
        assert all(len(set(row)) == 1 for row in numbers)


def test_small_steps_add_up_until_a_weight_takes_its_next_level():
    values = np.array([[1.0], [-1.0], [0.45], [1.0]], np.float32)
    own = kernel(values, (1,))
    latent = LatentWeights({own.path: own}, {own.path: make_rounding(2, "even")})
    latent.round()
    assert own.values[2, 0] == 0
    for _ in range(4):
        own.variable.assign(own.values + np.array([[0], [0], [0.05], [0]], np.float32))
        latent.collect()
    assert own.values[2, 0] > 0.5


def test_zeros_of_a_pruned_kernel_stay_zeros():
    values = random(20, 4)
    values[::2] = 0
    own = kernel(values, (1,))
    for spacing in ("even", "sums"):
        latent = LatentWeights({own.path: own}, {own.path: make_rounding(2, spacing)})
        latent.round()
        own.variable.assign(own.values + random(20, 4))
        latent.collect()
        assert not own.values[::2].any()
        assert np.all(own.values[1::2] != 0) == (spacing == "sums")
        own.variable.assign(values)
