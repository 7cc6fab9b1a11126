"""Full integer quantization: int8 weights and activations, ranges from calibration rows."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from lwdash.contract import Convert, Packed, Rows
from lwdash.errors import RecipeError
from lwdash.export.keras_converter import full_integer, require
from lwdash.export.unrolled_loops import LOOPS
from lwdash.parameters import Choice, parameter
from lwdash.quantize.number_formats import FORMATS, Format, LayerFormats
from lwdash.quantize.quantizers.integer_loops import INTEGER_LOOPS, LOOP, quantize_with_loops
from lwdash.quantize.quantizers.litert_quantizer import quantized_throughout, some_rows
from lwdash.quantize.quantizers.tensorflow_quantizer import quantize_with_tensorflow
from lwdash.quantize.read_back import computed, float_operators
from lwdash.quantize.shared_parameters import ALGORITHM, BACKEND, BITS, PER_CHANNEL, RANGES, ROWS
from lwdash.tflite.rewrites.input_output_types import with_borders

NAME = "int8"
LABEL = "Full integer"
SUMMARY = "8-bit weights and activations: a quarter of the size, and the only form for most microcontrollers."
TRAP = (
    "The ranges come from the calibration rows: rows with another scaling than in use give a bad file. "
    "With bits=4, TensorFlow Lite Micro runs dense layers only with per_channel=false."
)
STAGE = "tflite"
NEEDS_ROWS = True


@dataclass(frozen=True)
class Params:
    io: str = parameter(
        "int8",
        Choice(
            "Input and output",
            "The number format of the file's inputs and outputs.",
            {
                "int8": "8-bit signed, as the kernels compute",
                "uint8": "8-bit unsigned, for camera pixels",
                "float32": "floats, converted inside the file",
            },
        ),
    )
    bits: str = parameter("8", BITS)
    algorithm: str = parameter("default", ALGORITHM)
    per_channel: bool = parameter(True, PER_CHANNEL)
    rows: int = parameter(256, ROWS)
    ranges: str = parameter("minmax", RANGES)
    backend: str = parameter("litert", BACKEND)
    loops: str = parameter(
        "kept",
        Choice(
            "Loops of recurrent layers",
            "The form of GRU, SimpleRNN, ConvLSTM and other layers that the float file has as loops.",
            {
                "kept": "loops that compute in integers: the smallest file, for sequences of any length",
                "unrolled": "each time step as operators of its own: several times larger, often faster",
            },
        ),
    )


def check(params: Params) -> None:
    """TFLiteConverter has only one calibration method, 8 bits and min-max."""
    if params.backend != "tflite":
        return
    if params.ranges != "minmax":
        raise RecipeError(f"int8: backend=tflite takes ranges=minmax only, but got ranges={params.ranges}")
    if params.bits != "8" or params.algorithm not in ("default", "minmax"):
        raise RecipeError(
            f"int8: backend=tflite has 8 bits and min-max only, but got bits={params.bits}, "
            f"algorithm={params.algorithm}"
        )


def trained_formats(params: Params) -> LayerFormats:
    """The formats that a training before this step prepares for."""
    return LayerFormats(_format(params).name, per_channel=params.per_channel)


def _format(params: Params) -> Format:
    return FORMATS["int8x4" if params.bits == "4" else "int8"]


def apply(data: bytes, params: Params, rows: Rows | None, convert: Convert | None = None) -> Packed:
    """Integer throughout; operators without an integer form are listed as skipped."""
    some = some_rows(rows, params.rows)
    if params.backend == "tflite":
        converted = require(convert)(full_integer(params.io, per_channel=params.per_channel), some)
        skipped = float_operators(converted, "TFLiteConverter has no integer form of it")
        used = 0 if some is None else len(next(iter(some.values())))
        return Packed(converted, skipped, {"calibration_rows": used})
    packed = quantized_throughout(
        data,
        _format(params),
        some,
        per_channel=params.per_channel,
        ranges=params.ranges,
        algorithm=params.algorithm,
    )
    if params.io == "int8":
        return packed
    return replace(packed, data=with_borders(packed.data, params.io))


def other_ways(data: bytes, params: Params) -> dict[str, Callable[..., Packed]]:
    """Other quantizers for this file, by name, each called like `apply`. They are tried where
    litert-quantizer leaves floats.
    """
    if params.backend == "tflite":
        return {}
    loops = {operator.kind for operator in computed(data)} & LOOPS
    if LOOP in loops:
        return {INTEGER_LOOPS: apply_with_loops} if params.loops == "kept" else {}
    if params.bits == "4":
        return {}
    if loops:  # TFLiteConverter has an integer form of an LSTM, but crashes on a loop
        return {"TFLiteConverter": apply_from_model}
    return {"TensorFlow's quantizer": apply_with_tensorflow}


def apply_with_loops(
    data: bytes, params: Params, rows: Rows | None, convert: Convert | None = None
) -> Packed:
    """litert-quantizer outside of loops, and inside of them step by step."""
    some = some_rows(rows, params.rows) or {}
    packed = quantize_with_loops(
        data,
        lambda: apply(data, replace(params, io="int8"), some, convert),
        _format(params),
        some,
        per_channel=params.per_channel,
        ranges=params.ranges,
    )
    return packed if params.io == "int8" else replace(packed, data=with_borders(packed.data, params.io))


def apply_with_tensorflow(
    data: bytes, params: Params, rows: Rows | None, convert: Convert | None = None
) -> Packed:
    """TFLiteConverter's own quantizer, on the same float file; its ranges are min and max."""
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
    return apply(data, replace(params, backend="tflite", ranges="minmax", algorithm="default"), rows, convert)
