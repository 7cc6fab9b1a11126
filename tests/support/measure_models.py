"""Small .tflite files made with the flatbuffer object API, so that every byte is known beforehand."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {
    "float32": 0,
    "float16": 1,
    "int32": 2,
    "uint8": 3,
    "int64": 4,
    "bool": 6,
    "int16": 7,
    "int8": 9,
    "int4": 17,
    "int2": 19,
}


def packed(values: np.ndarray, bits: int) -> bytes:
    """Integers of `bits` bits, the first in the lowest bits of the first byte."""
    per_byte = 8 // bits
    flat = [int(v) & ((1 << bits) - 1) for v in np.asarray(values).reshape(-1)]
    flat += [0] * (-len(flat) % per_byte)
    return bytes(
        sum(flat[i + j] << (bits * j) for j in range(per_byte)) for i in range(0, len(flat), per_byte)
    )


class Model:
    """Collects tensors and operators, then gives the bytes."""

    def __init__(self) -> None:
        self.buffers = [schema.BufferT()]
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.codes: list[Any] = []
        self.metadata: list[Any] = []

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str = "float32",
        data: Any = None,
        *,
        scale: Any = None,
        zero_point: Any = None,
        axis: int = 0,
        signature: tuple[int, ...] | None = None,
        buffer: int | None = None,
    ) -> int:
        """Index of a new tensor; `data` (array or bytes) makes it constant, `buffer` shares known bytes."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.hasRank = (
            name.encode(),
            list(shape),
            TYPES[dtype],
            True,
        )
        if signature is not None:
            tensor.shapeSignature = list(signature)
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.atleast_1d(np.asarray(scale, np.float32))
            zero_point = 0 if zero_point is None else zero_point
            tensor.quantization.zeroPoint = np.broadcast_to(
                np.atleast_1d(np.asarray(zero_point, np.int64)), tensor.quantization.scale.shape
            ).copy()
            tensor.quantization.quantizedDimension = axis
        tensor.buffer = 0 if buffer is None else buffer
        if data is not None:
            raw = data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()
            tensor.buffer = self.buffer(raw)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def buffer(self, raw: bytes) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(raw, np.uint8)
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def operator(self, type_: str, inputs: list[int], outputs: list[int], **options: Any) -> None:
        """Add an operator; `options` are fields of its options table, `table` the table's name where it
        differs.
        """
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, type_)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), options.pop("version", 1)
        self.codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = len(self.codes) - 1, inputs, outputs
        table = options.pop("table", None)
        if table:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            operator.builtinOptions = getattr(schema, f"{table}T")()
            for key, value in options.items():
                assert hasattr(operator.builtinOptions, key), key
                setattr(operator.builtinOptions, key, value)
        self.operators.append(operator)

    def build(self, inputs: list[int], outputs: list[int], *, signature: bool = False) -> bytes:
        model = schema.ModelT()
        model.version, model.description, model.buffers = 3, b"made by a test", self.buffers
        model.operatorCodes = self.codes
        graph = schema.SubGraphT()
        graph.name, graph.tensors, graph.operators = b"main", self.tensors, self.operators
        graph.inputs, graph.outputs = inputs, outputs
        model.subgraphs, model.metadata = [graph], self.metadata
        if signature:
            definition = schema.SignatureDefT()
            definition.signatureKey = b"serving_default"
            definition.inputs = [self._map(f"in_{n}", i) for n, i in enumerate(inputs)]
            definition.outputs = [self._map(f"out_{n}", i) for n, i in enumerate(outputs)]
            model.signatureDefs = [definition]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    @staticmethod
    def _map(name: str, index: int) -> Any:
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), index
        return entry


def dense_model(
    kernel: np.ndarray,
    bias: np.ndarray,
    *,
    softmax: bool = False,
    batch: int | None = 1,
    layer: str = "dense",
) -> bytes:
    """Float dense layer, kernel (units, features), on an input `x` of (batch, features)."""
    units, features = kernel.shape
    model = Model()
    rows, signature = (1, -1) if batch is None else (batch, batch)
    x = model.tensor("serving_default_x:0", (rows, features), signature=(signature, features))
    w = model.tensor(f"model/{layer}/MatMul", kernel.shape, data=kernel.astype(np.float32))
    b = model.tensor(f"model/{layer}/BiasAdd", bias.shape, data=bias.astype(np.float32))
    y = model.tensor(f"model/{layer}/out", (rows, units), signature=(signature, units))
    model.operator("FULLY_CONNECTED", [x, w, b], [y], table="FullyConnectedOptions", keepNumDims=False)
    if softmax:
        logits, y = y, model.tensor("model/softmax/Softmax", (rows, units), signature=(signature, units))
        model.operator("SOFTMAX", [logits], [y], table="SoftmaxOptions", beta=1.0)
    return model.build([x], [y])


def recursive_model() -> bytes:
    """A loop whose body is the whole graph: LiteRT ends its process by SIGSEGV when it allocates the tensors."""
    made = Model()
    x, y = made.tensor("x", (1, 4)), made.tensor("y", (1, 4))
    made.operator("WHILE", [x], [y], table="WhileOptions", condSubgraphIndex=1, bodySubgraphIndex=0)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(made.build([x], [y])))
    always = schema.BufferT()
    always.data = np.array([1], np.uint8)
    model.buffers.append(always)
    condition = schema.SubGraphT()
    condition.name, condition.operators = b"condition", []
    condition.inputs, condition.outputs, condition.tensors = [0], [1], []
    for name, shape, kind, buffer in (
        (b"value", [1, 4], schema.TensorType.FLOAT32, 0),
        (b"goes_on", [1], schema.TensorType.BOOL, len(model.buffers) - 1),
    ):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, kind, buffer
        condition.tensors.append(tensor)
    model.subgraphs.append(condition)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def int8_dense_model(
    kernel: np.ndarray,
    bias: np.ndarray,
    kernel_scale: np.ndarray,
    *,
    input_scale: float,
    input_zero_point: int,
    output_scale: float,
    output_zero_point: int,
) -> bytes:
    """Dense layer with an int8 kernel (units, features) and an int32 bias of scale input · kernel."""
    units, features = kernel.shape
    model = Model()
    x = model.tensor("x", (1, features), "int8", scale=input_scale, zero_point=input_zero_point)
    w = model.tensor("dense/MatMul", kernel.shape, "int8", kernel.astype(np.int8), scale=kernel_scale)
    b = model.tensor(
        "dense/BiasAdd", (units,), "int32", bias.astype(np.int32), scale=input_scale * kernel_scale
    )
    y = model.tensor("dense/out", (1, units), "int8", scale=output_scale, zero_point=output_zero_point)
    model.operator("FULLY_CONNECTED", [x, w, b], [y], version=4, table="FullyConnectedOptions")
    return model.build([x], [y])
