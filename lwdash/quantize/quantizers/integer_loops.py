"""Loops that compute in integers: the body of a WHILE is quantized as a file of its own and put back.

Quantizers leave the loops of recurrent layers in float, and without loops each time step is a copy of the layer. Here the
ranges of a body come from its own steps: the float file runs each calibration row up to the loop, then the body step by
step. What a loop carries from step to step has one scale, so that it can go around unchanged.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from math import gcd
from typing import Any

import numpy as np

from lwdash.contract import Packed, Rows
from lwdash.errors import ConversionFailed
from lwdash.quantize.number_formats import Format, QuantizationPlan
from lwdash.quantize.quantizers.litert_quantizer import needs_ranges, quantize_in
from lwdash.quantize.ranges.activation_ranges import Ranges, activation_ranges
from lwdash.quantize.read_back import CONVERSIONS, float_operators
from lwdash.spread_rows import spread
from lwdash.tflite.constants import add_buffer
from lwdash.tflite.flatbuffer import read_model, text, write_model
from lwdash.tflite.operator_codes import conversion, drop_unused_codes, kind_of
from lwdash.tflite.rewrites.unread import drop_unread

LOOP = "WHILE"
INTEGER_LOOPS = "loops with integer bodies"
"""This way to an integer file, as runs name it."""
STEPS = 2000
"""Steps of a loop that set its ranges, evenly spaced over all steps of the rows that are run."""
MAX_BYTES = 200_000_000
"""Of the values that are kept at these steps: a loop that returns a long sequence carries all of it."""
MAX_STEPS = 50_000
"""Steps that are run; of long sequences fewer rows are."""


@dataclass(frozen=True)
class _Loop:
    """A WHILE of the first subgraph, and the numbers of the subgraphs of its condition and body."""

    operator: Any
    condition: int
    body: int


def quantize_with_loops(
    data: bytes, outside: Callable[[], Packed], format: Format, rows: Rows, *, per_channel: bool, ranges: str
) -> Packed:
    """The float file `data` in the static format `format`, its loops as well.

    outside: returns the file with its loops in float; it is called when the bodies are quantized.
    Raises ConversionFailed where the loops are not of this kind, or a body cannot be quantized.
    """
    source = read_model(data)
    bodies = []
    for loop in _loops(source):
        body = _Body(source, loop)
        plan = QuantizationPlan()
        plan.add(format, per_channel=per_channel)
        needs_ranges(body.data, plan)
        seen = activation_ranges(body.data, _steps(source, loop, rows), ranges)
        bodies.append((body, read_model(quantize_in(body.data, plan, body.carried_alike(seen)))))
    packed = outside()
    model = read_model(packed.data)
    for loop, (body, quantized) in zip(_loops(model), bodies, strict=True):
        _put_back(model, loop, body, quantized)
    drop_unread(model, 0, CONVERSIONS)
    drop_unused_codes(model)
    written = write_model(model)
    return Packed(written, float_operators(written, "it has no integer form inside of a loop"), packed.facts)


def _loops(model: Any) -> list[_Loop]:
    graph = model.subgraphs[0]
    found = [
        _Loop(operator, operator.builtinOptions.condSubgraphIndex, operator.builtinOptions.bodySubgraphIndex)
        for operator in graph.operators
        if kind_of(model, operator) == LOOP
    ]
    if not found or len(model.subgraphs) != 1 + 2 * len(found):
        raise ConversionFailed(
            "only loops that have their own body and no loop or branch in it become integer"
        )
    return found


class _Body:
    """A loop's body as a file of its own, with a name for each tensor. What a step leaves as it is is no output."""

    def __init__(self, source: Any, loop: _Loop):
        graph = _copied(source.subgraphs[loop.body])
        names = [text(tensor.name) for tensor in graph.tensors]
        for place, tensor in enumerate(graph.tensors):
            if not names[place] or names[place] in names[:place]:
                names[place] += f"#{place}"
            tensor.name = names[place].encode()
        inputs, results = list(map(int, graph.inputs)), list(map(int, graph.outputs))
        graph.outputs = [i for i in dict.fromkeys(results) if i not in inputs]
        self.data = _file(source, graph)
        self.inputs = [names[i] for i in inputs]
        self.results = [names[i] for i in results]
        self.outputs = [names[i] for i in graph.outputs]

    def carried_alike(self, seen: Ranges) -> Ranges:
        """One range for a value before and after a step."""
        wide = {name: dict(limits) for name, limits in seen.items()}
        for before, after in zip(self.inputs, self.results, strict=True):
            if before in wide and after in wide:
                low = min(wide[name]["min"].min() for name in (before, after))
                high = max(wide[name]["max"].max() for name in (before, after))
                for name in (before, after):
                    wide[name] = {
                        "min": np.full_like(wide[name]["min"], low),
                        "max": np.full_like(wide[name]["max"], high),
                    }
        return wide


