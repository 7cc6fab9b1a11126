"""The graph of a .tflite from somewhere else, checked before an interpreter gets it: indices, sizes, operators."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from lwdash.tflite.layout_scan import TfliteRefused, check_layout
from lwdash.tflite.reader import Operator, TfliteFacts, read_tflite, tflite_schema
from lwdash.tflite.tensor import Tensor, TfliteUnreadable, bits_of

SCHEMA_VERSION = 3
MAX_TENSOR_ELEMENTS = 1 << 31
MAX_RANK = 8
KNOWN_CUSTOM = frozenset({"AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess"})
"""Custom operators that LiteRT has kernels for."""
CALLS = {
    "CALL_ONCE": ("init_subgraph_index",),
    "IF": ("then_subgraph_index", "else_subgraph_index"),
    "WHILE": ("cond_subgraph_index", "body_subgraph_index"),
    "CALL": ("subgraph",),
}
"""Operator → its options that name another subgraph."""


def scan_tflite(data: bytes) -> TfliteFacts:
    """The facts of a .tflite that may be given to an interpreter. Raises TfliteRefused with cause and remedy."""
    check_layout(data)
    _check_model(data)
    try:
        facts = read_tflite(data)
    except TfliteUnreadable as error:
        raise TfliteRefused(str(error)) from error
    _check_operators(facts)
    for graph in facts.subgraphs:
        used = [*graph.inputs, *graph.outputs]
        if not graph.operators and graph.index == 0:
            raise TfliteRefused("the .tflite computes nothing: its graph has no operators")
        if any(index < 0 for index in used):
            raise TfliteRefused(f"an input or output of graph {graph.index} is no tensor")
        for tensor in graph.tensors:
            _check_tensor(tensor)
        for operator in graph.operators:
            _check_operator(facts, operator)
    _check_calls(facts)
    _check_ports(facts)
    return facts


def _check_model(data: bytes) -> None:
    """Check the version, and indices of buffers and operator codes, which `read_tflite` takes for granted."""
    schema = tflite_schema()
    model = schema.Model.GetRootAs(data, 0)
    if model.Version() != SCHEMA_VERSION:
        raise TfliteRefused(
            f"the .tflite has schema version {model.Version()}; only version {SCHEMA_VERSION} is read. Convert the "
            "model again with a current TensorFlow"
        )
    if model.ExternalBuffersLength() or model.ExternalBufferGroupsLength():
        raise TfliteRefused(
            "the .tflite keeps weights in files beside it. Save the model as one file, with its weights inside"
        )
    buffers, codes = model.BuffersLength(), model.OperatorCodesLength()
    for graph_index in range(model.SubgraphsLength()):
        graph = model.Subgraphs(graph_index)
        for index in range(graph.TensorsLength()):
            buffer = graph.Tensors(index).Buffer()
            if buffer >= buffers:
                raise TfliteRefused(
                    f"a tensor's values are in buffer {buffer}, but the .tflite has {buffers} buffers"
                )
        for index in range(graph.OperatorsLength()):
            code = graph.Operators(index).OpcodeIndex()
            if code >= codes:
                raise TfliteRefused(f"operator {index} is of kind {code}, but the .tflite has {codes} kinds")
    for index in range(model.SignatureDefsLength()):
        graph_index = model.SignatureDefs(index).SubgraphIndex()
        if graph_index >= model.SubgraphsLength():
            raise TfliteRefused(
                f"a signature of the .tflite is of graph {graph_index}, which it does not have"
            )


def _check_operators(facts: TfliteFacts) -> None:
    """Refuse operators that LiteRT has no kernel for."""
    builtin = set(vars(tflite_schema().BuiltinOperator))
    unknown = Counter(o.type for o in facts.operators if o.type not in builtin and o.type not in KNOWN_CUSTOM)
    flex = [name for name in unknown if name.startswith("Flex")]
    if flex:
        raise TfliteRefused(
            f"the .tflite needs TensorFlow's own operators ({_listed(flex)}), which LiteRT does not have. Convert the "
            "model without SELECT_TF_OPS"
        )
    if unknown:
        raise TfliteRefused(
            f"the .tflite needs operators that LiteRT does not have ({_listed(list(unknown))}): they belong to the "
            "program or the chip that it was made for, as in a file compiled for an NPU. Give the file from before that step"
        )


def _listed(names: list[str]) -> str:
    shown = ", ".join(name[:40] for name in sorted(names)[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"


def _check_tensor(tensor: Tensor) -> None:
    """The shape, the number of stored bytes, and the scales of one tensor."""
    name = tensor.name[:60]
    if len(tensor.shape) > MAX_RANK or any(n < 0 for n in tensor.shape):
        raise TfliteRefused(f"tensor '{name}' has shape {tensor.shape[:12]}, which cannot be")
    if math.prod(tensor.shape) >= MAX_TENSOR_ELEMENTS:
        raise TfliteRefused(
            f"tensor '{name}' of shape {tensor.shape} has more than {MAX_TENSOR_ELEMENTS - 1:,} values"
        )
    if tensor.is_constant and tensor.sparsity is None and (bits := bits_of(tensor.dtype)):
        needed, held = math.ceil(tensor.elements * bits / 8), tensor.stored_bytes
        if held < needed:
            raise TfliteRefused(
                f"tensor '{name}' of shape {tensor.shape} and type {tensor.dtype} needs {needed:,} bytes, but "
                f"{held:,} are stored. Copy or convert the file again"
            )
    if tensor.is_constant and tensor.sparsity is not None:
        _check_sparse(tensor)
    quantization = tensor.quantization
    if quantization is not None and not (
        np.isfinite(quantization.scale).all() and (quantization.scale >= 0).all()
    ):
        raise TfliteRefused(f"tensor '{name}' has a scale that is negative or not finite")


def _check_sparse(tensor: Tensor) -> None:
    try:
        tensor.values()
    except (TfliteUnreadable, ValueError, IndexError, OverflowError, MemoryError) as error:
        raise TfliteRefused(f"the sparse tensor '{tensor.name[:60]}' is damaged: {error}") from error


def _check_operator(facts: TfliteFacts, operator: Operator) -> None:
    """Outputs are tensors, and no operator writes into stored values."""
    tensors = facts.subgraphs[operator.subgraph].tensors
    for index in operator.outputs:
        if index < 0:
            raise TfliteRefused(
                f"operator {operator.index} ({operator.type}) has an output that is no tensor"
            )
        if tensors[index].is_constant:
            raise TfliteRefused(
                f"operator {operator.index} ({operator.type}) would write into the stored values of "
                f"'{tensors[index].name[:60]}'"
            )


def _check_calls(facts: TfliteFacts) -> None:
    """Called subgraphs exist, and none calls itself, not even by way of others."""
    calls: dict[int, set[int]] = {}
    for operator in facts.operators:
        for key in CALLS.get(operator.type, ()):
            target = _index(operator.options.get(key))
            if not 0 <= target < len(facts.subgraphs):
                raise TfliteRefused(
                    f"{operator.type} calls graph {target}, but the .tflite has {len(facts.subgraphs)}"
                )
            calls.setdefault(operator.subgraph, set()).add(target)
    if any(start in _reached(start, calls) for start in calls):
        raise TfliteRefused("a graph of the .tflite calls itself, so that it would never end")


def _index(value: Any) -> int:
    return int(value) if isinstance(value, (int, np.integer)) else -1


def _reached(start: int, calls: dict[int, set[int]]) -> set[int]:
    found: set[int] = set()
    waiting = list(calls.get(start, ()))
    while waiting:
        graph = waiting.pop()
        if graph not in found:
            found.add(graph)
            waiting += calls.get(graph, ())
    return found


def _check_ports(facts: TfliteFacts) -> None:
    """Inputs and outputs are numbers, and inputs are not stored."""
    if not facts.inputs or not facts.outputs:
        raise TfliteRefused("the .tflite has no inputs or no outputs")
    for kind, tensor in _port_tensors(facts):
        if bits_of(tensor.dtype) == 0:
            raise TfliteRefused(
                f"{kind} '{tensor.name[:60]}' is of type {tensor.dtype}; only numbers are measured. Give the model "
                "without its text processing"
            )
        if kind == "input" and tensor.is_constant:
            raise TfliteRefused(f"input '{tensor.name[:60]}' has stored values")


def _port_tensors(facts: TfliteFacts) -> Iterator[tuple[str, Tensor]]:
    tensors = facts.subgraphs[0].tensors
    yield from (("input", tensors[port.tensor]) for port in facts.inputs)
    yield from (("output", tensors[port.tensor]) for port in facts.outputs)
