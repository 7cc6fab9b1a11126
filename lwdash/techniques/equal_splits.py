"""SPLIT_V with parts of one size is SPLIT, which quantizers know: TensorFlow writes a GRU's gates that way."""

from typing import Any


def write_equal_splits(model: Any) -> int:
    """Makes such operators of a `ModelT` SPLIT; parts of size 0 that nothing reads go. Returns how many."""
    from ai_edge_litert import schema_py_generated as schema

    unequal, equal = schema.BuiltinOperator.SPLIT_V, schema.BuiltinOperator.SPLIT
    changed = 0
    for graph in model.subgraphs:
        read = {int(i) for operator in graph.operators for i in operator.inputs} | {
            int(i) for i in graph.outputs
        }
        for operator in graph.operators:
            if _builtin(model, operator) != unequal:
                continue
            value, _, axis = operator.inputs
            kept = [int(i) for i in operator.outputs if int(i) in read or 0 not in graph.tensors[i].shape]
            if len({tuple(graph.tensors[i].shape) for i in kept}) > 1:
                continue
            operator.opcodeIndex = _opcode(model, equal, schema)
            operator.inputs, operator.outputs = [axis, value], kept
            operator.builtinOptionsType = schema.BuiltinOptions.SplitOptions
            operator.builtinOptions = schema.SplitOptionsT()
            operator.builtinOptions.numSplits = len(kept)
            changed += 1
    if changed:
        _drop_unused_codes(model)
    return changed


def _drop_unused_codes(model: Any) -> None:
    """A code that no operator uses is looked up all the same, and not every interpreter has it."""
    operators = [operator for graph in model.subgraphs for operator in graph.operators]
    used = sorted({operator.opcodeIndex for operator in operators})
    model.operatorCodes = [model.operatorCodes[i] for i in used]
    for operator in operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)


def _builtin(model: Any, operator: Any) -> int:
    code = model.operatorCodes[operator.opcodeIndex]
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def _opcode(model: Any, builtin: int, schema: Any) -> int:
    for i, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin:
            return i
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = 2
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
