"""Checks of the calibration rows' effect on an input's int8 range: outliers, uneven units, rows beyond it.

An input tensor has one scale: 256 levels from the smallest to the largest value of the calibration rows.
"""

import math

import numpy as np

from lwdash.datasets.data_facts import brief_names
from lwdash.datasets.linter.findings import NOTE, WARNING, Finding
from lwdash.datasets.linter.input_view import InputView
from lwdash.percent_text import as_percent

LEVELS = 256
STRETCHED = 4.0
"""Times the range of the other rows: two of eight bits lost."""
OUTER_SHARE = 0.02
MIN_ROWS = 20
MIN_LEVELS = 3
BEYOND = 0.1
"""Share of the calibrated range by which an evaluation row must exceed it to count."""
MAX_BEYOND_SHARE = 0.02


def range_findings(view: InputView) -> list[Finding]:
    """Findings on the calibration rows of one input, as the model takes them."""
    rows = view.values[view.parts["calibration"]]
    if view.is_whole_input or len(rows) < MIN_ROWS:
        return []
    return [*_outliers(view, rows), *_uneven_units(view, rows), *_beyond_calibration(view, rows)]


def _outliers(view: InputView, rows: np.ndarray) -> list[Finding]:
    """Rows are counted, not values: a narrow peak that every row has is not an outlier."""
    flat = rows.reshape(len(rows), -1)
    highest, lowest = flat.max(axis=1), flat.min(axis=1)
    high = float(np.quantile(highest, 1 - OUTER_SHARE, method="lower"))
    low = float(np.quantile(lowest, OUTER_SHARE, method="higher"))
    whole, inner = float(highest.max() - lowest.min()), high - low
    if inner <= 0 or whole < STRETCHED * inner:
        return []
    margin = 0.5 * inner
    outer = np.flatnonzero((highest > high + margin) | (lowest < low - margin))
    lines = view.lines[view.parts["calibration"]][outer].tolist()
    shown = ", ".join(f"{line:,}" for line in lines[:5]) + (" …" if len(lines) > 5 else "")
    levels = max(1, round(LEVELS * inner / whole))
    return [
        Finding(
            "outliers",
            WARNING,
            f"{len(outer)} of {len(rows):,} calibration rows reach {lowest.min():.4g} … {highest.max():.4g}, all others "
            f"stay within {low:.4g} … {high:.4g}.",
            f"input '{view.name}', line{'s' if len(lines) > 1 else ''} {shown} of the file",
            f"int8 spreads {LEVELS} levels over the whole range, so the other rows use {levels} of them: "
            f"{math.log2(whole / inner):.1f} of 8 bits are lost.",
            "If these rows are broken, correct or delete them. Otherwise quantize with "
            "int8(ranges=percentile) or int8(ranges=mse), which clip the outliers, or with int16x8, "
            "which has levels for both.",
        )
    ]


def _uneven_units(view: InputView, rows: np.ndarray) -> list[Finding]:
    """Columns of a table, or channels, whose range is only a few steps of the common int8 range."""
    if view.is_image or view.is_series:
        return []
    flat = rows.reshape(-1, rows.shape[-1]) if view.is_multichannel else rows.reshape(len(rows), -1)
    places = view.column_places()
    if flat.shape[1] < 2 or (not view.is_multichannel and places is None):
        return []
    spans = flat.max(axis=0) - flat.min(axis=0)
    step = float(flat.max() - flat.min()) / (LEVELS - 1)
    small = np.flatnonzero((spans > 0) & (spans < MIN_LEVELS * step))
    if not len(small) or not step:
        return []
    largest = int(np.argmax(np.abs(flat).max(axis=0)))
    has_16_bits = bool((spans[small] >= MIN_LEVELS * step * (LEVELS - 1) / 2**15).all())
    wide = "; int16x8 is also fine enough" if has_16_bits else ", since 16 bits are not enough"

    def called(index: int) -> str:
        if view.is_multichannel or places is None:
            return f"channel {index}"
        return view.columns[places[index]]

    names = brief_names([called(int(i)) for i in small], 4)
    one = len(small) == 1
    return [
        Finding(
            "uneven-units",
            WARNING,
            f"{names} span{'s' if one else ''} at most {spans[small].max():.3g}, while {called(largest)} "
            f"reaches {np.abs(flat[:, largest]).max():.4g}: one step of the common int8 range is "
            f"{step:.3g}.",
            f"input '{view.name}', {len(small)} of {flat.shape[1]} {'channels' if view.is_multichannel else 'columns'}",
            f"In an int8 file {'it has' if one else 'each of them has'} at most {MIN_LEVELS} different "
            "values left, even if the model normalises inside: the input is rounded before.",
            "Normalise the columns before the model and train it on them (scale(zscore, per=column)). If the model "
            "normalises inside, keep that layer and the input in float, as auto does: mixed(default=int8, "
            f"<first layer>=float32, io=float32){wide}.",
        )
    ]


def _beyond_calibration(view: InputView, rows: np.ndarray) -> list[Finding]:
    evaluation = view.values[view.parts["evaluation"]]
    if len(evaluation) < MIN_ROWS:
        return []
    low, high = float(rows.min()), float(rows.max())
    margin = BEYOND * (high - low)
    flat = evaluation.reshape(len(evaluation), -1)
    share = float(((flat.max(axis=1) > high + margin) | (flat.min(axis=1) < low - margin)).mean())
    if share < MAX_BEYOND_SHARE:
        return []
    return [
        Finding(
            "beyond-calibration",
            WARNING if share >= 0.1 else NOTE,
            f"{as_percent(share)} of the evaluation rows are outside the calibrated range {low:.4g} … "
            f"{high:.4g}: they go from {flat.min():.4g} to {flat.max():.4g}.",
            f"input '{view.name}'",
            (
                "An integer file clips values outside the range, so these rows are measured with clipped "
                "values."
            ),
            "Calibrate on rows like those on the device: more of them, or a calibration file from the "
            "same recordings.",
        )
    ]
