"""Facts of a .tflite, read with LiteRT's flatbuffer schema: operators, tensors, weights, scales."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from lwdash.tflite.sparsity import read_sparsity
from lwdash.tflite.tensor import Quantization, Tensor, TfliteUnreadable


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator; inputs and outputs are tensors of its subgraph, −1 for an omitted optional input."""

    subgraph: int
    index: int
    type: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Subgraph:
    index: int
    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Port:
    """An input or output of the whole model: its name in the signature, and its tensor's index."""

    name: str
    tensor: int


@dataclass(frozen=True, eq=False)
class TfliteFacts:
    """Contents of a .tflite. `subgraphs[0]` is the model; others are bodies of WHILE, IF and CALL."""

    data: bytes
    description: str
    subgraphs: tuple[Subgraph, ...]
    metadata: Mapping[str, int] = field(repr=False)
    input_names: Mapping[int, str] = field(repr=False)
    output_names: Mapping[int, str] = field(repr=False)

    @property
    def operators(self) -> tuple[Operator, ...]:
        return tuple(operator for subgraph in self.subgraphs for operator in subgraph.operators)

    @property
    def inputs(self) -> tuple[Port, ...]:
        return tuple(Port(self._port_name(i, self.input_names), i) for i in self.subgraphs[0].inputs)

    @property
    def outputs(self) -> tuple[Port, ...]:
        return tuple(Port(self._port_name(i, self.output_names), i) for i in self.subgraphs[0].outputs)

    @cached_property
    def _producers(self) -> dict[tuple[int, int], Operator]:
        return {(o.subgraph, tensor): o for o in self.operators for tensor in o.outputs}

    @cached_property
    def has_state(self) -> bool:
        """True if one inference changes the next: fused LSTMs and resource variables keep state."""
        return any(t.is_variable for g in self.subgraphs for t in g.tensors) or any(
            o.type in ("VAR_HANDLE", "ASSIGN_VARIABLE", "CALL_ONCE") for o in self.operators
        )

    def tensor(self, operator: Operator, index: int) -> Tensor | None:
        """The tensor with `index` for `operator`; None for an omitted optional input (−1)."""
        return None if index < 0 else self.subgraphs[operator.subgraph].tensors[index]

    def producer(self, tensor: Tensor) -> Operator | None:
        return self._producers.get((tensor.subgraph, tensor.index))

    def stored(self, tensor: Tensor | None) -> Tensor | None:
        """The constant behind `tensor`: itself, or the input of its DEQUANTIZE or DENSIFY; None otherwise."""
        while tensor is not None and not tensor.is_constant:
            source = self.producer(tensor)
            if source is None or source.type not in ("DEQUANTIZE", "DENSIFY"):
                return None
            tensor = self.tensor(source, source.inputs[0])
        return tensor

    def unpacks_a_constant(self, operator: Operator) -> bool:
        """True if `operator` only unpacks stored weights (frequent in float16 and weight-only files)."""
        if operator.type not in ("DEQUANTIZE", "DENSIFY"):
            return False
        return self.stored(self.tensor(operator, operator.inputs[0])) is not None

    def _port_name(self, tensor: int, signature: Mapping[int, str]) -> str:
        if tensor in signature:
            return signature[tensor]
        return re.sub(r":\d+$", "", self.subgraphs[0].tensors[tensor].name).removeprefix("serving_default_")


def is_tflite(data: bytes) -> bool:
    """True for bytes that begin like a .tflite."""
    return len(data) >= 8 and bytes(data[4:8]) == b"TFL3"


def read_tflite(data: bytes) -> TfliteFacts:
    """All facts of a .tflite except the meaning of its operators. Weights are views of `data`, not copies.

    Raises TfliteUnreadable for bytes that are not a .tflite, are truncated, or keep weights in another file.
    """
    return _read(bytes(data))


@lru_cache(maxsize=2)  # measuring reads the run's file and its baseline's a dozen times each
def _read(data: bytes) -> TfliteFacts:
    if not is_tflite(data):
        raise TfliteUnreadable(
            f"these {len(data)} bytes are not a .tflite: 'TFL3' is expected at byte 4, found "
            f"{bytes(data[4:8])!r}"
        )
    schema = tflite_schema()
    try:
        return _Reader(data, schema.Model.GetRootAs(data, 0), schema).read()
    except (
        struct.error,
        IndexError,
        ValueError,
        TypeError,
        OverflowError,
        KeyError,
        AttributeError,
    ) as error:
        raise TfliteUnreadable(f"this .tflite of {len(data)} bytes is damaged: {error}") from error


def tflite_schema() -> ModuleType:
    """LiteRT's generated flatbuffer classes (0.1 s to import)."""
    from ai_edge_litert import schema_py_generated

    return schema_py_generated


@cache
def names_in(enumeration: str) -> dict[int, str]:
    """Number → name of one of the schema's enumerations."""
    members = vars(getattr(tflite_schema(), enumeration)).items()
    return {value: name for name, value in members if not name.startswith("_")}


