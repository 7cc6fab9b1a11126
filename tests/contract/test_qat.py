"""Quantization-aware training: what pruning and clustering made is still there, on the integers of the .tflite."""

import dataclasses
import functools
import importlib
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lwdash.contract import Training, Treated
from lwdash.errors import RecipeError
from lwdash.keras_models.ports import leaf_layers
from lwdash.quantize.number_formats import LayerFormats
from lwdash.quantize.read_back import float_operators
from lwdash.quantize.structure_audit import AuditedKernel, audit, lost_structure
from lwdash.recipe import parse_recipe, training_recipe
from lwdash.techniques import TECHNIQUES, float32, int8, qat
from lwdash.tflite.flatbuffer import read_model
from lwdash.tflite.reader import read_tflite
from lwdash.training.kernels import kernels_of

pytestmark = pytest.mark.tensorflow

SPARSITY, CLUSTERS = 0.6, 6
INT8 = 9
"""TensorType of a .tflite."""


def curves(layers: ModuleType) -> list[Any]:
    return [
        layers.Conv1D(8, 3, use_bias=False, name="conv"),
        layers.BatchNormalization(name="norm"),
        layers.ReLU(name="relu"),
        layers.MaxPooling1D(2, name="pool"),
        layers.SeparableConv1D(10, 3, padding="same", name="separable"),
        layers.BatchNormalization(name="late_norm"),
        layers.GlobalAveragePooling1D(name="average"),
        layers.Dense(3, activation="softmax", name="answer"),
    ]


def pictures(layers: ModuleType) -> list[Any]:
    return [
        layers.Rescaling(0.5, name="scale"),
        layers.Conv2D(6, 3, activation="relu", name="conv"),
        layers.DepthwiseConv2D(3, name="depthwise"),
        layers.Conv2DTranspose(5, 3, activation="relu", name="transpose"),
        layers.Flatten(name="flatten"),
        layers.Dense(3, activation="softmax", name="answer"),
    ]


def table(layers: ModuleType) -> list[Any]:
    import tf_keras

    inner = tf_keras.Sequential(
        [
            tf_keras.Input((10,)),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.Dense(12, name="linear"),
        ],
        name="body",
    )
    return [inner, layers.ReLU(name="relu"), layers.Dense(3, activation="softmax", name="answer")]


SHAPES = {"curves": (20, 2), "pictures": (8, 8, 1), "table": (10,)}
LAYERS = {"curves": curves, "pictures": pictures, "table": table}
FORMS = {(): "QAT", ("prune",): "PQAT", ("cluster",): "CQAT", ("prune", "cluster"): "PCQAT"}


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
    return np.random.default_rng(2).normal(size=(96, *SHAPES[kind])).astype("float32")


def training_for(kind: str) -> Training:
    rows = rows_of(kind)
    labels = (rows.reshape(len(rows), -1)[:, :3].argmax(axis=1)).astype("int64")
    teacher = model_of(kind).predict(rows, verbose=0)
    return Training([rows], labels, [teacher], "classification", 3, lambda doing, share: None)


def applied(name: str, model: Any, kind: str, **changed: Any) -> Treated:
    params = TECHNIQUES[name].Params(epochs=2, batch_size=16, **changed)
    return TECHNIQUES[name].apply(model, params, training_for(kind))


@functools.cache
def structured(kind: str, steps: tuple[str, ...]) -> Any:
    model = model_of(kind)
    for name in steps:
        changed = {"sparsity": SPARSITY} if name == "prune" else {"clusters": CLUSTERS}
        model = applied(name, model, kind, **changed).model
    return model


@functools.cache
def trained(kind: str, steps: tuple[str, ...]) -> Treated:
    return applied("qat", structured(kind, steps), kind)


@functools.cache
def integers(kind: str, steps: tuple[str, ...]) -> bytes:
    return exported(trained(kind, steps).model, kind)


def exported(model: Any, kind: str) -> bytes:
    source = float32.apply(model, ["input"], [SHAPES[kind]])
    return int8.apply(source, int8.Params(), {"input": rows_of(kind)}).data


