"""Small models with custom code, each with the file that defines it."""

from pathlib import Path
from typing import Any

import numpy as np

KERAS_3 = '''
import keras
from keras import ops


@keras.saving.register_keras_serializable(package="mine")
class Gate(keras.layers.Layer):
    """Has a layer inside and a weight of its own."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.layers = [keras.layers.Dense(units)]

    def build(self, shape):
        self.layers[0].build(shape)
        self.scale = self.add_weight(shape=(self.units,), initializer="ones", name="scale")

    def call(self, x):
        return x * ops.sigmoid(self.layers[0](x)) * self.scale

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Shift(keras.layers.Layer):
    def call(self, x):
        return x + 1.0


def own_loss(y, p):
    return ops.mean(ops.square(y - p))


custom_objects = {"own_loss": own_loss}
'''

KERAS_2 = (
    KERAS_3.replace(
        "import keras\nfrom keras import ops\n", "import tensorflow as tf\nfrom tensorflow import keras\n"
    )
    .replace("@keras.saving.register", "@tf.keras.utils.register")
    .replace("ops.sigmoid", "tf.sigmoid")
    .replace("ops.mean(ops.square(", "tf.reduce_mean(tf.square(")
)


def write_code(folder: Path, library: str) -> Path:
    path = folder / f"{library}_layers.py"
    path.write_text(KERAS_3 if library == "keras" else KERAS_2)
    return path


def custom_model(path: Path, library: str) -> Any:
    """A network of eight inputs and three classes with Gate, Shift and a Lambda, saved at `path`; its layers come from
    the code file beside it.
    """
    import importlib

    from lwdash.keras_models.custom_code.code_file import CodeFile
    from lwdash.keras_models.custom_code.running import run_code

    own = run_code(CodeFile(write_code(path.parent, library), f"{library}_layers.py"), library).objects
    keras = importlib.import_module(library)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    x = keras.layers.Dense(12, activation="relu", name="first")(inputs)
    x = own["Gate"](12, name="gate")(x)
    x = own["Shift"](name="shift")(x)
    x = keras.layers.Lambda(lambda v: v * 1.5, name="code", output_shape=(12,))(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="last")(x))
    model.compile("sgd", own["own_loss"])
    model.save(path)
    return model


def rows(count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Samples and their classes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 8)).astype(np.float32)
    return x, (x @ rng.normal(size=(8, 3))).argmax(1)
