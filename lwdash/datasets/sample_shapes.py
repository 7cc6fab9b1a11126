"""Shapes of samples: whether a row of values can fill the shape of a model's input."""

import math
from collections.abc import Sequence


def values_needed(shape: Sequence[int | None]) -> int | None:
    """Number of values that fill `shape`, None where a length is open."""
    lengths = [length for length in shape if length is not None]
    return math.prod(lengths) if len(lengths) == len(shape) else None


def fitting_shape(row: Sequence[int], wanted: Sequence[int | None]) -> tuple[int, ...] | None:
    """`wanted` with its open lengths filled so that a row of shape `row` can be reshaped to it, or None.

    A plain row (n,) is folded in order, the last axis fastest: 784 → (28, 28, 1), 12 → (2, 6) for (None, 6).
    One open length takes the rest; two are the sides of a square. A row that already has axes only gains or
    loses axes of length 1: (3, 32, 32) never becomes (32, 32, 3).
    """
    count = math.prod(row)
    known = math.prod(length for length in wanted if length is not None)
    open_axes = [axis for axis, length in enumerate(wanted) if length is None]
    if known == 0 or count % known:
        return None
    rest = count // known
    filled = list(wanted)
    if len(row) > 1 and len(row) == len(wanted):
        filled = [have if want is None else want for have, want in zip(row, wanted, strict=True)]
    elif len(open_axes) == 1:
        filled[open_axes[0]] = rest
    elif len(open_axes) == 2 and math.isqrt(rest) ** 2 == rest:
        filled[open_axes[0]] = filled[open_axes[1]] = math.isqrt(rest)
    elif open_axes:
        return None
    shape = tuple(length for length in filled if length is not None)
    if math.prod(shape) != count or not count:
        return None
    if len(row) > 1 and [n for n in row if n != 1] != [n for n in shape if n != 1]:
        return None
    return shape


def shape_text(shape: Sequence[int | None]) -> str:
    inner = ", ".join("any" if length is None else str(length) for length in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"
