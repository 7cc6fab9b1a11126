"""Models with custom layers, a custom loss and a Lambda: refused without their code, and usable with it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.custom_models import custom_model, rows, write_code

from lwdash.errors import ModelRefused
from lwdash.keras_models.bridge import custom_layers
from lwdash.keras_models.bridge.model import to_tf_keras
from lwdash.keras_models.custom_code.code_file import CodeFile
from lwdash.keras_models.custom_code.live_facts import inspect_with_code, with_live_facts
from lwdash.keras_models.custom_code.running import run_code
from lwdash.keras_models.inspection import inspect_model
from lwdash.keras_models.load import load_model
from lwdash.keras_models.stored_model import read_model, write_model
from lwdash.training.model_copies import clone_live

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_a_model_with_custom_code_computes_the_same_in_all_its_forms(library: str, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    expected = np.asarray(custom_model(path, library)(rows()[0]))
    with pytest.raises(ModelRefused, match="--code"):
        inspect_model(path)

    code = run_code(CodeFile(write_code(tmp_path, library), "layers.py"), library)
    facts = inspect_model(path, code)
    model = load_model(path, facts, code)
    live = with_live_facts(facts, model)
    assert {layer.name: layer.output_shape for layer in live.layers}["gate"] == (12,)
    assert (live.outputs[0].shape, live.parameters) == ((3,), model.count_params())
    assert {layer.class_name for layer in live.layers} >= {"Gate", "Shift", "Lambda"}

    twin = to_tf_keras(model).model
    for form in (model, clone_live(model), twin, clone_live(twin), read_model(write_model(twin))):
        assert np.allclose(np.asarray(form(rows()[0])), expected, atol=1e-5)
    reasons = {entry.path: entry.reason for entry in live.support["prune"]}
    assert reasons["gate"] == "Gate has no kernel that lwdash can prune"


def test_a_model_is_loaded_with_the_same_names_each_time(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    custom_model(path, "keras")
    code = run_code(CodeFile(write_code(tmp_path, "keras"), "layers.py"), "keras")
    facts = inspect_model(path, code)
    first, second = (
        [weight.path for weight in load_model(path, facts, code).get_layer("gate").weights] for _ in range(2)
    )
    assert first == second


def test_the_twin_trains_the_weights_of_a_custom_layer(tmp_path: Path) -> None:
    model = custom_model(tmp_path / "model.keras", "keras")
    twin = to_tf_keras(model).model
    twin.compile("sgd", "sparse_categorical_crossentropy")
    before = twin.get_layer("gate").get_weights()
    twin.fit(*rows(), verbose=0)
    after = twin.get_layer("gate").get_weights()
    assert [v.shape for v in after] == [v.shape for v in model.get_layer("gate").get_weights()]
    assert all(np.any(a != b) for a, b in zip(before, after, strict=True))


MORE = """
import keras
from keras import ops


def own_act(x):
    return ops.relu(x) * 0.5


class Half(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return ops.ones(shape, dtype) / 2


class Pair(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = keras.layers.BatchNormalization()

    def build(self, shapes):
        self.kernel = self.add_weight(shape=(shapes[0][-1], shapes[1][-1]), name="kernel")

    def call(self, inputs, training=None):
        first, second = inputs
        return self.norm(ops.matmul(first, self.kernel), training=training) + second


class Trained(keras.Model):
    def train_step(self, data):
        return super().train_step(data)
"""


def test_functions_several_inputs_and_subclasses_of_the_functional_have_twins(tmp_path: Path) -> None:
    import keras

    code, path = CodeFile(tmp_path / "more.py", "more.py"), tmp_path / "model.keras"
    code.path.write_text(MORE)
    own: Any = run_code(code, "keras").objects
    inputs = [keras.Input((6,)), keras.Input((4,))]
    x = keras.layers.Dense(4, activation=own["own_act"], kernel_initializer=own["Half"]())(
        own["Pair"](name="pair")(inputs)
    )
    saved = own["Trained"](inputs, x)
    saved.save(path)

    facts = inspect_with_code(path, code)
    assert [port.shape for port in facts.outputs] == [(4,)]
    model = load_model(path, facts, run_code(code, "keras"))
    custom_layers.register(own)
    twin = read_model(write_model(to_tf_keras(model).model))
    samples = [np.random.default_rng(0).normal(size=(5, n)).astype(np.float32) for n in (6, 4)]
    assert np.allclose(twin(samples), saved(samples), atol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import keras\n\nraise ValueError('not today')\n", "layers.py, line 3 fails: ValueError: not today"),
        ("import sys\nsys.exit(3)\n", "line 2 ends the process"),
        ("import nothing_like_this\n", "line 1 imports 'nothing_like_this', which is not installed"),
    ],
)
def test_code_that_cannot_be_run_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "stored"
    path.write_text(text)
    with pytest.raises(ModelRefused, match=message):
        run_code(CodeFile(path, "layers.py"), "keras")


def test_a_helper_does_not_replace_what_keras_has(tmp_path: Path) -> None:
    path = tmp_path / "stored"
    path.write_text("def relu(x):\n    return x\n\n\nclass Own:\n    pass\n")
    objects: Any = run_code(CodeFile(path, "layers.py"), "keras").objects
    assert set(objects) == {"Own"}
