"""Keeps the biases of an int8 file: a channel's weight scale must not be so small that its bias overflows."""

from typing import Any

import numpy as np

from lwdash.techniques.constants import add_buffer
from lwdash.techniques.flatbuffer import text

LARGEST = 2**30
"""Largest bias that is stored: half of what int32 holds, since the products of the row are added to it."""


def fit_biases(model: Any, source: Any) -> int:
    """Widens weight scales of the quantized `model` where biases overflow; returns how many channels.

    source: the float `ModelT` it was made from, with the same tensor names.
    A bias is stored as bias / (input scale · weight scale) in int32. Where pruning has emptied a channel, its weight
    scale is next to nothing; litert-quantizer then stores −2³¹, whatever the bias was. TFLiteConverter widens the
    scale instead, and so does this; the weights of such a channel are zeros or next to nothing themselves.
    """
    biases = {text(t.name): _values(source, t, np.float32) for g in source.subgraphs for t in g.tensors}
    widened = 0
    for graph in model.subgraphs:
        for operator in graph.operators:
            if len(operator.inputs) < 3 or operator.inputs[2] < 0:
                continue
            data, weight, bias = (graph.tensors[i] for i in operator.inputs[:3])
            stored, real = _values(model, bias, np.int32), biases.get(text(bias.name))
            if not (_is_quantized(data, weight, bias) and stored is not None and real is not None):
                continue
            if len(bias.quantization.scale) == len(stored) == len(real):
                widened += _widen(model, data, weight, bias, real)
    return widened


def _widen(model: Any, data: Any, weight: Any, bias: Any, real: np.ndarray) -> int:
    input_scale = np.float64(data.quantization.scale[0])
    scale = np.asarray(weight.quantization.scale, np.float64)
    if len(scale) != len(real):
        return 0
    needed = np.abs(real) / (input_scale * LARGEST)
    narrow = scale < needed
    if narrow.any():
        wide = np.where(narrow, needed, scale)
        axis = weight.quantization.quantizedDimension
        along = [-1 if i == axis else 1 for i in range(len(weight.shape))]
        stored = np.asarray(model.buffers[weight.buffer].data, np.uint8).view(np.int8).reshape(weight.shape)
        weight.buffer = add_buffer(model, np.rint(stored * (scale / wide).reshape(along)).astype(np.int8))
        weight.quantization.scale = wide.astype(np.float32)
        bias.quantization.scale = (input_scale * wide).astype(np.float32)
        bias.buffer = add_buffer(model, np.rint(real / (input_scale * wide)).astype(np.int32))
    return int(narrow.sum())


def _is_quantized(data: Any, weight: Any, bias: Any) -> bool:
    from ai_edge_litert import schema_py_generated as schema

    kinds = schema.TensorType
    return (data.type, weight.type, bias.type) == (kinds.INT8, kinds.INT8, kinds.INT32) and all(
        t.quantization is not None and t.quantization.scale is not None for t in (data, weight, bias)
    )


def _values(model: Any, tensor: Any, kind: Any) -> np.ndarray | None:
    data = model.buffers[tensor.buffer].data
    if data is None or len(data) == 0 or len(data) % np.dtype(kind).itemsize:
        return None
    return np.asarray(data, np.uint8).view(kind)
