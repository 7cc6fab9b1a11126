"""What each post-training technique does to a file, on the digits example: types, bits, scales, borders, accuracy."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lwdash.examples
from lwdash.contract import Configure, Packed, Rows
from lwdash.errors import ConversionFailed, RecipeError
from lwdash.export.keras_converter import convert_with
from lwdash.measure.accuracy import sqnr_db
from lwdash.measure.runner import Runner
from lwdash.quantize.ranges.activation_ranges import activation_ranges
from lwdash.quantize.read_back import Computed, computed
from lwdash.quantize.rounding.rounded_file import with_rounded_weights
from lwdash.quantize.rounding.stored_kernels import float_values, stored_kernels
from lwdash.recipe import parse_recipe
from lwdash.techniques import TECHNIQUES, float32, needs_rows
from lwdash.tflite.constants import add_buffer
from lwdash.tflite.flatbuffer import read_model, write_model
from lwdash.tflite.reader import read_tflite

pytestmark = pytest.mark.tensorflow

FOLDER = Path(lwdash.examples.__file__).parent
SHAPE = (8, 8, 1)


@functools.cache
def model() -> Any:
    import keras

    return keras.models.load_model(FOLDER / "digits.keras")


@functools.cache
def table() -> tuple[np.ndarray, np.ndarray]:
    """(rows, labels)"""
    frame = pd.read_csv(FOLDER / "digits.csv")
    labels = frame.pop("label").to_numpy()
    return frame.to_numpy("float32").reshape(-1, *SHAPE), labels


@functools.cache
def source() -> bytes:
    return float32.apply(model(), ["input"], [SHAPE])


def convert(configure: Configure, rows: Rows | None) -> bytes:
    return convert_with(model(), ["input"], [SHAPE], configure=configure, rows=rows)


@functools.cache
def packed(recipe: str) -> Packed:
    step = parse_recipe(recipe).tflite_step
    assert step is not None
    rows = {"input": table()[0][:128]} if needs_rows(step.name, step.params) else None
    return TECHNIQUES[step.name].apply(source(), step.params, rows, convert)


def accuracy(data: bytes) -> float:
    rows, labels = table()
    answers = next(iter(Runner(data).run({"input": rows[128:628]}).values()))
    return float((answers.argmax(-1) == labels[128:628]).mean())


def kernels(recipe: str) -> dict[str, Computed]:
    return {c.layer: c for c in computed(packed(recipe).data) if c.weights is not None}


def borders(recipe: str) -> tuple[str, str]:
    facts = read_tflite(packed(recipe).data)
    tensors = facts.subgraphs[0].tensors
    return tensors[facts.inputs[0].tensor].dtype, tensors[facts.outputs[0].tensor].dtype


EVERY = [
    "float16", "weight_only", "weight_only(bits=4)", "dynamic", "dynamic(bits=4)", "dynamic(bits=4, algorithm=octav)",
    "dynamic(bits=4, algorithm=mse)", "dynamic(bits=4, algorithm=gptq)", "weight_only(bits=4, algorithm=gptq)",
    "int8", "int8(bits=4)", "int8(bits=4, per_channel=false)",
    "int8(io=uint8)", "int8(per_channel=false)", "int8(ranges=percentile)", "int8(ranges=mse)", "int16x8",
    "mixed(default=int8x4)", "mixed(default=int8, conv_2=int16x8, dense=dynamic4, digit=float32)",
    "mixed(default=float32, dense=int8, io=uint8)",
]  # fmt: skip
CONVERTED = [
    "float16(backend=tflite)",
    "dynamic(backend=tflite)",
    "int8(backend=tflite)",
    "int16x8(backend=tflite)",
]


@pytest.mark.parametrize("recipe", [*EVERY, *CONVERTED])
def test_a_trained_model_stays_accurate(recipe: str) -> None:
    assert accuracy(packed(recipe).data) >= accuracy(source()) - 0.02


@pytest.mark.parametrize("recipe", EVERY)
def test_the_file_is_smaller_and_the_same_again(recipe: str) -> None:
    step = parse_recipe(recipe).tflite_step
    rows = {"input": table()[0][:128].copy()}
    again = TECHNIQUES[step.name].apply(source(), step.params, rows, None)  # type: ignore[union-attr]
    assert again.data == packed(recipe).data
    assert len(again.data) < len(source())


SIZES = {"float16": 0.55, "weight_only": 0.30, "weight_only(bits=4)": 0.18, "dynamic": 0.30, "dynamic(bits=4)": 0.18,
         "int8": 0.30, "int8(bits=4)": 0.18, "int16x8": 0.31, "mixed(default=int8x4)": 0.18}  # fmt: skip


@pytest.mark.parametrize(("recipe", "share"), SIZES.items())
def test_the_size_is_what_the_bits_say(recipe: str, share: float) -> None:
    assert len(packed(recipe).data) <= share * len(source())


HYBRID, UNPACKED, HALF = ("float32", "int8", False), ("float32", "int8", True), ("float32", "float16", True)
HYBRID_4, UNPACKED_4 = ("float32", "int4", False), ("float32", "int4", True)
INTEGER = ("int8", "int8", False)
FORMATS = {
    "weight_only": [UNPACKED] * 4,
    "weight_only(bits=4)": [UNPACKED, UNPACKED_4, UNPACKED_4, UNPACKED],
    "dynamic": [HALF, HYBRID, HYBRID, HALF],
    "dynamic(bits=4)": [UNPACKED, HYBRID_4, HYBRID_4, HYBRID_4],
    "dynamic(bits=4, algorithm=gptq)": [UNPACKED, HYBRID_4, HYBRID_4, HYBRID_4],
    "int8": [INTEGER] * 4,
    "int16x8": [("int16", "int8", False)] * 4,
    "mixed(default=int8x4)": [("int8", "int4", False)] * 4,
    "int8(bits=4)": [("int8", "int4", False)] * 4,
    "int8(backend=tflite)": [INTEGER] * 4,
    "int16x8(backend=tflite)": [("int16", "int8", False)] * 4,
}
"""Of the two convolutions, of 144 and 4,608 values, and the two dense layers, of 16,384 and 320."""


@pytest.mark.parametrize(("recipe", "expected"), FORMATS.items())
def test_the_types_in_the_file(recipe: str, expected: list[tuple[str, str, bool]]) -> None:
    found = kernels(recipe)
    assert [(c.activations, c.weights, c.is_stored_only) for c in found.values()] == expected


def test_four_bits_are_stored_two_to_the_byte() -> None:
    graph = read_model(packed("dynamic(bits=4)").data)
    (dense,) = [t for t in graph.subgraphs[0].tensors if list(t.shape) == [32, 512]]
    assert len(graph.buffers[dense.buffer].data) == 32 * 512 // 2


IO = {
    "int8": "int8", "int8(io=uint8)": "uint8", "int8(io=float32)": "float32", "int16x8": "int16",
    "int16x8(io=float32)": "float32", "dynamic": "float32", "mixed(default=dynamic, dense=int8)": "float32",
    "mixed(default=int16x8)": "int16", "mixed(default=int8, io=float32)": "float32",
    "mixed(default=float32, dense=int8, io=uint8)": "uint8", "int8(backend=tflite, io=uint8)": "uint8",
    "int8(backend=tflite, io=float32)": "float32", "int16x8(backend=tflite)": "int16",
}  # fmt: skip


@pytest.mark.parametrize(("recipe", "number"), IO.items())
def test_the_borders_are_as_asked(recipe: str, number: str) -> None:
    assert borders(recipe) == (number, number)


@pytest.mark.parametrize("backend", ["litert", "tflite"])
@pytest.mark.parametrize("name", ["int8", "int16x8"])
def test_scales_are_by_channel_or_by_tensor(name: str, backend: str) -> None:
    def scales(recipe: str) -> list[int]:
        tensors = read_model(packed(recipe).data).subgraphs[0].tensors
        return sorted(
            len(t.quantization.scale) for t in tensors if len(t.shape) == 4 and t.shape[0] in (16, 32)
        )

    assert scales(f"{name}(backend={backend})") == [16, 32]
    assert scales(f"{name}(per_channel=false, backend={backend})") == [1, 1]


def test_the_ways_to_find_a_range_differ_and_only_ever_narrow_it() -> None:
    rows = {"input": table()[0][:64]}
    whole, inner, least = (activation_ranges(source(), rows, how) for how in ("minmax", "percentile", "mse"))
    assert whole.keys() == inner.keys() == least.keys()
    for name, limits in whole.items():
        for other in (inner[name], least[name]):
            assert other["min"].min() >= min(limits["min"].min(), 0)
            assert other["max"].max() <= max(limits["max"].max(), 0) + 1e-6
    relu = next(name for name in whole if name.startswith("conv_2"))
    assert inner[relu]["max"].max() < whole[relu]["max"].max()
    assert packed("int8(ranges=percentile)").data != packed("int8").data != packed("int8(ranges=mse)").data


def test_an_outlier_is_clipped_where_the_range_is_chosen_by_error() -> None:
    """One row 200 times as large as the others takes all the steps of a min-max range."""
    rows = table()[0][:128].copy()
    rows[5] *= 200
    step = parse_recipe("int8").tflite_step
    assert step is not None
    files = {}
    for how in ("minmax", "percentile"):
        params = type(step.params)(ranges=how)
        files[how] = TECHNIQUES["int8"].apply(source(), params, {"input": np.repeat(rows, 2, axis=0)}).data
    step_of = {how: read_model(d).subgraphs[0].tensors[0].quantization.scale[0] for how, d in files.items()}
    assert step_of["percentile"] <= step_of["minmax"]


@pytest.mark.parametrize("name", ["weight_only", "dynamic", "int8"])
def test_four_bits_lose_less_when_rows_compensate_the_rounding(name: str) -> None:
    """Measured on rows that calibrated nothing; in the same bytes, up to the padding of a few biases."""
    rows = {"input": table()[0][128:628]}
    exact = next(iter(Runner(source()).run(rows).values()))
    files = {a: packed(f"{name}(bits=4, algorithm={a})") for a in ("minmax", "mse", "default")}
    sqnr = {a: sqnr_db(exact, next(iter(Runner(f.data).run(rows).values()))) or 0 for a, f in files.items()}
    assert sqnr["default"] > max(sqnr["minmax"], sqnr["mse"]) + 3
    assert files["default"].facts["calibration_rows"] == 128
    assert abs(len(files["default"].data) - len(files["minmax"].data)) < 200


def test_rows_help_to_round_kernels_with_one_scale() -> None:
    rows = {"input": table()[0][1000:1200]}
    exact = next(iter(Runner(source()).run(rows).values()))

    def sqnr(recipe: str) -> float:
        return sqnr_db(exact, next(iter(Runner(packed(recipe).data).run(rows).values()))) or 0

    assert sqnr("int8(per_channel=false)") > sqnr("int8(per_channel=false, algorithm=minmax)") + 1
    assert packed("int8").data == packed("int8(algorithm=minmax)").data


def test_gptq_without_rows_is_refused_and_the_default_is_then_minmax() -> None:
    params = TECHNIQUES["dynamic"].Params
    with pytest.raises(ConversionFailed, match="calibration rows"):
        TECHNIQUES["dynamic"].apply(source(), params(algorithm="gptq"), None)
    files = [
        TECHNIQUES["dynamic"].apply(source(), params(bits="4", algorithm=algorithm), None).data
        for algorithm in ("default", "minmax")
    ]
    assert files[0] == files[1]


def test_the_quantizer_finds_the_chosen_integers_again() -> None:
    """The file stores exactly the values that the rounding chose."""
    plain = packed("weight_only(bits=4, algorithm=minmax)").data
    rounded, _ = with_rounded_weights(source(), plain, {"input": table()[0][:128]}, "gptq")
    before, after = read_model(rounded), read_model(packed("weight_only(bits=4, algorithm=gptq)").data)
    found = [stored_integers(after, t) for t in after.subgraphs[0].tensors if t.type == 17]
    for kernel in [k for k in stored_kernels(before, read_model(plain)) if k.bits == 4]:
        values = float_values(before, before.subgraphs[0].tensors[kernel.tensor])
        assert any(f.shape == values.shape and np.allclose(f, values, rtol=1e-5) for f in found)


def stored_integers(model: Any, tensor: Any) -> np.ndarray:
    """The real values of a kernel with 4-bit weights."""
    packed_bytes = np.asarray(model.buffers[tensor.buffer].data, np.uint8).view(np.int8)
    integers = np.stack([np.left_shift(packed_bytes, 4) >> 4, packed_bytes >> 4], axis=1).ravel()
    axis, shape = tensor.quantization.quantizedDimension, list(tensor.shape)
    along = [-1 if i == axis else 1 for i in range(len(shape))]
    return integers[: np.prod(shape)].reshape(shape) * tensor.quantization.scale.reshape(along)


def test_zeros_and_shared_values_outlive_the_rounding() -> None:
    model, kernels = read_model(source()), {}
    for index, share in ((1, "zeros"), (2, "shared")):
        operator = [o for o in model.subgraphs[0].operators if len(o.inputs) == 3][index]
        tensor = model.subgraphs[0].tensors[operator.inputs[1]]
        values = float_values(model, tensor).copy()
        if share == "zeros":
            values[np.abs(values) < np.median(np.abs(values))] = 0
        else:
            values = (np.sign(values) * np.where(np.abs(values) > values.std(), 0.2, 0.05)).astype("float32")
        tensor.buffer = add_buffer(model, values)
        kernels[share] = (int(operator.inputs[1]), values)
    pruned = write_model(model)
    rows = {"input": table()[0][:128]}
    plain = TECHNIQUES["weight_only"].apply(
        pruned, parse_params("weight_only(bits=4, algorithm=minmax)"), rows
    )
    rounded, skipped = with_rounded_weights(pruned, plain.data, rows, "gptq")
    after = read_model(rounded)
    index, values = kernels["zeros"]
    assert (float_values(after, after.subgraphs[0].tensors[index])[values == 0] == 0).all()
    index, values = kernels["shared"]
    assert np.array_equal(float_values(after, after.subgraphs[0].tensors[index]), values)
    assert [s.reason for s in skipped] == [
        "FULLY_CONNECTED weights are rounded by min-max: its shared values stay shared"
    ]


def parse_params(recipe: str) -> Any:
    return parse_recipe(recipe).steps[-1].params


def test_algorithms_round_differently() -> None:
    files = {packed(f"dynamic(bits=4, algorithm={a})").data for a in ("minmax", "mse", "octav", "gptq")}
    assert len(files) == 4


# Layer by layer.


def formats(recipe: str) -> dict[str, str]:
    return {c.layer: c.format for c in computed(packed(recipe).data) if c.weights is not None}


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("mixed(default=int8, conv_2=int16x8, dense=float32)", ["int8", "int16x8", "float32", "int8"]),
        ("mixed(default=int8, conv_2=dynamic4, digit=weight_only)", ["int8", "dynamic4", "int8", "weight_only"]),
        ("mixed(default=float32, d*=int8)", ["float32", "float32", "int8", "int8"]),
        ("mixed(default=dynamic, conv_?=float16, digit=float32)", ["float16", "float16", "dynamic", "float32"]),
        ("mixed(default=int16x8, conv_*=int8, conv_2=int8x4)", ["int8", "int8x4", "int16x8", "int16x8"]),
    ],
)  # fmt: skip
def test_overrides_take_effect_in_the_file(recipe: str, expected: list[str]) -> None:
    assert list(formats(recipe).values()) == expected
    assert packed(recipe).skipped == ()


def test_an_override_without_effect_is_reported() -> None:
    """A pooling has no weights: weight_only is floats around it, which is what it then does."""
    assert packed("mixed(default=int8, pool=weight_only)").skipped == ()
    depthwise = TECHNIQUES["mixed"].apply(depthwise_file(), TECHNIQUES["mixed"].Params(
        "int8", (("slim", "int8x4"),)), {"input": np.random.default_rng(0).normal(size=(8, 8, 8, 4)).astype("f4")}
    )  # fmt: skip
    assert [s.layer for s in depthwise.skipped] == ["slim"]
    assert "does not support it with 8-bit activations, 4-bit weights" in depthwise.skipped[0].reason


def test_what_has_no_four_bit_kernel_gets_eight_and_is_reported() -> None:
    for name in ("dynamic", "weight_only"):
        done = TECHNIQUES[name].apply(depthwise_file(), TECHNIQUES[name].Params(bits="4"), None)
        assert [c.format for c in computed(done.data) if c.layer == "slim"] == ["weight_only"]
        assert [s.layer for s in done.skipped] == ["slim"]


@functools.cache
def depthwise_file() -> bytes:
    import keras

    layers = [keras.Input((8, 8, 4)), keras.layers.DepthwiseConv2D(3, name="slim"), keras.layers.Flatten(),
              keras.layers.Dense(3, name="answer")]  # fmt: skip
    return float32.apply(keras.Sequential(layers), ["input"], [(8, 8, 4)])


def test_an_unknown_layer_is_named_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"'dence'.*conv_1, conv_2.*Did you mean 'dense'"):
        packed("mixed(default=int8, dence=float32)")


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("mixed(dense=int9)", "dense one of float32 .* but got 'int9'. Did you mean 'int8'"),
        ("mixed(default=int9)", "mixed: default must be one of float32 .* but got 'int9'"),
        ("int8(per_channel=maybe)", "int8: per_channel must be true or false, but got 'maybe'"),
        ("int8(backend=tflite, ranges=mse)", "int8: backend=tflite .* but got ranges=mse"),
        ("dynamic(backend=tflite, bits=4)", "dynamic: backend=tflite .* but got bits=4"),
        ("dynamic(bits=2)", "dynamic: bits must be one of 8 | 4"),
        ("mixed(de nse=int8)", "layers or patterns such as .* but got 'de nse'"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_when_read(recipe: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        parse_recipe(recipe)


def test_overrides_are_keys_of_their_own_and_keep_their_order() -> None:
    text = "mixed(default=int8, conv_*=int16x8, block/conv_2=float32, rows=32)"
    step = parse_recipe(text).tflite_step
    assert step is not None
    assert step.params.overrides == (("conv_*", "int16x8"), ("block/conv_2", "float32"))
    assert step.params.rows == 32
    assert str(step) == text


# TensorFlow's converter.


def test_what_the_converter_leaves_in_float_is_reported() -> None:
    done = packed("dynamic(backend=tflite)")
    assert {s.layer for s in done.skipped} == {"conv_1", "digit"}
    assert all("1,024" in s.reason for s in done.skipped)


def test_without_a_model_the_converter_is_refused() -> None:
    with pytest.raises(ConversionFailed, match="Keras model"):
        TECHNIQUES["float16"].apply(source(), TECHNIQUES["float16"].Params(backend="tflite"), None)


def test_calibration_rows_reach_the_input_of_their_name() -> None:
    """The converter feeds inputs by position; the ranges tell whether it was the model's order."""
    import keras

    wide, narrow = keras.Input((4,), name="zz"), keras.Input((6,), name="aa")
    joined = keras.layers.Concatenate(name="join")(
        [keras.layers.Dense(5)(wide), keras.layers.Dense(5)(narrow)]
    )
    both = keras.Model([wide, narrow], keras.layers.Dense(3, name="last")(joined))
    rng = np.random.default_rng(0)
    rows = {"zz": rng.random((16, 4), np.float32) * 100, "aa": rng.random((16, 6), np.float32)}

    def convert_both(configure: Configure, some: Rows | None) -> bytes:
        return convert_with(both, ["zz", "aa"], [(4,), (6,)], configure=configure, rows=some)

    files: Mapping[str, Callable[[], bytes]] = {
        "litert": lambda: float32.apply(both, ["zz", "aa"], [(4,), (6,)]),
        "tflite": lambda: b"",
    }
    for backend, start in files.items():
        done = TECHNIQUES["int8"].apply(
            start(), TECHNIQUES["int8"].Params(backend=backend), rows, convert_both
        )
        facts = read_tflite(done.data)
        scales = {p.name: facts.subgraphs[0].tensors[p.tensor].quantization.scale[0] for p in facts.inputs}
        assert scales["zz"] == pytest.approx(100 / 255, rel=0.1)
        assert scales["aa"] == pytest.approx(1 / 255, rel=0.1)


