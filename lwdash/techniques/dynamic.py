"""Dynamic range quantization: integer weights, activations quantized at run time."""

from dataclasses import dataclass

from lwdash.contract import Convert, Packed, Rows
from lwdash.errors import RecipeError
from lwdash.export.keras_converter import dynamic_range, require
from lwdash.parameters import parameter
from lwdash.quantize.number_formats import FORMATS
from lwdash.quantize.quantizers.litert_quantizer import quantized_throughout, some_rows
from lwdash.quantize.read_back import float_weights
from lwdash.quantize.rounding.rounded_file import reads_rows
from lwdash.quantize.shared_parameters import ALGORITHM, BACKEND, BITS, GPTQ_ROWS

NAME = "dynamic"
LABEL = "Dynamic range"
SUMMARY = "8-bit or 4-bit weights, float inputs and outputs; 8 bits need no calibration rows."
TRAP = "Activations stay float in memory, and TensorFlow Lite Micro does not run such hybrid files."
STAGE = "tflite"
NEEDS_ROWS = False


@dataclass(frozen=True)
class Params:
    bits: str = parameter("8", BITS)
    algorithm: str = parameter("default", ALGORITHM)
    rows: int = parameter(256, GPTQ_ROWS)
    backend: str = parameter("litert", BACKEND)


def check(params: Params) -> None:
    """TFLiteConverter has one form of this: 8 bits, min-max."""
    if params.backend == "tflite" and (params.bits != "8" or params.algorithm not in ("default", "minmax")):
        raise RecipeError(
            f"dynamic: backend=tflite has 8 bits and min-max only, but got bits={params.bits}, "
            f"algorithm={params.algorithm}"
        )


def needs_rows(params: Params) -> bool:
    """Only GPTQ reads rows."""
    return reads_rows(params.algorithm, [f"int{params.bits}"])


def apply(data: bytes, params: Params, rows: Rows | None, convert: Convert | None = None) -> Packed:
    """Weights to integers per channel where LiteRT has a fast kernel for that; the others are listed as
    skipped.

    See `fast_kernels` for their format. An operator without a 4-bit kernel gets 8 bits, and is listed.
    """
    if params.backend == "tflite":
        converted = require(convert)(dynamic_range, None)
        reason = (
            "TFLiteConverter quantizes only kernels of 1,024 values and more, where the operator has a "
            "hybrid kernel"
        )
        return Packed(converted, float_weights(converted, reason))
    format = FORMATS["dynamic4" if params.bits == "4" else "dynamic"]
    return quantized_throughout(data, format, some_rows(rows, params.rows), algorithm=params.algorithm)
