"""The table of operator types of a `ModelT`, which its operators refer to."""

from functools import lru_cache
from typing import Any


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
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, kind)
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


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
