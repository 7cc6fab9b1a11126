"""A check of the order of a row's numbers: images and signals are smooth only in the order of the model's shape."""

import math
import re
from collections.abc import Sequence

import numpy as np

from lwdash.datasets.linter.findings import ERROR, WARNING, Finding
from lwdash.datasets.linter.input_view import InputView
from lwdash.datasets.preprocessing.language import Axes, Reshape, Step

MAX_ROWS = 64
SMOOTHER = 0.6
"""Another order counts as right if neighbours differ by less than this share of their present difference."""


def layout_findings(view: InputView) -> list[Finding]:
    """At most one finding: another order of the same numbers is much smoother, or the columns' names state
    another order.
    """
    if view.is_image and len(view.shape) in (2, 3):
        named = _by_names(view)
        return named or _by_smoothness(view, _image_orders(view.shape))
    if view.is_multichannel:
        length, channels = view.shape
        return _by_smoothness(
            view, [("each channel as a whole", (Reshape((channels, length)), Axes((1, 0))))]
        )
    return []


def _image_orders(shape: Sequence[int]) -> list[tuple[str, tuple[Step, ...]]]:
    """Common orders of an image of this shape besides row by row, channels last."""
    height, width, channels = (*shape, 1)[:3]
    orders: list[tuple[str, tuple[Step, ...]]] = []
    if height != width:
        orders.append(("column by column", _columnwise(height, width, channels)))
    if channels > 1:
        orders.append(("channel by channel", (Reshape((channels, height, width)), Axes((1, 2, 0)))))
    return orders


def _columnwise(height: int, width: int, channels: int) -> tuple[Step, ...]:
    if channels == 1:
        return (Reshape((width, height)), Axes((1, 0)))
    return (Reshape((width, height, channels)), Axes((1, 0, 2)))


def _by_smoothness(view: InputView, orders: Sequence[tuple[str, tuple[Step, ...]]]) -> list[Finding]:
    if not orders or len(view.values) < 5:
        return []
    step = max(1, len(view.values) // MAX_ROWS)
    some = view.values[::step][:MAX_ROWS]
    axes = (1, 2) if view.is_image else (1,)
    now = _roughness(some, axes)
    order, steps, best = min(
        ((order, steps, _roughness(_reordered(some, steps), axes)) for order, steps in orders),
        key=lambda found: found[2],
    )
    if not best < SMOOTHER * now:
        return []
    article, what = ("an", "image") if view.is_image else ("a", "signal")
    fix = view.with_added(*steps)
    return [
        Finding(
            "transposed",
            ERROR,
            f"Read as {_shape(view.shape)}, neighbouring values of {article} {what} differ by {now:.2f} "
            f"deviations; read {order} by {best:.2f}. So the file probably uses that order.",
            f"input '{view.name}', every row",
            (
                f"The model would get every {what} with its values shuffled, so its outputs would be "
                "meaningless."
            ),
            f"Correct the order with the pre-processing {fix['preprocess']}.",
            fix,
        )
    ]


def _reordered(values: np.ndarray, steps: tuple[Step, ...]) -> np.ndarray:
    reshape, axes = steps
    assert isinstance(reshape, Reshape)
    assert isinstance(axes, Axes)
    return values.reshape(len(values), *reshape.shape).transpose(0, *(axis + 1 for axis in axes.order))


def _roughness(values: np.ndarray, axes: Sequence[int]) -> float:
    """Mean difference of neighbours along `axes`, in standard deviations of the values; about 1.1 for noise."""
    deviation = float(values.std())
    if not deviation:
        return math.nan
    return float(np.mean([np.abs(np.diff(values, axis=axis)).mean() for axis in axes])) / deviation


def _by_names(view: InputView) -> list[Finding]:
    """Columns named px_0_0, px_1_0, px_2_0 … of a square image: the first number, the row, changes fastest."""
    pairs = [re.search(r"(\d+)\D+(\d+)$", name) for name in view.columns]
    height, width = view.shape[:2]
    if math.prod(view.shape) != height * width or len(pairs) != height * width or not all(pairs):
        return []
    if view.steps and any(isinstance(step, (Reshape, Axes)) for step in view.steps):
        return []
    places = np.array([(int(p[1]), int(p[2])) for p in pairs if p])
    places -= places.min(axis=0)
    rows, columns = np.divmod(np.arange(height * width), height)
    if not np.array_equal(places, np.stack([columns, rows], axis=1)):
        return []
    if re.search(r"x\D*\d+\D+y", view.columns[0], re.I):  # x1_y0: the first number is the column
        return []
    fix = view.with_added(*_columnwise(height, width, 1))
    return [
        Finding(
            "transposed",
            WARNING,
            f"By their names ({view.columns[0]}, {view.columns[1]} …) the columns go down the image "
            "first, but the model's shape reads them along its rows.",
            f"input '{view.name}', every row",
            "The model gets each image transposed.",
            (
                f"Correct the order with the pre-processing {fix['preprocess']}. Leave it if the first "
                "number is the column."
            ),
            fix,
        )
    ]


def _shape(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))
