"""Constant values in a `ModelT`."""

from typing import Any

import numpy as np


def add_buffer(model: Any, values: np.ndarray) -> int:
    """Add a buffer with the values' bytes and return its index. An existing buffer may belong to several tensors."""
    from ai_edge_litert import schema_py_generated as schema

    buffer = schema.BufferT()
    buffer.data = values.ravel().view(np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def add_constant(model: Any, graph: Any, name: bytes, values: np.ndarray) -> int:
    """Add a tensor with these float32 or int32 values to a subgraph; return its index."""
    from ai_edge_litert import schema_py_generated as schema

    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.hasRank = name, list(values.shape), True
    tensor.type = getattr(schema.TensorType, values.dtype.name.upper())
    tensor.buffer = add_buffer(model, values)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1
