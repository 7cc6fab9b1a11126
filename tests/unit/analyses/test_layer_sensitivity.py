"""Which layer is to blame, on networks where it is known."""

import numpy as np
import pytest
from support.measure_models import Model

from lwdash.analyses.layer_sensitivity import WORTH_IT_DB, advise, analyse, format_to_try
from lwdash.analyses.sensitivity_result import Kept, Scores
from lwdash.recipe import parse_recipe

WIDTH = 16


def network(*, outlier: float = 1.0) -> bytes:
    """Three dense layers. The middle one multiplies its first input, which the first makes small, by large weights:
    these stretch the grid of every row, and the function is that of `outlier` 1."""
    generator = np.random.default_rng(0)
    model = Model()
    shape = (1, WIDTH)
    flowing = model.tensor("serving_default_x:0", shape, signature=(-1, WIDTH))
    first = flowing
    for name in ("one", "two", "three"):
        kernel = generator.normal(0, 0.3, (WIDTH, WIDTH)).astype(np.float32)
        if name == "one":
            kernel[0] /= outlier
        if name == "two":
            kernel[:, 0] *= outlier
        w = model.tensor(f"{name}/MatMul", kernel.shape, data=kernel)
        b = model.tensor(f"{name}/BiasAdd", (WIDTH,), data=np.zeros(WIDTH, np.float32))
        y = model.tensor(f"{name}/out", shape, signature=(-1, WIDTH))
        model.operator(
            "FULLY_CONNECTED", [flowing, w, b], [y], table="FullyConnectedOptions", keepNumDims=False
        )
        flowing = y
    return model.build([first], [flowing], signature=True)


def rows(count: int) -> dict[str, np.ndarray]:
    return {"serving_default_x:0": np.random.default_rng(1).normal(size=(count, WIDTH)).astype(np.float32)}


@pytest.fixture(scope="module")
def found():
    """The middle layer's weights in one column are sixty times as large as the others."""
    said = []
    found = analyse(
        network(outlier=60.0), parse_recipe("int8"),
        rows(60), None, task="regression", cores=2, progress=lambda doing, share: said.append(share),
    )  # fmt: skip
    assert said == sorted(said)
    return found


def test_the_spoilt_layer_is_found(found) -> None:
    assert [layer.layer for layer in found.layers] == ["one", "two", "three"]
    gains = {layer.layer: layer.gain_db for layer in found.layers}
    assert max(gains, key=lambda name: gains[name]) == "two"
    alone = {layer.layer: layer.alone.sqnr_db for layer in found.layers}
    assert min(alone, key=lambda name: alone[name]) == "two"
    assert alone["two"] < alone["three"] - 6
    assert [layer.parameters for layer in found.layers] == [WIDTH * WIDTH] * 3
    assert (found.rows, found.range_rows, found.measure, found.float_value) == (60, 60, None, None)


def test_one_layer_out_is_what_the_files_say(found) -> None:
    """Everything but one layer lies between everything and that layer's share of the noise."""
    everything = found.everything.sqnr_db
    for layer in found.layers:
        assert layer.without.sqnr_db > everything - 1.0
        assert layer.gain_db == pytest.approx(layer.without.sqnr_db - everything)
        assert layer.reason is None


def test_the_advice_is_a_recipe_that_was_measured(found) -> None:
    kept = next(k for k in found.kept if k.recipe == found.advice)
    assert kept.layers == ("two",)
    assert kept.figure.sqnr_db >= found.everything.sqnr_db + WORTH_IT_DB
    recipe = parse_recipe(found.advice)
    assert str(recipe) == found.advice
    assert dict(recipe.steps[-1].params.overrides)["two"] in ("int16x8", "float32")
    assert kept.size_bytes > found.everything_bytes
    found.to_dict()