def kernels(model: Any) -> dict[str, np.ndarray]:
    return {
        f"{path}:{i}": values
        for path, layer in leaf_layers(model)
        for i, values in enumerate(layer.get_weights())
        if values.ndim > 1
    }


ALL_STEPS = ("prune", "cluster")


@pytest.mark.parametrize(
    ("kind", "steps"),
    [*(("curves", steps) for steps in FORMS), ("pictures", ALL_STEPS), ("table", ALL_STEPS)],
)
def test_structure_made_before_survives_in_the_integers(kind: str, steps: tuple[str, ...]) -> None:
    treated = trained(kind, steps)
    assert treated.facts["form"] == FORMS[steps]
    findings = audit(kernels(structured(kind, steps)), integers(kind, steps))
    assert bool(findings) == bool(steps)
    for finding in findings:
        assert finding.is_found, finding.kernel
        if "prune" in steps:
            assert finding.zeros_kept is not None
            assert finding.zeros_kept >= 0.95
        if "cluster" in steps:
            assert finding.distinct <= CLUSTERS
            assert finding.distinct_in_channel is not None
            assert finding.distinct_in_channel <= finding.distinct
    assert lost_structure(findings) == ()


@pytest.mark.parametrize("kind", SHAPES)
def test_the_file_is_integer_throughout(kind: str) -> None:
    assert float_operators(integers(kind, ()), "") == ()


@pytest.mark.parametrize("kind", SHAPES)
def test_the_trained_network_has_the_structure_it_had(kind: str) -> None:
    model, treated = model_of(kind), trained(kind, ()).model
    assert [path for path, _ in leaf_layers(treated)] == [path for path, _ in leaf_layers(model)]
    assert [w.shape for w in treated.get_weights()] == [w.shape for w in model.get_weights()]


def test_training_moved_the_weights_onto_a_grid_of_8_bits() -> None:
    """Each channel of a convolution holds whole multiples of its largest weight / 127."""
    treated = applied("qat", model_of("curves"), "curves", validate=False)
    kernel = treated.model.get_layer("conv").get_weights()[0]
    assert not np.allclose(kernel, model_of("curves").get_layer("conv").get_weights()[0], atol=1e-4)
    steps = kernel / np.abs(kernel).max(axis=(0, 1)) * 127
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-2)


@pytest.mark.parametrize("kind", ["curves", "table"])
def test_the_same_seed_gives_the_same_bytes_and_the_model_passed_in_is_unchanged(kind: str) -> None:
    model = structured(kind, ALL_STEPS)
    before, config = model.get_weights(), model.to_json()
    again = applied("qat", model, kind)
    assert exported(again.model, kind) == integers(kind, ALL_STEPS)
    assert model.to_json() == config
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_layer_can_be_left_alone() -> None:
    treated = applied("qat", model_of("curves"), "curves", skip=("conv",), validate=False)
    assert [(s.layer, s.reason) for s in treated.skipped] == [("conv", "skipped by the recipe")]
    assert "conv/kernel" not in treated.facts["weight_bits"]
    kernel = treated.model.get_layer("conv").get_weights()[0]
    assert not np.array_equal(kernel, model_of("curves").get_layer("conv").get_weights()[0])
    assert distance_from_grid(kernel, 127) > 0.01


def distance_from_grid(kernel: np.ndarray, largest: int) -> float:
    """The largest distance of a weight from a whole multiple of its channel's largest weight / `largest`, in steps."""
    channels = kernel.reshape(-1, kernel.shape[-1])
    steps = channels / np.abs(channels).max(axis=0) * largest
    return float(np.abs(steps - np.round(steps)).max())


def test_zeros_of_a_layer_left_alone_stay_too() -> None:
    pruned = structured("table", ("prune",))
    treated = applied("qat", pruned, "table", skip=("body/hidden",))
    before, after = (kernels(m)["body/hidden:0"] for m in (pruned, treated.model))
    assert (after[before == 0] == 0).all()
    assert not np.array_equal(after, before)


