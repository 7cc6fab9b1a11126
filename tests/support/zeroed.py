"""Files with zeros in their kernels, made in seconds and without training."""

import numpy as np

from lwdash.tflite.flatbuffer import read_model, write_model

MIN_VALUES = 256
"""Smaller tensors keep their weights."""


def with_zeros(tflite: bytes, share: float, block: int = 1) -> bytes:
    """A float .tflite whose large kernels have `share` of their smallest weights set to zero.

    block: neighbours along the first axis that are kept or zeroed together, where it divides that axis.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = read_model(tflite)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            stored = model.buffers[tensor.buffer].data
            is_large = stored is not None and len(stored) >= 4 * MIN_VALUES and len(tensor.shape) > 1
            if tensor.type != schema.TensorType.FLOAT32 or not is_large:
                continue
            weights = np.frombuffer(np.asarray(stored, np.uint8).tobytes(), np.float32)
            rows = weights.reshape(int(tensor.shape[0]), -1)
            size = block if len(rows) % block == 0 else 1
            strength = np.abs(rows).reshape(len(rows) // size, size, -1).sum(axis=1)
            kept = np.repeat(strength > np.quantile(strength, share), size, axis=0)
            model.buffers[tensor.buffer].data = (
                np.where(kept, rows, 0).astype(np.float32).ravel().view(np.uint8)
            )
    return write_model(model)
