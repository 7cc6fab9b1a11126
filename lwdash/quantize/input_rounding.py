"""The loss from rounding a network's inputs to 8 bits, before it computes anything.

All columns of an input share one scale. Columns in a small unit lose all their values where another column is
thousands of times larger, even if the network normalizes its inputs itself.
"""

import numpy as np

from lwdash.contract import Rows
from lwdash.measure.accuracy import sqnr_db
from lwdash.measure.runner import Runner
from lwdash.quantize.number_formats import WEIGHT_OPERATORS
from lwdash.quantize.read_back import computed
from lwdash.tflite.reader import read_tflite

LEVELS = 256
MIN_INPUT_SQNR_DB = 10.0
"""Below this, an 8-bit input alone makes a wrong file."""


def loses_inputs(source: bytes, rows: Rows) -> bool:
    """True if the outputs of the float file `source` are wrong when only its inputs are rounded to 8 bits.

    rows: input name → (rows, *shape); their smallest and largest values set the scale.
    """
    runner = Runner(source)
    exact, rounded = (list(runner.run(each).values()) for each in (rows, _rounded(rows)))
    found = [sqnr_db(before, after) for before, after in zip(exact, rounded, strict=True)]
    return any(sqnr is not None and sqnr < MIN_INPUT_SQNR_DB for sqnr in found)


def first_layers(source: bytes) -> tuple[str, ...]:
    """The layers between the inputs and the first weights, such as a normalization; without any, the first with weights."""
    facts = read_tflite(source)
    reached = {facts.subgraphs[0].tensors[port.tensor].name for port in facts.inputs}
    before: dict[str, None] = {}
    first: dict[str, None] = {}
    for operator in computed(source):
        if operator.input not in reached or operator.is_inside:
            continue
        if operator.kind in WEIGHT_OPERATORS:
            first[operator.layer] = None
        else:
            before[operator.layer] = None
            reached.update(filter(None, operator.scope.split(";")))
    return tuple(before or first)


def _rounded(rows: Rows) -> dict[str, np.ndarray]:
    return {name: _to_8_bits(values) for name, values in rows.items()}


def _to_8_bits(values: np.ndarray) -> np.ndarray:
    if not np.issubdtype(values.dtype, np.floating):
        return values
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = (high - low) / (LEVELS - 1)
    return (np.round(values / scale) * scale).astype(values.dtype) if scale else values
