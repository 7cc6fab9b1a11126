"""Variables of layers without a library."""

from typing import Any

import numpy as np


class Variable:
    """A variable of a layer, as both Kerases have them."""

    def __init__(self, values: np.ndarray):
        self.values = values

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self.values, dtype)

    def assign(self, values: np.ndarray) -> None:
        assert values.dtype == self.values.dtype
        self.values = np.array(values)