def odd_layers(layers: Any, rows: Any) -> Any:
    """Layers that TFMOT refuses: recurrent ones, both ways too, attention, transposed convolutions."""
    x = layers.Conv1DTranspose(6, 3, activation="elu", name="transpose")(rows)
    x = layers.Bidirectional(layers.LSTM(5, return_sequences=True), name="both")(x)
    x = layers.LayerNormalization(name="norm")(
        layers.Add()([x, layers.MultiHeadAttention(2, 4, name="attention")(x, x)])
    )
    x = layers.GRU(7, name="gru")(x)
    return layers.Dense(3, activation="softmax", name="answer")(x)


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_layers_that_tfmot_refuses_are_trained_in_both_kerases(library: str) -> None:
    keras = importlib.import_module(library)
    keras.utils.set_random_seed(3)
    inputs = keras.Input(SHAPES["curves"], name="input")
    model = keras.Model(inputs, odd_layers(keras.layers, inputs))
    before = model.get_weights()
    treated = applied("qat", model, "curves", validate=False)
    assert treated.skipped == ()
    done = {path.partition("/")[0] for path in treated.facts["weight_bits"]}
    assert done == {"transpose", "both", "attention", "gru", "answer"}
    mixed = parse_recipe("qat + mixed(default=int8)").keras_steps[0].formats
    for_mixed = TECHNIQUES["qat"].apply(
        model,
        TECHNIQUES["qat"].Params(epochs=1, batch_size=16, validate=False),
        training_for("curves"),
        mixed,
    )
    rounded = {path.partition("/")[0] for path in for_mixed.facts["weight_bits"]}
    assert rounded == done - {"both", "gru"}, "a mixed file has recurrent layers in floats"
    for kernel in ("kernel", "recurrent_kernel"):
        path = next(
            p for p in treated.facts["weight_bits"] if p.startswith("gru/") and p.endswith(f"/{kernel}")
        )
        assert distance_from_grid(all_kernels(treated.model)[path].values, 127) < 1e-2
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def all_kernels(model: Any) -> dict[str, Any]:
    return {k.path: k for path, layer in leaf_layers(model) for k in kernels_of(path, layer)}


def for_formats(kind: str, formats: LayerFormats, **changed: Any) -> Treated:
    params = TECHNIQUES["qat"].Params(epochs=2, batch_size=16, **changed)
    return TECHNIQUES["qat"].apply(model_of(kind), params, training_for(kind), formats)


def test_four_bits_are_trained_as_four_bits_and_the_file_has_the_same_integers() -> None:
    """Depthwise kernels have 8 bits, as in the file."""
    treated = for_formats("curves", LayerFormats("int8x4"), validate=False)
    bits = treated.facts["weight_bits"]
    assert {p for p, n in bits.items() if n == 8} == {"separable/depthwise_kernel"}
    assert bits["conv/kernel"] == bits["answer/kernel"] == 4
    conv = treated.model.get_layer("conv").get_weights()[0]
    assert distance_from_grid(conv, 7) < 1e-3
    source = float32.apply(treated.model, ["input"], [SHAPES["curves"]])
    file = read_tflite(int8.apply(source, int8.Params(bits="4"), {"input": rows_of("curves")}).data)
    stored = next(w for name, w in integers_of(file) if w.size == conv.size and "conv" in name)
    wanted = np.round(conv / np.abs(conv).max(axis=(0, 1)) * 7)
    np.testing.assert_array_equal(stored.reshape(8, -1), wanted.reshape(-1, 8).T)


def integers_of(file: Any) -> list[tuple[str, np.ndarray]]:
    graph = file.subgraphs[0]
    return [(t.name, t.values()) for t in graph.tensors if t.is_constant]


