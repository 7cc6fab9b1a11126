"""Weight-only quantization: integers in the file, floats in the computation."""

from dataclasses import dataclass

from lwdash.contract import Convert, Packed, Rows
from lwdash.parameters import parameter
from lwdash.quantize.number_formats import FORMATS
from lwdash.quantize.quantizers.litert_quantizer import quantized_throughout, some_rows
from lwdash.quantize.rounding.rounded_file import reads_rows
from lwdash.quantize.shared_parameters import ALGORITHM, BITS, GPTQ_ROWS

NAME = "weight_only"
LABEL = "Weights only"
SUMMARY = (
    "8-bit or 4-bit weights that are converted to floats before use: small, with rounding of weights as "
    "the only loss."
)
TRAP = (
    "It saves download and storage, not time. With 4 bits LiteRT unpacks the weights in every inference "
    "and uses no fast kernels: dynamic(bits=4) is several times faster."
)
STAGE = "tflite"
NEEDS_ROWS = False


@dataclass(frozen=True)
class Params:
    bits: str = parameter("8", BITS)
    algorithm: str = parameter("default", ALGORITHM)
    rows: int = parameter(256, GPTQ_ROWS)


def needs_rows(params: Params) -> bool:
    """Only GPTQ reads rows."""
    return reads_rows(params.algorithm, [f"int{params.bits}"])


def apply(data: bytes, params: Params, rows: Rows | None, convert: Convert | None = None) -> Packed:
    """Kernels to integers per channel with a DEQUANTIZE before their use; operators that keep floats are
    listed.

    An operator without a 4-bit form gets 8 bits, and is listed.
    """
    format = FORMATS["weight_only4" if params.bits == "4" else "weight_only"]
    return quantized_throughout(data, format, some_rows(rows, params.rows), algorithm=params.algorithm)
