"""The error of a quantized file's outputs on calibration rows, without labels."""

from __future__ import annotations

import numpy as np

from lwdash.contract import Rows
from lwdash.measure.accuracy import decibels
from lwdash.measure.runner import Runner
from lwdash.quantize.input_types import rows_in_file_types
from lwdash.spread_rows import spread

JUDGEMENTS = {
    "default": "classes, except where the outputs are single numbers beyond 0 to 1 or as many as the inputs",
    "classes": "another class: the largest output, or another side of 0.5 of a single one",
    "numbers": "the error of the numbers, as a share of their standard deviation",
}


class OutputError:
    """Compares files with a float file on the same rows.

    judged: "classes" or "numbers", see JUDGEMENTS.
    """

    def __init__(self, source: bytes, rows: Rows, judged: str = "default"):
        self.rows = rows_in_file_types(source, rows)
        self.reference = self._outputs(source, self.rows)
        self.judged = self._kind() if judged == "default" else judged

    def measured(self, data: bytes) -> tuple[float | None, float]:
        """(SQNR in dB, None without any error; share of changed rows, 0–1, the largest of all outputs)."""
        outputs = self._outputs(data, self.rows)
        return self._sqnr(self.reference, outputs), max(
            self._changed(r, o) for r, o in zip(self.reference, outputs, strict=True)
        )

    def noise(self, data: bytes, most_rows: int) -> float:
        """The power of the outputs' error on some of the rows, as a share of the outputs' power."""
        chosen = spread(len(next(iter(self.rows.values()))), most_rows)
        outputs = self._outputs(data, {name: values[chosen] for name, values in self.rows.items()})
        sqnr = self._sqnr([r[chosen] for r in self.reference], outputs)
        return 0.0 if sqnr is None else float(10 ** (-sqnr / 10))

    def _outputs(self, data: bytes, rows: Rows) -> list[np.ndarray]:
        return [np.asarray(values, np.float64) for values in Runner(data).run(rows).values()]

    def _sqnr(self, reference: list[np.ndarray], outputs: list[np.ndarray]) -> float | None:
        signal = sum(float((r**2).sum()) for r in reference)
        return decibels(
            signal, sum(float(((r - o) ** 2).sum()) for r, o in zip(reference, outputs, strict=True))
        )

    def _kind(self) -> str:
        inputs = {int(np.prod(values.shape[1:])) for values in self.rows.values()}
        for values in self.reference:
            width, size = values.shape[-1], int(np.prod(values.shape[1:]))
            is_share = values.min() >= -1e-6 and values.max() <= 1 + 1e-6
            if (width == 1 and not is_share) or (size in inputs and size > 1):
                return "numbers"
        return "classes"

    def _changed(self, reference: np.ndarray, outputs: np.ndarray) -> float:
        if self.judged == "numbers":
            spread_of = float(reference.std())
            error = float(np.sqrt(np.mean((reference - outputs) ** 2)))
            return error / spread_of if spread_of > 0 else float(error > 0)
        if reference.shape[-1] == 1:
            return float(np.mean((reference > 0.5) != (outputs > 0.5)))
        return float(np.mean(reference.argmax(axis=-1) != outputs.argmax(axis=-1)))
