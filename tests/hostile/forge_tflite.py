"""Damaged and forged .tflite files, each with the words that its refusal must have."""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from support.measure_models import Model, dense_model

Change = Callable[[Any], None]


def good() -> bytes:
    """A dense layer of 4 inputs and 3 outputs with a softmax."""
    rng = np.random.default_rng(0)
    return dense_model(rng.normal(size=(3, 4)), rng.normal(size=3), softmax=True)


def changed(change: Change) -> bytes:
    """The good file with one change of its objects."""
    model = schema.ModelT.InitFromPackedBuf(good(), 0)
    change(model)
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def poked(form: str, at: int, value: int) -> bytes:
    """The good file with one number overwritten."""
    data = bytearray(good())
    struct.pack_into(form, data, at, value)
    return bytes(data)


def root() -> int:
    return int(struct.unpack_from("<I", good(), 0)[0])


def vtable() -> int:
    return root() - int(struct.unpack_from("<i", good(), root())[0])


def field(slot: int) -> int:
    """The place of a field of the root table."""
    return root() + int(struct.unpack_from("<H", good(), vtable() + 4 + 2 * slot)[0])


def vector(slot: int) -> int:
    """The place of the vector that a field of the root table leads to."""
    return field(slot) + int(struct.unpack_from("<I", good(), field(slot))[0])


def set_code(name: bytes) -> Change:
    def change(model: Any) -> None:
        code = model.operatorCodes[0]
        code.builtinCode, code.deprecatedBuiltinCode, code.customCode = 32, 32, name

    return change


def set_tensor(place: int, **values: Any) -> Change:
    def change(model: Any) -> None:
        for key, value in values.items():
            setattr(model.subgraphs[0].tensors[place], key, value)

    return change


def set_operator(place: int, **values: Any) -> Change:
    def change(model: Any) -> None:
        for key, value in values.items():
            setattr(model.subgraphs[0].operators[place], key, value)

    return change


def external_group(model: Any) -> None:
    group = schema.ExternalBufferGroupT()
    group.name = b"/etc/passwd"
    model.externalBufferGroups = [group]


def far_buffer(model: Any) -> None:
    model.buffers[1].data, model.buffers[1].offset, model.buffers[1].size = None, 1 << 40, 48


def bad_scale(model: Any) -> None:
    tensor = model.subgraphs[0].tensors[1]
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = np.float32([np.nan]), np.int64([0])


def calls_itself(model: Any) -> None:
    model.operatorCodes[1].builtinCode = schema.BuiltinOperator.WHILE
    model.operatorCodes[1].deprecatedBuiltinCode = schema.BuiltinOperator.WHILE
    operator = model.subgraphs[0].operators[1]
    operator.builtinOptionsType = schema.BuiltinOptions.WhileOptions
    operator.builtinOptions = schema.WhileOptionsT()


def calls_nothing(model: Any) -> None:
    calls_itself(model)
    model.subgraphs[0].operators[1].builtinOptions.condSubgraphIndex = 7


def no_operators(model: Any) -> None:
    model.subgraphs[0].operators = []


def no_graph(model: Any) -> None:
    model.subgraphs = []


def no_outputs(model: Any) -> None:
    model.subgraphs[0].outputs = []


def version_9(model: Any) -> None:
    model.version = 9


def foreign_signature(model: Any) -> None:
    definition = schema.SignatureDefT()
    definition.signatureKey, definition.subgraphIndex = b"serving_default", 40
    definition.inputs = definition.outputs = []
    model.signatureDefs = [definition]


def sparse_weights(model: Any) -> None:
    sparsity = schema.SparsityParametersT()
    sparsity.traversalOrder, sparsity.blockMap = [0, 1], []
    levels = []
    for _ in range(2):
        level = schema.DimensionMetadataT()
        level.format = 1
        level.arraySegmentsType = level.arrayIndicesType = schema.SparseIndexVector.Int32Vector
        level.arraySegments, level.arrayIndices = schema.Int32VectorT(), schema.Int32VectorT()
        level.arraySegments.values, level.arrayIndices.values = [0, 1 << 30], [1 << 30]
        levels.append(level)
    sparsity.dimMetadata = levels
    model.subgraphs[0].tensors[1].sparsity = sparsity


