"""Calibration rows in the number types of a .tflite's inputs, for Keras models with other types."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lwdash.contract import Rows
from lwdash.tflite.flatbuffer import read_model, text


def rows_in_file_types(data: bytes, rows: Rows) -> dict[str, np.ndarray]:
    """`rows` by input name, each array (rows, *shape) in the type of that input in the float file `data`.

    A model in float64 has a .tflite in float32. Names that the file does not have stay unchanged.
    """
    types = _input_types(read_model(data))
    return {
        name: np.asarray(values).astype(types.get(name, values.dtype), copy=False)
        for name, values in rows.items()
    }


def _input_types(model: Any) -> Mapping[str, np.dtype]:
    from ai_edge_litert import schema_py_generated as schema

    kinds = {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    graph = model.subgraphs[0]
    found = {}
    for index in graph.inputs:
        tensor = graph.tensors[index]
        kind = kinds[tensor.type]
        if kind in np.sctypeDict:
            found[text(tensor.name)] = np.dtype(kind)
    return found