def test_classes_are_counted_where_there_are_labels() -> None:
    data, inputs = network(), rows(40)
    labels = np.random.default_rng(2).integers(0, WIDTH, 40)
    labelled = analyse(data, parse_recipe("dynamic"), inputs, labels, task="classification")
    unlabelled = analyse(data, parse_recipe("dynamic"), inputs, None, task="classification")
    assert (labelled.measure, labelled.format) == ("accuracy", "dynamic")
    assert unlabelled.measure == "agreement"
    assert unlabelled.float_value == 1.0
    assert labelled.float_value < 0.5
    assert unlabelled.everything.value >= 0.9


def test_large_models_are_measured_on_fewer_rows() -> None:
    found = analyse(network(), parse_recipe("int8"), rows(200), None, task="regression", seconds=0.0)
    assert found.rows == 16


def test_earlier_steps_stay_in_the_advice_and_qat_takes_none() -> None:
    pruned = analyse(
        network(outlier=60.0), parse_recipe("prune(sparsity=0.5) + int8"), rows(40), None, task="regression"
    )
    assert pruned.kept
    assert all(k.recipe.startswith("prune(sparsity=0.5) + mixed(") for k in pruned.kept)
    trained = analyse(network(), parse_recipe("qat"), rows(40), None, task="regression")
    assert (trained.kept, trained.advice) == ((), None)


@pytest.mark.parametrize(
    ("recipe", "format"),
    [("float32", "int8"), ("float16", "int8"), ("int8", "int8"), ("int16x8", "int16x8"), ("qat", "int8"),
     ("dynamic", "dynamic"), ("dynamic(bits=4)", "dynamic4"), ("weight_only(bits=4)", "weight_only4"),
     ("mixed(default=int8x4)", "int8x4"), ("mixed(default=float32, d*=int8)", "int8"), ("prune", "int8")],
)  # fmt: skip
def test_the_format_is_the_recipes_own(recipe: str, format: str) -> None:
    assert format_to_try(parse_recipe(recipe)) == format


def kept(decibels: float | None, layers: int, format: str, size: int = 100) -> Kept:
    names = tuple(f"l{i}" for i in range(layers))
    return Kept(f"{format} {layers}", names, format, Scores(decibels, None), size)


def test_advice_keeps_few_layers_and_the_smaller_format() -> None:
    everything = Scores(20.0, None)
    assert advise(everything, ()) is None
    assert advise(everything, [kept(21.0, 1, "float32")]) is None, "not worth it"
    some = [kept(26.0, 1, "float32"), kept(26.5, 2, "float32"), kept(30.0, 3, "float32")]
    assert advise(everything, some[:2]) == "float32 1", "half a dB does not pay for a layer"
    assert advise(everything, some) == "float32 3", "two more layers gain four"
    with_int16 = [kept(25.5, 1, "int16x8", 90), *some[:1]]
    assert advise(everything, with_int16) == "int16x8 1"
    assert advise(everything, [kept(22.5, 1, "int16x8", 90), *some[:1]]) == "float32 1"
    assert advise(Scores(None, None), some) is None, "nothing was lost"


def test_a_layer_without_a_form_names_the_quantizer_that_has_none() -> None:
    """The run's own file may come from another quantizer, which has the form."""
    model = Model()
    x, y = model.tensor("x", (1, WIDTH)), model.tensor("step/out", (1, WIDTH))
    most, z = model.tensor("most/out", (1,)), model.tensor("last/out", (1, WIDTH))
    model.operator("CEIL", [x], [y])
    axis = model.tensor("axis", (1,), dtype="int32", data=np.array([1], np.int32))
    model.operator("REDUCE_MAX", [y, axis], [most], table="ReducerOptions")
    model.operator("ADD", [y, most], [z], table="AddOptions")
    data = model.build([x], [z], signature=True)
    inputs = {"x": rows(40)["serving_default_x:0"]}
    found = analyse(data, parse_recipe("int8"), inputs, None, task="regression")
    reasons = {layer.layer: layer.reason for layer in found.layers}
    assert reasons == {
        "step": "CEIL: litert-quantizer, which makes the files of this analysis, has no int8 form",
        "most": None,
        "last": None,
    }