FORGED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "no .tflite"),
    "header only": (lambda: b"\x1c\0\0\0TFL3" + bytes(8), "damaged"),
    "html": (lambda: b"<!DOCTYPE html><html><body>sign in</body></html>", "no .tflite"),
    "another flatbuffer": (lambda: good()[:4] + b"ARMN" + good()[8:], "no .tflite"),
    "cut in half": (lambda: good()[: len(good()) // 2], "damaged"),
    "without its last bytes": (lambda: good()[:-24], "damaged"),
    "root outside": (lambda: poked("<I", 0, 0x7FFFFFFF), "damaged"),
    "root is nowhere": (lambda: poked("<I", 0, 0), "leads nowhere"),
    "vtable outside": (lambda: poked("<i", root(), -0x7000000), "damaged"),
    "vtable of odd size": (lambda: poked("<H", vtable(), 0xFFFF), "damaged"),
    "field outside of its table": (lambda: poked("<H", vtable() + 4 + 4, 0xFFF0), "outside of it"),
    "huge vector": (lambda: poked("<I", vector(2), 0xFFFFFFF), "damaged"),
    "offset outside": (lambda: poked("<I", field(4), 0x7FFFFFF0), "damaged"),
    "wrong version": (lambda: changed(version_9), "schema version 9"),
    "no graph": (lambda: changed(no_graph), "no graph"),
    "no operators": (lambda: changed(no_operators), "no operators"),
    "no outputs": (lambda: changed(no_outputs), "no outputs"),
    "Flex operator": (lambda: changed(set_code(b"FlexErf")), "SELECT_TF_OPS"),
    "custom operator": (lambda: changed(set_code(b"ethos-u")), "ethos-u"),
    "operator of no kind": (lambda: changed(set_operator(0, opcodeIndex=99)), "of kind 99"),
    "input outside": (lambda: changed(set_operator(0, inputs=[0, 1, 999])), "tensor 999"),
    "negative tensor": (lambda: changed(set_operator(0, inputs=[-7, 1, 2])), "damaged|tensor"),
    "omitted output": (lambda: changed(set_operator(0, outputs=[-1])), "output that is no tensor"),
    "writes into weights": (lambda: changed(set_operator(0, outputs=[1])), "write into the stored values"),
    "buffer of no number": (lambda: changed(set_tensor(1, buffer=5000)), "buffer 5000"),
    "too few weights": (lambda: changed(set_tensor(1, shape=[3000, 4])), "are stored"),
    "huge shape": (lambda: changed(set_tensor(3, shape=[1 << 20, 1 << 20])), "more than"),
    "negative shape": (lambda: changed(set_tensor(3, shape=[1, -4])), "cannot be"),
    "too many axes": (lambda: changed(set_tensor(3, shape=[1] * 200)), "cannot be"),
    "text input": (lambda: changed(set_tensor(0, type=5)), "of type string"),
    "stored input": (lambda: changed(set_tensor(0, buffer=1)), "stored values|are stored"),
    "weights in another file": (lambda: changed(external_group), "beside it"),
    "tensor in another file": (lambda: changed(set_tensor(1, externalBuffer=3)), "beside"),
    "weights beyond the end": (lambda: changed(far_buffer), "the file ends at"),
    "scale is no number": (lambda: changed(bad_scale), "not finite"),
    "calls itself": (lambda: changed(calls_itself), "calls itself"),
    "calls nothing": (lambda: changed(calls_nothing), "calls graph 7"),
    "signature of no graph": (lambda: changed(foreign_signature), "of graph 40"),
    "impossible sparse weights": (lambda: changed(sparse_weights), "sparse tensor"),
}
"""Fault → the file, and a pattern in its refusal."""


def crashing() -> bytes:
    """A file without a fault that the scan knows, whose operator gets tensors that do not fit it."""
    model = Model()
    x = model.tensor("x", (1, 4))
    index = model.tensor("index", (2, 2), "int32", np.array([[10**8, 1], [2, 10**8]], np.int32))
    y = model.tensor("y", (1, 3))
    model.operator("GATHER", [x, index], [y], table="GatherOptions", axis=0)
    return model.build([x], [y])


__all__ = ["FORGED", "crashing", "good"]
