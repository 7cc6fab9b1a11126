"""Quantization-aware training: what pruning and clustering made is still there, on the integers of the .tflite."""

import dataclasses
import functools
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lwdash.contract import Training, Treated
from lwdash.errors import BridgeRefused, RecipeError
from lwdash.keras_models.ports import leaf_layers
from lwdash.quantize.read_back import float_operators
from lwdash.quantize.structure_audit import AuditedKernel, audit, lost_structure
from lwdash.recipe import parse_recipe
from lwdash.techniques import TECHNIQUES, float32, int8

pytestmark = pytest.mark.tensorflow

SPARSITY, CLUSTERS = 0.6, 6


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
    kernel = trained("curves", ()).model.get_layer("conv").get_weights()[0]
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


def test_what_is_not_emulated_is_listed_with_the_reason() -> None:
    assert trained("curves", ()).skipped == ()
    assert [s.layer for s in trained("pictures", ()).skipped] == ["scale"]
    assert "Rescaling" in trained("pictures", ()).skipped[0].reason


def test_an_operation_between_layers_is_called_so() -> None:
    import tf_keras

    from lwdash.training.fake_quantization import reasons

    inputs = tf_keras.Input((4,))
    x = tf_keras.layers.Dense(4, name="dense")(inputs)
    model = tf_keras.Model(inputs, x + inputs)
    assert [reason for reason in reasons(model, ()).values() if reason] == ["it is an operation, not a layer"]


def test_a_layer_can_be_left_alone_and_its_normalization_with_it() -> None:
    treated = applied("qat", model_of("curves"), "curves", skip=("conv",))
    reasons = {s.layer: s.reason for s in treated.skipped}
    assert set(reasons) == {"conv", "norm"}
    assert "skipped by the recipe" in reasons["conv"]
    assert "'conv' before it is skipped" in reasons["norm"]


def test_zeros_of_a_layer_left_alone_stay_too() -> None:
    pruned = structured("table", ("prune",))
    treated = applied("qat", pruned, "table", skip=("body/hidden",))
    before, after = (kernels(m)["body/hidden:0"] for m in (pruned, treated.model))
    assert (after[before == 0] == 0).all()
    assert not np.array_equal(after, before)


def test_a_normalization_after_an_activation_is_listed() -> None:
    import tf_keras

    layers = tf_keras.layers
    model = tf_keras.Sequential(
        [
            tf_keras.Input((20, 2), name="input"),
            layers.Conv1D(4, 3, activation="relu", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(name="flatten"),
            layers.Dense(3, activation="softmax", name="answer"),
        ]
    )
    treated = applied("qat", model, "curves")
    assert [s.layer for s in treated.skipped] == ["norm"]
    assert "'relu'" in treated.skipped[0].reason


def test_an_activation_that_tfmot_does_not_know_stays_in_float_and_what_follows_is_trained() -> None:
    import tf_keras

    layers = tf_keras.layers
    model = tf_keras.Sequential(
        [
            tf_keras.Input((20, 2), name="input"),
            layers.Flatten(name="flatten"),
            layers.Dense(6, activation="elu", name="bent"),
            layers.Dense(5, name="straight"),
            layers.Activation("softplus", name="soft"),
            layers.Dense(3, activation="softmax", name="answer"),
        ]
    )
    treated = applied("qat", model, "curves")
    reasons = {s.layer: s.reason for s in treated.skipped}
    assert set(reasons) == {"bent", "soft"}
    assert "'elu'" in reasons["bent"]
    assert "'softplus'" in reasons["soft"]
    assert set(treated.facts["distinct_values"]) == {"straight/kernel", "answer/kernel"}


def test_a_keras_3_model_is_refused_with_the_way_out() -> None:
    import keras

    model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(3)])
    with pytest.raises(BridgeRefused, match=r"no Keras 2 twin.*int8"):
        applied("qat", model, "table")


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


@pytest.mark.parametrize("format", ["float32", "float16", "dynamic"])
def test_another_number_format_after_qat_is_refused(format: str) -> None:
    with pytest.raises(RecipeError, match=rf"qat trains for int8 and {format} would undo it; write qat"):
        parse_recipe(f"cluster(clusters=8) + qat + {format}")


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
