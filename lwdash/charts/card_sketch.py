"""Small SVG drawings for cards: a trade-off at a glance, rows of an example.

They have no axes and do not react to the mouse. The page behind the card has the details.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lwdash.metrics.pareto_front import pareto
from lwdash.metrics.run_metrics import quality_of
from lwdash.metrics.technique_families import FAMILIES

WIDTH, HEIGHT = 220, 106
PAD, ABOVE, BELOW = 9, 20, 22
"""Pixels from the edge to the outermost marker: at the sides; at the top, with an axis' name; at the bottom,
with the other's.
"""
MAX_DOTS = 150
INK = "<style>svg{color:#0b141c}@media(prefers-color-scheme:dark){svg{color:#e8eef3}}</style>"
"""The colour of the page's text. An image in a page does not inherit it."""
BASELINE, BEST = FAMILIES["baseline"][2], "#D55E00"
CURVES = ("#0072B2", "#C47F00", "#009E73", "#CC79A7")


@dataclass(frozen=True)
class Sketch:
    """An SVG file, its text alternative, and its width at its own size, in pixels."""

    svg: str
    caption: str
    width: int


def sketch_tradeoff(runs: pd.DataFrame, best: int | None) -> Sketch | None:
    """Quality against size of succeeded runs: dots, the Pareto front, a star for the baseline, a ring for the
    best.

    runs: id, is_baseline, size_bytes and the columns of `quality_of`. None for fewer than two runs that have
    both.
    """
    quality = quality_of(runs)
    if quality.column not in runs:
        return None
    done = runs[runs["size_bytes"].notna() & runs[quality.column].notna()]
    if len(done) < 2:
        return None
    size, height = done["size_bytes"].astype(float).to_numpy(), done[quality.column].astype(float).to_numpy()
    across = PAD + size / size.max() * (WIDTH - 2 * PAD)
    span = max(float(np.ptp(height)), 0.02 * float(np.abs(height).max()), 1e-12)
    part = (height - (height.max() + height.min() - span) / 2) / span
    along = ABOVE + (1 - part if quality.is_higher_better else part) * (HEIGHT - ABOVE - BELOW)
    front = np.array(
        pareto(list(size), list(height), is_more_x_better=False, is_more_y_better=quality.is_higher_better)
    )
    is_base, is_best = done["is_baseline"].astype(bool).to_numpy(), (done["id"] == best).to_numpy()
    others = np.flatnonzero(~is_base & ~is_best)
    if len(others) > MAX_DOTS:
        others = others[np.linspace(0, len(others) - 1, MAX_DOTS).astype(int)]
    order = np.flatnonzero(front)[np.argsort(size[front], kind="stable")]
    line = " ".join(f"{across[i]:.1f},{along[i]:.1f}" for i in order)
    marks = [
        f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-opacity="0.35" stroke-dasharray="2 3"/>',
        *(
            f'<circle cx="{across[i]:.1f}" cy="{along[i]:.1f}" r="3.2" fill="#0072B2" fill-opacity="0.75"/>'
            for i in others
        ),
        *(_star(across[i], along[i]) for i in np.flatnonzero(is_base)),
        *(
            f'<circle cx="{across[i]:.1f}" cy="{along[i]:.1f}" r="3.2" fill="#0072B2"/>'
            f'<circle cx="{across[i]:.1f}" cy="{along[i]:.1f}" r="7" fill="none" stroke="{BEST}" stroke-width="2"/>'
            for i in np.flatnonzero(is_best)
        ),
    ]
    text = 'font-family="sans-serif" font-size="9.5" fill="currentColor" fill-opacity="0.65"'
    name = quality.label.split()[0]
    axes = (
        f'<path d="M1.5 12V{HEIGHT - 13}H{WIDTH - 2}" fill="none" stroke="currentColor" stroke-opacity="0.25"/>'
        f'<text x="1" y="9" {text}>{name if name.isupper() else name.lower()}</text>'
        f'<text x="{WIDTH - 2}" y="{HEIGHT - 3}" text-anchor="end" {text}>size</text>'
    )
    caption = f"{quality.label} against size of {len(done):,} runs"
    return _svg(WIDTH, HEIGHT, caption, [axes, *marks])


def sketch_images(images: Sequence[np.ndarray], caption: str) -> Sketch:
    """Grey images, (height, width), side by side, the largest value dark; caption: their text alternative."""
    marks, left, cell = [], 0.0, 6
    for image in images:
        rows, columns = image.shape
        top = max(float(image.max()), 1e-12)
        marks += [
            f'<rect x="{left + cell * x:g}" y="{cell * y}" width="{cell}" height="{cell}" fill="currentColor" '
            f'fill-opacity="{image[y, x] / top:.2f}"/>'
            for y in range(rows)
            for x in range(columns)
            if image[y, x] > 0
        ]
        left += cell * (columns + 2)
    height = cell * max(image.shape[0] for image in images)
    return _svg(math.ceil(left), height, caption, marks)


def sketch_curves(rows: Sequence[np.ndarray], caption: str) -> Sketch:
    """Rows as curves side by side, all on one scale, each in its own colour; caption: their text alternative."""
    low, high = min(float(row.min()) for row in rows), max(float(row.max()) for row in rows)
    width, height = 96, 48
    marks = []
    for i, row in enumerate(rows):
        x = i * (width + 14) + np.linspace(0, width, len(row))
        y = 2 + (high - row) / max(high - low, 1e-12) * (height - 4)
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        colour = CURVES[i % len(CURVES)]
        marks.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
    return _svg(len(rows) * (width + 14), height, caption, marks)


def _star(x: float, y: float) -> str:
    corners = [(8 if i % 2 == 0 else 3.4, math.pi * (i / 5 - 0.5)) for i in range(10)]
    points = " ".join(f"{x + r * math.cos(a):.1f},{y + r * math.sin(a):.1f}" for r, a in corners)
    return f'<polygon points="{points}" fill="{BASELINE}"/>'


def _svg(width: float, height: float, caption: str, marks: Sequence[str]) -> Sketch:
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}">{INK}{"".join(marks)}</svg>'
    )
    return Sketch(svg, caption, math.ceil(width))
