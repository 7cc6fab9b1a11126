"""One contract for every technique in the table: a new one is tested by being listed."""

import dataclasses
import functools
import gzip
import hashlib
import lzma
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from support.zeroed import with_zeros

from lwdash.contract import Packed, Training, Treated
from lwdash.errors import RecipeError
from lwdash.measure.runner import Runner
from lwdash.packing.coded_file import decode
from lwdash.parameters import Choice, Flag, Integer, LayerNumbers, Names, Number, Overrides, described
from lwdash.quantize.read_back import computed
from lwdash.recipe import STAGES, Step, make_recipe, parse_recipe
from lwdash.techniques import TECHNIQUES, coded, float32, lut, sparse
from lwdash.tflite.reader import TfliteFacts, read_tflite

SETTINGS = {
    "prune": {"sparsity": 0.6, "epochs": 2, "batch_size": 16},
    "cluster": {"clusters": 5, "epochs": 2, "batch_size": 16},
    "lowbit": {"bits": 2, "epochs": 2, "batch_size": 16},
    "qat": {"epochs": 2, "batch_size": 16, "validate": False},
    "channels": {"ratio": 0.5, "epochs": 2, "batch_size": 16},
    "low_rank": {"energy": 0.4, "epochs": 2, "batch_size": 16},
}
"""What the tests run with, where the defaults would take long or prove little."""


def params_of(name: str, **changed: Any) -> Any:
    return TECHNIQUES[name].Params(**{**SETTINGS.get(name, {}), **changed})


def by_stage(stage: str) -> list[str]:
    return [name for name, technique in TECHNIQUES.items() if stage == technique.STAGE]


RESTRUCTURING = ("channels", "low_rank")
"""Techniques that give the model other layers; what becomes of each is in test_structure.py."""


def curves(layers: ModuleType) -> list[Any]:
    return [
        layers.Conv1D(6, 3, activation="relu", name="conv"),
        layers.BatchNormalization(name="norm"),
        layers.SeparableConv1D(8, 3, activation="relu", name="separable"),
        layers.GlobalAveragePooling1D(name="average"),
        layers.Dense(3, activation="softmax", name="answer"),
    ]


def pictures(layers: ModuleType) -> list[Any]:
    return [
        layers.Conv2D(6, 3, activation="relu", name="conv"),
        layers.DepthwiseConv2D(3, activation="relu", name="depthwise"),
        layers.Flatten(name="flatten"),
        layers.Dense(3, activation="softmax", name="answer"),
    ]


def table(layers: ModuleType) -> list[Any]:
    return [
        layers.Dense(16, activation="relu", name="hidden"),
        layers.Dense(3, activation="softmax", name="answer"),
    ]


SHAPES = {"curves": (12, 1), "pictures": (8, 8, 1), "table": (10,)}
LAYERS: Mapping[str, Callable[[ModuleType], list[Any]]] = {
    "curves": curves,
    "pictures": pictures,
    "table": table,
}
MODELS = list(SHAPES)


@functools.cache
def model_of(kind: str) -> Any:
    """A tf_keras model that is not trained; shared, so tests must leave it as it is."""
    import tf_keras

    tf_keras.utils.set_random_seed(1)
    inputs = tf_keras.Input(SHAPES[kind], name="input")
    outputs = functools.reduce(lambda tensor, layer: layer(tensor), LAYERS[kind](tf_keras.layers), inputs)
    return tf_keras.Model(inputs, outputs, name=kind)


@functools.cache
def rows_of(kind: str) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(64, *SHAPES[kind])).astype("float32")


def training_for(kind: str, *, labels: bool = True, seed: int = 3) -> Training:
    rows = rows_of(kind)
    teacher = model_of(kind).predict(rows, verbose=0)
    return Training(
        inputs=[rows],
        labels=(np.arange(len(rows)) % 3).astype("int64") if labels else None,
        teacher=[teacher],
        task="classification",
        seed=seed,
        progress=lambda doing, share: None,
    )


@functools.cache
def treated_with(name: str, kind: str) -> Treated:
    return TECHNIQUES[name].apply(model_of(kind), params_of(name), training_for(kind))