def _copied(graph: Any) -> Any:
    """A subgraph whose lists and tensors can be changed."""
    made = copy.copy(graph)
    made.tensors = [copy.copy(tensor) for tensor in graph.tensors]
    made.operators = list(graph.operators)
    return made


def _file(source: Any, *graphs: Any) -> bytes:
    model = copy.copy(source)
    model.subgraphs = list(graphs)
    model.signatureDefs = model.metadata = None
    return write_model(model)


def _steps(source: Any, loop: _Loop, rows: Rows) -> Rows:
    """The inputs of a loop's body at steps of all rows, by their names in `_Body`: (steps, *shape of the input)."""
    first, *others = map(_copied, source.subgraphs)
    first.operators = first.operators[: source.subgraphs[0].operators.index(loop.operator)]
    is_stored = {
        i for i, tensor in enumerate(first.tensors) if source.buffers[tensor.buffer].data is not None
    }
    entering = list(map(int, loop.operator.inputs))
    first.outputs = [i for i in dict.fromkeys(entering) if i not in is_stored]
    before = _Runner(_file(source, first, *others), list(map(int, first.inputs)), entering)
    condition, body = (
        _Runner(_file(source, graph), list(map(int, graph.inputs)), list(map(int, graph.outputs)))
        for graph in (_copied(source.subgraphs[number]) for number in (loop.condition, loop.body))
    )
    names = [text(source.subgraphs[0].tensors[i].name) for i in source.subgraphs[0].inputs]

    def steps_of(row: int) -> Iterator[list[np.ndarray]]:
        carried = before.run([rows[name][row : row + 1] for name in names])
        while np.all(condition.run(carried)[0]):
            yield carried
            carried = body.run(carried)

    count = len(rows[names[0]])
    length, size = 0, 0
    for step in steps_of(0):
        length, size = length + 1, sum(value.nbytes for value in step)
        if length > MAX_STEPS:
            raise ConversionFailed(f"a loop takes more than {MAX_STEPS:,} steps for one row")
    if not length:
        raise ConversionFailed("a loop takes no step on the first calibration row")
    chosen = spread(count, max(1, MAX_STEPS // length))
    kept = max(1, min(STEPS, MAX_BYTES // max(1, size)))
    every = -(-length * len(chosen) // kept)
    while gcd(every, length) > 1:  # a common factor would keep the same times of all rows
        every += 1
    held = list(islice(chain.from_iterable(map(steps_of, map(int, chosen))), 0, None, every))
    inputs = _Body(source, loop).inputs
    return {name: np.stack(values) for name, values in zip(inputs, zip(*held, strict=True), strict=True)}


class _Runner:
    """An interpreter for a float file that is called with values for `inputs` and returns those of `outputs`."""

    def __init__(self, data: bytes, inputs: Sequence[int], outputs: Sequence[int]):
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(model_content=data, num_threads=1)
        self.interpreter.allocate_tensors()
        self.inputs, self.outputs = inputs, outputs

    def run(self, values: Sequence[np.ndarray]) -> list[np.ndarray]:
        for index, value in zip(self.inputs, values, strict=True):
            self.interpreter.set_tensor(index, value)
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(index) for index in self.outputs]


def _put_back(model: Any, loop: _Loop, body: _Body, quantized: Any) -> None:
    """Replace a loop's body, and convert what enters and leaves the loop."""
    inner = _adopted(model, quantized)
    results = [
        int(inner.inputs[body.inputs.index(name)])
        if name in body.inputs
        else int(inner.outputs[body.outputs.index(name)])
        for name in body.results
    ]
    read_inside = {int(i) for operator in inner.operators for i in operator.inputs}
    for result, carried in zip(results, inner.inputs, strict=True):
        if carried not in read_inside:  # a value that each step replaces may have any form
            inner.tensors[carried].type = inner.tensors[result].type
            inner.tensors[carried].quantization = inner.tensors[result].quantization
    inner.name = model.subgraphs[loop.body].name
    inner.outputs = [
        _converted(model, inner, len(inner.operators), result, inner.tensors[carried])
        for result, carried in zip(results, inner.inputs, strict=True)
    ]
    model.subgraphs[loop.body] = inner
    condition, outer = model.subgraphs[loop.condition], model.subgraphs[0]
    read = {int(i) for operator in condition.operators for i in operator.inputs}
    loop.operator.inputs, loop.operator.outputs = list(loop.operator.inputs), list(loop.operator.outputs)
    for place, carried in enumerate(inner.inputs):
        wanted = inner.tensors[carried]
        tested = condition.tensors[condition.inputs[place]]
        if tested.type == wanted.type:
            continue
        if condition.inputs[place] in read:
            raise ConversionFailed("the condition of a loop depends on a number that becomes an integer")
        tested.type, tested.quantization = wanted.type, wanted.quantization
        before = outer.operators.index(loop.operator)
        loop.operator.inputs[place] = _converted(
            model, outer, before, int(loop.operator.inputs[place]), wanted
        )
        left = int(loop.operator.outputs[place])
        loop.operator.outputs[place] = _like(outer, wanted, text(outer.tensors[left].name))
        _convert_back(model, outer, loop.operator, int(loop.operator.outputs[place]), left)


def _adopted(model: Any, other: Any) -> Any:
    """The subgraph of `other`, with its operator types and constants moved to `model`."""
    (graph,) = other.subgraphs
    places = []
    for code in other.operatorCodes:
        key = (code.builtinCode, code.deprecatedBuiltinCode, code.customCode)
        known = next(
            (k for k in model.operatorCodes if (k.builtinCode, k.deprecatedBuiltinCode, k.customCode) == key),
            None,
        )
        if known is None:
            model.operatorCodes.append(code)
        else:
            known.version = max(known.version, code.version)
        places.append(model.operatorCodes.index(known or code))
    for operator in graph.operators:
        operator.opcodeIndex = places[operator.opcodeIndex]
    for tensor in graph.tensors:
        tensor.buffer += len(model.buffers)
    model.buffers += other.buffers
    graph.inputs = list(map(int, graph.inputs))
    return graph


def _converted(model: Any, graph: Any, place: int, index: int, wanted: Any) -> int:
    """The tensor `index` in the format of the tensor `wanted`, converted by an operator before `place` if it has another."""
    tensor = graph.tensors[index]
    if _is_alike(tensor, wanted):
        return index
    data = model.buffers[tensor.buffer].data
    if data is not None and len(data):
        return _quantized_constant(model, graph, tensor, wanted)
    for operator in graph.operators[:place]:
        if index in operator.outputs and kind_of(model, operator) == "DEQUANTIZE":
            index = int(operator.inputs[0])
            if _is_alike(graph.tensors[index], wanted):
                return index
    made = _like(graph, wanted, text(tensor.name))
    kind = "DEQUANTIZE" if wanted.type == _float32() else "QUANTIZE"
    graph.operators.insert(place, conversion(model, kind, index, made))
    return made


def _convert_back(model: Any, graph: Any, loop: Any, index: int, left: int) -> None:
    """Give the integers `index` that leave a loop to what read the floats `left`."""
    for operator in graph.operators:
        if left in operator.inputs and kind_of(model, operator) == "QUANTIZE":
            operator.inputs = [index]
    graph.operators.insert(graph.operators.index(loop) + 1, conversion(model, "DEQUANTIZE", index, left))


def _is_alike(one: Any, other: Any) -> bool:
    """True if two tensors have one type and, as integers, one scale."""
    return one.type == other.type and _scale(one) == _scale(other)


def _scale(tensor: Any) -> tuple[float, int] | None:
    found = tensor.quantization
    if found is None or found.scale is None or not len(found.scale):
        return None
    return float(found.scale[0]), int(found.zeroPoint[0])


def _like(graph: Any, wanted: Any, name: str) -> int:
    """A new tensor in the format and shape of `wanted`."""
    tensor = copy.copy(wanted)
    tensor.name, tensor.buffer = f"{name}/integer".encode(), 0
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _quantized_constant(model: Any, graph: Any, tensor: Any, wanted: Any) -> int:
    """A stored float tensor as a stored integer one."""
    from ai_edge_litert import schema_py_generated as schema

    scale = _scale(wanted)
    if tensor.type != _float32() or scale is None:
        raise ConversionFailed("a stored number that enters a loop has no integer form")
    kind = np.int16 if wanted.type == schema.TensorType.INT16 else np.int8
    limits = np.iinfo(kind)
    values = np.asarray(model.buffers[tensor.buffer].data, np.uint8).view(np.float32)
    values = np.clip(np.round(values / scale[0]) + scale[1], limits.min, limits.max).astype(kind)
    made = _like(graph, wanted, text(tensor.name))
    graph.tensors[made].buffer = add_buffer(model, values)
    return made


def _float32() -> int:
    from ai_edge_litert import schema_py_generated as schema

    found: int = schema.TensorType.FLOAT32
    return found
