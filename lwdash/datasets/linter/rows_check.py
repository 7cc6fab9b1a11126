"""Rows in the wrong place: in two parts, repeated, with two labels, or as overlapping windows."""

from collections.abc import Sequence

import numpy as np

from lwdash.datasets.dataset import Dataset
from lwdash.datasets.linter.findings import ERROR, NOTE, WARNING, Finding
from lwdash.datasets.preprocessing.steps import chunk_rows
from lwdash.datasets.spilled_arrays import release_pages
from lwdash.datasets.split import PARTS
from lwdash.percent_text import as_percent

PAIRS = (("train", "evaluation"), ("calibration", "evaluation"), ("train", "calibration"))
MIN_CALIBRATION_ROWS = 32
WINDOWS_LOOKED_AT = 64
SHORTEST_OVERLAP = 8


def row_findings(dataset: Dataset, own_parts: Sequence[str] = ()) -> list[Finding]:
    """Findings on whole rows, as the model takes them. own_parts: parts with their own files."""
    found = _repeats(dataset, same_rows(dataset), own_parts)
    found += _overlapping_windows(dataset, own_parts)
    count = len(dataset.parts["calibration"])
    if count < MIN_CALIBRATION_ROWS:
        found.append(
            Finding(
                "few-calibration",
                WARNING,
                f"Only {count} {'row sets' if count == 1 else 'rows set'} the ranges of integer files.",
                "calibration",
                (
                    "They probably miss the largest activations that occur in use, and values beyond a "
                    "range are clipped."
                ),
                "Add rows to the calibration file; 100 rows or more are usual."
                if "calibration" in own_parts
                else "Add rows, or give a calibration file; 100 rows or more are usual. It needs no labels.",
            )
        )
    return found


def same_rows(dataset: Dataset) -> np.ndarray:
    """int64 (rows,): equal where all inputs of two rows are equal."""
    same = np.zeros(dataset.rows, np.int64)
    for values in dataset.inputs.values():
        size = chunk_rows(values)
        for start in range(0, len(values), size):
            part = np.ascontiguousarray(values[start : start + size])
            same[start : start + len(part)] ^= np.fromiter(
                (hash(row.tobytes()) for row in part), np.int64, len(part)
            )
            release_pages(values)
        same = same * np.int64(1_000_003)
    return same


def _repeats(dataset: Dataset, same: np.ndarray, own_parts: Sequence[str]) -> list[Finding]:
    distinct, group = np.unique(same, return_inverse=True)
    surplus = len(same) - len(distinct)
    if not surplus:
        return []
    shared = _shared(dataset, same, own_parts)
    torn = _torn(dataset, same, distinct, group)
    if shared:
        return [*shared, *torn]
    repeated = Finding(
        "repeated-rows",
        NOTE,
        f"{surplus:,} row{'s repeat' if surplus > 1 else ' repeats'} an earlier one.",
        "all parts; repeats are kept together in one of them",
        "Repeated rows count several times, and make intervals narrower than they should be.",
        "Delete the repeats if they are not intended.",
    )
    return [*torn, repeated]


def _shared(dataset: Dataset, same: np.ndarray, own_parts: Sequence[str]) -> list[Finding]:
    found = []
    in_part = {name: set(np.unique(same[rows]).tolist()) for name, rows in dataset.parts.items()}
    for first, second in PAIRS:
        both = in_part[first] & in_part[second]
        if both:
            is_measured = second == "evaluation"
            lines = "; ".join(f"{part} lines {_lines(dataset, same, both, part)}" for part in (first, second))
            found.append(
                Finding(
                    "shared-rows",
                    ERROR if is_measured and len(both) > 0.05 * len(in_part[second]) else WARNING,
                    f"{len(both):,} sample{'s are' if len(both) > 1 else ' is'} in {first} and in {second}.",
                    lines,
                    "Metrics on rows that were used before are too good: they measure memorization."
                    if is_measured
                    else "The ranges are set on rows that the model was trained on.",
                    _separated(first, second, own_parts),
                )
            )
    return found


