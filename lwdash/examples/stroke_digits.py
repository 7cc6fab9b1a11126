"""Synthetic handwritten digits at 28 × 28: smooth strokes through moved points, drawn with a pen of varying width.

They stand for data sets such as MNIST where none can be had. Each class has one to three forms. Every image has its own
moved points, slant, rotation, size, place, pen and noise.
"""

from __future__ import annotations

import numpy as np

SIDE = 28
CLASSES = 10
POINTS_OF_A_SEGMENT = 8
BATCH = 500
"""Images drawn at once; bounds the memory."""

FORMS: dict[int, tuple[str, ...]] = {
    0: ("5010 2525 2050 2878 5090 7376 8050 7324 5010",),
    1: (
        "5210 5050 4890",
        "3230 4520 5410; 5410 5350 5290",
    ),
    2: (
        "2530 3514 5810 7426 6648 4570 2588; 2588 5087 7886",
        "2624 4810 7224 6252 3684 2482 3070 5280 7890",
    ),
    3: (
        "2620 4810 7024 6242 4448; 4448 6854 7472 5490 2682",
        "2612 5012 7212; 7212 6028 4642; 4642 7052 7474 5090 2680",
    ),
    4: (
        "3610 2832 2256; 2256 5055 8053; 6620 6355 6092",
        "6208 4036 2064; 2064 5064 8263; 6208 6250 6292",
    ),
    5: ("7412 5212 3213; 3213 3028 2846; 2846 5240 7456 6882 4690 2482",),
    6: ("6610 4228 2856 3282 5490 7276 6656 4652 3166",),
    7: (
        "2214 5013 7812; 7812 5846 4290",
        "2214 5013 7812; 7812 5846 4290; 3650 5250 7048",
    ),
    8: ("5048 3034 3416 5210 7020 6636 5048 2864 2882 5090 7380 7264 5048",),
    9: (
        "7030 5412 3220 2838 4650 6640 7028; 7028 6860 6292",
        "7030 5412 3220 2838 4650 6640 7028; 7028 7064 5688 3284",
    ),
}
"""Digit → its forms. Strokes are separated by semicolons. A stroke is the points that it passes through, as hundredths:
xxyy, x to the right, y down.
"""

MOVED, SLANT, ROTATION, SIZE, PLACE = 0.045, 0.2, 0.18, 0.12, 0.05
"""Standard deviations: of points, slant, rotation (radians), relative width and height, and place."""
PEN_PIXELS = (0.7, 1.6)
"""Smallest and largest radius of the pen."""
NOISE = 8.0
"""Standard deviation of the noise, in grey levels of 0–255."""


def draw_digits(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 28, 28) of grey levels 0–255, uint8, and their digits (count,), int64, in random order."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, CLASSES, count)
    images = np.empty((count, SIDE, SIDE), np.uint8)
    for digit, forms in FORMS.items():
        which = np.flatnonzero(labels == digit)
        for form, indices in zip(
            forms, np.array_split(generator.permutation(which), len(forms)), strict=True
        ):
            for start in range(0, len(indices), BATCH):
                part = indices[start : start + BATCH]
                images[part] = _draw(form, len(part), generator)
    return images, labels


def _draw(form: str, count: int, generator: np.random.Generator) -> np.ndarray:
    """`count` images of one form, (count, 28, 28) uint8."""
    strokes = [_points(stroke) for stroke in form.split(";")]
    points = np.concatenate([_smooth(stroke, count, generator) for stroke in strokes], axis=1) - 0.5
    slant, angle = (generator.normal(0, s, (count, 1)) for s in (SLANT, ROTATION))
    width, height = (generator.normal(1, SIZE, (count, 1)) for _ in range(2))
    x, y = points[..., 0] * width, points[..., 1] * height
    x = x - slant * y
    x, y = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
    place = 0.5 + generator.normal(0, PLACE, (2, count, 1))
    x, y = ((axis + place[i]) * (SIDE - 6) + 2.5 for i, axis in enumerate((x, y)))
    grid = np.arange(SIDE)
    squared = (grid - x[..., None])[:, :, None, :] ** 2 + (grid - y[..., None])[:, :, :, None] ** 2
    distance = np.sqrt(squared.min(axis=1))
    pen = generator.uniform(*PEN_PIXELS, (count, 1, 1))
    ink = np.clip(pen + 0.5 - distance, 0, 1) * generator.uniform(180, 255, (count, 1, 1))
    return np.clip(ink + generator.normal(0, NOISE, ink.shape), 0, 255).round().astype(np.uint8)


def _points(stroke: str) -> np.ndarray:
    """(points, 2) of x and y, 0–1."""
    return np.array([(int(point[:2]), int(point[2:])) for point in stroke.split()]) / 100


def _smooth(stroke: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Points (count, steps, 2) on Catmull–Rom curves through moved copies of `stroke`'s points, (points, 2)."""
    moved = stroke + generator.normal(0, MOVED, (count, *stroke.shape))
    padded = np.concatenate([moved[:, :1], moved, moved[:, -1:]], axis=1)
    t = np.linspace(0, 1, POINTS_OF_A_SEGMENT)[:, None]
    curves = []
    for i in range(len(stroke) - 1):
        a, b, c, d = (padded[:, i + k, None] for k in range(4))
        curves.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        )
    return np.concatenate(curves, axis=1)
