"""The time of each operator: cut out into its own model and timed interleaved with the whole model."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.errors import ConversionFailed
from lwdash.measure.runner import make_interpreter
from lwdash.tflite.reader import Operator, TfliteFacts, read_tflite, tflite_schema
from lwdash.tflite.tensor import Tensor

_RUNS_OTHER_GRAPHS = ("WHILE", "IF", "CALL", "CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE")
_MIN_ROUNDS, _MAX_ROUNDS = 3, 100


@dataclass(frozen=True)
class OperatorTime:
    """One operator of the main graph. ms: median of the operator alone; None where it cannot be cut out.

    scaled_ms: its share of the whole model's time, `share` × whole.
    """

    index: int
    ms: float | None
    share: float | None
    scaled_ms: float | None


@dataclass(frozen=True)
class OperatorTimes:
    """`sum_ms` is over the single operators, `whole_ms` the model's median in the same rounds.

    The sum is often larger: each cut-out operator has its own start cost, and nothing is fused across
    operators.
    """

    operators: tuple[OperatorTime, ...]
    sum_ms: float
    whole_ms: float
    rounds: int


def operator_times(data: bytes, *, threads: int = 1, seconds: float = 1.0) -> OperatorTimes:
    """Time every operator of the main graph alone, in rounds with the whole model: 100, or as many as
    `seconds` allow.

    Operators that only unpack stored weights run once, when a model is prepared, and have 0 ms here. The
    inputs are noise, or zeros for indices. Operators that run other graphs or hold resources are not timed.
    """
    facts = read_tflite(data)
    model = _object_model(facts)
    whole = _prepared(data, facts, threads)
    alone: dict[int, Any] = {}
    free: set[int] = set()
    for operator in facts.subgraphs[0].operators:
        if facts.unpacks_a_constant(operator):
            free.add(operator.index)
        elif operator.type not in _RUNS_OTHER_GRAPHS:
            try:
                piece = cut_out(facts, operator, model)
                alone[operator.index] = _prepared(piece, read_tflite(piece), threads)
            except ConversionFailed:
                continue
    samples: dict[int, list[int]] = {index: [] for index in alone}
    wholes: list[int] = []
    until = time.perf_counter() + seconds
    while len(wholes) < _MIN_ROUNDS or (len(wholes) < _MAX_ROUNDS and time.perf_counter() < until):
        wholes.append(_timed(whole))
        for index, interpreter in alone.items():
            samples[index].append(_timed(interpreter))
    medians = {index: 1e-6 * float(np.median(times)) for index, times in samples.items()}
    medians.update(dict.fromkeys(free, 0.0))
    total, whole_ms = sum(medians.values()), 1e-6 * float(np.median(wholes))
    return OperatorTimes(
        operators=tuple(
            OperatorTime(
                index=o.index,
                ms=medians.get(o.index),
                share=medians[o.index] / total if o.index in medians and total else None,
                scaled_ms=medians[o.index] / total * whole_ms if o.index in medians and total else None,
            )
            for o in facts.subgraphs[0].operators
        ),
        sum_ms=total,
        whole_ms=whole_ms,
        rounds=len(wholes),
    )


def cut_out(facts: TfliteFacts, operator: Operator, model: Any = None) -> bytes:
    """A .tflite with `operator` alone: its constants, the operators that unpack them, and its computed inputs
    as model inputs.

    model: the file as flatbuffer objects, if available from an earlier call; it is not modified.
    """
    import flatbuffers

    schema = tflite_schema()
    source = model or _object_model(facts)
    graph = source.subgraphs[operator.subgraph]
    kept = [*_unpackers(facts, operator), operator]
    used = dict.fromkeys(i for o in kept for i in (*o.inputs, *o.outputs) if i >= 0)
    place = {old: new for new, old in enumerate(used)}
    made = {index for o in kept for index in o.outputs}
    piece = schema.ModelT()
    piece.version, piece.buffers, piece.operatorCodes = (
        source.version,
        [schema.BufferT()],
        source.operatorCodes,
    )
    alone = schema.SubGraphT()
    alone.name, alone.tensors, alone.inputs, alone.operators = b"main", [], [], []
    for old in used:
        tensor, known = copy.copy(graph.tensors[old]), facts.subgraphs[operator.subgraph].tensors[old]
        if known.is_blockwise:
            raise ConversionFailed(f"tensor '{known.name}' is quantized in blocks and cannot be cut out")
        tensor.buffer = 0
        if known.data is not None:
            buffer = schema.BufferT()
            buffer.data = known.data
            piece.buffers.append(buffer)
            tensor.buffer = len(piece.buffers) - 1
        elif old not in made and not known.is_variable:
            alone.inputs.append(place[old])
        alone.tensors.append(tensor)
    alone.outputs = [place[i] for i in operator.outputs]
    for one in kept:
        moved = copy.copy(graph.operators[one.index])
        moved.inputs = [place.get(i, -1) for i in one.inputs]
        moved.outputs = [place[i] for i in one.outputs]
        moved.intermediates = None
        alone.operators.append(moved)
    piece.subgraphs = [alone]
    builder = flatbuffers.Builder(1024)
    builder.Finish(piece.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _object_model(facts: TfliteFacts) -> Any:
    schema = tflite_schema()
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(facts.data, 0))


def _unpackers(facts: TfliteFacts, operator: Operator) -> list[Operator]:
    """Operators that unpack constants for `operator`, in the order of the file."""
    found: dict[int, Operator] = {}
    wanted = [facts.tensor(operator, i) for i in operator.inputs]
    while wanted:
        tensor = wanted.pop()
        source = None if tensor is None else facts.producer(tensor)
        if source is not None and facts.unpacks_a_constant(source):
            found[source.index] = source
            wanted.append(facts.tensor(source, source.inputs[0]))
    return [found[index] for index in sorted(found)]


def _prepared(data: bytes, facts: TfliteFacts, threads: int) -> Any:
    """An interpreter that has run once, on noise. If noise fails, it runs on valid Embedding indices: indices
    may be stored as floats, and a row of zeros may be masked completely.
    """
    interpreter = make_interpreter(data, threads)
    failed: Exception | None = None
    for constant in (None, 0, 1):
        generator = np.random.default_rng(0)
        try:
            interpreter.allocate_tensors()
            for port in facts.inputs:
                tensor = facts.subgraphs[0].tensors[port.tensor]
                interpreter.set_tensor(port.tensor, _noise(tensor, generator, constant))
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            failed = error
        else:
            return interpreter
    raise ConversionFailed(f"LiteRT cannot run this operator alone: {failed}") from failed


def _noise(tensor: Tensor, generator: np.random.Generator, constant: int | None) -> np.ndarray:
    """Noise, or `constant` everywhere; indices are never noise."""
    shape = tuple(abs(n) for n in tensor.shape)
    if constant is None and tensor.dtype in ("float32", "float16"):
        return generator.normal(size=shape).astype(tensor.dtype)
    if tensor.dtype in ("int8", "uint8", "int16") and tensor.quantization is not None:
        limits = np.iinfo(tensor.dtype)
        return generator.integers(limits.min, limits.max, shape, endpoint=True).astype(tensor.dtype)
    return np.full(shape, constant or 0, tensor.dtype)


def _timed(interpreter: Any) -> int:
    start = time.perf_counter_ns()
    interpreter.invoke()
    return time.perf_counter_ns() - start
