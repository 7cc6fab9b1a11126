"""A sample of rows spread over a whole file, since files are often sorted by class or by patient."""

import numpy as np


def spread(rows: int, most: int) -> np.ndarray:
    """At most `most` indices of `rows`, ascending, evenly spread from the first to the last."""
    if rows <= most:
        return np.arange(rows)
    return np.linspace(0, rows - 1, most).round().astype(np.int64)
