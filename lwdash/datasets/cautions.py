"""What a user should know about prepared rows before trusting figures made from them."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from lwdash.datasets.facts import brief_names
from lwdash.datasets.split import PARTS

WIDE_INTERVAL = 0.05
_Z95 = 1.959963984540054


def wilson_half_width(rows: int, share: float = 0.5) -> float:
    """Half the width of the Wilson 95 % interval of an accuracy `share` on `rows` rows (Wilson 1927); widest
    at ½."""
    z2 = _Z95**2
    return _Z95 / (1 + z2 / rows) * math.sqrt(share * (1 - share) / rows + z2 / (4 * rows**2))


def cautions(
    parts: Mapping[str, np.ndarray],
    labels: np.ndarray | None,
    classes: Sequence[str] | None,
    same: np.ndarray,
    constant: Sequence[str],
    columns: int,
) -> list[str]:
    """Warnings in plain words. same: equal for rows of equal content; constant: names of constant columns of
    `columns`."""
    found = []
    count = len(parts["evaluation"])
    if labels is not None and labels.dtype != np.float32 and wilson_half_width(count) > WIDE_INTERVAL:
        found.append(
            f"only {count} evaluation rows: an accuracy is known to ±{100 * wilson_half_width(count):.1f} "
            f"points at 50 %, "
            f"±{100 * wilson_half_width(count, 0.9):.1f} at 90 % (Wilson 95 %). Add rows, or an evaluation "
            f"file."
        )
    elif count < 50 and (labels is None or labels.dtype == np.float32):
        found.append(f"only {count} evaluation rows: figures will be rough. Add rows, or an evaluation file.")
    if labels is not None and classes is not None and labels.dtype != np.float32:
        found += _missing_classes(parts, labels, classes)
    found += _repeats(parts, labels, same)
    if constant:
        share = f"{len(constant)} of {columns} columns are" if len(constant) > 1 else "1 column is"
        found.append(
            f"{share} constant over all rows ({brief_names(list(constant), 4)}): the model learns nothing "
            f"from them."
        )
    return found


def _missing_classes(
    parts: Mapping[str, np.ndarray], labels: np.ndarray, classes: Sequence[str]
) -> list[str]:
    totals = np.bincount(labels, minlength=len(classes))
    found = []
    for name in PARTS:
        counts = np.bincount(labels[parts[name]], minlength=len(classes))
        absent = [
            f"{classes[k]} ({totals[k]} in all)" for k in range(len(classes)) if totals[k] and not counts[k]
        ]
        if absent:
            shown = ", ".join(absent[:5]) + (f" and {len(absent) - 5} more" if len(absent) > 5 else "")
            effect = {
                "train": "fine-tuning never sees it",
                "calibration": "value ranges may miss it",
                "evaluation": "its recall cannot be measured",
            }[name]
            found.append(f"no {name} rows of class {shown}: {effect}.")
    return found


def _repeats(parts: Mapping[str, np.ndarray], labels: np.ndarray | None, same: np.ndarray) -> list[str]:
    distinct, group = np.unique(same, return_inverse=True)
    surplus = len(same) - len(distinct)
    if not surplus:
        return []
    found = [f"{surplus:,} rows repeat an earlier row; repeats are kept in one part."]
    if labels is not None and labels.dtype != np.float32:
        low = np.full(len(distinct), np.iinfo(np.int64).max)
        high = np.full(len(distinct), -1)
        np.minimum.at(low, group, labels)
        np.maximum.at(high, group, labels)
        torn = int((low != high).sum())
        if torn:
            found.append(
                f"{torn:,} samples occur with different labels: no model can be right on all of them."
            )
    seen = {name: set(np.unique(same[parts[name]]).tolist()) for name in PARTS}
    for first, second in (("train", "evaluation"), ("calibration", "evaluation"), ("train", "calibration")):
        shared = len(seen[first] & seen[second])
        if shared:
            found[0] = f"{surplus:,} rows repeat an earlier row."
            found.append(
                f"{shared:,} samples are in both {first} and {second}: figures made from them flatter the "
                f"model."
            )
    return found
