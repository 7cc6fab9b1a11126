"""Full integer quantization: int8 weights and activations, ranges from calibration rows."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from lwdash.contract import Convert, Packed, Rows
from lwdash.errors import RecipeError
from lwdash.export.keras_converter import full_integer, require
from lwdash.export.unrolled_loops import LOOPS
from lwdash.parameters import Choice, parameter
from lwdash.quantize.litert_quantizer import quantized_throughout, some_rows
from lwdash.quantize.number_formats import FORMATS
from lwdash.quantize.read_back import computed, float_operators
from lwdash.quantize.shared_parameters import BACKEND, PER_CHANNEL, RANGES, ROWS
from lwdash.quantize.tensorflow_quantizer import quantize_with_tensorflow
from lwdash.tflite.rewrites.input_output_types import with_borders

NAME = "int8"
LABEL = "Full integer"
SUMMARY = "8-bit weights and activations: a quarter of the size, and the only form most microcontrollers run."
TRAP = "The ranges come from the calibration rows: rows scaled otherwise than in use give a bad file."
STAGE = "tflite"
NEEDS_ROWS = True


@dataclass(frozen=True)
class Params:
    io: str = parameter(
        "int8",
        Choice(
            "Input and output",
            "The number format at the file's borders.",
            {
                "int8": "8-bit signed, as the kernels compute",
                "uint8": "8-bit unsigned, for camera pixels",
                "float32": "floats, converted inside the file",
            },
        ),
    )
    per_channel: bool = parameter(True, PER_CHANNEL)
    rows: int = parameter(256, ROWS)
    ranges: str = parameter("minmax", RANGES)
    backend: str = parameter("litert", BACKEND)


def check(params: Params) -> None:
    """TFLiteConverter calibrates in one way only."""
    if params.backend == "tflite" and params.ranges != "minmax":
        raise RecipeError(f"int8: backend=tflite takes ranges=minmax only, but got ranges={params.ranges}")


def apply(data: bytes, params: Params, rows: Rows | None, convert: Convert | None = None) -> Packed:
    """Integer throughout; operators that have no integer form are listed as skipped."""
    some = some_rows(rows, params.rows)
    if params.backend == "tflite":
        converted = require(convert)(full_integer(params.io, per_channel=params.per_channel), some)
        skipped = float_operators(converted, "TFLiteConverter has no integer form of it")
        used = 0 if some is None else len(next(iter(some.values())))
        return Packed(converted, skipped, {"calibration_rows": used})
    packed = quantized_throughout(
        data, FORMATS["int8"], some, per_channel=params.per_channel, ranges=params.ranges
    )
    if params.io == "int8":
        return packed
    return replace(packed, data=with_borders(packed.data, params.io))


def other_ways(data: bytes, params: Params) -> dict[str, Callable[..., Packed]]:
    """Who else can make this file, by name, each called as `apply`: for where litert-quantizer leaves floats."""
    if params.backend == "tflite":
        return {}
    loops = {operator.kind for operator in computed(data)} & LOOPS
    if not loops:
        return {"TensorFlow's quantizer": apply_with_tensorflow}
    if "WHILE" not in loops:  # TFLiteConverter has an integer form of an LSTM, and crashes on a loop
        return {"TFLiteConverter": apply_from_model}
    return {}


def apply_with_tensorflow(
    data: bytes, params: Params, rows: Rows | None, convert: Convert | None = None
) -> Packed:
    """The quantizer behind TFLiteConverter, on the same float file; its ranges are min and max."""
    some = some_rows(rows, params.rows) or {}
    quantized = quantize_with_tensorflow(data, some, per_channel=params.per_channel)
    skipped = float_operators(quantized, "neither quantizer has an integer form of it")
    if params.io != "int8":
        quantized = with_borders(quantized, params.io)
    return Packed(quantized, skipped, {"calibration_rows": len(next(iter(some.values())))})


def apply_from_model(
    data: bytes, params: Params, rows: Rows | None, convert: Convert | None = None
) -> Packed:
    """TFLiteConverter on the Keras model."""
    return apply(data, replace(params, backend="tflite", ranges="minmax"), rows, convert)