class _Reader:
    def __init__(self, data: bytes, model: Any, schema: ModuleType):
        self.data, self.model, self.schema = data, model, schema
        self.bytes = np.frombuffer(data, np.uint8)

    def read(self) -> TfliteFacts:
        model = self.model
        if model.SubgraphsLength() == 0:
            raise TfliteUnreadable("this .tflite holds no graph")
        self.codes = [self._code(model.OperatorCodes(i)) for i in range(model.OperatorCodesLength())]
        self.buffers = [self._buffer(i) for i in range(model.BuffersLength())]
        signatures: tuple[dict[int, str], dict[int, str]] = ({}, {})
        for i in range(model.SignatureDefsLength()):
            signature = model.SignatureDefs(i)
            if signature.SubgraphIndex() == 0:
                for names, count, item in (
                    (signatures[0], signature.InputsLength(), signature.Inputs),
                    (signatures[1], signature.OutputsLength(), signature.Outputs),
                ):
                    names.update({item(j).TensorIndex(): _text(item(j).Name()) for j in range(count)})
        return TfliteFacts(
            data=self.data,
            description=_text(model.Description()),
            subgraphs=tuple(self._subgraph(i) for i in range(model.SubgraphsLength())),
            metadata={
                _text(m.Name()): m.Buffer() for m in map(model.Metadata, range(model.MetadataLength()))
            },
            input_names=signatures[0],
            output_names=signatures[1],
        )

    def _code(self, code: Any) -> tuple[str, int]:
        # Files written before schema version 3a keep the code in a byte; 127 means "see the wider field".
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = names_in("BuiltinOperator").get(number, f"BUILTIN_{number}")
        return (_text(code.CustomCode()) or "CUSTOM") if name == "CUSTOM" else name, code.Version()

    def _buffer(self, index: int) -> np.ndarray | None:
        buffer = self.model.Buffers(index)
        if buffer.Offset() > 1:  # beyond 2 GB: the bytes follow the flatbuffer
            start, size = buffer.Offset(), buffer.Size()
            if start + size > len(self.data):
                raise TfliteUnreadable(
                    f"buffer {index} lies at bytes {start} to {start + size}, but the file ends at "
                    f"{len(self.data)}"
                )
            return self.bytes[start : start + size]
        return buffer.DataAsNumpy() if buffer.DataLength() else None

    def _subgraph(self, index: int) -> Subgraph:
        graph = self.model.Subgraphs(index)
        tensors = tuple(self._tensor(index, i, graph.Tensors(i)) for i in range(graph.TensorsLength()))
        operators = tuple(
            self._operator(index, i, graph.Operators(i)) for i in range(graph.OperatorsLength())
        )
        inputs, outputs = _integers(graph, "Inputs"), _integers(graph, "Outputs")
        used = [*inputs, *outputs, *(i for o in operators for i in (*o.inputs, *o.outputs))]
        if used and (max(used) >= len(tensors) or min(used) < -1):
            raise TfliteUnreadable(f"the graph uses tensor {max(used)}, but there are only {len(tensors)}")
        return Subgraph(index, _text(graph.Name()), tensors, operators, inputs, outputs)

    def _tensor(self, subgraph: int, index: int, tensor: Any) -> Tensor:
        name = _text(tensor.Name())
        if tensor.ExternalBuffer():
            raise TfliteUnreadable(
                f"tensor '{name}' keeps its values in a file beside the .tflite. Save the model as one file"
            )
        dtype = names_in("TensorType")[tensor.Type()].lower()
        quantization = tensor.Quantization()
        shape = _integers(tensor, "Shape")
        data = self.buffers[tensor.Buffer()] if tensor.Buffer() else None
        return Tensor(
            subgraph=subgraph,
            index=index,
            name=name,
            shape=shape,
            shape_signature=_integers(tensor, "ShapeSignature") or shape,
            dtype=dtype,
            buffer=tensor.Buffer(),
            data=data,
            quantization=_quantization(quantization, shape),
            is_variable=bool(tensor.IsVariable()),
            sparsity=read_sparsity(tensor.Sparsity()),
            block_scales=self._block_scales(quantization),
        )

    def _block_scales(self, quantization: Any) -> tuple[int, ...]:
        if (
            quantization is None
            or names_in("QuantizationDetails")[quantization.DetailsType()] != "BlockwiseQuantization"
        ):
            return ()
        details, blocks = quantization.Details(), self.schema.BlockwiseQuantization()
        blocks.Init(details.Bytes, details.Pos)
        return blocks.Scales(), blocks.ZeroPoints()

    def _operator(self, subgraph: int, index: int, operator: Any) -> Operator:
        type_, version = self.codes[operator.OpcodeIndex()]
        return Operator(
            subgraph=subgraph,
            index=index,
            type=type_,
            version=version,
            inputs=_integers(operator, "Inputs"),
            outputs=_integers(operator, "Outputs"),
            options=self._options(operator),
        )

    def _options(self, operator: Any) -> dict[str, Any]:
        name = names_in("BuiltinOptions").get(operator.BuiltinOptionsType(), "NONE")
        table = operator.BuiltinOptions()
        if name == "NONE" or table is None:
            return {}
        options = getattr(self.schema, f"{name}T").InitFromBuf(table.Bytes, table.Pos)
        return {re.sub(r"(?<!^)(?=[A-Z])", "_", key).lower(): value for key, value in vars(options).items()}


def _quantization(table: Any, shape: tuple[int, ...]) -> Quantization | None:
    if table is None or table.ScaleLength() == 0:
        return None
    scale = table.ScaleAsNumpy().astype(np.float64)
    zero_point = (
        table.ZeroPointAsNumpy().astype(np.int64)
        if table.ZeroPointLength()
        else np.zeros(len(scale), np.int64)
    )
    axis = table.QuantizedDimension()
    if len(zero_point) != len(scale):
        zero_point = np.broadcast_to(zero_point[:1], scale.shape)
    if len(scale) > 1 and (axis >= len(shape) or shape[axis] != len(scale)):
        raise TfliteUnreadable(
            f"{len(scale)} scales along axis {axis} do not match a tensor of shape {shape}"
        )
    return Quantization(scale, zero_point, axis)


def _integers(table: Any, name: str) -> tuple[int, ...]:
    if getattr(table, f"{name}Length")() == 0:
        return ()
    return tuple(getattr(table, f"{name}AsNumpy")().tolist())


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "replace")
