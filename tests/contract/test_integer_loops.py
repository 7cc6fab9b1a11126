"""Recurrent layers as loops whose bodies compute in integers, of both Kerases, in LiteRT and in TensorFlow Lite Micro."""

import importlib

import numpy as np
import pytest

from lwdash.compress.agreement import check_packed
from lwdash.contract import Rows
from lwdash.errors import ConversionFailed
from lwdash.quantize.quantizers import integer_loops
from lwdash.quantize.quantizers.integer_loops import INTEGER_LOOPS
from lwdash.quantize.read_back import computed, float_operators
from lwdash.recipe import parse_recipe
from lwdash.techniques import TECHNIQUES, auto, float32, int8, int16x8
from lwdash.tflite.flatbuffer import read_model
from lwdash.tflite.rewrites.sequence_updates import write_updates_in_place

pytestmark = pytest.mark.tensorflow

STEPS, FEATURES = 12, 5
NETWORKS = {
    "gru": lambda layers: [layers.GRU(24)],
    "sequences": lambda layers: [layers.GRU(20, return_sequences=True), layers.SimpleRNN(20)],
    "both ways": lambda layers: [
        layers.Bidirectional(layers.GRU(20, return_sequences=True)),
        layers.GlobalAveragePooling1D(),
    ],
    "clamped gates": lambda layers: [
        layers.LSTM(20, recurrent_activation="hard_sigmoid", return_sequences=True),
        layers.GRU(20, recurrent_activation="hard_sigmoid"),
    ],
}


def exported(library: str, kind: str, steps: int = STEPS) -> bytes:
    keras = importlib.import_module(library)
    keras.utils.set_random_seed(5)
    tensor = inputs = keras.Input((steps, FEATURES), name="input")
    for layer in [*NETWORKS[kind](keras.layers), keras.layers.Dense(3)]:
        tensor = layer(tensor)
    return float32.apply(keras.Model(inputs, tensor), ["input"], [(steps, FEATURES)])


def some_rows(steps: int = STEPS) -> Rows:
    return {"input": np.random.default_rng(0).normal(size=(24, steps, FEATURES)).astype("float32")}


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_loops_compute_in_integers_alike_in_both_runtimes(library: str, kind: str) -> None:
    data, rows = exported(library, kind), some_rows()
    packed = int8.apply_with_loops(data, int8.Params(), rows)
    kinds = [operator.kind for operator in computed(packed.data)]
    assert "WHILE" in kinds
    assert "DYNAMIC_UPDATE_SLICE" in kinds or kind == "gru"
    assert float_operators(packed.data, "") == packed.skipped == ()
    assert check_packed(data, packed.data, rows) > 25
    assert len(packed.data) < len(data)
    litert, micro = run_in_both(packed.data, rows["input"][:8])
    assert np.abs(litert - micro).mean() < 2, "they round differently, and a loop repeats it"
    assert len(np.unique(litert)) > 8


def test_four_bit_weights_stay_in_the_loop() -> None:
    """Unrolled, each step of the sequence would hold a part of the file: it would be larger than with 8 bits."""
    data, rows, params = exported("tf_keras", "gru"), some_rows(), int8.Params(bits="4")
    packed = int8.other_ways(data, params)[INTEGER_LOOPS](data, params, rows)
    assert float_operators(packed.data, "") == packed.skipped == ()
    assert check_packed(data, packed.data, rows) > 10
    assert len(packed.data) < len(int8.apply_with_loops(data, int8.Params(), rows).data)


@pytest.mark.parametrize("limit", [{"max_drop": 10.0}, {"max_size": 12.0}])
def test_auto_chooses_among_files_with_integer_loops_too(limit: dict[str, float]) -> None:
    """`mixed` leaves loops in floats, so that its files are larger."""
    data, rows = exported("keras", "gru"), some_rows()
    packed = auto.apply(data, auto.Params(**limit), rows)
    facts = packed.facts["auto"]
    assert facts["recipe"].startswith(("int8", "int16x8"))
    assert {a["recipe"].partition("(")[0] for a in facts["attempts"]} == {"mixed", "int8", "int16x8"}
    assert len(packed.data) < min(
        a["size_bytes"] for a in facts["attempts"] if a["recipe"].startswith("mixed")
    )
    (step,) = parse_recipe(facts["recipe"]).steps
    technique = TECHNIQUES[step.name]
    again = technique.other_ways(data, step.params)[INTEGER_LOOPS](data, step.params, rows)
    assert again.data == packed.data