def test_each_layer_is_trained_with_the_bits_of_the_mixed_recipe() -> None:
    step = parse_recipe("qat + mixed(default=int8, hid*=int8x4, answer=float32)").keras_steps[0]
    treated = for_formats("table", step.formats, validate=False)
    assert treated.facts["weight_bits"] == {"body/hidden/kernel": 4, "body/linear/kernel": 8}
    assert [s.layer for s in treated.skipped] == ["answer/kernel"]
    kernels = all_kernels(treated.model)
    assert distance_from_grid(kernels["body/hidden/kernel"].values, 7) < 1e-3
    assert distance_from_grid(kernels["body/linear/kernel"].values, 127) < 1e-2


def test_one_scale_for_a_kernel_is_trained_as_one_scale() -> None:
    step = parse_recipe("qat + int8(bits=4, per_channel=false)").keras_steps[0]
    treated = for_formats("table", step.formats, validate=False)
    assert all(len(np.unique(kernel.values)) <= 15 for kernel in all_kernels(treated.model).values())


@pytest.mark.parametrize(("library", "activation"), [("keras", "tanh"), ("tf_keras", "relu")])
def test_an_lstm_that_becomes_a_loop_has_a_scale_a_channel_as_in_its_file(
    library: str, activation: str
) -> None:
    keras = importlib.import_module(library)
    inputs = keras.Input((6, 4), name="input")
    layer = keras.layers.LSTM(5, activation=activation)
    model = keras.Model(inputs, layer(inputs))
    rows = {"input": np.random.default_rng(0).normal(size=(32, 6, 4)).astype("float32")}
    packed = int8.apply_with_loops(float32.apply(model, ["input"], [(6, 4)]), int8.Params(), rows)
    kernels = [tensor for tensor in read_model(packed.data).subgraphs[-1].tensors if tensor.type == INT8]
    in_file = {len(t.quantization.scale) for t in kernels if list(t.shape) in ([20, 4], [20, 5])}
    assert in_file == {20}
    assert qat._scales(layer, 8, qat.EIGHT_BITS) is None, "one a channel"
    fused = importlib.import_module("tf_keras").layers.LSTM(5)
    assert qat._scales(fused, 8, qat.EIGHT_BITS) == 4


