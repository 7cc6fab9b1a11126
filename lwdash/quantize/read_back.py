"""The number formats in which a quantized .tflite computes, operator by operator, and the requested ones that
were not reached.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from lwdash.contract import Skipped
from lwdash.quantize.number_formats import FLOAT32, FORMATS, WEIGHT_OPERATORS, Format, can_have
from lwdash.tflite.flatbuffer import read_model, text
from lwdash.tflite.operator_codes import kind_of
from lwdash.tflite.rewrites.saturated_clamps import CLAMPS

CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
OTHER_HOLDERS = ("GATHER", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN")
"""Operators with kernels besides those whose weights are quantized."""


@dataclass(frozen=True)
class Computed:
    """One operator of a file.

    kind: its type by the schema's name. layer: the layer that holds its kernel, if names identify it.
    fused_as: the layer that its output is named after, which was fused into it. scope: its name in
    litert-quantizer's recipes. activations: the type of its first output, for a comparison of its input;
    weights: of its stored kernel, None where it has none; is_stored_only: the kernel passes a DEQUANTIZE first.
    values: number of values in the kernel. input: the tensor it reads first, input_width its last axis.
    is_inside: it runs inside a loop or a branch. kernel, kernel_shape: empty where it has none. positions:
    number of times an inference applies the kernel: elements of the first output by its last axis.
    is_pointwise: a 1 × 1 convolution that skips no position.
    """

    kind: str
    layer: str
    scope: str
    activations: str
    weights: str | None
    is_stored_only: bool
    values: int
    input: str
    input_width: int
    is_inside: bool
    fused_as: str = ""
    kernel: str = ""
    kernel_shape: tuple[int, ...] = ()
    positions: int = 1
    is_pointwise: bool = False

    @property
    def format(self) -> str:
        """The format by its name in FORMATS, or the types where it is none of them."""
        for format in FORMATS.values():
            is_alike = format.is_static or self.is_stored_only == format.is_stored_only
            if is_alike and (self.activations, self.weights) == (format.activations, format.weights):
                return format.name
        if self.weights is None or self.weights == self.activations == FLOAT32:
            return {"int16": "int16x8"}.get(self.activations, self.activations)
        return f"{self.activations} with {self.weights} weights"

    def has(self, format: Format) -> bool:
        """True if it computes in the requested format; an operator without weights is judged by its activations only."""
        if self.weights is None:
            return self.activations == format.activations
        return self.format == format.name


def computed(data: bytes) -> list[Computed]:
    """Every operator of a .tflite except the conversions between formats, in order."""
    model = read_model(data)
    return [found for graph in model.subgraphs for found in _of_graph(model, graph)]


def inner_scopes(data: bytes) -> list[str]:
    """litert-quantizer's names for everything inside loops and branches: operators, inputs and outputs."""
    inner = read_model(data).subgraphs[1:]
    borders = [
        [graph.tensors[i] for i in indices] for graph in inner for indices in (graph.inputs, graph.outputs)
    ]
    ports = ["".join(f"{text(tensor.name)};" for tensor in tensors) for tensors in borders]
    return [*(found.scope for found in computed(data) if found.is_inside), *filter(None, ports)]


def _of_graph(model: Any, graph: Any) -> Iterator[Computed]:
    types = _type_names()
    names = [text(tensor.name) for tensor in graph.tensors]
    unpacked: dict[int, int] = {}
    dequantized = {
        int(operator.inputs[0]) for operator in graph.operators if kind_of(model, operator) == "DEQUANTIZE"
    }
    for operator in graph.operators:
        kind = kind_of(model, operator)
        sources = [unpacked.get(i, i) for i in operator.inputs]
        if kind == "DEQUANTIZE" and _is_constant(model, graph.tensors[sources[0]]):
            unpacked[operator.outputs[0]] = sources[0]
        if kind in CONVERSIONS or not len(operator.outputs):
            continue
        kernel = next(
            (i for i in operator.inputs if i >= 0 and _is_kernel(model, graph.tensors[unpacked.get(i, i)])),
            None,
        )
        stored = None if kernel is None else graph.tensors[unpacked.get(kernel, kernel)]
        fed = next((i for i in operator.inputs if i >= 0 and not _is_constant(model, graph.tensors[i])), -1)
        result = int(operator.outputs[0])
        compared = fed if fed >= 0 and types[graph.tensors[result].type] == "bool" else result
        becomes_float = kind == "GATHER" and stored is not None and result in dequantized
        kernel_shape = () if stored is None else shape_of(stored)
        yield Computed(
            kind=kind,
            layer=_holder(names, kind, kernel, unpacked) or _layer(names, operator),
            fused_as=_layer(names, operator),
            scope="".join(f"{names[i]};" for i in operator.outputs),
            activations=FLOAT32 if becomes_float else types[graph.tensors[compared].type],
            weights=None if stored is None else types[stored.type],
            is_stored_only=kernel in unpacked or becomes_float,
            values=int(np.prod(kernel_shape)) if kernel_shape else 0,
            input=names[fed] if fed >= 0 else "",
            is_inside=graph is not model.subgraphs[0],
            input_width=shape_of(graph.tensors[fed])[-1] if fed >= 0 and shape_of(graph.tensors[fed]) else 0,
            kernel="" if stored is None else text(stored.name),
            kernel_shape=kernel_shape,
            positions=_positions(shape_of(graph.tensors[result])),
            is_pointwise=kind == "CONV_2D" and is_pointwise(operator.builtinOptions, kernel_shape),
        )


