"""A SavedModel that Keras cannot rebuild, used as a function: it can be run and exported, not trained."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lwdash.errors import ModelRefused
from lwdash.keras_models.saved_model.archive import inspect_saved_model, unpack_saved_model


class SavedFunction:
    """The serving signature of a loaded SavedModel. Inputs and outputs are in the order of `ModelFacts`: by name."""

    def __init__(self, loaded: Any):
        signatures = loaded.signatures
        self.loaded = loaded  # keeps the variables alive
        self.signature = signatures.get("serving_default") or next(iter(signatures.values()))
        self.input_names = sorted(self.signature.structured_input_signature[1])

    def predict(self, inputs: Any, verbose: int = 0, batch_size: int = 32) -> list[np.ndarray]:
        """Its outputs for `inputs`, one array per input, like a Keras model's `predict`; row by row if necessary."""
        columns = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        fixed = self._specification(self.input_names[0]).shape[0]
        size = fixed or batch_size
        parts = [
            self._call([column[start : start + size] for column in columns])
            for start in range(0, len(columns[0]), size)
        ]
        return [np.concatenate(values) for values in zip(*parts, strict=True)]

    def concrete(self, shapes: Sequence[Sequence[int]]) -> Any:
        """The function on inputs of batch size 1; `shapes` are without the batch axis."""
        import tensorflow as tf

        specifications = [
            tf.TensorSpec((1, *shape), self._specification(name).dtype, name=name)
            for name, shape in zip(self.input_names, shapes, strict=True)
        ]

        @tf.function(input_signature=specifications)
        def serve(*tensors: Any) -> Any:
            return self.signature(**dict(zip(self.input_names, tensors, strict=True)))

        return serve.get_concrete_function()

    def _call(self, columns: Sequence[np.ndarray]) -> list[np.ndarray]:
        import tensorflow as tf

        named = {
            name: tf.constant(column, self._specification(name).dtype)
            for name, column in zip(self.input_names, columns, strict=True)
        }
        outputs = self.signature(**named)
        return [np.asarray(outputs[name]) for name in sorted(outputs)]

    def _specification(self, name: str) -> Any:
        return self.signature.structured_input_signature[1][name]


def load_saved_function(path: Path) -> SavedFunction:
    """The function of a zipped SavedModel, scanned again first. Raises ModelRefused with the loader's reason."""
    import tensorflow as tf

    inspect_saved_model(path)
    try:
        with tempfile.TemporaryDirectory(prefix="lwdash-load-") as folder:
            return SavedFunction(tf.saved_model.load(str(unpack_saved_model(path, Path(folder)))))
    except Exception as fault:
        raise ModelRefused(f"TensorFlow cannot load this SavedModel: {str(fault)[:400]}") from fault