def test_weights_that_are_no_better_for_the_training_stay_those_of_the_model() -> None:
    """So the export chooses the integers as it would without the training."""
    treated = for_formats("curves", LayerFormats("int8x4"), learning_rate=0.9)
    assert treated.facts["kept_epoch"] == 0
    for one, other in zip(model_of("curves").get_weights(), treated.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_activation_ranges_are_those_of_the_rows_before_the_training_starts() -> None:
    """TFMOT starts at ±6: a network with activations in the hundreds could not even begin to learn."""
    import tf_keras

    loud = tf_keras.models.clone_model(model_of("table"))
    loud.set_weights([w * (40 if w.shape == (16, 12) else 1) for w in model_of("table").get_weights()])
    training = training_for("table")
    wanted = loud.predict(rows_of("table"), verbose=0)
    taught = dataclasses.replace(training, labels=None, teacher=[wanted])
    params = TECHNIQUES["qat"].Params(epochs=1, batch_size=32, learning_rate=1e-6)
    treated = TECHNIQUES["qat"].apply(loud, params, taught)
    assert treated.facts["loss"] < 0.05


# The recipe.


def test_qat_implies_int8_and_int8_chooses_how() -> None:
    alone = parse_recipe("prune(sparsity=0.5) + qat")
    assert str(alone) == "prune(sparsity=0.5) + qat"
    assert alone.tflite_step is not None
    assert str(alone.tflite_step) == "int8"
    assert str(parse_recipe("qat + int8(io=float32)").tflite_step) == "int8(io=float32)"
    assert alone.keras_steps[1].formats == LayerFormats("int8")


def test_other_formats_are_other_work_and_steps_without_formats_are_not() -> None:
    four, eight = (parse_recipe(f"prune + qat + int8(bits={bits})").keras_steps for bits in (4, 8))
    assert four[0].to_dict() == eight[0].to_dict()
    assert four[1].to_dict() != eight[1].to_dict()
    assert str(four[1]) == str(eight[1]) == "qat"


@pytest.mark.parametrize("format", ["float32", "float16", "dynamic"])
def test_another_number_format_after_qat_is_refused(format: str) -> None:
    with pytest.raises(RecipeError, match=rf"qat trains for int8 and {format} would undo it; write qat"):
        parse_recipe(f"cluster(clusters=8) + qat + {format}")


@pytest.mark.parametrize(
    "text",
    [
        "prune",
        "qat",
        "prune + qat + int8(bits=4, per_channel=false)",
        "qat + mixed(default=int8x4, dense_*=int16x8, conv=int8)",
    ],
)
def test_another_process_is_given_the_formats_to_train_for(text: str) -> None:
    steps = parse_recipe(text).keras_steps
    assert parse_recipe(str(training_recipe(steps))).keras_steps == steps


def test_qat_comes_last() -> None:
    with pytest.raises(RecipeError, match=r"write prune \+ qat"):
        parse_recipe("qat + prune")


# The audit.


def stored(values: np.ndarray) -> bytes:
    import tf_keras

    layer = tf_keras.layers.Dense(values.shape[1], use_bias=False, name="dense")
    model = tf_keras.Sequential([tf_keras.Input((values.shape[0],), name="input"), layer])
    layer.set_weights([values])
    return float32.apply(model, ["input"], [(values.shape[0],)])


def test_the_audit_counts_what_was_lost() -> None:
    chance = np.random.default_rng(0)
    before = chance.choice([0.0, 0.5, -0.25, 1.0], size=(16, 8)).astype("float32")
    after = before.copy()
    places = np.argwhere(before == 0)[: int(0.5 * (before == 0).sum())]
    after[tuple(places.T)] = 0.01 + 0.001 * np.arange(len(places))
    (finding,) = audit({"dense:0": before}, stored(after))
    assert finding.zeros == (before == 0).sum()
    assert finding.zeros_kept == pytest.approx(0.5, abs=0.03)
    assert finding.distinct_in_channel is not None
    assert finding.distinct_in_channel > finding.distinct == 4
    (left,) = lost_structure([finding])
    assert left.layer == "dense"
    assert "zeros from pruning" in left.reason
    assert "the 4 shared values" in left.reason


def test_the_audit_counts_shared_values_in_the_kernel_and_in_its_channels() -> None:
    """Five outputs: along the inputs every slice has five values at most, which says nothing of the clustering."""
    chance = np.random.default_rng(1)
    values = np.repeat([0.5, -0.25, 1.0, 0.75, -1.0, 0.1, -0.6, 0.3], 3)
    before = np.stack([chance.permutation(values) for _ in range(5)], axis=1).astype("float32")
    scaled = before * np.array(
        [1, 1.13, 1.31, 1.73, 1.97], "float32"
    )  # as folding a batch normalization does
    (finding,) = audit({"dense:0": before}, stored(scaled))
    assert (finding.distinct, finding.distinct_stored, finding.distinct_in_channel) == (8, 40, 8)
    assert lost_structure([finding]) == ()
    noisy = before + chance.normal(0, 0.01, before.shape).astype("float32")
    (finding,) = audit({"dense:0": before}, stored(noisy))
    assert (finding.distinct_stored, finding.distinct_in_channel) == (120, 24)
    assert lost_structure([finding])


def test_the_audit_says_when_it_cannot_find_a_kernel() -> None:
    chance = np.random.default_rng(0)
    one, other = (chance.choice([0.0, 0.5, -0.25], size=(16, 8)).astype("float32") for _ in range(2))
    assert audit({"dense:0": one}, stored(other)) == (AuditedKernel("dense:0", False),)
    assert "not recognized" in lost_structure([AuditedKernel("dense:0", False)])[0].reason


def test_a_kernel_without_structure_is_not_audited() -> None:
    kernel = np.random.default_rng(0).normal(size=(16, 8)).astype("float32")
    assert audit({"dense:0": kernel}, stored(kernel)) == ()
