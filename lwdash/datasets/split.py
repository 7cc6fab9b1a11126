"""Divides rows into train, calibration and evaluation: disjoint, deterministic, stratified, repeats kept together."""

from collections.abc import Mapping

import numpy as np

PARTS = ("train", "calibration", "evaluation")
SHARES = {"train": 0.6, "calibration": 0.2, "evaluation": 0.2}
_REGRESSION_STRATA = 10


def split_rows(
    strata: np.ndarray, same: np.ndarray, *, seed: int = 0, shares: Mapping[str, float] = SHARES
) -> dict[str, np.ndarray]:
    """Row indices of each part, ascending.

    strata: int (rows,), the class of each row. same: int (rows,), equal for rows with equal content: such
    rows always go into one part (by the class of the first), so that no sample is used for both training and
    evaluation. shares: part → share of each stratum; shares of 0 leave a part empty. A stratum of one row
    goes to train, of two to train and evaluation, of three one to each; a larger one has at least one row in
    each.
    The order within a stratum is a hash of seed and row number: the same on every machine and numpy version.
    """
    _, first, group = np.unique(same, return_index=True, return_inverse=True)
    sizes = np.bincount(group)
    strata_of_group = strata[first]
    order = np.lexsort((_hash(first, seed), strata_of_group))
    part_of_group = np.zeros(len(first), np.int8)
    starts = np.flatnonzero(np.diff(strata_of_group[order], prepend=np.nan) != 0)
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        members = order[start:end]
        middle = np.cumsum(sizes[members]) - sizes[members] / 2
        borders = np.cumsum(_quota(int(sizes[members].sum()), shares))
        part_of_group[members] = np.searchsorted(borders, middle, side="right").clip(0, len(PARTS) - 1)
    part = part_of_group[group]
    return {name: np.flatnonzero(part == k) for k, name in enumerate(PARTS)}


def _quota(rows: int, shares: Mapping[str, float]) -> list[int]:
    """Number of rows of one stratum for each part: the others get their rounded share, at least 1 each; train
    gets the rest.
    """
    used = [name for name in PARTS if shares.get(name, 0) > 0]
    counts = dict.fromkeys(PARTS, 0)
    left = rows - 1 if "train" in used else rows
    for name in ("evaluation", "calibration"):
        if name in used:
            counts[name] = min(left, max(1, int(shares[name] * rows + 0.5)))
            left -= counts[name]
    counts["train" if "train" in used else used[0]] += rows - sum(counts.values())
    return [counts[name] for name in PARTS]


def strata_of_numbers(targets: np.ndarray) -> np.ndarray:
    """Strata for a regression target (rows,): ten of equally many rows by rank; one below 50 rows.

    Several targets (rows, targets) are ranked by their sum, each in units of its own spread.
    """
    if len(targets) < 5 * _REGRESSION_STRATA:
        return np.zeros(len(targets), np.int64)
    if targets.ndim > 1:
        spread = targets.std(axis=0, dtype=np.float64)
        targets = (targets / np.where(spread > 0, spread, 1.0)).sum(axis=1)
    ranks = np.argsort(np.argsort(targets, kind="stable"), kind="stable")
    return ranks * _REGRESSION_STRATA // len(targets)


def _hash(rows: np.ndarray, seed: int) -> np.ndarray:
    """SplitMix64 of the row number and seed (Steele, Lea, Flood 2014): uint64 (rows,)."""
    with np.errstate(over="ignore"):
        z = rows.astype(np.uint64) + np.uint64(seed % 2**63) * np.uint64(0xD1B54A32D192ED03)
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
