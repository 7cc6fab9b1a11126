"""Columns without information, with duplicated information, or with forbidden information: constant,
duplicated, counting, label copies.
"""

from collections.abc import Sequence

import numpy as np

from lwdash.datasets.data_facts import brief_names
from lwdash.datasets.dataset import Dataset
from lwdash.datasets.linter.findings import NOTE, WARNING, Finding
from lwdash.datasets.linter.input_view import InputView

MAX_COLUMNS = 4096
MIN_ROWS = 10
MIN_ROWS_FOR_COPY = 50
MAX_BLANK_SHARE = 0.5
"""Share of constant values up to which images have a blank border and signals are padded."""


def column_findings(view: InputView, dataset: Dataset) -> list[Finding]:
    """Findings on single columns of one input. Values computed from several columns (after a resize) are not checked."""
    places = view.column_places()
    if places is None or len(view.values) < MIN_ROWS or len(places) > MAX_COLUMNS:
        return []
    flat = view.values.reshape(len(view.values), -1)
    names = [view.columns[place] for place in places]
    is_flat = flat.max(axis=0) == flat.min(axis=0)
    found = _constant(view, names, is_flat)
    if view.is_image or is_flat.all():
        return found
    found += _duplicated(view, names, flat, is_flat)
    if view.is_table:
        found += _label_copies(view, names, flat, dataset)
        found += _counting(view, names, flat)
    return found


def _constant(view: InputView, names: Sequence[str], is_flat: np.ndarray) -> list[Finding]:
    flat = [name for name, constant in zip(names, is_flat, strict=True) if constant]
    if not flat or (not view.is_table and len(flat) <= MAX_BLANK_SHARE * len(names)):
        return []
    share = f"{len(flat):,} of {len(names):,} columns are" if len(flat) > 1 else "1 column is"
    return [
        Finding(
            "constant-columns",
            WARNING,
            f"{share} constant over all rows: {brief_names(flat, 4)}.",
            f"input '{view.name}'",
            "The rows do not test this value of the model. If it varied in training, it was lost on the "
            "way into the file.",
            "Check the export of these columns. If they are not measurements, leave them out and add the right ones.",
        )
    ]


def _duplicated(
    view: InputView, names: Sequence[str], flat: np.ndarray, is_flat: np.ndarray
) -> list[Finding]:
    """Columns with equal values in every checked row."""
    groups: dict[int, list[int]] = {}
    for i in np.flatnonzero(~is_flat).tolist():
        groups.setdefault(hash(np.ascontiguousarray(flat[:, i]).tobytes()), []).append(i)
    same = [group for group in groups.values() if len(group) > 1]
    if not same:
        return []
    shown = "; ".join(" = ".join(names[i] for i in group[:3]) for group in same[:3])
    more = f" and {len(same) - 3} more" if len(same) > 3 else ""
    if view.is_table:
        advice = "Is one of them a leftover of an export? The model needs the columns it was trained on."
    else:
        advice = "Were the rows stretched by repeating values? Then resize(…, method=area) gives the original length."
    return [
        Finding(
            "duplicate-columns",
            WARNING if view.is_table else NOTE,
            f"Columns hold the same values in every row: {shown}{more}.",
            f"input '{view.name}'",
            "The model gets one value twice. It may have learnt from another value in this place.",
            advice,
        )
    ]


def _label_copies(view: InputView, names: Sequence[str], flat: np.ndarray, dataset: Dataset) -> list[Finding]:
    """Columns whose value determines the class in every row."""
    if dataset.labels is None or dataset.labels[:1].size > 1 or len(view.values) < MIN_ROWS_FOR_COPY:
        return []
    own = dataset.labels[view.rows].reshape(-1)
    if len(np.unique(own)) < 2:
        return []
    if own.dtype == np.float32:
        copies = [i for i in range(flat.shape[1]) if np.array_equal(flat[:, i].astype(np.float32), own)]
    else:
        copies = [i for i in range(flat.shape[1]) if _determines(flat[:, i], own)]
    if not copies:
        return []
    return [
        Finding(
            "label-copy",
            WARNING,
            (
                f"{brief_names([names[i] for i in copies], 4)} determines the label '{dataset.label}' in "
                "every row."
            ),
            f"input '{view.name}'",
            (
                "If the model uses it, every accuracy is 100 % for any compression, because the input "
                "contains the label."
            ),
            "Is it a copy of the label, or an id given after labelling? Leave the column out, and fill the input with the "
            "columns that the model was trained on.",
        )
    ]


def _determines(column: np.ndarray, labels: np.ndarray) -> bool:
    values, value = np.unique(column, return_inverse=True)
    classes, wanted = np.unique(labels, return_inverse=True)
    if len(values) != len(classes):
        return False
    return len(np.unique(value * len(classes) + wanted)) == len(classes)


def _counting(view: InputView, names: Sequence[str], flat: np.ndarray) -> list[Finding]:
    rising = np.flatnonzero((np.diff(flat, axis=0) > 0).all(axis=0)).tolist()
    if not rising:
        return []
    found = [names[i] for i in rising]
    return [
        Finding(
            "counts-up",
            WARNING,
            f"{brief_names(found, 4)} {'grow' if len(found) > 1 else 'grows'} from each row to the next.",
            f"input '{view.name}'",
            "That is a time stamp or a running number, not a measurement: later rows have values that "
            "the model never saw, and it sets the int8 range.",
            "Leave the column out, unless the model was trained with it.",
        )
    ]
