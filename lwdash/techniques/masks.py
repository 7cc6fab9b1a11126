"""Constants that attention adds or selects where it must not look: −1e9, or the smallest float, behind a softmax."""

import numpy as np

from lwdash.techniques.constants import add_buffer
from lwdash.techniques.flatbuffer import read_model, write_model

LARGEST = 1e8
"""Beyond it a value is such padding."""
BELOW = 10.0
"""How far under the smallest value a padded activation is put: e⁻¹⁰ of a softmax is nothing, and the others keep their
steps."""
ENOUGH = 1000.0
"""What integer files hold instead: a sum saturates all the same, and LiteRT aborts where two scales are too far apart."""


def with_small_masks(data: bytes) -> bytes:
    """A float .tflite whose constants are at most ENOUGH where they were padding; `data` where there are none."""
    from ai_edge_litert import schema_py_generated as schema

    model = read_model(data)
    clipped = 0
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            stored = model.buffers[tensor.buffer].data
            if tensor.type != schema.TensorType.FLOAT32 or stored is None or len(stored) == 0:
                continue
            values = np.asarray(stored, np.uint8).view(np.float32)
            if not (np.abs(values) >= LARGEST).any():
                continue
            small = np.where(np.abs(values) >= LARGEST, np.sign(values) * np.float32(ENOUGH), values)
            tensor.buffer = add_buffer(model, small.astype(np.float32))
            clipped += 1
    return write_model(model) if clipped else data
