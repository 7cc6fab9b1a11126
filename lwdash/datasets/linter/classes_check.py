"""Checks of the labels: missing, rare and uneven classes, too few rows, numbers read as classes."""

import math
from collections.abc import Sequence

import numpy as np

from lwdash.datasets.dataset import Dataset
from lwdash.datasets.labels.task import BINARY, CLASSIFICATION, REGRESSION
from lwdash.datasets.linter.findings import NOTE, WARNING, Finding
from lwdash.datasets.split import PARTS
from lwdash.percent_text import as_percent

WIDE_INTERVAL = 0.05
FEW_WITHOUT_LABELS = 50
MIN_CLASS_ROWS = 10
LARGEST_SHARE = 0.8
RARE = 0.2
"""Share of an even distribution: a class below it hardly affects the accuracy."""
MAX_CLASS_LIKE_VALUES = 20
_Z95 = 1.959963984540054
MIN_SIGNIFICANT_FLIPS = 6
"""Minimum number of lost rows, with none gained, that McNemar's exact test calls significant: 2 · ½⁶ = 3.1 %,
2 · ½⁵ = 6.3 %.
"""


def wilson_half_width(rows: int, share: float = 0.5) -> float:
    """Half the width of the 95 % interval of an accuracy `share` on `rows` rows; widest at ½.

    Wilson's with continuity correction (Newcombe, Statistics in Medicine 17, 1998, no. 4), as for runs.
    """
    z2, spread = _Z95**2, 4 * rows * share * (1 - share) - 1 / rows

    def end(sign: int) -> float:
        reach = 1 + _Z95 * math.sqrt(max(0.0, z2 + spread + sign * (2 - 4 * share)))
        return (2 * rows * share + z2 + sign * reach) / (2 * (rows + z2))

    return (min(1.0, end(1)) - max(0.0, end(-1))) / 2


def class_findings(dataset: Dataset, own_parts: Sequence[str] = ()) -> list[Finding]:
    """Findings on labels, classes and the number of evaluation rows."""
    labels, classes = dataset.labels, dataset.classes
    if labels is None or classes is None or dataset.task not in (CLASSIFICATION, BINARY):
        return [*_few_rows(dataset, own_parts), *_numbers(dataset)]
    counts = {
        name: np.bincount(labels[dataset.parts[name]].reshape(-1), minlength=len(classes)) for name in PARTS
    }
    totals = np.bincount(labels.reshape(-1), minlength=len(classes))
    if labels[:1].size > 1:
        return [*_few_rows(dataset, own_parts), *_missing(dataset, counts, totals, own_parts)]
    return [
        *_few_rows(dataset, own_parts),
        *_missing(dataset, counts, totals, own_parts),
        *_few_of_class(dataset, counts["evaluation"], totals),
        *_uneven(dataset, totals),
        *_gaps(dataset, totals),
    ]


def _few_rows(dataset: Dataset, own_parts: Sequence[str]) -> list[Finding]:
    count = len(dataset.parts["evaluation"])
    has_positions = dataset.labels is not None and dataset.labels[:1].size > 1
    is_counted = dataset.classes is not None and not has_positions
    if is_counted and wilson_half_width(count) > WIDE_INTERVAL:
        half, ninety = (100 * wilson_half_width(count, share) for share in (0.5, 0.9))
        effect = (
            f"An accuracy is known to ±{half:.1f} points at 50 %, ±{ninety:.1f} at 90 % (Wilson 95 "
            "%). Between two runs "
        ) + (
            (
                f"no drop below {100 * MIN_SIGNIFICANT_FLIPS / count:.1f} points "
                f"({MIN_SIGNIFICANT_FLIPS} rows) is significant."
            )
            if count >= MIN_SIGNIFICANT_FLIPS
            else "no difference is significant."
        )
    elif not is_counted and count < FEW_WITHOUT_LABELS:
        effect = "Every metric is imprecise, and small differences between runs are not significant."
    else:
        return []
    return [
        Finding(
            "few-rows", WARNING if count < FEW_WITHOUT_LABELS else NOTE,
            f"Only {count} evaluation {'row' if count == 1 else 'rows'}.",
            "evaluation", effect,
            "Add rows to the evaluation file." if "evaluation" in own_parts
            else "Add rows, or give a separate evaluation file.",
        )
    ]  # fmt: skip


