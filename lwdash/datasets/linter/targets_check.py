"""Check of the targets' units: numbers of one output share one scale in an integer file."""

import numpy as np

from lwdash.datasets.dataset import Dataset
from lwdash.datasets.labels.task import REGRESSION
from lwdash.datasets.linter.findings import WARNING, Finding

STEPS = 255
MIN_LEVELS = 8
"""Minimum number of different values within a target's usual range (two standard deviations to each side)."""
MAX_TARGETS = 64
"""With more numbers the output is a curve or an image, in one unit."""


def target_findings(dataset: Dataset) -> list[Finding]:
    """Findings on the targets of a regression with several numbers per row."""
    labels = dataset.labels
    if labels is None or dataset.task != REGRESSION or len(labels) == 0:
        return []
    values = np.asarray(labels, np.float64).reshape(len(labels), -1)
    if not 1 < values.shape[1] <= MAX_TARGETS:
        return []
    step = (max(values.max(), 0.0) - min(values.min(), 0.0)) / STEPS
    spreads = values.std(axis=0)
    small = np.flatnonzero((spreads > 0) & (4 * spreads < MIN_LEVELS * step))
    if step == 0 or len(small) == 0:
        return []
    widest = int(np.argmax(np.abs(values).max(axis=0)))
    named = ", ".join(str(i + 1) for i in small[:6]) + (", …" if len(small) > 6 else "")
    one = len(small) == 1
    has_16_bits = (4 * spreads[small] >= MIN_LEVELS * step * STEPS / 2**15).all()
    wide = "; int16x8 is also fine enough" if has_16_bits else ", since 16 bits are not enough"
    return [
        Finding(
            "uneven-targets",
            WARNING,
            f"Target{'' if one else 's'} {named} of {values.shape[1]} var{'ies' if one else 'y'} by at most "
            f"{spreads[small].max():.3g} (standard deviation), while target {widest + 1} reaches "
            f"{np.abs(values[:, widest]).max():.4g}: one step of a common int8 range is {step:.3g}.",
            "labels",
            f"In an int8 file {'it has' if one else 'each of them has'} fewer than {MIN_LEVELS} different "
            "values left, or is constant. A mean error over all targets hides that.",
            "Give each unit of measure a separate output (split heads), train on targets of the same "
            "spread, or keep the last layer in float32: mixed(default=int8, <last layer>=float32, "
            f"io=float32){wide}.",
        )
    ]
