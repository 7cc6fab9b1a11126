"""A SavedModel that Keras cannot rebuild, used as a function: it can be run and exported, not trained."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lwdash.errors import ModelRefused
from lwdash.keras_models.saved_model.archive import inspect_saved_model, unpack_saved_model
from lwdash.keras_models.saved_model.one_row_function import single_row_function


class SavedFunction:
    """The serving signature of a loaded SavedModel. Inputs and outputs are in the order of `ModelFacts`: by name."""

    def __init__(self, loaded: Any):
        signatures = loaded.signatures
        self.loaded = loaded  # keeps the variables alive
        self.signature = signatures.get("serving_default") or next(iter(signatures.values()))
        self.input_names = sorted(self.signature.structured_input_signature[1])

    @property
    def fixed_rows(self) -> int | None:
        """The number of rows that the function takes at once; None where it takes any number."""
        size = self._specification(self.input_names[0]).shape[0]
        return None if size is None else int(size)

    @property
    def changes(self) -> tuple[str, ...]:
        """Differences between the function and the file, as sentences for users."""
        if self.fixed_rows in (None, 1):
            return ()
        return (f"The model was saved for {self.fixed_rows} rows at once, the file takes one row at a time.",)

    def predict(self, inputs: Any, verbose: int = 0, batch_size: int = 32) -> list[np.ndarray]:
        """Its outputs for `inputs`, one array per input, like a Keras model's `predict`; row by row if necessary."""
        columns = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        size = self.fixed_rows or batch_size
        parts = []
        for start in range(0, len(columns[0]), size):
            some = [column[start : start + size] for column in columns]
            missing = size - len(some[0]) if self.fixed_rows else 0
            filled = [np.concatenate([values, np.repeat(values[-1:], missing, axis=0)]) for values in some]
            parts.append([values[: len(some[0])] for values in self._call(filled)])
        return [np.concatenate(values) for values in zip(*parts, strict=True)]

    def concrete(self, shapes: Sequence[Sequence[int]]) -> Any:
        """The function on inputs of batch size 1; `shapes` are without the batch axis. Raises ConversionFailed."""
        import tensorflow as tf

        single = None
        if self.fixed_rows not in (None, 1):
            specified = [self._specification(name) for name in self.input_names]
            single = single_row_function(self.signature, self._by_name, specified, int(self.fixed_rows or 1))

        specifications = [
            tf.TensorSpec((1, *shape), self._specification(name).dtype, name=name)
            for name, shape in zip(self.input_names, shapes, strict=True)
        ]

        @tf.function(input_signature=specifications)
        def serve(*tensors: Any) -> Any:
            if single is not None:
                return list(single(*tensors))
            return self._by_name(tensors)

        return serve.get_concrete_function()

    def _by_name(self, tensors: Sequence[Any]) -> Any:
        return self.signature(**dict(zip(self.input_names, tensors, strict=True)))

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
