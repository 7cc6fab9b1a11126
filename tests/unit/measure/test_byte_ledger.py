"""Reading .tflite bytes, and attributing every one of them."""

from __future__ import annotations

import re
import struct

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from support.measure_models import Model, dense_model, int8_dense_model, packed

from lwdash.measure.byte_ledger import byte_ledger
from lwdash.tflite.reader import read_tflite
from lwdash.tflite.schema import TABLES
from lwdash.tflite.tensor import TfliteUnreadable


def test_operators_tensors_and_names_are_read():
    facts = read_tflite(dense_model(np.arange(6.0).reshape(2, 3), np.array([7.0, 8.0]), softmax=True))
    assert [o.type for o in facts.operators] == ["FULLY_CONNECTED", "SOFTMAX"]
    assert [port.name for port in facts.inputs] == ["x"]
    dense = facts.operators[0]
    kernel = facts.tensor(dense, dense.inputs[1])
    assert (kernel.name, kernel.shape, kernel.dtype) == ("model/dense/MatMul", (2, 3), "float32")
    np.testing.assert_array_equal(kernel.values(), np.arange(6.0).reshape(2, 3))
    assert dense.options["keep_num_dims"] is False
    assert facts.operators[1].options["beta"] == 1.0


def test_signature_names_come_before_tensor_names():
    model = Model()
    x, y = model.tensor("serving_default_a:0", (1, 2)), model.tensor("StatefulPartitionedCall:0", (1, 2))
    model.operator("RELU", [x], [y])
    facts = read_tflite(model.build([x], [y], signature=True))
    assert (facts.inputs[0].name, facts.outputs[0].name) == ("in_0", "out_0")


@pytest.mark.parametrize(("dtype", "bits", "low"), [("int4", 4, -8), ("int2", 2, -2)])
def test_packed_integers_unpack_to_the_values_put_in(dtype, bits, low):
    values = np.array([[low, 0, 1, -1, low + 1]], np.int8)  # an odd count leaves part of the last byte unused
    model = Model()
    x, y = model.tensor("x", (1, 5)), model.tensor("y", (1, 1))
    w = model.tensor("w", values.shape, dtype, packed(values, bits), scale=0.5)
    model.operator("FULLY_CONNECTED", [x, w, -1], [y])
    facts = read_tflite(model.build([x], [y]))
    tensor = facts.subgraphs[0].tensors[w]
    np.testing.assert_array_equal(tensor.values(), values)
    np.testing.assert_array_equal(tensor.real(), values * np.float32(0.5))
    assert tensor.stored_bytes == -(-5 * bits // 8)


def test_real_values_and_zeros_follow_scale_and_zero_point_per_channel():
    stored = np.array([[1, 2, 3], [4, 5, 6]], np.int8)
    model = Model()
    x, y = model.tensor("x", (1, 3)), model.tensor("y", (1, 2))
    w = model.tensor("w", (2, 3), "int8", stored, scale=[0.5, 2.0], zero_point=[2, 6])
    model.operator("FULLY_CONNECTED", [x, w, -1], [y])
    tensor = read_tflite(model.build([x], [y])).subgraphs[0].tensors[w]
    np.testing.assert_allclose(tensor.real(), [[-0.5, 0, 0.5], [-4, -2, 0]])
    np.testing.assert_array_equal(tensor.zeros(), [[False, True, False], [False, False, True]])
    assert tensor.quantization.is_per_channel


def test_float16_weights_are_found_behind_their_dequantize():
    model = Model()
    x, y = model.tensor("x", (1, 2)), model.tensor("y", (1, 1))
    half = model.tensor("half", (1, 2), "float16", np.array([[1.5, -2]], np.float16))
    full = model.tensor("full", (1, 2))
    model.operator("DEQUANTIZE", [half], [full])
    model.operator("FULLY_CONNECTED", [x, full, -1], [y])
    facts = read_tflite(model.build([x], [y]))
    assert facts.unpacks_a_constant(facts.operators[0])
    assert facts.stored(facts.subgraphs[0].tensors[full]).name == "half"
    assert facts.stored(facts.subgraphs[0].tensors[x]) is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "0 bytes are not a .tflite"),
        (lambda data: b"PK\x03\x04" + data[4:7] + b"x", "'TFL3' is expected"),
        (lambda data: data[: len(data) // 3], "damaged|points"),
        (lambda data: struct.pack("<I", 0x7FFFFFF0) + data[4:], "damaged"),
    ],
)
def test_bytes_that_are_no_tflite_are_refused_with_the_reason(damage, message):
    damaged = damage(dense_model(np.ones((2, 3)), np.ones(2)))
    with pytest.raises(TfliteUnreadable, match=message):
        byte_ledger(read_tflite(damaged))


def test_damaged_files_are_read_or_refused_but_never_break_anything():
    data = dense_model(np.ones((2, 3)), np.ones(2), softmax=True)
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(500):
        damaged = bytearray(data)
        for place in generator.integers(8, len(data), 3):
            damaged[place] = generator.integers(0, 256)
        try:
            ledger = byte_ledger(read_tflite(bytes(damaged)))
            assert sum(ledger.by_category.values()) == len(data)
        except TfliteUnreadable:
            refused += 1
    assert 50 < refused < 500


def test_weights_kept_in_another_file_are_refused():
    model = Model()
    x, y = model.tensor("x", (1, 2)), model.tensor("y", (1, 1))
    w = model.tensor("kernel", (1, 2))
    model.tensors[w].externalBuffer = 1
    model.operator("FULLY_CONNECTED", [x, w, -1], [y])
    with pytest.raises(TfliteUnreadable, match="tensor 'kernel' keeps its values in a file beside"):
        read_tflite(model.build([x], [y]))


