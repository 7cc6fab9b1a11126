"""Makes hostile model files, each with a harmless payload that leaves a trace if it ever runs or is read.

A trace is a file: code payloads create it, file payloads would bring the secret text of it into the model.
The honest parts of the files are written by hand, in the layouts of Keras, so that no test here needs Keras
or TensorFlow.
"""

from __future__ import annotations

import base64
import io
import json
import marshal
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Json = dict[str, Any]
Forger = Callable[[Path, Path], Path]
FORGERS: dict[str, tuple[Forger, str]] = {}


def forger(cause: str) -> Callable[[Forger], Forger]:
    """Registers a maker `(folder, trace) → file` with the words that the refusal has to contain."""

    def register(make: Forger) -> Forger:
        FORGERS[make.__name__] = (make, cause)
        return make

    return register


def dense(name: str = "dense", **changes: Any) -> Json:
    config = {"name": name, "trainable": True, "dtype": "float32", "units": 2, "activation": "linear"}
    return {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": {**config, **changes},
        "registered_name": None,
    }


def sequential(*layers: Json, version: int = 3) -> Json:
    shape_key = "batch_shape" if version == 3 else "batch_input_shape"
    first = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {"name": "input", shape_key: [None, 4], "dtype": "float32"},
        "registered_name": None,
    }
    config = {"name": "sequential", "layers": [first, *layers]}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}


def without_modules(entry: Any) -> Any:
    """The config as .h5 files have it."""
    if isinstance(entry, dict):
        return {
            key: without_modules(value)
            for key, value in entry.items()
            if key not in ("module", "registered_name")
        }
    return [without_modules(item) for item in entry] if isinstance(entry, list) else entry


def weights(change: Callable[[h5py.File], None] = lambda file: None) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        group = file.create_group("layers/dense/vars")
        group["0"], group["1"] = np.zeros((4, 2), "float32"), np.zeros(2, "float32")
        change(file)
    return buffer.getvalue()


def keras_file(
    path: Path, config: Json | str, data: bytes | None = None, more: dict[str, bytes] | None = None
) -> Path:
    text = config if isinstance(config, str) else json.dumps(config)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", text)
        archive.writestr("model.weights.h5", weights() if data is None else data)
        for name, content in (more or {}).items():
            archive.writestr(name, content)
    return path


def h5_file(path: Path, config: Json, change: Callable[[h5py.File], None] = lambda file: None) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.15.0"
        file.attrs["model_config"] = json.dumps(without_modules(config))
        group = file.create_group("model_weights/dense/dense")
        group["kernel:0"], group["bias:0"] = np.zeros((4, 2), "float32"), np.zeros(2, "float32")
        change(file)
    return path


def marshalled(trace: Path) -> str:
    """A function's code as Keras stores it; calling it creates the trace."""
    source = compile(f"lambda x: (open({str(trace)!r}, 'w').close(), x)[1]", "payload", "eval")
    code = next(constant for constant in source.co_consts if hasattr(constant, "co_code"))
    return base64.b64encode(marshal.dumps(code)).decode()


class Payload:
    """Creates the trace when unpickled."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.trace), "w")


def lambda_layer(trace: Path) -> Json:
    config = {
        "name": "payload",
        "trainable": True,
        "function": [marshalled(trace), None, None],
        "function_type": "lambda",
        "module": "__main__",
        "output_shape": None,
        "output_shape_type": "raw",
        "output_shape_module": None,
        "arguments": {},
    }
    return {"module": "keras.layers", "class_name": "Lambda", "config": config, "registered_name": None}