def is_pointwise(options: Any, kernel_shape: tuple[int, ...]) -> bool:
    """True if a CONV_2D with these options and kernel (outputs, height, width, inputs) multiplies each position alone."""
    strides = (options.strideH, options.strideW)
    return len(kernel_shape) == 4 and kernel_shape[1:3] == (1, 1) and strides == (1, 1)


def _positions(shape: tuple[int, ...]) -> int:
    return max(1, int(np.prod(np.abs(shape[:-1]))) if len(shape) > 1 else 1)


def left_undone(source: bytes, quantized: bytes, asked: Sequence[Format]) -> tuple[Skipped, ...]:
    """Operators that do not compute as `asked` (one format per operator of `source`, in its order), with the
    reason.

    Operators on integers, such as the shapes of a reshape, are ignored.
    """
    pairs = _aligned(computed(source), computed(quantized), asked)
    if pairs is None:
        return (
            Skipped(
                "",
                (
                    "the quantized file has other operators than the float file, so its formats were not "
                    "read back"
                ),
            ),
        )
    return tuple(
        Skipped(was.layer, _reason(was, now, format))
        for was, now, format in pairs
        if was.activations == FLOAT32 and not now.has(format)
    )


def _aligned(
    before: Sequence[Computed], after: Sequence[Computed], asked: Sequence[Format]
) -> list[tuple[Computed, Computed, Format]] | None:
    """Operators of the float file with those of the quantized one, which has fewer clamps; None where more differs."""
    pairs = []
    place = 0
    for was, format in zip(before, asked, strict=True):
        if place < len(after) and after[place].kind == was.kind:
            pairs.append((was, after[place], format))
            place += 1
        elif was.kind not in CLAMPS:
            return None
    return pairs if place == len(after) else None


def _reason(was: Computed, now: Computed, format: Format) -> str:
    got = FORMATS.get(now.format)
    stays = "stays in float32" if now.format == FLOAT32 else f"gets {got.description if got else now.format}"
    if not can_have(was.kind, format):
        return f"{was.kind} {stays}: litert-quantizer does not support it with {format.description}"
    if was.is_inside and format.is_static:
        return f"{was.kind} {stays}: it runs inside a loop, where litert-quantizer has no ranges"
    if was.weights is None and format.weights != FLOAT32 and not format.is_static:
        return f"{was.kind} {stays}: its weights are computed at run time, not stored"
    return f"{was.kind} {stays}, not {format.description}: its neighbours or its weights do not allow it"


def float_operators(data: bytes, reason: str) -> tuple[Skipped, ...]:
    """Operators that compute in float32 in a file that should be integer throughout."""
    return tuple(
        Skipped(found.layer, f"{found.kind} stays in float32: {reason}")
        for found in computed(data)
        if found.activations == FLOAT32
    )


def float_weights(data: bytes, reason: str) -> tuple[Skipped, ...]:
    """Operators whose stored weights are still float32."""
    return tuple(
        Skipped(found.layer, f"{found.kind} keeps {found.values:,} float32 weights: {reason}")
        for found in computed(data)
        if found.weights == FLOAT32
    )


def shape_of(tensor: Any) -> tuple[int, ...]:
    """A tensor's shape; the schema has none for a single number."""
    return () if tensor.shape is None else tuple(int(n) for n in tensor.shape)


def layer_of(tensor: Any) -> str:
    """The layer that a tensor of the float export is named after."""
    return text(tensor.name).rpartition("/")[0] or text(tensor.name)


def _holder(names: Sequence[str], kind: str, kernel: int | None, unpacked: Mapping[int, int]) -> str:
    """The layer that an operator's kernel is named after; empty without a kernel, or if its name identifies no layer."""
    if kernel is None or kind not in (*WEIGHT_OPERATORS, *OTHER_HOLDERS):
        return ""
    return next(
        (path for i in (kernel, unpacked.get(kernel, kernel)) if (path := names[i].rpartition("/")[0])), ""
    )


def _layer(names: Sequence[str], operator: Any) -> str:
    """By the first output's name, otherwise by the first input's that has a layer: some outputs are named by position."""
    ordered = [names[i] for i in (*operator.outputs, *reversed(operator.inputs)) if i >= 0]
    return next((name.rpartition("/")[0] for name in ordered if "/" in name), ordered[0])


def _is_constant(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def _is_kernel(model: Any, tensor: Any) -> bool:
    """True for a stored tensor of two or more axes that is not a table of indices."""
    types = _type_names()
    return (
        _is_constant(model, tensor)
        and len(shape_of(tensor)) > 1
        and int(np.prod(shape_of(tensor))) > 1
        and types[tensor.type] in (FLOAT32, "float16", "int8", "int4")
    )


@lru_cache
def _type_names() -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
