"""Dynamic range quantization: int8 weights, activations quantized while running."""

from dataclasses import dataclass

from lwdash.techniques.contract import Convert, Packed, Rows
from lwdash.techniques.quantizer import floating_weights, quantize

NAME = "dynamic"
LABEL = "Dynamic range"
SUMMARY = "8-bit weights, float inputs and outputs; needs no calibration rows."
TRAP = "Activations stay float in memory, and TensorFlow Lite Micro does not run such hybrid files."
STAGE = "tflite"
NEEDS_ROWS = False


@dataclass(frozen=True)
class Params:
    pass


def apply(data: bytes, params: Params, rows: Rows | None, convert: Convert | None = None) -> Packed:
    """Weights to int8 per channel where the operator has a hybrid kernel; the others are listed as skipped."""
    from litert_quantizer import recipe

    quantized = quantize(data, recipe.dynamic_wi8_afp32(), None)
    return Packed(quantized, floating_weights(quantized, "has no hybrid kernel, its weights stay float32"))
