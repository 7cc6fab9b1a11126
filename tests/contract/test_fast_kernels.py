"""Files with quantized weights and float activations: every operator that can runs on LiteRT's fast kernels."""

import functools
from typing import Any

import numpy as np
import pytest

from lwdash.contract import Packed
from lwdash.measure.accuracy import sqnr_db
from lwdash.measure.runner import Runner
from lwdash.measure.timing.delegation import delegation_of
from lwdash.measure.timing.host_facts import this_host
from lwdash.measure.timing.speed_reasons import why_not_faster
from lwdash.quantize.fast_kernels import (
    MAX_GROWTH,
    MIN_POINTWISE_VALUES,
    MIN_VALUES,
    fitted,
)
from lwdash.quantize.number_formats import FORMATS
from lwdash.quantize.quantizers.pointwise_convolutions import write_as_fully_connected
from lwdash.quantize.read_back import Computed, computed
from lwdash.recipe import parse_recipe
from lwdash.techniques import TECHNIQUES, float32
from lwdash.tflite.flatbuffer import write_model
from lwdash.tflite.reader import read_tflite

pytestmark = pytest.mark.tensorflow

SHAPE = (24, 24, 3)
ROWS = {"input": np.random.default_rng(0).normal(size=(16, *SHAPE)).astype("float32")}


@functools.cache
def separable() -> bytes:
    """A first convolution on 3 channels, depthwise ones below and above MIN_VALUES, 1 × 1 ones, a shared layer."""
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(64, 3, strides=2, padding="same", activation="relu", name="first")(inputs)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="small_slim")(x)
    x = layers.Conv2D(128, 1, activation="relu", name="widen")(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="slim")(x)
    twice = layers.Conv2D(128, 1, activation="relu", name="twice")
    x = twice(layers.MaxPooling2D()(twice(x)))
    x = layers.Conv2D(32, 3, strides=2, activation="relu", name="spatial")(x)
    x = layers.Dense(10, name="answer")(layers.Flatten()(x))
    return float32.apply(keras.Model(inputs, x), ["input"], [SHAPE])


@functools.cache
def packed(recipe: str) -> Packed:
    step = parse_recipe(recipe).tflite_step
    assert step is not None
    return TECHNIQUES[step.name].apply(separable(), step.params, ROWS, None)


def outputs(data: bytes, rows: Any = ROWS) -> np.ndarray:
    return next(iter(Runner(data).run(rows).values()))


def formats(data: bytes) -> dict[str, str]:
    return {c.layer: c.format for c in computed(data) if c.weights is not None}


@pytest.mark.parametrize(
    "recipe", ["dynamic", "dynamic(algorithm=mse)", "mixed(default=dynamic)", "weight_only"]
)
def test_no_operator_is_left_to_the_built_in_kernels(recipe: str) -> None:
    found = delegation_of(packed(recipe).data)
    assert ([o.type for o in found.outside], found.partitions) == ([], 1)


@pytest.mark.parametrize("recipe", ["dynamic", "mixed(default=dynamic)"])
def test_what_has_no_fast_hybrid_kernel_is_stored_otherwise_and_reported(recipe: str) -> None:
    done = packed(recipe)
    assert formats(done.data) == {
        "first": "weight_only", "small_slim": "float16", "widen": "dynamic", "slim": "weight_only",
        "twice": "dynamic", "spatial": "dynamic", "answer": "dynamic",
    }  # fmt: skip
    assert {s.layer for s in done.skipped} == {"first", "small_slim", "slim"}
    assert all(
        word in " ".join(s.reason for s in done.skipped) for word in ("3 input channels", "no fast kernel")
    )


def test_the_file_is_as_exact_as_its_kernels_in_8_bits() -> None:
    assert sqnr_db(outputs(separable()), outputs(packed("dynamic").data)) > 35
    assert len(packed("dynamic").data) < 0.35 * len(separable())


def test_four_bits_stay_small_and_products_become_fully_connected() -> None:
    done = packed("dynamic(bits=4)")
    found = {c.layer: c for c in computed(done.data) if c.weights is not None}
    assert {name: c.kind for name, c in found.items() if c.weights == "int4"} == {
        "widen": "FULLY_CONNECTED", "twice": "FULLY_CONNECTED", "spatial": "CONV_2D", "answer": "FULLY_CONNECTED",
    }  # fmt: skip
    assert found["slim"].format == found["small_slim"].format == "weight_only"
    assert [o.type for o in delegation_of(done.data).outside] == ["CONV_2D"]
    assert sqnr_db(outputs(separable()), outputs(done.data)) > 12


def test_a_product_written_as_fully_connected_gives_the_same() -> None:
    scopes = [c.scope for c in computed(separable()) if c.is_pointwise]
    assert len(scopes) == 3
    rewritten = write_as_fully_connected(separable(), scopes)
    kinds = {c.layer: c.kind for c in computed(rewritten)}
    assert kinds["widen"] == kinds["twice"] == "FULLY_CONNECTED"
    assert kinds["spatial"] == "CONV_2D"
    assert outputs(rewritten) == pytest.approx(outputs(separable()), rel=1e-5, abs=1e-6)
    some = write_as_fully_connected(
        separable(), scopes[-1:]
    )  # the kernel stays as it is for the other reader
    assert [c.kind for c in computed(some) if c.layer == "twice"] == ["CONV_2D", "FULLY_CONNECTED"]
    assert outputs(some) == pytest.approx(outputs(separable()), rel=1e-5, abs=1e-6)
    assert write_as_fully_connected(separable(), []) is separable()


