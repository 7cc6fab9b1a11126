"""What inspection says of a file is what the loaded model says of itself; honest files pass the scan."""

# ruff: noqa: F811 - pytest takes a fixture by the name of a parameter, here the imported `zoo`

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.zoo import KERAS_3_ONLY, RELOAD_FAILS_H5, Zoo, parameters, zoo  # noqa: F401

from lwdash.errors import ModelRefused
from lwdash.keras_models.inspection import inspect_model
from lwdash.keras_models.load import load_model
from lwdash.keras_models.model_facts import LayerFacts, ModelFacts

pytestmark = pytest.mark.tensorflow

KINDS = [("keras", ".keras"), ("keras", ".h5"), ("tf_keras", ".keras"), ("tf_keras", ".h5")]
SAVED_MODELS = [
    "sequential_cnn",
    "depthwise_separable",
    "heartbeat",
    "lstm",
    "embedding",
    "two_inputs_two_outputs",
    "nested_twice",
    "shared_layers",
    "attention",
    "preprocessing",
    "operators",
]


def without_batch(shape: Any) -> tuple[int | None, ...]:
    return tuple(shape)[1:]


def first_output(layer: Any) -> Any:
    output = (
        layer.get_output_at(0) if hasattr(layer, "get_output_at") else layer._inbound_nodes[0].output_tensors
    )
    return output[0] if isinstance(output, (list, tuple)) else output


def live_layers(model: Any, prefix: str = "") -> dict[str, Any]:
    """Layers of a live model by path, nested models opened."""
    found: dict[str, Any] = {}
    for layer in model.layers:
        if hasattr(layer, "layers"):
            found.update(live_layers(layer, f"{prefix}{layer.name}/"))
        else:
            found[prefix + layer.name] = layer
    return found


def check_facts(facts: ModelFacts, model: Any) -> None:
    assert facts.name == model.name
    assert facts.parameters == model.count_params()
    told = {layer.path: layer for layer in facts.layers if not layer.class_name.startswith("ops.")}
    live = live_layers(model)
    # A Sequential model keeps its input out of `layers`.
    assert {path for path, layer in told.items() if layer.class_name != "InputLayer"} == {
        path for path, layer in live.items() if type(layer).__name__ != "InputLayer"
    }
    for path, layer in live.items():
        assert told[path].class_name == type(layer).__name__, path
        assert told[path].parameters == layer.count_params(), path
        check_shape(told[path], layer)
    assert [(entry.shape, entry.dtype) for entry in facts.inputs] == [
        (without_batch(tensor.shape), dtype_of(tensor)) for tensor in model.inputs
    ]
    assert [(entry.shape, entry.dtype) for entry in facts.outputs] == [
        (without_batch(tensor.shape), dtype_of(tensor)) for tensor in model.outputs
    ]


def check_shape(told: LayerFacts, layer: Any) -> None:
    if type(layer).__name__ == "InputLayer":
        return
    assert told.output_shape == without_batch(first_output(layer).shape), told.path


def dtype_of(tensor: Any) -> str:
    return tensor.dtype if isinstance(tensor.dtype, str) else tensor.dtype.name


@pytest.mark.parametrize(("library", "suffix"), KINDS)
@pytest.mark.parametrize("name", parameters())
def test_facts_match_the_live_model(zoo: Zoo, library: str, suffix: str, name: str) -> None:
    model = zoo.model(library, name)
    facts = inspect_model(zoo.file(library, name, suffix))
    assert (facts.library, facts.format) == (library, suffix[1:])
    check_facts(facts, model)


@pytest.mark.parametrize("name", SAVED_MODELS)
def test_facts_of_saved_models_match_the_live_model(zoo: Zoo, name: str) -> None:
    facts = inspect_model(zoo.file("tf_keras", name, ".zip"))
    assert (facts.library, facts.format) == ("tf_keras", "savedmodel")
    check_facts(facts, zoo.model("tf_keras", name))