# Larger files.


def test_buffers_behind_the_flatbuffer_survive() -> None:
    """litert-quantizer writes files of a megabyte and more with their weights after the flatbuffer."""
    import keras

    rng = np.random.default_rng(0)
    large = keras.Sequential(
        [keras.Input((600,)), keras.layers.Dense(600, name="wide"), keras.layers.Dense(3)]
    )
    data = float32.apply(large, ["input"], [(600,)])
    assert len(data) > 2**20
    rows = {"input": rng.normal(size=(8, 600)).astype("float32")}
    expected = next(iter(Runner(data).run(rows).values()))
    for name in ("weight_only", "dynamic", "int8"):
        done = TECHNIQUES[name].apply(data, TECHNIQUES[name].Params(), rows)
        got = next(iter(Runner(done.data).run(rows).values()))
        assert np.abs(got - expected).max() < 0.1 * np.abs(expected).max()
        assert write_model(read_model(done.data)) == done.data


def test_a_layer_that_is_always_zero_can_be_quantized() -> None:
    """Its range has no width; a scale of nothing is refused by LiteRT's kernels."""
    import keras

    dead = keras.Sequential([
        keras.Input((6,)), keras.layers.Dense(8, activation="relu", bias_initializer=keras.initializers.Constant(-1e3)),
        keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3, bias_initializer="ones"),
    ])  # fmt: skip
    data = float32.apply(dead, ["input"], [(6,)])
    rows = {"input": np.random.default_rng(0).normal(size=(16, 6)).astype("float32")}
    for name in ("int8", "int16x8"):
        done = TECHNIQUES[name].apply(data, TECHNIQUES[name].Params(), rows)
        got = next(iter(Runner(done.data).run(rows).values()))
        assert got == pytest.approx(np.ones_like(got), abs=0.05)


