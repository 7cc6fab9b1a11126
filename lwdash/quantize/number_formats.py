"""The number formats that an operator of a .tflite can compute in, and their litert-quantizer configurations."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from lwdash.quantize.stand_ins import quantized_as

FLOAT32 = "float32"
WEIGHT_OPERATORS = (
    "FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "BATCH_MATMUL", "EMBEDDING_LOOKUP",
)  # fmt: skip
"""Operators that have weights, by the schema's names."""

ALGORITHMS = {
    "default": "gptq for 4-bit weights and for kernels with one scale, minmax for all others",
    "minmax": "the largest weight is the largest integer",
    "mse": "the scale with the least squared error of the weights, outliers clipped",
    "octav": "the clipping with the least squared error, found by iteration",
    "gptq": "later weights and the bias compensate each rounding error; reads calibration rows",
}
"""Methods to round weights. OCTAV: arXiv 2206.06501. GPTQ: arXiv 2210.17323, here followed by coordinate descent."""


@dataclass(frozen=True)
class Format:
    """A number format of an operator.

    activations, weights: the types in the file. `is_stored_only`: weights are converted to floats before use.
    """

    name: str
    activations: str
    weights: str
    description: str
    is_stored_only: bool = False

    @property
    def is_static(self) -> bool:
        """True if activations are integers, so that their ranges must be known."""
        return self.activations != FLOAT32


FORMATS = {
    format.name: format
    for format in (
        Format("float32", FLOAT32, FLOAT32, "floats, as exported"),
        Format("float16", FLOAT32, "float16", "16-bit float weights, float computation", True),
        Format("weight_only", FLOAT32, "int8", "8-bit weights, float computation", True),
        Format("weight_only4", FLOAT32, "int4", "4-bit weights, float computation", True),
        Format("dynamic", FLOAT32, "int8", "8-bit weights, activations quantized at run time"),
        Format("dynamic4", FLOAT32, "int4", "4-bit weights, activations quantized at run time"),
        Format("int8", "int8", "int8", "8-bit weights and activations"),
        Format("int8x4", "int8", "int4", "8-bit activations, 4-bit weights"),
        Format("int16x8", "int16", "int8", "16-bit activations, 8-bit weights"),
    )
}
FALLBACK = {"weight_only4": "weight_only", "dynamic4": "dynamic", "int8x4": "int8"}
"""Format of an operator that does not support 4-bit weights."""
BITS = {"int4": 4, "int8": 8, "int16": 16, "float16": 16}


@dataclass(frozen=True)
class LayerFormats:
    """The number formats of a file by layer, for a training that prepares for them.

    default, overrides: names of FORMATS; of two overrides, pairs of a layer's name or pattern and a format, the later
    one counts. per_channel: one scale for each output channel of a kernel, else one for the kernel. has_float_loops:
    recurrent layers stay in floats, whatever their format.
    """

    default: str
    overrides: tuple[tuple[str, str], ...] = ()
    per_channel: bool = True
    has_float_loops: bool = False


