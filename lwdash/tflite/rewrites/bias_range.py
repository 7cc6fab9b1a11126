"""Limits the biases of an integer file to the range of the kernel's sums."""

from typing import Any

import numpy as np

from lwdash.tflite.constants import add_buffer
from lwdash.tflite.flatbuffer import text
from lwdash.tflite.operator_codes import kind_of

LARGEST = {8: 2**30, 16: 2**46}
"""Bits of the activations → largest stored bias: half of the sum's range, since the products of the row are
added to it. With 8 bits it is an int32; with 16 an int64, of which the kernels use 48 bits.
"""


def fit_biases(model: Any, source: Any) -> int:
    """Store biases of the quantized `model` again where litert-quantizer clipped them; return the number of
    channels.

    source: the float `ModelT` it was made from, with the same tensor names.
    A bias is stored as bias / (input scale · weight scale). litert-quantizer clips it to 32 bits, also with
    16-bit activations, although int64 is stored there: biases that fit are stored in full. Where pruning has
    emptied a channel, its weight scale is almost 0 and no bias fits. Like TFLiteConverter, this function then
    widens the scale; the weights of such a channel are almost 0.
    """
    biases = {text(t.name): _values(source, t, np.float32) for g in source.subgraphs for t in g.tensors}
    changed = 0
    for graph in model.subgraphs:
        for operator in graph.operators:
            places = (2, 1, 3) if kind_of(model, operator) == "TRANSPOSE_CONV" else (0, 1, 2)
            if len(operator.inputs) <= places[2] or operator.inputs[places[2]] < 0:
                continue
            data, weight, bias = (graph.tensors[operator.inputs[place]] for place in places)
            bits = _bits(data, weight, bias)
            if bits is None:
                continue
            stored = _values(model, bias, np.int32 if bits == 8 else np.int64)
            real = biases.get(text(bias.name))
            if stored is not None and real is not None and len(stored) == len(real):
                changed += _fit(model, (data, weight, bias), stored, real, bits)
    return changed


def _fit(model: Any, tensors: tuple[Any, Any, Any], stored: np.ndarray, real: np.ndarray, bits: int) -> int:
    """Widen scales where a bias overflows, and store the clipped biases; return the number of channels."""
    data, weight, bias = tensors
    input_scale = np.float64(data.quantization.scale[0])
    scale = np.asarray(weight.quantization.scale, np.float64)
    if len(scale) not in (1, len(real)) or len(bias.quantization.scale) != len(scale):
        return 0
    needed = np.abs(real.astype(np.float64)) / (input_scale * LARGEST[bits])
    if len(scale) == 1:
        needed = needed.max(keepdims=True)
    narrow = scale < needed
    wide = np.where(narrow, needed, scale)
    exact = np.rint(real / (input_scale * wide))
    is_clipped = np.abs(exact - stored) > np.maximum(1.0, 1e-6 * np.abs(exact))
    if not (narrow.any() or is_clipped.any()):
        return 0
    if narrow.any():
        axis = weight.quantization.quantizedDimension
        along = [-1 if i == axis and len(scale) > 1 else 1 for i in range(len(weight.shape))]
        kernel = np.asarray(model.buffers[weight.buffer].data, np.uint8).view(np.int8).reshape(weight.shape)
        weight.buffer = add_buffer(model, np.rint(kernel * (scale / wide).reshape(along)).astype(np.int8))
        weight.quantization.scale = wide.astype(np.float32)
        bias.quantization.scale = (input_scale * wide).astype(np.float32)
    bias.buffer = add_buffer(model, exact.astype(stored.dtype))
    return int((narrow | is_clipped).sum())


def _bits(data: Any, weight: Any, bias: Any) -> int | None:
    """Bits of the activations of an operator with int8 weights; None for other operators."""
    from ai_edge_litert import schema_py_generated as schema

    kinds = schema.TensorType
    known = {(kinds.INT8, kinds.INT32): 8, (kinds.INT16, kinds.INT64): 16}
    if weight.type != kinds.INT8 or any(
        t.quantization is None or t.quantization.scale is None for t in (data, weight, bias)
    ):
        return None
    return known.get((data.type, bias.type))


def _values(model: Any, tensor: Any, kind: Any) -> np.ndarray | None:
    data = model.buffers[tensor.buffer].data
    if data is None or len(data) == 0 or len(data) % np.dtype(kind).itemsize:
        return None
    return np.asarray(data, np.uint8).view(kind)