def _missing(
    dataset: Dataset, counts: dict[str, np.ndarray], totals: np.ndarray, own_parts: Sequence[str]
) -> list[Finding]:
    assert dataset.classes is not None
    found = []
    nowhere = [text for text, rows in zip(dataset.classes, totals, strict=True) if not rows]
    if nowhere:
        found.append(
            Finding(
                "missing-classes",
                WARNING,
                f"No row is of class {_some(nowhere)}.",
                f"label column '{dataset.label}'",
                "The model's result for it stays unknown, and the int8 ranges may not cover it.",
                "Add rows of the class. If the labels have another order than shown here, list the "
                "classes in the order of the outputs.",
            )
        )
    effects = {
        "train": "fine-tuning never sees it and may forget it",
        "calibration": "the int8 ranges may not cover it",
        "evaluation": "its recall cannot be measured",
    }
    for part, effect in effects.items():
        absent = [
            f"{text} ({total} in all)"
            for text, total, rows in zip(dataset.classes, totals, counts[part], strict=True)
            if total and not rows
        ]
        if absent:
            found.append(
                Finding(
                    "missing-classes",
                    WARNING,
                    f"No {part} row is of class {_some(absent)}.",
                    part,
                    f"For this class {effect}.",
                    f"Add rows of it to the {part} file."
                    if part in own_parts
                    else "Add rows of it; with three or more, one goes into each part. Or give a separate "
                    f"file for {part}.",
                )
            )
    return found


def _few_of_class(dataset: Dataset, counts: np.ndarray, totals: np.ndarray) -> list[Finding]:
    assert dataset.classes is not None
    few = [(t, int(n)) for t, n in zip(dataset.classes, counts, strict=True) if 0 < n < MIN_CLASS_ROWS]
    if not few or len(dataset.classes) < 2:
        return []
    least = min(n for _, n in few)
    return [
        Finding(
            "few-per-class",
            NOTE,
            "Evaluation rows of " + _some([f"class {text}: {rows}" for text, rows in few]) + ".",
            "evaluation",
            f"One row moves the recall of such a class by up to {100 / least:.0f} points.",
            f"Read recalls of classes with fewer than {MIN_CLASS_ROWS} rows as hints; add rows to measure them.",
        )
    ]


def _uneven(dataset: Dataset, totals: np.ndarray) -> list[Finding]:
    assert dataset.classes is not None
    share = float(totals.max() / max(1, totals.sum()))
    largest = dataset.classes[int(totals.argmax())]
    present = totals[totals > 0]
    if len(present) < 2:
        return []
    rare = [
        t for t, n in zip(dataset.classes, totals, strict=True) if 0 < n < RARE * totals.sum() / len(present)
    ]
    if share < LARGEST_SHARE and not rare:
        return []
    together = sum(int(n) for t, n in zip(dataset.classes, totals, strict=True) if t in rare)
    what = f"{as_percent(share)} of the rows are of class {largest}"
    if rare:
        what += f"; class{'es' if len(rare) > 1 else ''} {_some(rare)} make up {as_percent(together / totals.sum(), 1)}"
    return [
        Finding(
            "imbalance",
            WARNING if share >= LARGEST_SHARE else NOTE,
            what + ".",
            f"label column '{dataset.label}'",
            f"A model that always predicts {largest} would be right in {100 * share:.1f} % of the rows, "
            "and the accuracy hardly changes if a model loses the rare classes.",
            "Look at the recall of each class and the confusion matrix next to the accuracy.",
        )
    ]


def _gaps(dataset: Dataset, totals: np.ndarray) -> list[Finding]:
    """Whole numbers with gaps that were read as classes: more likely a scale (grams, years, degrees)."""
    assert dataset.classes is not None
    try:
        whole = [int(text) for text in dataset.classes]
    except ValueError:
        return []
    if len(whole) < 3 or sorted(whole) == list(range(min(whole), min(whole) + len(whole))):
        return []
    return [
        Finding(
            "number-or-class",
            WARNING,
            (
                f"The labels are the numbers {_some(dataset.classes)}, with gaps, read as classes in this "
                "order."
            ),
            f"label column '{dataset.label}'",
            "If they are measurements (grams, degrees, years), accuracy is the wrong metric: an error of "
            "one step counts like any other error.",
            "If they are classes, check their order against the model's outputs. If not, use a regression model.",
        )
    ]


def _numbers(dataset: Dataset) -> list[Finding]:
    """A regression target that looks like classes."""
    labels = dataset.labels
    if labels is None or labels.ndim > 1 or dataset.task != REGRESSION or not len(labels):
        return []
    distinct = np.unique(labels)
    if not (distinct == np.rint(distinct)).all() or not 2 <= len(distinct) <= min(
        MAX_CLASS_LIKE_VALUES, len(labels) // 3
    ):
        return []
    return [
        Finding(
            "number-or-class",
            NOTE,
            f"'{dataset.label}' has only the whole numbers {_some([f'{v:g}' for v in distinct])}, and is read as a number "
            "to predict, since the model has one linear output.",
            f"label column '{dataset.label}'",
            "The error (MAE, RMSE) is measured, not the accuracy.",
            "That is right for grades and counts. If these are classes without an order, the model needs "
            "one output per class.",
        )
    ]


def _some(texts: "list[str] | tuple[str, ...]", most: int = 5) -> str:
    shown = list(texts[:most])
    return ", ".join(shown) + (f" and {len(texts) - most} more" if len(texts) > most else "")
