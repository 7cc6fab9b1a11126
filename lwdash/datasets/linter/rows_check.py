"""Rows that are where they should not be: in two parts, repeated, with two labels, or as overlapping windows."""

from collections.abc import Sequence

import numpy as np

from lwdash.datasets.dataset import Dataset
from lwdash.datasets.linter.findings import ERROR, NOTE, WARNING, Finding
from lwdash.datasets.preprocessing.steps import chunk_rows
from lwdash.datasets.spilled_arrays import release_pages
from lwdash.datasets.split import PARTS
from lwdash.percent_text import as_percent

PAIRS = (("train", "evaluation"), ("calibration", "evaluation"), ("train", "calibration"))
FEWEST_CALIBRATION = 32
WINDOWS_LOOKED_AT = 64
SHORTEST_OVERLAP = 8


def row_findings(dataset: Dataset, own_parts: Sequence[str] = ()) -> list[Finding]:
    """Findings on whole rows, as the model takes them. own_parts: parts with files of their own."""
    found = _repeats(dataset, same_rows(dataset), own_parts)
    found += _overlapping_windows(dataset, own_parts)
    count = len(dataset.parts["calibration"])
    if count < FEWEST_CALIBRATION:
        found.append(
            Finding(
                "few-calibration",
                WARNING,
                f"Only {count} {'row sets' if count == 1 else 'rows set'} the ranges of integer files.",
                "calibration",
                "The largest activations of use are likely not among them, and what lies beyond a range is clipped.",
                "Add rows, or give a calibration file; a hundred rows and more are usual. Labels are not needed in it.",
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
        "Repeated rows count several times, and make intervals look narrower than they are.",
        "Delete the repeats if they are not meant.",
    )
    return [*torn, repeated]


def _shared(dataset: Dataset, same: np.ndarray, own_parts: Sequence[str]) -> list[Finding]:
    found = []
    in_part = {name: set(np.unique(same[rows]).tolist()) for name, rows in dataset.parts.items()}
    for first, second in PAIRS:
        both = in_part[first] & in_part[second]
        if both:
            is_measured = second == "evaluation"
            lines = _lines(dataset, same, both)
            found.append(
                Finding(
                    "shared-rows",
                    ERROR if is_measured and len(both) > 0.05 * len(in_part[second]) else WARNING,
                    f"{len(both):,} samples are both in {first} and in {second}.",
                    f"{second} rows, lines {lines} of their file",
                    "Figures on rows that were used before flatter the result: they show memory, not skill."
                    if is_measured
                    else "The ranges are set on rows that the model knows best.",
                    f"Give {' and '.join(own_parts) or 'each part'} rows of {'their' if own_parts else 'its'} own.",
                )
            )
    return found


def _torn(dataset: Dataset, same: np.ndarray, distinct: np.ndarray, group: np.ndarray) -> list[Finding]:
    """Equal rows with different classes. distinct, group: the values of `same`, and which of them each row has."""
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


def _lines(dataset: Dataset, same: np.ndarray, wanted: set[int]) -> str:
    lines = dataset.lines if dataset.lines is not None else np.arange(len(same)) + 1
    rows = np.flatnonzero(np.isin(same, np.array(sorted(wanted)[:1000], np.int64)))
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
            f"Each row repeats {as_percent(share)} of the row before it, moved by {shift} values: windows of one recording.",
            "all rows",
            "Neighbouring windows fall into different parts, so the model is measured on stretches it was tuned on, "
            "and the rows are fewer independent samples than the interval believes.",
            "Measure on rows of another recording: give an evaluation file of its own.",
        )
    ]


def _shift(first: np.ndarray, second: np.ndarray) -> int | None:
    """By how many values `second` begins later than `first` in the same recording; None where it does not."""
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
