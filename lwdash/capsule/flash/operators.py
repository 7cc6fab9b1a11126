"""Names of the functions that add an operator to TensorFlow Lite Micro's resolver."""

from lwdash.errors import NotFlashable

_IRREGULAR = {
    "BATCH_MATMUL": "BatchMatMul", "CUMSUM": "CumSum", "PADV2": "PadV2", "TFLM_DECODE": "Decode",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}  # fmt: skip
_CUSTOM = frozenset(("TFLM_DECODE",))
"""Custom operators that the library itself has."""


def resolver_function(operator: str) -> str:
    """`CONV_2D` → `AddConv2D`. Raises NotFlashable for a custom operator of an application."""
    if not operator.replace("_", "").isalnum() or operator.upper() != operator:
        raise NotFlashable(
            f"the operator {operator!r} belongs to an application, not to TensorFlow Lite Micro"
        )
    if operator.startswith("TFLM_") and operator not in _CUSTOM:
        raise NotFlashable(f"the operator {operator!r} is not in TensorFlow Lite Micro's resolver")
    parts = [part if part[0].isdigit() else part.capitalize() for part in operator.split("_")]
    return f"Add{_IRREGULAR.get(operator) or ''.join(parts)}"