def test_a_slow_file_is_explained_by_what_was_measured() -> None:
    data = packed("weight_only(bits=4)").data
    facts, found = read_tflite(data), delegation_of(data)
    slow = [o.index for o in found.outside]
    assert slow
    told = why_not_faster(facts, this_host(2), delegation=found)
    assert f"{len(slow)} operators use the built-in kernels" in told[0]
    assert "4-bit weights" in told[0]
    assert "Use one thread" in told[1]
    alike = next(reason for reason in told if "the arithmetic is the same" in reason)
    unpacked = sum(c.is_stored_only for c in computed(data)) - len(slow)
    assert f"integer weights of {unpacked} operator" in alike
    fast = packed("dynamic").data
    told = why_not_faster(read_tflite(fast), this_host(2), delegation=delegation_of(fast))
    assert not any("built-in" in reason for reason in told)


def operator(kind: str, shape: tuple[int, ...], positions: int = 36, pointwise: bool = False) -> Computed:
    values = int(np.prod(shape))
    return Computed(
        kind, "layer", "scope", "float32", "float32", False, values, "input", shape[-1], False,
        kernel=str(shape), kernel_shape=shape, positions=positions, is_pointwise=pointwise,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (operator("CONV_2D", (64, 3, 3, 16)), "dynamic"),
        (operator("CONV_2D", (64, 3, 3, 4)), "dynamic"),
        (operator("CONV_2D", (64, 3, 3, 3)), "weight_only"),
        (operator("CONV_2D", (64, 7, 7, 3)), "dynamic"),
        (operator("CONV_2D", (64, 10, 4, 1)), "weight_only"),
        (operator("CONV_2D", (8, 3, 3, 8)), "float16"),
        (operator("CONV_2D", (64, 1, 1, 64), pointwise=True), "weight_only"),
        (operator("CONV_2D", (128, 1, 1, 64), pointwise=True), "dynamic"),
        (operator("FULLY_CONNECTED", (48, 48)), "weight_only"),
        (operator("FULLY_CONNECTED", (48, 48), positions=1), "dynamic"),
        (operator("DEPTHWISE_CONV_2D", (1, 3, 3, 512)), "weight_only"),
        (operator("TRANSPOSE_CONV", (16, 2, 2, 64)), "dynamic"),
    ],
)
def test_the_measured_rule(found: Computed, expected: str) -> None:
    rest = operator("FULLY_CONNECTED", (500, 500))
    stored, _ = fitted([found, rest], [FORMATS["dynamic"]] * 2, 100_000)
    assert stored.format.name == expected
    assert bool(stored.reason) == (expected != "dynamic")
    assert MIN_VALUES < MIN_POINTWISE_VALUES


def test_a_file_of_small_kernels_keeps_8_bits() -> None:
    small, larger = operator("CONV_2D", (12, 1, 9, 8)), operator("CONV_2D", (20, 1, 7, 12))
    assert (small.values, larger.values) == (864, 1680)
    stored = fitted([small, larger], [FORMATS["dynamic"]] * 2, 20_000)
    assert [one.format.name for one in stored] == ["weight_only", "dynamic"]


def test_formats_that_are_not_about_hybrid_kernels_stay() -> None:
    conv = operator("DEPTHWISE_CONV_2D", (1, 3, 3, 512))
    for name in ("float16", "weight_only", "int8", "int16x8", "float32"):
        assert fitted([conv], [FORMATS[name]], 100_000)[0].format.name == name


def test_four_bit_kernels_get_eight_bits_only_where_that_costs_few_bytes() -> None:
    """The first convolution costs most time for its bytes; the last, with most bytes, keeps its 4 bits."""
    first, last = operator("CONV_2D", (16, 3, 3, 4), 10_000), operator("CONV_2D", (256, 3, 3, 128), 16)
    float_bytes = 4 * (first.values + last.values)
    for name, eight in (("dynamic4", {"weight_only", "dynamic"}), ("weight_only4", {"weight_only"})):
        stored = fitted([first, last], [FORMATS[name]] * 2, float_bytes)
        assert stored[0].format.name in eight
        assert stored[1].format.name == name
        alone = fitted([last], [FORMATS[name]], 4 * last.values)
        assert alone[0].format.name == name
    assert first.values / 2 < MAX_GROWTH * (first.values + last.values) / 2


# Embedding tables.


@functools.cache
def text_file(tied: bool = False) -> bytes:
    import keras

    keras.utils.set_random_seed(2)
    layers = keras.layers
    inputs = keras.Input((12,), dtype="int32")
    table = layers.Embedding(300, 16, name="words")
    x = layers.GlobalAveragePooling1D()(table(inputs))
    x = (
        keras.ops.matmul(x, keras.ops.transpose(table.embeddings))
        if tied
        else layers.Dense(5, name="answer")(x)
    )
    return float32.apply(keras.Model(inputs, x), ["input"], [(12,)])


