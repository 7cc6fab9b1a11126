"""The assignment of columns of a data file to one input of a model."""

from dataclasses import dataclass


@dataclass(frozen=True)
class InputFit:
    """One input of the model. columns: indices of the file's columns in reading order; shape: of one row after
    pre-processing, all lengths known. source_shape: of one value of the array column that feeds the input; () where
    columns of numbers do.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    columns: tuple[int, ...]
    columns_text: str
    source_shape: tuple[int, ...] = ()
