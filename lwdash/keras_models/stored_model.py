"""A live model as bytes (structure and weights), for storage between the steps of a recipe.

Only for models that lwdash made itself; uploaded files go through `load_model`.
"""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

from lwdash.keras_models.ports import leaf_layers

STRUCTURE = "structure"


def write_model(model: Any) -> bytes:
    """A .npz with the config of a model of either library as JSON and every layer's weights by path."""
    library = "tf_keras" if _is_tf_keras(model) else "keras"
    structure = json.dumps({"library": library, "config": model.to_json()})
    arrays: dict[str, Any] = {STRUCTURE: np.frombuffer(structure.encode(), np.uint8)}
    for path, layer in leaf_layers(model):
        arrays.update({f"{path}:{i}": values for i, values in enumerate(layer.get_weights())})
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def read_model(data: bytes) -> Any:
    """The live model that `write_model` stored."""
    import keras
    import tf_keras

    from lwdash.keras_models.bridge import operations

    stored = np.load(io.BytesIO(data), allow_pickle=False)
    structure = json.loads(stored[STRUCTURE].tobytes())
    operations.register()
    library = tf_keras if structure["library"] == "tf_keras" else keras
    model = library.models.model_from_json(structure["config"])
    for path, layer in leaf_layers(model):
        layer.set_weights([stored[f"{path}:{i}"] for i in range(len(layer.get_weights()))])
    return model


def kernels(data: bytes) -> dict[str, np.ndarray]:
    """The weights with two or more axes that `write_model` stored, by `layer path:number`; needs no Keras."""
    stored = np.load(io.BytesIO(data), allow_pickle=False)
    return {name: stored[name] for name in stored.files if name != STRUCTURE and stored[name].ndim > 1}


def _is_tf_keras(model: Any) -> bool:
    import tf_keras

    return isinstance(model, tf_keras.Model)