@pytest.mark.parametrize("name", sorted(KERAS_3_ONLY))
def test_odd_models_of_keras_3_pass(zoo: Zoo, name: str) -> None:
    check_facts(inspect_model(zoo.file("keras", name)), zoo.model("keras", name))


@pytest.mark.parametrize(
    ("library", "name", "suffix"),
    [
        ("keras", "sequential_without_input", ".keras"),
        ("keras", "heartbeat", ".h5"),
        ("tf_keras", "nested", ".keras"),
        ("tf_keras", "operators", ".h5"),
        ("tf_keras", "two_inputs_two_outputs", ".zip"),
    ],
)
def test_files_load_with_the_library_that_wrote_them(
    zoo: Zoo, tmp_path: Path, library: str, name: str, suffix: str
) -> None:
    import numpy as np

    # As in the artifact store: no suffix to tell the format by.
    stored = tmp_path / "3f2a"
    stored.write_bytes(zoo.file(library, name, suffix).read_bytes())
    original = zoo.model(library, name)
    model = load_model(stored, inspect_model(stored))
    assert type(model).__module__.startswith(f"{library}.")
    for ours, theirs in zip(model.get_weights(), original.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", sorted(RELOAD_FAILS_H5))
def test_a_loader_that_fails_is_explained(zoo: Zoo, name: str) -> None:
    path = zoo.file("keras", name, ".h5")
    with pytest.raises(
        ModelRefused, match=r"Keras 3.* cannot load this model\. .*save the model again as \.keras"
    ):
        load_model(path, inspect_model(path))


def test_a_saved_model_without_keras_metadata_tells_its_signature(zoo: Zoo, tmp_path: Path) -> None:
    import shutil

    zoo.model("keras", "heartbeat").export(str(tmp_path / "exported"), verbose=False)
    path = Path(shutil.make_archive(str(tmp_path / "exported"), "zip", tmp_path / "exported"))
    facts = inspect_model(path)
    assert (facts.library, facts.layers) == ("none", ())
    assert [entry.shape for entry in facts.inputs] == [(187, 1)]
    assert [entry.shape for entry in facts.outputs] == [(5,)]
    assert facts.parameters == zoo.model("keras", "heartbeat").count_params()
    with pytest.raises(ModelRefused, match="only post-training recipes are possible"):
        load_model(path, facts)


def test_a_custom_metric_does_not_keep_a_model_out(zoo: Zoo, tmp_path: Path) -> None:
    import keras
    import tf_keras

    def of_my_own(true: Any, predicted: Any) -> Any:
        return keras.ops.mean(predicted)

    for library in (keras, tf_keras):
        model = library.models.clone_model(zoo.model(library.__name__, "autoencoder"))
        model.compile("adam", loss="mse", metrics=[of_my_own])
        for suffix in (".keras", ".h5"):
            path = tmp_path / f"{library.__name__}{suffix}"
            model.save(str(path))
            facts = inspect_model(path)
            assert facts.loss == "mean_squared_error"
            load_model(path, facts)


def test_inspection_imports_no_tensorflow_and_is_quick_for_100_mb(zoo: Zoo, tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((2048,)), *(keras.layers.Dense(2048) for _ in range(6))])
    path = tmp_path / "large.keras"
    model.save(path)
    assert path.stat().st_size > 100e6
    program = (
        "import sys, time, pathlib\n"
        "from lwdash.keras_models.inspection import inspect_model\n"
        "facts = inspect_model(pathlib.Path(sys.argv[1]))\n"
        "heavy = {'tensorflow', 'keras', 'tf_keras'} & set(sys.modules)\n"
        "print(facts.parameters, time.process_time(), heavy or '')\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    ).stdout.split()
    assert int(answer[0]) == model.count_params()
    assert float(answer[1]) < 2
    assert len(answer) == 2