def run_in_both(data: bytes, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The integers that LiteRT and TensorFlow Lite Micro give for the same rows."""
    from ai_edge_litert.interpreter import Interpreter
    from tflite_micro.python.tflite_micro import runtime

    pc, micro = Interpreter(model_content=data), runtime.Interpreter.from_bytes(data)
    pc.allocate_tensors()
    port, result = pc.get_input_details()[0], pc.get_output_details()[0]["index"]
    scale, zero = port["quantization"]
    found: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for row in np.clip(np.round(rows / scale) + zero, -128, 127).astype(np.int8):
        pc.set_tensor(port["index"], row[None])
        micro.set_input(row[None], 0)
        pc.invoke()
        micro.invoke()
        found[0].append(pc.get_tensor(result).astype(int))
        found[1].append(micro.get_output(0).astype(int))
    return np.stack(found[0]), np.stack(found[1])


def test_sixteen_bits_are_closer() -> None:
    data, rows = exported("keras", "gru"), some_rows()
    ways = int16x8.other_ways(data, int16x8.Params())
    packed = ways[INTEGER_LOOPS](data, int16x8.Params(), rows)
    assert float_operators(packed.data, "") == ()
    assert check_packed(data, packed.data, rows) > 45
    floats = int16x8.apply_with_loops(data, int16x8.Params(io="float32"), rows)
    graph = read_model(floats.data).subgraphs[0]
    assert [graph.tensors[i].type for i in (*graph.inputs, *graph.outputs)] == [0, 0]


def test_sequences_longer_than_what_is_unrolled_become_integer() -> None:
    data, rows = exported("tf_keras", "gru", 200), some_rows(200)
    packed = int8.apply_with_loops(data, int8.Params(), rows)
    assert float_operators(packed.data, "") == ()
    assert check_packed(data, packed.data, rows) > 25


def test_of_long_sequences_some_steps_of_some_rows_set_the_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time and memory stay bounded, and the steps that are left are spread over rows and times."""
    data, rows = exported("tf_keras", "sequences", 40), some_rows(40)
    watched: list[Rows] = []
    ranges = integer_loops.activation_ranges
    monkeypatch.setattr(
        integer_loops,
        "activation_ranges",
        lambda file, seen, how: watched.append(seen) or ranges(file, seen, how),
    )
    monkeypatch.setattr(integer_loops, "MAX_STEPS", 400)
    monkeypatch.setattr(integer_loops, "MAX_BYTES", 400_000)
    packed = int8.apply_with_loops(data, int8.Params(), rows)
    assert float_operators(packed.data, "") == ()
    assert check_packed(data, packed.data, rows) > 20
    for seen in watched:
        assert sum(values.nbytes for values in seen.values()) <= 400_000
        times = next(values for values in seen.values() if values.ndim == 1)
        assert times.min() < 10
        assert times.max() > 30


def test_the_recipe_says_whether_loops_are_kept() -> None:
    data = exported("tf_keras", "gru")
    assert list(int8.other_ways(data, int8.Params())) == [INTEGER_LOOPS]
    assert int8.other_ways(data, int8.Params(loops="unrolled")) == {}


def test_a_file_without_loops_is_refused() -> None:
    keras = importlib.import_module("keras")
    inputs = keras.Input((FEATURES,), name="input")
    data = float32.apply(keras.Model(inputs, keras.layers.Dense(3)(inputs)), ["input"], [(FEATURES,)])
    with pytest.raises(ConversionFailed, match="only loops that have their own body"):
        int8.apply_with_loops(data, int8.Params(), {"input": np.ones((4, FEATURES), np.float32)})


def test_the_update_of_a_sequence_is_exact_and_made_once() -> None:
    """The export has it already: no concatenation of slices is left, and a second pass changes nothing."""
    model = read_model(exported("keras", "sequences"))
    assert write_updates_in_place(model) == 0
    kinds = [operator.kind for operator in computed(exported("keras", "sequences")) if operator.is_inside]
    assert kinds.count("DYNAMIC_UPDATE_SLICE") == 1
    assert "SLICE" not in kinds
