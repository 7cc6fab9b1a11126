"""Candidates for the label column of a CSV: every plausible column, ranked, with the reason."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from lwdash.datasets.data_facts import MAX_CLASSES, LabelCandidate
from lwdash.datasets.readers.csv_text.csv_dialect import is_number

_NAMES = frozenset(
    [
        "label",
        "labels",
        "class",
        "classes",
        "target",
        "targets",
        "y",
        "y_true",
        "species",
        "category",
        "diagnosis",
        "outcome",
        "annotation",
        "ground_truth",
        "groundtruth",
        "classification",
        "activity",
        "digit",
        "klasse",
        "ziel",
    ]
)
_PARTS = ("label", "labels", "class", "classes", "target", "targets", "category", "categories")
_MAX_COUNTED_VALUES = 24
MAX_CHOSEN_CLASSES = 10 * MAX_CLASSES
"""Maximum number of classes of a label that the user or the file states."""
_LONGEST_LABEL = 120
CERTAIN = 50.0


def is_label_name(name: str) -> bool:
    plain = name.strip().lower().replace(" ", "_").replace("-", "_").strip("_#")
    return plain in _NAMES or any(part in re.split(r"[_.]", plain) for part in _PARTS)


def worth_counting(names: Sequence[str], kinds: str, rows: Sequence[Sequence[str]]) -> list[int]:
    """Columns whose distinct values are counted while the file is read: named ones, text, first, last, few values."""
    picked = [i for i, name in enumerate(names) if is_label_name(name)][:8]
    picked += [0, len(names) - 1]
    for i, kind in enumerate(kinds):
        if len(picked) > _MAX_COUNTED_VALUES:
            break
        cells = [row[i] for row in rows if i < len(row)]
        few = len(set(cells)) <= max(2, min(50, len(cells) // 3))
        if few and len(set(cells)) > 1 and (kind == "t" or all(map(_is_whole, cells))):
            picked.append(i)
    return sorted(set(picked))


def _is_whole(text: str) -> bool:
    try:
        return is_number(text) and float(text).is_integer()
    except ValueError:
        return False


def label_text(value: float) -> str:
    """A numeric label as text: 1.0 → '1', 0.5 → '0.5'."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))


def label_order(text: str) -> tuple[int, float, str]:
    """Sort key: numbers by value, then words by spelling."""
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, 0.0, text)


class ValueCounts:
    """Counts the distinct values of some columns while the blocks of a file are read."""

    def __init__(self, columns: Sequence[int]):
        self.counts: dict[int, Counter[str]] = {i: Counter() for i in columns}
        self.too_many: set[int] = set()
        self.fractions: set[int] = set()

    def add(self, index: int, values: np.ndarray) -> None:
        """Count the values of a column.

        values: (rows,) float64 or text; missing values (NaN, '') are left out.
        """
        if index in self.too_many:
            return
        if values.dtype == object:
            found = Counter(v for v in values.tolist() if v)
        else:
            distinct, times = np.unique(values[np.isfinite(values)], return_counts=True)
            if (distinct != np.rint(distinct)).any():
                self.fractions.add(index)
            if len(distinct) > MAX_CHOSEN_CLASSES:
                self.too_many.add(index)
                return
            found = Counter(dict(zip(map(label_text, distinct), times.tolist(), strict=True)))
        self.counts[index].update(found)
        if len(self.counts[index]) > MAX_CHOSEN_CLASSES:
            self.too_many.add(index)


def rank(
    names: Sequence[str], kinds: str, counts: ValueCounts, rows: int, row_numbers: Sequence[int] = (),
    chosen: int | None = None,
) -> tuple[LabelCandidate, ...]:  # fmt: skip
    """Label candidates, the most likely first; at most 12. chosen: a column that is listed first, for any content."""
    found = [
        c
        for i in counts.counts
        if i != chosen and (c := _judge(i, names, kinds, counts, rows, row_numbers)) is not None
    ]
    if chosen is not None:
        found.append(_chosen(chosen, names[chosen], kinds, counts))
    return tuple(sorted(found, key=lambda c: (-c.score, c.index))[:12])


def _chosen(index: int, name: str, kinds: str, counts: ValueCounts) -> LabelCandidate:
    values = counts.counts[index]
    kind = "text" if kinds[index] == "t" else "float" if index in counts.fractions else "integer"
    listed = (
        kind != "float"
        and index not in counts.too_many
        and len(values) <= MAX_CHOSEN_CLASSES
        and _short(values)
    )
    classes = sorted(values.items(), key=lambda item: label_order(item[0])) if listed else []
    return LabelCandidate(index, name, "chosen", kind, 1000.0, max(1, len(values)), tuple(classes))


def _short(values: Counter[str]) -> bool:
    return all(len(text) <= _LONGEST_LABEL for text in values)


def _judge(
    index: int, names: Sequence[str], kinds: str, counts: ValueCounts, rows: int, row_numbers: Sequence[int]
) -> LabelCandidate | None:
    values, last = counts.counts[index], len(names) - 1
    distinct = len(values)
    too_many = index in counts.too_many
    named = is_label_name(names[index])
    kind = "text" if kinds[index] == "t" else "float" if index in counts.fractions else "integer"
    if distinct == 0 or len(names) == 1 or not _short(values):
        return None
    reasons, score = [], 0.0
    if named:
        reasons.append(f"its name is '{names[index]}'")
        score += 60
    if too_many or distinct > max(MAX_CLASSES, 2):
        if not named or kind == "text":
            return None
        reasons.append("many distinct values: a regression target")
        return LabelCandidate(index, names[index], ", ".join(reasons), kind, score, distinct, ())
    if kind == "float":
        if not named:
            return None
        reasons.append("values with fractions: a regression target")
        values = Counter()
    elif index in row_numbers and not named:
        return None
    else:
        few = distinct <= max(2, min(100, rows // 2))
        if not few and not named:
            return None
        if distinct == 1 and not named and (index not in (0, last) or kinds[index] != "t"):
            return None
        reasons.append(
            f"{distinct} distinct {'texts' if kind == 'text' else 'whole numbers'} in {rows:,} rows"
        )
        if kind == "text":
            score += 40
        else:
            score += _integer_score(index, kinds, values, distinct)
    if index in (0, last):
        reasons.append("first column" if index == 0 else "last column")
        score += 12 if index == last else 10
    classes = tuple(sorted(values.items(), key=lambda item: label_order(item[0])))
    return LabelCandidate(index, names[index], ", ".join(reasons), kind, score, distinct, classes)


def _integer_score(index: int, kinds: str, values: Counter[str], distinct: int) -> float:
    whole = sorted(int(float(text)) for text in values)
    score = 8.0
    if (whole == list(range(whole[0], whole[0] + distinct)) and whole[0] in (0, 1)) or whole == [-1, 1]:
        score += 15
    others = kinds[:index] + kinds[index + 1 :]
    if others.count("i") <= 0.2 * len(others):
        score += 20  # a column of whole numbers is unusual among measured values, but not among pixels
    return score - distinct / 20
