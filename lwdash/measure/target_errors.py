"""Errors of several numbers per row, each relative to its own spread. Otherwise the target with the largest
unit dominates the mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def with_own_spread(errors: Mapping[str, float | None], truth: np.ndarray) -> dict[str, float | None]:
    """`errors` with nmae and nrmse: MAE and RMSE in standard deviations of the labels (rows,); None where all are equal."""
    spread = float(truth.std())
    relative = {
        f"n{key}": None if spread == 0 or (value := errors[key]) is None else value / spread
        for key in ("mae", "rmse")
    }
    return {**errors, **relative}


def worst_target(targets: Sequence[Mapping[str, float | None]]) -> int | None:
    """Index of the target with the largest `nrmse`; None where none has one."""
    known = [k for k, target in enumerate(targets) if target["nrmse"] is not None]
    return max(known, key=lambda k: targets[k]["nrmse"] or 0.0) if known else None
