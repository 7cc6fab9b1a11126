"""The bridge gives every Keras 3 model a Keras 2 twin that computes the same, or refuses with the reason."""

# ruff: noqa: F811 - pytest takes a fixture by the name of a parameter, here the imported `zoo`

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.zoo import KERAS_3_ONLY, Zoo, parameters, random_inputs, zoo  # noqa: F401

from lwdash.errors import BridgeRefused
from lwdash.keras_models.bridge import graph, operations
from lwdash.keras_models.bridge.flatten import flatten_model
from lwdash.keras_models.bridge.model import to_tf_keras
from lwdash.keras_models.bridge.transfer import ALIKE, can_transfer
from lwdash.keras_models.inspection import inspect_model
from lwdash.keras_models.load import load_model

pytestmark = pytest.mark.tensorflow

NAMED_DIFFERENTLY = frozenset({"odd_names"})


def outputs(model: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    import keras

    names = [tensor.name.split(":")[0] for tensor in model.inputs]
    given: Any = dict(zip(names, inputs, strict=True)) if "zebra" in names else inputs
    given = inputs[0] if len(inputs) == 1 else given
    return [np.asarray(value, "float32") for value in keras.tree.flatten(model(given, training=False))]


def is_leaf_with_weights(layer: Any) -> bool:
    return bool(layer.weights) and not getattr(layer, "layers", None)


@pytest.mark.parametrize("name", [*parameters(), *KERAS_3_ONLY])
def test_the_twin_computes_the_same_and_keeps_the_names(zoo: Zoo, name: str) -> None:
    import tf_keras

    model = zoo.model("keras", name)
    bridged = to_tf_keras(model)
    assert isinstance(bridged.model, tf_keras.Model)
    inputs = random_inputs(model)
    tolerance = 1e-2 if name == "mixed_precision" else 2e-4
    for ours, theirs in zip(outputs(bridged.model, inputs), outputs(model, inputs), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    assert (
        can_transfer(bridged.model, model)
        or not {
            type(layer).__name__
            for layer in model._flatten_layers(include_self=False)
            if is_leaf_with_weights(layer)
        }
        <= ALIKE
    )
    if name not in NAMED_DIFFERENTLY:
        twin_names = {layer.name for layer in bridged.model.layers}
        assert {layer.name for layer in model.layers} - twin_names == set()


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
@pytest.mark.parametrize("name", ["nested", "nested_twice", "shared_layers"])
def test_flattening_dissolves_nested_models_and_names_layers_by_path(
    zoo: Zoo, library: str, name: str
) -> None:
    model = zoo.model(library, name)
    facts = inspect_model(zoo.file(library, name))
    flat = flatten_model(to_tf_keras(model).model)
    assert not any(hasattr(layer, "layers") for layer in flat.layers)
    assert {layer.path for layer in facts.layers if layer.parameters} <= {layer.name for layer in flat.layers}
    assert flat.count_params() == model.count_params()
    inputs = random_inputs(model)
    for ours, theirs in zip(outputs(flat, inputs), outputs(model, inputs), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_shared_layers_stay_shared(zoo: Zoo) -> None:
    model = zoo.model("keras", "shared_layers")
    assert to_tf_keras(model).model.count_params() == model.count_params()


def test_the_original_is_untouched(zoo: Zoo) -> None:
    model = zoo.model("keras", "sequential_cnn")
    before = [value.copy() for value in model.get_weights()]
    twin = to_tf_keras(model).model
    twin.set_weights([value * 0 for value in twin.get_weights()])
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_tf_keras_model_passes_through(zoo: Zoo) -> None:
    model = zoo.model("tf_keras", "heartbeat")
    bridged = to_tf_keras(model)
    assert bridged.model is model
    assert bridged.largest_difference == 0


def test_given_rows_are_compared(zoo: Zoo) -> None:
    model = zoo.model("keras", "operators")
    rows = [np.full((5, 8), 1000.0, "float32")]
    assert to_tf_keras(model, rows=rows).scale > 100 > to_tf_keras(model).scale


def test_rows_on_which_the_model_is_silent_do_not_count_as_agreement(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3, use_bias=False)(inputs))
    silent = [np.zeros((5, 4), "float32")]
    assert to_tf_keras(model, rows=silent).scale > 0
    monkeypatch.setattr(graph, "copy_weights", lambda layer, twin: None)
    with pytest.raises(BridgeRefused, match="has different outputs"):
        to_tf_keras(model, rows=silent)


def test_a_twin_that_computes_something_else_is_refused(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = graph.copy_weights

    def forget_one(layer: Any, twin: Any) -> None:
        copy(layer, twin)
        if layer.name == "dense":
            twin.set_weights([value * 1.01 for value in twin.get_weights()])

    monkeypatch.setattr(graph, "copy_weights", forget_one)
    with pytest.raises(BridgeRefused, match="has different outputs"):
        to_tf_keras(zoo.model("keras", "residual"))


def test_a_model_that_gives_nan_on_the_rows_of_only_one_library_is_refused(
    zoo: Zoo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy = graph.copy_weights

    def spoil(layer: Any, twin: Any) -> None:
        copy(layer, twin)
        twin.set_weights([value * np.nan for value in twin.get_weights()])

    monkeypatch.setattr(graph, "copy_weights", spoil)
    with pytest.raises(BridgeRefused, match="has different outputs"):
        to_tf_keras(zoo.model("keras", "autoencoder"))


def test_a_bridged_model_with_operations_survives_saving_and_cloning(zoo: Zoo, tmp_path: Path) -> None:
    import tf_keras

    for name in ("functions", "slicing", "borrowed_activations"):
        model = zoo.model("keras", name)
        twin = to_tf_keras(model).model
        inputs = random_inputs(model)
        twin.save(str(tmp_path / f"{name}.keras"))
        clone = tf_keras.models.clone_model(twin)
        clone.set_weights(twin.get_weights())
        for copy in (operations.load_bridged(tmp_path / f"{name}.keras"), clone):
            for ours, theirs in zip(outputs(copy, inputs), outputs(model, inputs), strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def refused() -> dict[str, Any]:
    import keras

    layers = keras.layers

    class Subclassed(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.dense(x)

    def around(layer: Any, shape: tuple[int, ...] = (8,)) -> Any:
        inputs = keras.Input(shape)
        return keras.Model(inputs, layer(inputs))

    subclassed = Subclassed()
    subclassed(np.zeros((1, 4)))
    quantized = around(layers.Dense(4, name="dense_4"))
    quantized.quantize("int8")
    low_rank = around(layers.Dense(4, name="dense_lora"))
    low_rank.layers[-1].enable_lora(2)
    return {
        "subclassed": (subclassed, "subclassed"),
        "RMSNormalization": (around(layers.RMSNormalization(name="rms")), "'rms'.*no counterpart"),
        "channels_first": (
            around(layers.MaxPooling2D(name="cf", data_format="channels_first"), (3, 8, 8)),
            "'cf'.*channels_last",
        ),
        "quantized": (quantized, "'dense_4'.*already quantized"),
        "LoRA": (low_rank, "'dense_lora'.*lora"),
    }


@pytest.mark.parametrize("kind", ["subclassed", "RMSNormalization", "channels_first", "quantized", "LoRA"])
def test_what_keras_2_cannot_express_is_refused_by_name(kind: str) -> None:
    model, message = refused()[kind]
    with pytest.raises(BridgeRefused, match=message):
        to_tf_keras(model)


def test_the_bridge_takes_a_loaded_file(zoo: Zoo) -> None:
    path = zoo.file("keras", "two_inputs_two_outputs")
    facts = inspect_model(path)
    bridged = to_tf_keras(load_model(path, facts))
    assert [tensor.name for tensor in facts.inputs] == list(bridged.model.input_names)
    assert [tensor.name for tensor in facts.outputs] == list(bridged.model.output_names)
