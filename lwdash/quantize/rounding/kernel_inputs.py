"""The inputs that each kernel of a float .tflite sees on rows: their means and second moments."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.quantize.ranges.activation_ranges import Watched
from lwdash.quantize.read_back import shape_of
from lwdash.tflite.operator_codes import kind_of
from lwdash.training.layerwise.brain_surgeon import above_rounding

MAX_INPUTS = 4096
"""Widest product whose moments are computed and inverted: 128 MB at this width."""
MAX_SAMPLES = 10_000
"""Positions of all rows together from which one kernel's moments are computed."""
MIN_AT_ONCE = 1000
"""Samples that are multiplied at once."""
KINDS = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")


@dataclass(frozen=True)
class InputMoments:
    """Of the inputs of G products with k inputs each. mean: (G, k). covariance: (G, k, k), positive definite."""

    mean: np.ndarray
    covariance: np.ndarray

    @property
    def second(self) -> np.ndarray:
        """XᵀX / n, (G, k, k)."""
        return self.covariance + _outer(self.mean)

    @classmethod
    def together(cls, parts: Sequence[InputMoments]) -> InputMoments:
        """The moments of the samples of all parts, which count equally."""
        mean = np.mean([one.mean for one in parts], axis=0)
        return cls(mean, np.mean([one.covariance + _outer(one.mean - mean) for one in parts], axis=0))


def kernel_moments(watched: Watched, places: Collection[int]) -> dict[int, InputMoments]:
    """Moments of the inputs of the kernels of some operators, by their place in the main subgraph, over the rows.

    Operators of other types than KINDS, and kernels with more than MAX_INPUTS inputs, are left out.
    """
    graph = watched.graph
    windows = {p: w for p in places if (w := _window(watched.model, graph, graph.operators[p])) is not None}
    sums: dict[int, _MomentSums] = {place: _MomentSums() for place in windows}
    generator = np.random.default_rng(0)
    most = -(-MAX_SAMPLES // watched.count)
    for interpreter in watched.run():
        for place, window in windows.items():
            values = interpreter.get_tensor(int(graph.operators[place].inputs[0]))
            sums[place].add(window.samples(values, most, generator))
    return {place: found.moments() for place, found in sums.items()}


def _outer(vectors: np.ndarray) -> np.ndarray:
    """(G, k, k): each vector of (G, k) times itself."""
    return vectors[:, :, None] * vectors[:, None, :]


class _MomentSums:
    """Sums over samples that arrive row by row; products are computed for many samples at once.

    The mean of the first samples is taken from all of them, since inputs that hardly vary would have a covariance of
    rounding errors otherwise.
    """

    def __init__(self) -> None:
        self.count = 0
        self.shift: Any = None
        self.first: Any = 0.0
        self.second: Any = 0.0
        self.waiting: list[np.ndarray] = []

    def add(self, samples: np.ndarray) -> None:
        """Add inputs to the moments.

        samples: (G, n, k).
        """
        self.waiting.append(samples)
        if sum(one.shape[1] for one in self.waiting) >= MIN_AT_ONCE:
            self._compute()

    def moments(self) -> InputMoments:
        if self.waiting:
            self._compute()
        moved = self.first / self.count
        mean = self.shift[:, 0] + moved
        return InputMoments(mean, above_rounding(self.second / self.count - _outer(moved), mean))

    def _compute(self) -> None:
        samples = np.concatenate(self.waiting, axis=1)
        if self.shift is None:
            self.shift = samples.mean(axis=1, keepdims=True)
        samples = samples - self.shift
        self.first = self.first + samples.sum(axis=1, dtype=np.float64)
        self.second = self.second + (samples.transpose(0, 2, 1) @ samples).astype(np.float64)
        self.count += samples.shape[1]
        self.waiting.clear()


@dataclass(frozen=True)
class _KernelWindow:
    """The window that a kernel moves over its inputs.

    size, strides, dilation: (height, width). is_padded: SAME padding. is_deep: each channel alone.

    width: inputs of a dense layer, 0 for a convolution.
    """

    size: tuple[int, int]
    strides: tuple[int, int]
    dilation: tuple[int, int]
    is_padded: bool
    is_deep: bool
    width: int = 0

    def samples(self, values: np.ndarray, most: int, generator: np.random.Generator) -> np.ndarray:
        """(G, n, k): the inputs of the kernel at no more than `most` positions, in the order of its weights."""
        if self.width:
            return _some(values.reshape(-1, self.width), most, generator)[None]
        windows = self._windows(values[0])
        height, width, channels = windows.shape[:3]
        chosen = _some(np.arange(height * width), most, generator)
        picked = windows[chosen // width, chosen % width]
        if self.is_deep:
            return picked.reshape(len(chosen), channels, -1).transpose(1, 0, 2)
        return picked.transpose(0, 2, 3, 1).reshape(len(chosen), -1)[None]

    def _windows(self, image: np.ndarray) -> np.ndarray:
        """(positions down, positions across, channels, height, width)."""
        spans = [(size - 1) * step + 1 for size, step in zip(self.size, self.dilation, strict=True)]
        if self.is_padded:
            pads = []
            for length, span, stride in zip(image.shape, spans, self.strides, strict=False):
                missing = max((-(-length // stride) - 1) * stride + span - length, 0)
                pads.append((missing // 2, missing - missing // 2))
            image = np.pad(image, [*pads, (0, 0)])
        found = np.lib.stride_tricks.sliding_window_view(image, spans, axis=(0, 1))
        return found[:: self.strides[0], :: self.strides[1], :, :: self.dilation[0], :: self.dilation[1]]


def _some(values: np.ndarray, most: int, generator: np.random.Generator) -> np.ndarray:
    return (
        values if len(values) <= most else values[np.sort(generator.choice(len(values), most, replace=False))]
    )


def _window(model: Any, graph: Any, operator: Any) -> _KernelWindow | None:
    kind = kind_of(model, operator)
    if kind not in KINDS:
        return None
    kernel, options = shape_of(graph.tensors[int(operator.inputs[1])]), operator.builtinOptions
    if kind == "FULLY_CONNECTED":
        return (
            _KernelWindow((1, 1), (1, 1), (1, 1), False, False, kernel[-1])
            if kernel[-1] <= MAX_INPUTS
            else None
        )
    if kind == "CONV_2D" and int(np.prod(kernel[1:])) > MAX_INPUTS:
        return None
    return _KernelWindow(
        (kernel[1], kernel[2]),
        (options.strideH, options.strideW),
        (options.dilationHFactor, options.dilationWFactor),
        options.padding == 0,
        kind == "DEPTHWISE_CONV_2D",
    )
