"""The table of operator types of a `ModelT`, which its operators refer to."""

from functools import lru_cache
from typing import Any

LARGEST_OLD_CODE = 127
"""The field of old files for the type is one byte; this value in it points to the newer field."""


def kind_of(model: Any, operator: Any) -> str:
    """The operator's type, by the schema's name in BuiltinOperator."""
    return _kind(model.operatorCodes[operator.opcodeIndex])


def operator_code(model: Any, kind: str, version: int = 2) -> int:
    """The index of a type. It is added with this version if the file does not have it."""
    from ai_edge_litert import schema_py_generated as schema

    for i, code in enumerate(model.operatorCodes):
        if _kind(code) == kind:
            return i
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, kind)
    code.deprecatedBuiltinCode = min(code.builtinCode, LARGEST_OLD_CODE)
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def conversion(model: Any, kind: str, source: int, target: int) -> Any:
    """An operator QUANTIZE or DEQUANTIZE from one tensor of a subgraph to another."""
    from ai_edge_litert import schema_py_generated as schema

    operator = schema.OperatorT()
    operator.opcodeIndex = operator_code(model, kind, version=3)  # the first version that takes int16
    operator.inputs, operator.outputs = [source], [target]
    options = schema.DequantizeOptionsT if kind == "DEQUANTIZE" else schema.QuantizeOptionsT
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, options.__name__[:-1])
    operator.builtinOptions = options()
    return operator


def drop_unused_codes(model: Any) -> None:
    """Remove types without operators: interpreters look up every type, and not every interpreter knows all of them."""
    operators = [operator for graph in model.subgraphs for operator in graph.operators]
    used = sorted({operator.opcodeIndex for operator in operators})
    model.operatorCodes = [model.operatorCodes[i] for i in used]
    for operator in operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)


def _kind(code: Any) -> str:
    return _kinds()[max(code.builtinCode, code.deprecatedBuiltinCode)]


@lru_cache
def _kinds() -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