def exported(kind: str, model: Any) -> bytes:
    return float32.apply(model, ["input"], [SHAPES[kind]])


@functools.cache
def float_file(kind: str) -> bytes:
    return exported(kind, model_of(kind))


@functools.cache
def treated_file(name: str, kind: str) -> bytes:
    """The float .tflite of a treated model."""
    return exported(kind, treated_with(name, kind).model)


def packed_with(name: str, data: bytes, kind: str, **changed: Any) -> Packed:
    return TECHNIQUES[name].apply(data, params_of(name, **changed), {"input": rows_of(kind)})


def weights(facts: TfliteFacts) -> Iterator[tuple[str, np.ndarray]]:
    """The stored kernels of a file: constants of two axes and more that compute with an activation."""
    for operator in facts.operators:
        if operator.type in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            stored = facts.stored(facts.tensor(operator, operator.inputs[1]))
            assert stored is not None
            yield operator.type, stored.values()


def fingerprint(model: Any) -> str:
    digest = hashlib.sha256(model.to_json().encode())
    for values in model.get_weights():
        digest.update(values.tobytes())
    return digest.hexdigest()


# What a module has to have.


@pytest.mark.parametrize("name", TECHNIQUES)
def test_a_technique_says_what_it_is(name: str) -> None:
    technique = TECHNIQUES[name]
    assert name == technique.NAME
    assert name.isidentifier()
    assert technique.STAGE in STAGES
    for words in (technique.LABEL, technique.SUMMARY, technique.TRAP, technique.__doc__):
        assert words.strip()
    assert technique.SUMMARY.endswith(".")
    assert technique.TRAP.endswith(".")
    assert callable(technique.apply)
    assert technique.apply.__doc__ or technique.STAGE != "tflite"
    assert isinstance(technique.NEEDS_ROWS, bool) if technique.STAGE == "tflite" else True
    assert dataclasses.is_dataclass(technique.Params)
    assert technique.Params.__dataclass_params__.frozen


@pytest.mark.parametrize("name", TECHNIQUES)
def test_every_parameter_is_described(name: str) -> None:
    for key, what in described(TECHNIQUES[name].Params).items():
        assert what.label[0].isupper(), key
        assert what.help.endswith("."), key
        assert what.bounds, key


@pytest.mark.parametrize("name", TECHNIQUES)
def test_the_defaults_construct_and_survive_text(name: str) -> None:
    needed = getattr(TECHNIQUES[name], "STORES", ())[:1]
    steps = (
        *(Step(text, TECHNIQUES[text].Params()) for text in needed),
        Step(name, TECHNIQUES[name].Params()),
    )
    assert parse_recipe(str(make_recipe(*steps))).steps == steps


def inside_values(what: Any) -> list[Any]:
    if isinstance(what, Number):
        middle = (what.low + what.high) / 3
        return [middle, *([] if what.low_open else [what.low]), *([] if what.high_open else [what.high])]
    if isinstance(what, Integer):
        return [what.low, what.high]
    if isinstance(what, Choice):
        return list(what.options)
    if isinstance(what, Flag):
        return [True, False]
    if isinstance(what, Overrides):
        return [
            (),
            tuple(("conv_*", word) for word in what.options)[:1],
            (("block/dense?", "int8"), ("out", "float32")),
        ]
    if isinstance(what, LayerNumbers):
        numbers = [round(number, 3) for number in inside_values(what.number)]
        return [(), *((("conv_*", number),) for number in numbers), tuple(zip("ab", numbers, strict=False))]
    assert isinstance(what, Names)
    return [(), ("dense",), ("conv_*", "block/dense?")]


def outside_values(what: Any) -> list[Any]:
    if isinstance(what, Number):
        span = what.high - what.low
        return [what.low if what.low_open else what.low - span / 100,
                what.high if what.high_open else what.high + span / 100]  # fmt: skip
    if isinstance(what, Integer):
        return [what.low - 1, what.high + 1]
    if isinstance(what, Choice):
        return ["no-such-word"]
    if isinstance(what, Flag):
        return [1, "yes"]
    if isinstance(what, Overrides):
        return [(("dense", "no-such-word"),), (("two words", "int8"),)]
    if isinstance(what, LayerNumbers):
        return [
            (("two words", inside_values(what.number)[0]),),
            *((("a", n),) for n in outside_values(what.number)),
        ]
    return [("two words",)]