class QuantizationPlan:
    """A litert-quantizer recipe under construction: later entries win if the operator supports them."""

    def __init__(self) -> None:
        from litert_quantizer.recipe_manager import RecipeManager

        self.manager = RecipeManager()
        self.entries = 0
        self.activations: set[str] = set()

    def add(
        self,
        format: Format,
        scopes: Collection[str] | None = None,
        *,
        per_channel: bool = True,
        operation: str = "*",
    ) -> None:
        """Request `format` for the operators of these scopes, exactly as from `scope_of`; for all operators
        where None.

        An operator that does not support it gets FALLBACK's format. Without weights it stays in float between
        hybrid layers, and in its earlier format between integer ones.
        """
        if format.is_static:
            self.activations.add(format.activations)
        else:
            self._add_entry(None, scopes, operation)
        if format.name in FALLBACK:
            self._add_entry(FORMATS[FALLBACK[format.name]], scopes, operation, per_channel)
        if format.name != FLOAT32:
            self._add_entry(format, scopes, operation, per_channel)

    def round_by(self, algorithm: str, format: Format, scopes: Collection[str] | None, kind: str) -> None:
        """Round the weights of operators of type `kind`, which must pass `can_have`, with an algorithm of ALGORITHMS."""
        self._add_entry(format, scopes, _library_name(kind), algorithm=algorithm)

    def _add_entry(
        self,
        format: Format | None,
        scopes: Collection[str] | None,
        operation: str,
        per_channel: bool = True,
        algorithm: str = "minmax",
    ) -> None:
        from litert_quantizer.algorithm_manager import AlgorithmName
        from litert_quantizer.qtyping import TFLOperationName

        exact = ".*" if scopes is None else "|".join(rf"^{re.escape(scope)}$" for scope in scopes)
        regex = f"(?#{self.entries}){exact}"  # the library keeps one entry per regex, so each regex must be unique
        self.entries += 1
        name = TFLOperationName(operation)
        if format is None:
            self.manager.add_quantization_config(regex, name, None, AlgorithmName.NO_QUANTIZE)
        else:
            key, config = operator_config(format, per_channel=per_channel, algorithm=algorithm)
            self.manager.add_quantization_config(regex, name, config, key)

    @property
    def is_static(self) -> bool:
        """True if an operator computes in integers whose ranges must be known."""
        return bool(self.activations)

    @property
    def recipe(self) -> list[dict[str, Any]]:
        return self.manager.get_quantization_recipe()

    @property
    def needs_ranges(self) -> bool:
        return self.manager.need_calibration()


def operator_config(
    format: Format, *, per_channel: bool = True, algorithm: str = "minmax"
) -> tuple[Any, Any]:
    """litert-quantizer's terms for a format: (algorithm key, operator configuration)."""
    from litert_quantizer import qtyping
    from litert_quantizer.algorithm_manager import AlgorithmName

    keys = {
        "minmax": AlgorithmName.MIN_MAX_UNIFORM_QUANT,
        "octav": AlgorithmName.OCTAV,
    }
    granularity = qtyping.QuantGranularity
    is_half = format.weights == "float16"
    weights = qtyping.TensorQuantizationConfig(
        num_bits=BITS[format.weights],
        symmetric=True,
        granularity=granularity.CHANNELWISE if per_channel and not is_half else granularity.TENSORWISE,
        dtype=qtyping.TensorDataType.FLOAT if is_half else qtyping.TensorDataType.INT,
    )
    activations = None
    if format.is_static:
        bits = BITS[format.activations]
        activations = qtyping.TensorQuantizationConfig(num_bits=bits, symmetric=bits == 16)
    precision = qtyping.ComputePrecision
    return AlgorithmName.FLOAT_CASTING if is_half else keys[algorithm], qtyping.OpQuantizationConfig(
        activation_tensor_config=activations,
        weight_tensor_config=weights,
        compute_precision=precision.FLOAT if format.is_stored_only else precision.INTEGER,
        explicit_dequantize=format.is_stored_only,
    )


def can_have(kind: str, format: Format, *, algorithm: str = "minmax") -> bool:
    """True if litert-quantizer has this format for operators of a type, by the schema's name of it."""
    from litert_quantizer import algorithm_manager
    from litert_quantizer.qtyping import TFLOperationName

    if format.name == FLOAT32:
        return True
    name = _library_name(quantized_as(kind, format.activations))
    if name not in TFLOperationName.__members__:
        return False
    key, config = operator_config(format, per_channel=True, algorithm=algorithm)
    try:
        algorithm_manager.check_op_quantization_config(key, TFLOperationName(name), config)
    except ValueError:
        return False
    return algorithm_manager.is_op_registered(key, TFLOperationName(name))


def _library_name(kind: str) -> str:
    return "CONV_2D_TRANSPOSE" if kind == "TRANSPOSE_CONV" else kind
