"""Integer quantization with 16-bit activations and 8-bit weights."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from lwdash.contract import Convert, Packed, Rows
from lwdash.errors import RecipeError
from lwdash.export.keras_converter import full_integer, require
from lwdash.parameters import Choice, parameter
from lwdash.quantize.number_formats import FORMATS
from lwdash.quantize.quantizers.integer_loops import INTEGER_LOOPS, LOOP, quantize_with_loops
from lwdash.quantize.quantizers.litert_quantizer import quantized_throughout, some_rows
from lwdash.quantize.read_back import computed, float_operators
from lwdash.quantize.shared_parameters import BACKEND, PER_CHANNEL, RANGES, ROWS
from lwdash.tflite.rewrites.hard_swish import hard_swish_as_products
from lwdash.tflite.rewrites.input_output_types import with_borders

NAME = "int16x8"
LABEL = "16-bit activations"
SUMMARY = "8-bit weights with 16-bit activations: the size of int8, almost as exact as floats."
TRAP = "On a PC it runs on slow reference kernels, often many times slower than floats. It is made for DSPs."
STAGE = "tflite"
NEEDS_ROWS = True


@dataclass(frozen=True)
class Params:
    io: str = parameter(
        "int16",
        Choice(
            "Input and output",
            "The number format of the file's inputs and outputs.",
            {
                "int16": "16-bit signed, as the kernels compute",
                "float32": "floats, converted inside the file",
            },
        ),
    )
    per_channel: bool = parameter(True, PER_CHANNEL)
    rows: int = parameter(256, ROWS)
    ranges: str = parameter("minmax", RANGES)
    backend: str = parameter("litert", BACKEND)


def check(params: Params) -> None:
    """TFLiteConverter has only one calibration method."""
    if params.backend == "tflite" and params.ranges != "minmax":
        raise RecipeError(f"int16x8: backend=tflite takes ranges=minmax only, but got ranges={params.ranges}")


def apply(data: bytes, params: Params, rows: Rows | None, convert: Convert | None = None) -> Packed:
    """Integer throughout; operators without such a form are listed as skipped."""
    some = some_rows(rows, params.rows)
    if params.backend == "tflite":
        configure = full_integer(params.io, activations="int16", per_channel=params.per_channel)
        converted = require(convert)(configure, some)
        return Packed(converted, float_operators(converted, "TFLiteConverter has no 16-bit form of it"))
    packed = quantized_throughout(
        hard_swish_as_products(data),
        FORMATS["int16x8"],
        some,
        per_channel=params.per_channel,
        ranges=params.ranges,
    )
    if params.io == "int16":
        return packed
    return replace(packed, data=with_borders(packed.data, params.io))


def other_ways(data: bytes, params: Params) -> dict[str, Callable[..., Packed]]:
    """Other quantizers for this file, by name, as in int8."""
    has_loop = params.backend == "litert" and any(operator.kind == LOOP for operator in computed(data))
    return {INTEGER_LOOPS: apply_with_loops} if has_loop else {}


def apply_with_loops(
    data: bytes, params: Params, rows: Rows | None, convert: Convert | None = None
) -> Packed:
    """litert-quantizer outside of loops, and inside of them step by step."""
    data = hard_swish_as_products(data)
    some = some_rows(rows, params.rows) or {}
    packed = quantize_with_loops(
        data,
        lambda: apply(data, replace(params, io="int16"), some, convert),
        FORMATS["int16x8"],
        some,
        per_channel=params.per_channel,
        ranges=params.ranges,
    )
    return packed if params.io == "int16" else replace(packed, data=with_borders(packed.data, params.io))