GOES_WITH: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("prune", "rewind"): {"rounds": 2, "schedule": "constant"},
    ("prune", "mean_sparsity"): {"sparsity": None},
    ("prune", "max_drop"): {"sparsity": None},
}
"""What a parameter needs beside it for all of its values to be taken."""
PARAMETERS = [(name, key) for name, technique in TECHNIQUES.items() for key in described(technique.Params)]


@pytest.mark.parametrize(("name", "key"), PARAMETERS)
def test_a_value_inside_the_bounds_survives_text(name: str, key: str) -> None:
    for value in inside_values(described(TECHNIQUES[name].Params)[key]):
        params = {**GOES_WITH.get((name, key), {}), key: value}
        recipe = make_recipe(Step(name, TECHNIQUES[name].Params(**params)))
        assert parse_recipe(str(recipe)) == recipe
        if not isinstance(value, float):
            assert getattr(recipe.steps[0].params, key) == value


@pytest.mark.parametrize(("name", "key"), PARAMETERS)
def test_a_value_outside_the_bounds_is_refused_by_name(name: str, key: str) -> None:
    what = described(TECHNIQUES[name].Params)[key]
    for value in outside_values(what):
        with pytest.raises(RecipeError, match=rf"^{name}: {key} must ") as caught:
            make_recipe(Step(name, TECHNIQUES[name].Params(**{key: value})))
        assert "but got" in str(caught.value)


# Techniques on Keras models.


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", by_stage("keras"))
def test_the_model_passed_in_is_unchanged(name: str, kind: str) -> None:
    before = fingerprint(model_of(kind))
    treated = treated_with(name, kind).model
    assert fingerprint(model_of(kind)) == before
    assert treated is not model_of(kind)
    if name in RESTRUCTURING:
        return
    assert [w.shape for w in treated.get_weights()] == [w.shape for w in model_of(kind).get_weights()]
    assert [layer.name for layer in treated.layers] == [layer.name for layer in model_of(kind).layers]


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", by_stage("keras"))
def test_the_same_seed_gives_the_same_bytes(name: str) -> None:
    again = TECHNIQUES[name].apply(model_of("curves"), params_of(name), training_for("curves"))
    assert exported("curves", again.model) == treated_file(name, "curves")


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", by_stage("keras"))
def test_another_seed_gives_other_weights(name: str) -> None:
    other = TECHNIQUES[name].apply(model_of("table"), params_of(name), training_for("table", seed=4))
    assert fingerprint(other.model) != fingerprint(treated_with(name, "table").model)


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", by_stage("keras"))
def test_without_labels_the_original_is_the_teacher(name: str) -> None:
    treated = TECHNIQUES[name].apply(model_of("table"), params_of(name), training_for("table", labels=False))
    assert treated.facts["learnt_from"] == "the original model's outputs"
    params = params_of(name, teacher=0.0, epochs=1)
    labelled = TECHNIQUES[name].apply(model_of("table"), params, training_for("table"))
    assert labelled.facts["learnt_from"] == "labels"


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", [name for name in by_stage("keras") if name not in (*RESTRUCTURING, "qat")])
def test_every_layer_with_weights_is_treated_or_skipped_with_a_reason(name: str, kind: str) -> None:
    treated = treated_with(name, kind)
    reported = treated.facts["sparsity" if name == "prune" else "distinct_values"]
    done = {path.rpartition("/")[0] for path in reported}
    skipped = {s.layer.partition("/")[0]: s.reason for s in treated.skipped}
    with_weights = {layer.name for layer in model_of(kind).layers if layer.weights}
    assert done | set(skipped) == with_weights
    assert all(reason.strip() for reason in skipped.values())
    for layer in {"norm", "depthwise", "separable"} & with_weights:
        assert layer in skipped  # wholly, or the depthwise kernel of it


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", [name for name in by_stage("keras") if name != "channels"])
def test_a_layer_can_be_left_alone(name: str) -> None:
    params = params_of(name, skip=("hid*",), epochs=1)
    treated = TECHNIQUES[name].apply(model_of("table"), params, training_for("table"))
    assert [s.layer for s in treated.skipped] == ["hidden"]
    kernel = treated.model.get_layer("hidden").get_weights()[0]
    assert np.count_nonzero(kernel) == kernel.size
    assert len(np.unique(kernel)) > 100