@pytest.mark.parametrize(("then", "width"), [("linear", 40), ("softsign", 1)])
def test_an_exponential_that_nobody_reads_does_not_set_the_ranges(then: str, width: float) -> None:
    """SELU of 60 computes EXP(60) beside what it gives; with that in the range LiteRT ends in memory corruption.

    A division, as softsign has it, is for TensorFlow's quantizer, which gives both ends of some operators one scale.
    """
    import keras

    keras.utils.set_random_seed(1)
    wide = keras.Sequential([
        keras.Input((6,)), keras.layers.Dense(16, activation="relu"), keras.layers.Dense(8, activation="selu"),
        keras.layers.Activation(then), keras.layers.Dense(3),
    ])  # fmt: skip
    rows = {"input": (np.random.default_rng(0).normal(size=(32, 6)) * width).astype("float32")}
    data = float32.apply(wide, ["input"], [(6,)])
    expected = next(iter(Runner(data).run(rows).values()))
    assert expected == pytest.approx(wide.predict(rows["input"], verbose=0), rel=1e-4, abs=1e-3)
    kinds = [c.kind for c in computed(data)]
    assert kinds[kinds.index("EXP") - 1] == "SUB"
    done = TECHNIQUES["int8"].apply(data, TECHNIQUES["int8"].Params(), rows)
    got = next(iter(Runner(done.data).run(rows).values()))
    assert np.abs(got - expected).max() < 0.05 * np.abs(expected).max()


def test_what_runs_inside_a_loop_stays_in_float_and_is_reported() -> None:
    import keras

    loop = keras.Sequential(
        [keras.Input((5, 4)), keras.layers.GRU(6, name="memory"), keras.layers.Dense(3, name="out")]
    )
    data = float32.apply(loop, ["input"], [(5, 4)])
    assert "WHILE" in {c.kind for c in computed(data)}
    rows = {"input": np.random.default_rng(0).normal(size=(16, 5, 4)).astype("float32")}
    done = TECHNIQUES["int8"].apply(data, TECHNIQUES["int8"].Params(), rows)
    assert any("inside a loop" in s.reason for s in done.skipped)
    assert {c.layer: c.format for c in computed(done.data)}["out"] == "int8"
    expected, got = (next(iter(Runner(file).run(rows).values())) for file in (data, done.data))
    assert np.abs(got - expected).max() < 0.05
