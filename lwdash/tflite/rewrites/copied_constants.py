"""Stores constants that integer operators copy in the output's scale; in another scale they would mean other
values.

TensorFlow's quantizer gives each constant its own scale. A ONE_HOT whose 0 is stored as the integer 0 then
outputs 0.5 everywhere, since its output is unsigned in real numbers and has zero point −128.
"""

from typing import Any

import numpy as np

from lwdash.tflite.constants import add_buffer
from lwdash.tflite.operator_codes import kind_of

COPIED = {
    "ONE_HOT": (2, 3),
    "SELECT": (1, 2),
    "SELECT_V2": (1, 2),
    "PADV2": (2,),
    "FILL": (1,),
    "PACK": None,
    "CONCATENATION": None,
    "DYNAMIC_UPDATE_SLICE": (0, 1),
    "MAXIMUM": (0, 1),
    "MINIMUM": (0, 1),
}
"""Operators that copy or compare integers, and the affected inputs; None: all of them."""


def fit_copied_constants(model: Any) -> int:
    """Store such int8 constants of a `ModelT` in the scale of the tensor that they are copied to; return their number."""
    fitted = 0
    for graph in model.subgraphs:
        for operator in graph.operators:
            kind = kind_of(model, operator)
            if kind not in COPIED or not _is_int8(target := graph.tensors[operator.outputs[0]]):
                continue
            places = COPIED[kind]
            for place in range(len(operator.inputs)) if places is None else places:
                fitted += _fit(model, graph, operator, place, target)
    return fitted


def _fit(model: Any, graph: Any, operator: Any, place: int, target: Any) -> bool:
    tensor = graph.tensors[operator.inputs[place]]
    stored = model.buffers[tensor.buffer].data
    if stored is None or len(stored) == 0 or not _is_int8(tensor) or _scale(tensor) == _scale(target):
        return False
    (own_scale, own_zero), (scale, zero) = _scale(tensor), _scale(target)
    real = (np.asarray(stored, np.uint8).view(np.int8).astype(np.float64) - own_zero) * own_scale
    copy = type(tensor)()
    copy.__dict__.update(tensor.__dict__)  # other operators may read the same constant in its own scale
    copy.quantization = target.quantization
    copy.buffer = add_buffer(model, np.clip(np.rint(real / scale) + zero, -128, 127).astype(np.int8))
    graph.tensors.append(copy)
    inputs = list(operator.inputs)
    inputs[place] = len(graph.tensors) - 1
    operator.inputs = inputs
    return True


def _is_int8(tensor: Any) -> bool:
    from ai_edge_litert import schema_py_generated as schema

    quantization = tensor.quantization
    return (
        tensor.type == schema.TensorType.INT8
        and quantization is not None
        and quantization.scale is not None
        and len(quantization.scale) == 1
    )


def _scale(tensor: Any) -> tuple[float, int]:
    return float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])