def test_buffers_behind_the_flatbuffer_are_read_and_counted():
    model = Model()
    x, y = model.tensor("x", (1, 2)), model.tensor("y", (1, 1))
    w = model.tensor("kernel", (1, 2), data=b"")
    buffer = model.buffers[model.tensors[w].buffer]
    buffer.data, buffer.offset, buffer.size = None, 99_999, 8
    model.operator("FULLY_CONNECTED", [x, w, -1], [y])
    short = model.build([x], [y])
    buffer.offset = len(short)
    data = model.build([x], [y])
    assert len(data) == len(short)
    data += np.array([3, 4], np.float32).tobytes()
    facts = read_tflite(data)
    np.testing.assert_array_equal(facts.subgraphs[0].tensors[w].values(), [[3, 4]])
    ledger = byte_ledger(facts)
    assert ledger.by_category["weights"] == 8
    assert sum(ledger.by_category.values()) == len(data)
    with pytest.raises(TfliteUnreadable, match="but the file ends at"):
        read_tflite(data[:-1])


def test_the_schema_table_agrees_with_the_generated_reader():
    """Every field of LiteRT's reader that is not a plain number is in TABLES, and no other."""
    with open(schema.__file__, encoding="utf-8") as file:
        source = file.read()
    expected: dict[str, dict[int, str]] = {}
    for table, body in re.findall(r"^class (\w+)\(object\):\n(.*?)(?=^class |^def |\Z)", source, re.M | re.S):
        for name, code in re.findall(r"    def (\w+)\(self(?:, j)?\):\n(.*?)(?=    def |\Z)", body, re.S):
            offset = re.search(r"_tab\.Offset\((\d+)\)", code)
            if offset is None or name.endswith(("Length", "IsNone", "AsNumpy")):
                continue
            if "Union(" in code:
                kind = "union"
            elif "_tab.Vector(" in code and "Indirect" in code:
                kind = "[" + re.search(r"obj = (\w+)\(\)", code)[1] + "]"
            elif "_tab.Vector(" in code:
                kind = "bytes" + re.search(r"py_type\(j \* (\d+)\)", code)[1]
            elif "_tab.String" in code:
                kind = "text"
            elif "Indirect" in code:
                kind = re.search(r"obj = (\w+)\(\)", code)[1]
            else:
                continue
            expected.setdefault(table, {})[(int(offset[1]) - 4) // 2] = kind
    ours = {
        table: {slot: kind.split(" ")[0] for slot, kind in fields.items()} for table, fields in TABLES.items()
    }
    assert len(expected) > 30
    assert ours == expected


def test_the_ledger_attributes_the_hand_counted_bytes():
    kernel, bias = np.ones((2, 3)), np.zeros(2)
    data = dense_model(kernel, bias)
    ledger = byte_ledger(read_tflite(data))
    assert sum(ledger.by_category.values()) == len(data) == ledger.file_bytes
    assert ledger.by_category["weights"] == 4 * (6 + 2)
    # A name is a 4-byte length, its characters, and a closing zero.
    names = ["serving_default_x:0", "model/dense/MatMul", "model/dense/BiasAdd", "model/dense/out"]
    assert ledger.by_category["names"] == sum(4 + len(name) + 1 for name in names)
    assert ledger.by_category["metadata"] == 4 + len("made by a test") + 1 + 4  # and an empty list of entries
    assert ledger.by_category["unreferenced"] == 0
    assert ledger.by_operator[(0, 0)]["weights"] == 32
    assert sum(sum(counts.values()) for counts in ledger.by_operator.values()) == len(data)


def test_per_channel_scales_cost_twelve_bytes_a_channel():
    def quantization_bytes(channels: int) -> int:
        data = int8_dense_model(
            np.ones((channels, 4)), np.ones(channels), np.full(channels, 0.1),
            input_scale=0.1, input_zero_point=0, output_scale=0.1, output_zero_point=0,
        )  # fmt: skip
        ledger = byte_ledger(read_tflite(data))
        assert sum(ledger.by_category.values()) == len(data)
        return ledger.by_category["quantization"]

    # Kernel and bias both have a 4-byte scale and an 8-byte zero point a channel.
    assert quantization_bytes(10) - quantization_bytes(8) == 2 * 2 * 12


def test_bytes_that_nothing_points_to_are_told_from_padding():
    data = dense_model(np.ones((1, 1)), np.ones(1))
    ledger = byte_ledger(read_tflite(data + b"\0" * 5))
    plain = byte_ledger(read_tflite(data))
    assert ledger.by_category["padding"] == plain.by_category["padding"] + 5
    ledger = byte_ledger(read_tflite(data + b"PK\x03\x04 a file"))
    assert ledger.by_category["unreferenced"] == len(b"PK\x03\x04 a file")


def test_metadata_buffers_are_metadata():
    model = Model()
    x, y = model.tensor("x", (1, 2)), model.tensor("y", (1, 2))
    model.operator("RELU", [x], [y])
    plain = byte_ledger(read_tflite(model.build([x], [y])))
    entry = schema.MetadataT()
    entry.name, entry.buffer = b"min_runtime_version", model.buffer(b"1.5.0")
    model.metadata.append(entry)
    ledger = byte_ledger(read_tflite(model.build([x], [y])))
    grown = ledger.by_category["metadata"] - plain.by_category["metadata"]
    assert grown >= 5 + 4 + len(b"min_runtime_version") + 1
    assert ledger.by_category["unreferenced"] == 0
