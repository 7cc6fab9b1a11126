"""A zoo of models: every kind of architecture that lwdash has to take, built with Keras 2 and with Keras 3.

A builder gets the library (the module `keras` or `tf_keras`) and returns a built model. `Zoo` builds and
saves each model once a session; tests ask it for a live model or for a file.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from support.zoo_models import KERAS_3_ONLY, LARGE, SMALL

RELOAD_FAILS_H5 = frozenset({"operators", "slicing", "functions", "masked_embedding"})
"""Models whose .h5, written by Keras 3, Keras 3 itself cannot load."""


def parameters() -> list[Any]:
    """pytest parameters: every architecture, the large ones marked slow."""
    return [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)]


@dataclass
class Zoo:
    """Models and their files, made on first request and kept for the session."""

    folder: Path

    def __post_init__(self) -> None:
        self._models: dict[tuple[str, str], Any] = {}

    def model(self, library: str, name: str) -> Any:
        """The live model `name` of "keras" or "tf_keras", its random weights the same every session."""
        if (library, name) not in self._models:
            module = __import__(library)
            _forget_names(module)
            module.utils.set_random_seed(11)
            builders = {**SMALL, **LARGE, **KERAS_3_ONLY}
            self._models[(library, name)] = _with_weights(builders[name](module))
        return self._models[(library, name)]

    def file(self, library: str, name: str, suffix: str = ".keras") -> Path:
        """The model saved as ".keras", ".h5" or, for tf_keras, a zipped SavedModel (".zip")."""
        path = self.folder / f"{library}_{name}{suffix}"
        if path.exists():
            return path
        model = self.model(library, name)
        if suffix == ".zip":
            folder = path.with_suffix("")
            model.save(str(folder), save_format="tf")
            shutil.make_archive(str(folder), "zip", folder)
        else:
            model.save(str(path))
        return path


def _forget_names(module: ModuleType) -> None:
    """Automatic layer names begin anew, so that a model's names do not depend on what was built before."""
    if hasattr(module, "utils") and hasattr(module.utils, "clear_session"):
        module.utils.clear_session()
    else:
        module.backend.clear_session()


def _with_weights(model: Any) -> Any:
    """`model` with its batch normalizations off their neutral start, so that a wrong order of weights
    shows."""
    generator = np.random.default_rng(7)
    for layer in model._flatten_layers():
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights([generator.uniform(0.5, 1.5, value.shape) for value in layer.get_weights()])
    return model


def random_inputs(model: Any, rows: int = 4) -> list[np.ndarray]:
    """One random array per input of a live model."""
    generator = np.random.default_rng(3)
    arrays = []
    for tensor in model.inputs:
        shape = (rows, *(size or 20 for size in tuple(tensor.shape)[1:]))
        if "int" in str(tensor.dtype):
            arrays.append(generator.integers(0, 50, shape).astype("int32"))
        else:
            arrays.append(generator.normal(0, 1, shape).astype("float32"))
    return arrays


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return Zoo(tmp_path_factory.mktemp("zoo"))