@pytest.mark.tensorflow
def test_only_the_named_layers_are_pruned() -> None:
    training = training_for("table")
    treated = TECHNIQUES["prune"].apply(
        model_of("table"), params_of("prune", only=("hid*",), epochs=1), training
    )
    assert list(treated.facts["sparsity"]) == ["hidden/kernel"]
    assert ("answer", "skipped by the recipe") in [(s.layer, s.reason) for s in treated.skipped]
    with pytest.raises(RecipeError, match="only: no layer is named 'nowhere'"):
        TECHNIQUES["prune"].apply(model_of("table"), params_of("prune", only=("nowhere",)), training)


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", by_stage("keras"))
@pytest.mark.parametrize(
    ("skip", "said"), [(("nowhere",), "nowhere.*hidden, answer"), (("*",), "no layer to treat")]
)
def test_what_cannot_be_chosen_is_said(name: str, skip: tuple[str, ...], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        TECHNIQUES[name].apply(model_of("table"), params_of(name, skip=skip), training_for("table"))


@pytest.mark.tensorflow
def test_a_few_rows_are_enough_for_a_pruning() -> None:
    """TFMOT's own default schedule leaves sparsity 0 in fewer than 100 steps, and says nothing."""
    training = training_for("table")
    few = dataclasses.replace(training, inputs=[training.inputs[0][:8]], labels=training.labels[:8],
                              teacher=[training.teacher[0][:8]])  # fmt: skip
    for schedule in ("polynomial", "constant"):
        params = params_of("prune", sparsity=0.9, epochs=1, batch_size=32, schedule=schedule)
        treated = TECHNIQUES["prune"].apply(model_of("table"), params, few)
        assert min(treated.facts["sparsity"].values()) >= 0.88


@pytest.mark.tensorflow
def test_zeros_survive_clustering() -> None:
    pruned = treated_with("prune", "table").model
    treated = TECHNIQUES["cluster"].apply(pruned, params_of("cluster"), training_for("table"))
    for before, after in zip(pruned.get_weights(), treated.model.get_weights(), strict=True):
        if before.ndim == 2:
            assert not (after[before == 0] != 0).any()
            assert len(np.unique(after)) <= SETTINGS["cluster"]["clusters"]


# Techniques on .tflite files.


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", by_stage("tflite"))
def test_the_packed_file_runs_and_answers_alike(name: str, kind: str) -> None:
    rows = {"input": rows_of(kind)}
    expected = next(iter(Runner(float_file(kind)).run(rows).values()))
    got = next(iter(Runner(packed_with(name, float_file(kind), kind).data).run(rows).values()))
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() < 0.1


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", by_stage("tflite"))
def test_the_same_file_gives_the_same_bytes(name: str) -> None:
    source = bytes(float_file("curves"))
    before = hashlib.sha256(source).hexdigest()
    assert packed_with(name, source, "curves").data == packed_with(name, source, "curves").data
    assert hashlib.sha256(source).hexdigest() == before


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", by_stage("tflite"))
def test_ports_keep_their_names_and_shapes(name: str, kind: str) -> None:
    def ports(data: bytes) -> list[tuple[str, tuple[int, ...]]]:
        facts = read_tflite(data)
        return [(p.name, facts.subgraphs[0].tensors[p.tensor].shape) for p in (*facts.inputs, *facts.outputs)]

    assert ports(packed_with(name, float_file(kind), kind).data) == ports(float_file(kind))


# The claim of each technique, held against the .tflite.


def prune_is_real(kind: str) -> None:
    facts = read_tflite(treated_file("prune", kind))
    shares = [float((values == 0).mean()) for type_, values in weights(facts) if "DEPTHWISE" not in type_]
    assert shares
    assert min(shares) >= SETTINGS["prune"]["sparsity"] - 0.02
    integers = read_tflite(packed_with("int8", treated_file("prune", kind), kind).data)
    for type_, values in weights(integers):
        assert values.dtype == np.int8
        assert "DEPTHWISE" in type_ or (values == 0).mean() >= SETTINGS["prune"]["sparsity"] - 0.02


def cluster_is_real(kind: str) -> None:
    facts = read_tflite(treated_file("cluster", kind))
    counts = [len(np.unique(values)) for type_, values in weights(facts) if "DEPTHWISE" not in type_]
    assert counts
    assert max(counts) <= SETTINGS["cluster"]["clusters"]


def lowbit_is_real(kind: str) -> None:
    """Three values in each channel of the float file, and three integers in each kernel of the int8 file."""
    data = treated_file("lowbit", kind)
    kernels = [values for type_, values in weights(read_tflite(data)) if "DEPTHWISE" not in type_]
    assert kernels
    assert max(len(np.unique(channel)) for values in kernels for channel in values) <= 3
    integers = read_tflite(packed_with("int8", data, kind).data)
    treated = [
        values for type_, values in weights(integers) if "DEPTHWISE" not in type_ and values[0].size > 4
    ]
    assert treated
    for values in treated:
        assert set(np.unique(values)) <= {-127, 0, 127}


def channels_is_real(kind: str) -> None:
    """Half of the channels of every layer but the last; test_structure.py weighs the files."""
    for layer, (before, after) in treated_with("channels", kind).facts["channels"].items():
        assert after == before - int(before * SETTINGS["channels"]["ratio"]), layer
    before, after = (
        list(weights(read_tflite(data))) for data in (float_file(kind), treated_file("channels", kind))
    )
    assert [type_ for type_, _ in after] == [type_ for type_, _ in before]
    assert sum(values.size for _, values in after) <= 0.6 * sum(values.size for _, values in before)


def low_rank_is_real(kind: str) -> None:
    """More operators, with fewer weights in all."""
    before, after = (
        list(weights(read_tflite(data))) for data in (float_file(kind), treated_file("low_rank", kind))
    )
    assert len(after) > len(before)
    assert sum(values.size for _, values in after) < sum(values.size for _, values in before)


def float32_is_real(kind: str) -> None:
    facts = read_tflite(float_file(kind))
    assert {t.dtype for g in facts.subgraphs for t in g.tensors} <= {"float32", "int32"}
    assert all(g.tensors[i].shape[0] == 1 for g in facts.subgraphs for i in (*g.inputs, *g.outputs))
    expected = model_of(kind).predict(rows_of(kind), verbose=0)
    got = next(iter(Runner(float_file(kind)).run({"input": rows_of(kind)}).values()))
    np.testing.assert_allclose(got, expected, atol=1e-5)
    layers = {t.name.partition("/")[0] for g in facts.subgraphs for t in g.tensors}
    assert {layer.name for layer in model_of(kind).layers if "Dense" in type(layer).__name__} <= layers


def float16_is_real(kind: str) -> None:
    data = packed_with("float16", float_file(kind), kind).data
    facts = read_tflite(data)
    kernels = [values for _, values in weights(facts)]
    assert {values.dtype for values in kernels} == {np.dtype("float16")}
    originals = [values for _, values in weights(read_tflite(float_file(kind)))]
    for half, whole in zip(kernels, originals, strict=True):
        np.testing.assert_array_equal(half.ravel(), whole.astype("float16").ravel())


def dynamic_is_real(kind: str) -> None:
    packed = packed_with("dynamic", float_file(kind), kind)
    facts = read_tflite(packed.data)
    left = {s.layer for s in packed.skipped}
    kinds = {values.dtype for _, values in weights(facts)}
    assert np.dtype("int8") in kinds
    assert left or kinds == {np.dtype("int8")}
    borders = {facts.subgraphs[0].tensors[p.tensor].dtype for p in (*facts.inputs, *facts.outputs)}
    assert borders == {"float32"}


def int8_is_real(kind: str) -> None:
    for io, number in (("int8", "int8"), ("uint8", "uint8"), ("float32", "float32")):
        packed = packed_with("int8", float_file(kind), kind, io=io)
        facts = read_tflite(packed.data)
        graph = facts.subgraphs[0]
        borders = [p.tensor for p in (*facts.inputs, *facts.outputs)]
        assert {graph.tensors[i].dtype for i in borders} == {number}
        inner = {t.dtype for t in graph.tensors if t.index not in borders}
        assert inner <= {"int8", "int32"}, f"{io}: {packed.skipped}"
        assert packed.skipped == ()
        assert packed.facts["calibration_rows"] == len(rows_of(kind))


def weight_only_is_real(kind: str) -> None:
    packed = packed_with("weight_only", float_file(kind), kind)
    found = [c for c in computed(packed.data) if c.weights is not None]
    assert packed.skipped == ()
    assert found
    assert {(c.activations, c.weights, c.is_stored_only) for c in found} == {("float32", "int8", True)}


def int16x8_is_real(kind: str) -> None:
    for io in ("int16", "float32"):
        packed = packed_with("int16x8", float_file(kind), kind, io=io)
        facts = read_tflite(packed.data)
        graph = facts.subgraphs[0]
        borders = [p.tensor for p in (*facts.inputs, *facts.outputs)]
        assert {graph.tensors[i].dtype for i in borders} == {io}
        assert packed.skipped == ()
        assert {c.activations for c in computed(packed.data)} == {"int16"}
        assert {c.weights for c in computed(packed.data)} <= {"int8", None}


def mixed_is_real(kind: str) -> None:
    packed = packed_with("mixed", float_file(kind), kind, overrides=(("answer", "float32"),))
    found = {c.layer: c.format for c in computed(packed.data)}
    assert packed.skipped == ()
    assert found.pop("answer") == "float32"
    assert set(found.values()) == {"int8"}


def auto_is_real(kind: str) -> None:
    """The file is that of the recipe that it names, and keeps the limit on changed rows."""
    packed = packed_with("auto", float_file(kind), kind, max_drop=20.0)
    found = packed.facts["auto"]
    step = parse_recipe(found["recipe"]).steps[-1]
    again = TECHNIQUES["mixed"].apply(float_file(kind), step.params, {"input": rows_of(kind)})
    assert again.data == packed.data
    assert len(packed.data) <= len(float_file(kind))
    own = next(a for a in found["attempts"] if a["recipe"] == found["recipe"])
    assert own["size_bytes"] == len(packed.data)
    assert own["changed"] <= 0.2
    assert own["size_bytes"] == min(a["size_bytes"] for a in found["attempts"] if a["changed"] <= 0.2)


def qat_is_real(kind: str) -> None:
    """The claim on accuracy takes trained models; here, that the weights lie on the integers of the file."""
    facts = read_tflite(treated_file("qat", kind))
    integers = read_tflite(packed_with("int8", treated_file("qat", kind), kind).data)
    for (type_, real), (_, whole) in zip(weights(facts), weights(integers), strict=True):
        assert whole.dtype == np.int8
        if type_ == "CONV_2D":
            real, whole = (v.reshape(len(v), -1).astype(float) for v in (real, whole))
            np.testing.assert_allclose(real / abs(real).max(1, keepdims=True) * 127, whole, atol=1e-2)


def sparse_is_real(kind: str) -> None:
    """Zeros are left out of the file, and the kernels read back as they were."""
    dense = with_zeros(float_file(kind), 0.9)
    stored = sparse.apply(dense, params_of("sparse"), lambda data: None)
    facts = read_tflite(stored.data)
    for (_, before), (_, after) in zip(weights(read_tflite(dense)), weights(facts), strict=True):
        np.testing.assert_array_equal(before, after)
    tensors = [tensor for tensor in facts.subgraphs[0].tensors if tensor.is_stored_sparse]
    assert len(tensors) == stored.facts["sparse_tensors"]
    assert (len(tensors) > 0) == (len(stored.data) < len(dense)) == (kind == "pictures")


def lut_is_real(kind: str) -> None:
    """A kernel of few values becomes indices and a table; a small one, or one of many values, stays."""
    integers = packed_with("int8", treated_file("cluster", kind), kind, per_channel=False).data
    stored = lut.apply(integers, params_of("lut"), lambda data: None)
    before, after = read_tflite(integers), read_tflite(stored.data)
    unpacked = [operator for operator in after.operators if operator.type == "TFLM_DECODE"]
    assert len(unpacked) == stored.facts["table_tensors"]
    assert [o.type for o in after.operators if o not in unpacked] == [o.type for o in before.operators]
    assert stored.facts["saved_bytes"] == len(integers) - len(stored.data)
    large = [values for _, values in weights(before) if values.size > 600 and len(np.unique(values)) <= 16]
    assert len(unpacked) >= len(large)


def coded_is_real(kind: str) -> None:
    """The coded file is the smallest, and gives the file back."""
    integers = packed_with("int8", treated_file("cluster", kind), kind).data
    stored = coded.apply(integers, params_of("coded"), lambda data: None)
    assert decode(stored.data) == integers
    assert len(stored.data) < min(len(gzip.compress(integers, 9)), len(lzma.compress(integers, preset=9)))
    parts = stored.facts["coded_weights_bytes"] + stored.facts["coded_structure_bytes"]
    assert abs(parts - len(stored.data)) <= 1


CLAIMS: Mapping[str, Callable[[str], None]] = {
    "qat": qat_is_real,
    "sparse": sparse_is_real,
    "lut": lut_is_real,
    "coded": coded_is_real,
    "weight_only": weight_only_is_real,
    "int16x8": int16x8_is_real,
    "mixed": mixed_is_real,
    "auto": auto_is_real,
    "prune": prune_is_real,
    "cluster": cluster_is_real,
    "lowbit": lowbit_is_real,
    "channels": channels_is_real,
    "low_rank": low_rank_is_real,
    "float32": float32_is_real,
    "float16": float16_is_real,
    "dynamic": dynamic_is_real,
    "int8": int8_is_real,
}


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", TECHNIQUES)
def test_the_claimed_effect_is_real_in_the_file(name: str, kind: str) -> None:
    assert name in CLAIMS, f"say in CLAIMS what {name} does to a file"
    CLAIMS[name](kind)


@pytest.mark.tensorflow
def test_the_calibration_rows_are_limited_as_asked() -> None:
    assert packed_with("int8", float_file("table"), "table", rows=7).facts["calibration_rows"] == 7


@pytest.mark.tensorflow
def test_what_float16_cannot_hold_stays_float32_and_is_reported() -> None:
    """65,504 is its largest number."""
    import tf_keras

    model = tf_keras.models.clone_model(model_of("table"))
    kernel, bias = model_of("table").get_layer("hidden").get_weights()
    kernel = kernel.copy()
    kernel[0, 0] = 1e6
    model.get_layer("hidden").set_weights([kernel, bias])
    packed = packed_with("float16", exported("table", model), "table")
    kinds = [values.dtype.name for _, values in weights(read_tflite(packed.data))]
    assert kinds == ["float32", "float16"]
    assert [s.layer for s in packed.skipped] == ["hidden"]
    assert "65,504" in packed.skipped[0].reason


@pytest.mark.tensorflow
@pytest.mark.parametrize("weight", [0.0, 1e-12, 1e-6], ids=["empty", "almost-empty", "small"])
def test_the_bias_of_a_channel_without_weights_survives_int8(weight: float) -> None:
    """Its weight scale is next to nothing, so that the bias in units of it does not fit into 32 bits."""
    import tf_keras

    model = tf_keras.models.clone_model(model_of("table"))
    kernel, bias = (values.copy() for values in model_of("table").get_layer("hidden").get_weights())
    kernel[:, 3], bias[3] = weight, 2.0
    model.get_layer("hidden").set_weights([kernel, bias])
    answer, zeros = model_of("table").get_layer("answer").get_weights()
    model.get_layer("answer").set_weights([answer, zeros])
    source = exported("table", model)
    rows = {"input": rows_of("table")}
    expected = next(iter(Runner(source).run(rows).values()))
    got = next(iter(Runner(packed_with("int8", source, "table").data).run(rows).values()))
    assert np.abs(got - expected).max() < 0.03