WORDS = {"input": np.random.default_rng(1).integers(0, 300, (8, 12)).astype("int32")}


@pytest.mark.parametrize("recipe", ["dynamic", "weight_only", "dynamic(bits=4)", "mixed(default=dynamic)"])
def test_an_embedding_table_is_stored_in_8_bits(recipe: str) -> None:
    step = parse_recipe(recipe).tflite_step
    assert step is not None
    done = TECHNIQUES[step.name].apply(text_file(), step.params, None, None)
    assert formats(done.data)["words"] == "weight_only"
    assert len(done.data) < len(text_file()) - 2.9 * 300 * 16
    assert sqnr_db(outputs(text_file(), WORDS), outputs(done.data, WORDS)) > 20
    assert not [s for s in done.skipped if s.layer == "words"]


def test_a_table_that_another_operator_reads_stays() -> None:
    done = TECHNIQUES["dynamic"].apply(text_file(tied=True), TECHNIQUES["dynamic"].Params(), None, None)
    expected, got = outputs(text_file(tied=True), WORDS), outputs(done.data, WORDS)
    assert sqnr_db(expected, got) > 30


# Fused LSTM layers.

STEPS, WIDTH, UNITS = 10, 6, 16


def fused_lstm(layers: int = 2) -> bytes:
    """LSTM layers as TFLiteConverter fuses those of Keras 2, each with kernels of its own."""
    from ai_edge_litert import schema_py_generated as schema

    rng = np.random.default_rng(3)
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers, model.operatorCodes = 3, [schema.BufferT()], [code]
    graph.name, graph.tensors, graph.operators = b"main", [], []

    def tensor(name: str, shape: tuple[int, ...], *, values: bool = False, state: bool = False) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.type = name.encode(), list(shape), schema.TensorType.FLOAT32
        made.buffer, made.isVariable = 0, state
        if values:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer((rng.normal(size=shape) / 4).astype("float32").tobytes(), np.uint8)
            model.buffers.append(buffer)
            made.buffer = len(model.buffers) - 1
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    flowing = first = tensor("input", (1, STEPS, WIDTH))
    for layer in range(layers):
        width = WIDTH if layer == 0 else UNITS
        kernels = [tensor(f"lstm_{layer}/kernel_{i}", (UNITS, width), values=True) for i in range(4)]
        recurrent = [tensor(f"lstm_{layer}/recurrent_{i}", (UNITS, UNITS), values=True) for i in range(4)]
        biases = [tensor(f"lstm_{layer}/bias_{i}", (UNITS,), values=True) for i in range(4)]
        states = [tensor(f"lstm_{layer}/state_{i}", (1, UNITS), state=True) for i in range(2)]
        operator, options = schema.OperatorT(), schema.UnidirectionalSequenceLSTMOptionsT()
        options.fusedActivationFunction = schema.ActivationFunctionType.TANH
        operator.builtinOptionsType = schema.BuiltinOptions.UnidirectionalSequenceLSTMOptions
        operator.builtinOptions, operator.opcodeIndex = options, 0
        operator.inputs = [
            flowing,
            *kernels,
            *recurrent,
            -1,
            -1,
            -1,
            *biases,
            -1,
            -1,
            *states,
            -1,
            -1,
            -1,
            -1,
        ]
        flowing = tensor(f"lstm_{layer}/output", (1, STEPS, UNITS))
        operator.outputs = [flowing]
        graph.operators.append(operator)
    graph.inputs, graph.outputs, model.subgraphs = [first], [flowing], [graph]
    model.signatureDefs = model.metadata = []
    return write_model(model)


@pytest.mark.parametrize("recipe", ["dynamic", "dynamic(bits=4)", "mixed(default=dynamic)"])
def test_the_weights_of_a_fused_lstm_are_stored_in_8_bits(recipe: str) -> None:
    step = parse_recipe(recipe).tflite_step
    assert step is not None
    source = fused_lstm()
    done = TECHNIQUES[step.name].apply(source, step.params, None, None)
    assert formats(done.data) == {"lstm_0": "dynamic", "lstm_1": "dynamic"}
    assert done.skipped == ()
    values = 4 * (UNITS * WIDTH + UNITS * UNITS) + 4 * 2 * UNITS * UNITS
    assert len(done.data) < len(source) - 2.5 * values
    rows = {"input": np.random.default_rng(4).normal(size=(8, STEPS, WIDTH)).astype("float32")}
    assert sqnr_db(outputs(source, rows), outputs(done.data, rows)) > 30


def test_weight_only_leaves_a_fused_lstm_in_floats_and_says_so() -> None:
    done = TECHNIQUES["weight_only"].apply(fused_lstm(), TECHNIQUES["weight_only"].Params(), None, None)
    assert set(formats(done.data).values()) == {"float32"}
    assert {s.layer for s in done.skipped} == {"lstm_0", "lstm_1"}