def _separated(first: str, second: str, own_parts: Sequence[str]) -> str:
    """Advice on samples in two parts; it names the file of its own that one of the parts has."""
    own = second if second in own_parts else first if first in own_parts else ""
    if own:
        return f"Delete these samples from the {own} file, or from the rows of {first if own == second else second}."
    return "Delete the repeats, so that each sample occurs once."


def _torn(dataset: Dataset, same: np.ndarray, distinct: np.ndarray, group: np.ndarray) -> list[Finding]:
    """Equal rows with different classes. distinct, group: the values of `same`, and the group of each row."""
    labels = dataset.labels
    if labels is None or labels.dtype == np.float32 or labels[:1].size > 1:
        return []
    labels = labels.reshape(-1)
    low = np.full(len(distinct), np.iinfo(np.int64).max)
    high = np.full(len(distinct), -1)
    np.minimum.at(low, group, labels)
    np.maximum.at(high, group, labels)
    torn = int((low != high).sum())
    if not torn:
        return []
    return [
        Finding(
            "torn-labels",
            WARNING,
            f"{torn:,} sample{'s occur' if torn > 1 else ' occurs'} more than once with different labels.",
            f"lines {_lines(dataset, same, set(distinct[low != high].tolist()))} of the file",
            "No model can be right on all of them, so the accuracy has a ceiling below 100 %.",
            "Correct the labels, or delete these rows.",
        )
    ]


def _lines(dataset: Dataset, same: np.ndarray, wanted: set[int], part: str = "") -> str:
    """The first lines of the samples, each in the file of its part. part: only rows of it."""
    lines = dataset.lines if dataset.lines is not None else np.arange(len(same)) + 1
    is_wanted = np.isin(same, np.array(sorted(wanted)[:1000], np.int64))
    rows = (
        np.sort(dataset.parts[part])[is_wanted[np.sort(dataset.parts[part])]]
        if part
        else np.flatnonzero(is_wanted)
    )
    return ", ".join(f"{line:,}" for line in lines[rows[:6]].tolist()) + (" …" if len(rows) > 6 else "")


def _overlapping_windows(dataset: Dataset, own_parts: Sequence[str]) -> list[Finding]:
    """Rows cut from one recording so that the end of one is the beginning of the next."""
    main = np.sort(np.concatenate([dataset.parts[name] for name in PARTS if name not in own_parts]))
    values = next(iter(dataset.inputs.values()))
    length = int(np.prod(values.shape[1:]))
    if len(main) < 10 or length < 4 * SHORTEST_OVERLAP or values.dtype.kind != "f":
        return []
    starts = np.linspace(0, len(main) - 2, min(WINDOWS_LOOKED_AT, len(main) - 1)).astype(np.int64)
    pairs = [
        (np.asarray(values[main[i]]).reshape(-1), np.asarray(values[main[i + 1]]).reshape(-1)) for i in starts
    ]
    shifts = [shift for first, second in pairs if (shift := _shift(first, second))]
    if len(shifts) < len(pairs) / 2:
        return []
    shift = int(np.median(shifts))
    share = (length - shift) / length
    return [
        Finding(
            "overlapping-windows",
            WARNING,
            (
                f"Each row repeats {as_percent(share)} of the row before it, shifted by {shift} values: "
                "windows of one recording."
            ),
            "all rows",
            "Neighbouring windows fall into different parts, so the model is measured on data that it "
            "was trained on. The rows are fewer independent samples than the interval assumes.",
            "Measure on rows of another recording: give a separate evaluation file.",
        )
    ]


def _shift(first: np.ndarray, second: np.ndarray) -> int | None:
    """Number of values by which `second` begins later than `first` in the same recording; None if it does not."""
    for shift in np.flatnonzero(first == second[0]).tolist():
        overlap = len(first) - shift
        if (
            shift
            and overlap >= SHORTEST_OVERLAP
            and np.array_equal(first[shift:], second[:overlap])
            and np.ptp(second[:overlap])
        ):
            return int(shift)
    return None
