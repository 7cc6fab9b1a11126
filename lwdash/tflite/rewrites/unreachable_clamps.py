"""Removes fused clamps whose bound no integer of the output reaches: LiteRT's built-in kernels refuse such a file."""

from typing import Any

from lwdash.tflite.operator_codes import drop_unused_codes, kind_of, operator_code

MAX_BOUND = 2**30
"""Largest bound, in steps of the output scale, that stays; int32 holds twice as much."""

BOUNDS = {"RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}


def drop_unreachable_clamps(model: Any) -> int:
    """Replace clamps of a quantized `ModelT` whose bounds overflow int32; return their number.

    A kernel stores the bound 6 of a RELU6 as round(6 / scale) in int32
    ("no_integer_overflow_from_quantization").
    Where the outputs over the calibration rows are almost 0, the scale is below 3e-9 and that overflows.
    The integers of the output never reach such a bound. So RELU gives the same bits as RELU6, and no clamp
    the same as RELU_N1_TO_1.
    """
    from ai_edge_litert import schema_py_generated as schema

    functions = schema.ActivationFunctionType
    fused = {
        functions.RELU6: ("RELU6", functions.RELU),
        functions.RELU_N1_TO_1: ("RELU_N1_TO_1", functions.NONE),
    }
    replaced = 0
    for graph in model.subgraphs:
        for operator in graph.operators:
            kind, options = kind_of(model, operator), operator.builtinOptions
            output = graph.tensors[operator.outputs[0]] if len(operator.outputs) else None
            name, instead = fused.get(getattr(options, "fusedActivationFunction", None), ("", None))
            if output is not None and name and _overflows(output, name):
                options.fusedActivationFunction = instead
                replaced += 1
            elif output is not None and kind == "RELU6" and _overflows(output, kind):
                operator.opcodeIndex = operator_code(model, "RELU")
                replaced += 1
    if replaced:
        drop_unused_codes(model)
    return replaced


def _overflows(tensor: Any, name: str) -> bool:
    """True if a bound of the clamp `name`, in the steps of an integer tensor, is more than MAX_BOUND."""
    from ai_edge_litert import schema_py_generated as schema

    if tensor.type == schema.TensorType.FLOAT32 or tensor.quantization is None:
        return False
    scale = tensor.quantization.scale
    return scale is not None and len(scale) == 1 and max(map(abs, BOUNDS[name])) > MAX_BOUND * float(scale[0])
