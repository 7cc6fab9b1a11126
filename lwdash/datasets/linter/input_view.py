"""The sample of rows that the checks of one input read: as the model takes them, with their pre-processing."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from lwdash.datasets.preprocessing.language import Cast, Columns, Divide, Preprocess, Resize, Scale, Step
from lwdash.datasets.preprocessing.sample_steps import ImageFile, Normalize, SoundFile
from lwdash.datasets.preprocessing.steps import apply_steps

LONG_SERIES = 16
_IN_PLACE = (Scale, Divide, Normalize, Cast, Columns, ImageFile, SoundFile)
"""Steps that keep the place of each value."""


@dataclass(frozen=True)
class InputView:
    """The rows of one model input as the linter checks them.

    values: float64 (rows, *shape), the checked rows, in order. rows: their indices in the data set; lines:
    their lines in the file.

    parts: "train" | "calibration" | "evaluation" → indices into `values`. columns: names of the values that feed the
    input, in order. source_shape: the shape in which an array gives them, () for columns. is_whole_input: True if
    the input takes whole numbers (indices, pixels).
    """

    name: str
    values: np.ndarray
    rows: np.ndarray
    lines: np.ndarray
    parts: Mapping[str, np.ndarray]
    columns: tuple[str, ...]
    preprocess: Preprocess
    is_whole_input: bool = False
    source_shape: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape[1:]

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.preprocess.for_input(self.name)

    @property
    def is_image(self) -> bool:
        """(height, width) or (height, width, 1, 3 or 4 channels)."""
        if len(self.shape) == 3:
            return min(self.shape[:2]) > 3 and self.shape[2] in (1, 3, 4)
        return len(self.shape) == 2 and min(self.shape) >= LONG_SERIES

    @property
    def is_series(self) -> bool:
        """One long run of values: (n, 1), or a plain row whose columns are numbered (t0 … t139)."""
        if len(self.shape) == 2 and self.shape[1] == 1:
            return self.shape[0] >= LONG_SERIES
        return len(self.shape) == 1 and self.shape[0] >= LONG_SERIES and self._has_numbered_columns

    @property
    def _has_numbered_columns(self) -> bool:
        return not self.source_shape and _are_numbered(self.columns)

    @property
    def is_multichannel(self) -> bool:
        """(n, channels): several signals side by side."""
        return len(self.shape) == 2 and 2 <= self.shape[1] < LONG_SERIES <= self.shape[0]

    @property
    def is_table(self) -> bool:
        """Each value is a separate quantity."""
        return not (self.is_image or self.is_series or self.is_multichannel)

    def column_places(self) -> np.ndarray | None:
        """Index of the column behind each value of a row (flat), None where values are computed from several."""
        moving = [s for s in self.steps if not isinstance(s, _IN_PLACE)]
        if any(isinstance(step, Resize) for step in moving):
            return None
        if self.source_shape and math.prod(self.source_shape) != len(self.columns):
            return None
        row = np.arange(len(self.columns), dtype=np.float64).reshape(1, *(self.source_shape or (-1,)))
        places = apply_steps(moving, row)
        return places.reshape(-1).astype(np.int64) if places.size == self.values[0].size else None

    def with_steps(self, steps: tuple[Step, ...]) -> dict[str, str]:
        """The setting that uses `steps` for this input."""
        if dict(self.preprocess.by_input).get(self.name) is None:
            return {"preprocess": str(replace(self.preprocess, steps=steps))}
        own = tuple((name, steps if name == self.name else old) for name, old in self.preprocess.by_input)
        return {"preprocess": str(replace(self.preprocess, by_input=own))}

    def with_added(self, *more: Step) -> dict[str, str]:
        """The setting with `more` as last steps, before a cast."""
        cast = tuple(s for s in self.steps if isinstance(s, Cast))
        return self.with_steps((*(s for s in self.steps if not isinstance(s, Cast)), *more, *cast))

    def without_scaling(self) -> dict[str, str] | None:
        """The setting without its last scaling step; None where there is none."""
        places = [i for i, step in enumerate(self.steps) if isinstance(step, (Scale, Divide, Normalize))]
        if not places:
            return None
        return self.with_steps(tuple(s for i, s in enumerate(self.steps) if i != places[-1]))


def _are_numbered(names: tuple[str, ...]) -> bool:
    """Names that differ only in a number: t0, t1 … or 400.5, 401.0 … (nm)."""
    stems = {"".join(c for c in name if not (c.isdigit() or c in ".-")) for name in names}
    return len(stems) == 1 and all(any(c.isdigit() for c in name) for name in names)
