"""Which column says how good a run is, for each task, and how it is written."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Measure:
    """A column of a frame of runs. `factor` turns the stored unit into the shown one."""

    column: str
    label: str
    unit: str
    factor: float = 1.0
    is_higher_better: bool = True

    @property
    def title(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else self.label


ACCURACY = Measure("accuracy", "Accuracy", "%", 100.0)
AGREEMENT = Measure("agreement", "Agreement with the original", "%", 100.0)
ERRORS = (
    Measure("rmse", "Root mean square error", "", is_higher_better=False),
    Measure("reconstruction_error", "Reconstruction error", "", is_higher_better=False),
)
SQNR = Measure("sqnr_db", "SQNR against the original", "dB")

SIZES = (
    Measure("size_bytes", "Size of the .tflite", "kB", 1e-3, is_higher_better=False),
    Measure("gzip_bytes", "Size gzipped", "kB", 1e-3, is_higher_better=False),
    Measure("huffman_bytes", "Weights Huffman-coded", "kB", 1e-3, is_higher_better=False),
)


def quality_of(runs: pd.DataFrame) -> Measure:
    """The measure that these runs have in common: accuracy with labels, else what their task gives."""
    for measure in (ACCURACY, *ERRORS, AGREEMENT, SQNR):
        if measure.column in runs and runs[measure.column].notna().any():
            return measure
    return ACCURACY
