"""Calibration rows under the names and in the number types of a .tflite's inputs."""

import numpy as np

from lwdash.contract import Rows
from lwdash.measure.runner import match_inputs
from lwdash.tflite.reader import read_tflite


def rows_in_file_types(data: bytes, rows: Rows) -> dict[str, np.ndarray]:
    """`rows` by the name of the input tensor, each array (rows, *shape) in the type of that input in the float file `data`.

    A model in float64 has a .tflite in float32. A file of TFLiteConverter calls a tensor `serving_default_x:0` and the
    input `x`. Rows that no input takes stay unchanged. Raises DataRefused where an input has no rows.
    """
    facts = read_tflite(data)
    tensors = facts.subgraphs[0].tensors
    found = match_inputs(facts, rows)
    named = {name: np.asarray(values) for name, values in rows.items() if name not in found.values()}
    for port in facts.inputs:
        tensor, values = tensors[port.tensor], np.asarray(rows[found[port.name]])
        is_number = tensor.dtype in np.sctypeDict
        named[tensor.name] = values.astype(tensor.dtype, copy=False) if is_number else values
    return named
