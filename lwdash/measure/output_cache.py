"""A cache of outputs for one set of rows: each file runs once, and the runs of a sweep share their baseline."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping

import numpy as np

from lwdash.measure.runner import Runner

MAX_BYTES = 256 << 20
"""Size limit of the cache; the oldest outputs are removed first."""

Outputs = Mapping[str, np.ndarray]


class OutputCache:
    """Outputs of files on the same rows, each computed once.

    inputs: name → (rows, *shape), real numbers; threads: per interpreter; cores: number of interpreters at
    once.
    """

    def __init__(self, inputs: Mapping[str, np.ndarray], *, threads: int = 1, cores: int = 1):
        self.inputs, self.threads, self.cores = inputs, threads, cores
        self._kept: OrderedDict[tuple[str, bytes | None], Outputs] = OrderedDict()

    def of(self, data: bytes, progress: Callable[[float], None] | None = None) -> Outputs:
        """Outputs by name, float32 (rows, *shape), as `Runner.run` gives them."""
        return self._of(data, None, progress)

    def on(self, data: bytes, rows: np.ndarray) -> Outputs:
        """Outputs on some rows, by index; cut from the outputs on all rows where these are cached."""
        if self._key(data, None) in self._kept or len(rows) == len(next(iter(self.inputs.values()))):
            return {name: values[rows] for name, values in self.of(data).items()}
        return self._of(data, rows, None)

    def _of(self, data: bytes, rows: np.ndarray | None, progress: Callable[[float], None] | None) -> Outputs:
        key = self._key(data, rows)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        inputs = self.inputs if rows is None else {name: v[rows] for name, v in self.inputs.items()}
        runner = Runner(data, threads=self.threads)
        outputs = runner.run(inputs, progress=progress, workers=max(1, self.cores // self.threads))
        self._kept[key] = outputs
        while len(self._kept) > 1 and sum(map(_bytes, self._kept.values())) > MAX_BYTES:
            self._kept.popitem(last=False)
        return outputs

    def _key(self, data: bytes, rows: np.ndarray | None) -> tuple[str, bytes | None]:
        return hashlib.sha256(data).hexdigest(), None if rows is None else rows.tobytes()


def _bytes(outputs: Outputs) -> int:
    return sum(values.nbytes for values in outputs.values())
