"""Hostile configs: code, custom objects and file paths in what a model says of itself."""

from __future__ import annotations

import base64
import json
import pickle
from pathlib import Path

from forge import Payload, dense, forger, h5_file, keras_file, lambda_layer, marshalled, sequential


@forger("layer 'payload' .Lambda.*Python code")
def lambda_in_keras_3(folder: Path, trace: Path) -> Path:
    return keras_file(folder / "m.keras", sequential(lambda_layer(trace), dense()))


@forger("layer 'payload' .Lambda.*Python code")
def lambda_in_h5(folder: Path, trace: Path) -> Path:
    return h5_file(folder / "m.h5", sequential(lambda_layer(trace), dense(), version=2))


@forger("layer 'payload' .Lambda.*Python code")
def lambda_inside_a_wrapper(folder: Path, trace: Path) -> Path:
    wrapper = {"name": "wrapper", "layer": lambda_layer(trace)}
    entry = {
        "module": "keras.layers",
        "class_name": "TimeDistributed",
        "config": wrapper,
        "registered_name": None,
    }
    return keras_file(folder / "m.keras", sequential(entry, dense()))


@forger("layer 'payload' .Lambda.*Python code")
def lambda_inside_a_nested_model(folder: Path, trace: Path) -> Path:
    inner = sequential(lambda_layer(trace), version=2)
    inner["config"]["name"] = "inner"
    return h5_file(folder / "m.h5", sequential(inner, dense(), version=2))


@forger("layer 'dense'.*marshalled")
def activation_as_marshalled_function(folder: Path, trace: Path) -> Path:
    return h5_file(folder / "m.h5", sequential(dense(activation=[marshalled(trace), None, None]), version=2))


@forger("layer 'dense'.*marshalled")
def initializer_as_marshalled_lambda(folder: Path, trace: Path) -> Path:
    code = {"class_name": "__lambda__", "config": {"value": marshalled(trace)}}
    return keras_file(folder / "m.keras", sequential(dense(kernel_initializer=code)))


@forger("layer 'dense'.*function 'os.system'")
def function_of_a_foreign_module(folder: Path, trace: Path) -> Path:
    function = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    return keras_file(folder / "m.keras", sequential(dense(activation=function)))


@forger("layer 'dense'.*function 'builtins.exec'")
def function_of_builtins(folder: Path, trace: Path) -> Path:
    function = {
        "module": "builtins",
        "class_name": "function",
        "config": "exec",
        "registered_name": "function",
    }
    return keras_file(folder / "m.keras", sequential(dense(activation=function)))


@forger("layer 'spawn'.*module 'subprocess'")
def class_of_a_foreign_module(folder: Path, trace: Path) -> Path:
    config = {"name": "spawn", "args": ["touch", str(trace)]}
    entry = {"module": "subprocess", "class_name": "Popen", "config": config, "registered_name": None}
    return keras_file(folder / "m.keras", sequential(entry, dense()))


@forger("'keras.utils.get_file' is not one of")
def keras_function_that_downloads(folder: Path, trace: Path) -> Path:
    config = {"name": "fetch", "fname": str(trace), "origin": "file:///etc/hostname"}
    entry = {"module": "keras.utils", "class_name": "get_file", "config": config, "registered_name": None}
    return keras_file(folder / "m.keras", sequential(entry, dense()))


@forger("layer 'mine'.*custom object 'evil>Mine'")
def custom_object(folder: Path, trace: Path) -> Path:
    entry = {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": {"name": "mine"},
        "registered_name": "evil>Mine",
    }
    return keras_file(folder / "m.keras", sequential(entry))


@forger("layer 'mine'.*not a standard Keras class")
def unknown_class_in_h5(folder: Path, trace: Path) -> Path:
    entry = {"class_name": "Mine", "config": {"name": "mine", "trainable": True}}
    return h5_file(folder / "m.h5", sequential(entry, version=2))


@forger("layer 'other'.*loads another file")
def saved_model_layer(folder: Path, trace: Path) -> Path:
    config = {"name": "other", "filepath": str(trace.parent)}
    entry = {"module": "keras.layers", "class_name": "TFSMLayer", "config": config, "registered_name": None}
    return keras_file(folder / "m.keras", sequential(entry))


@forger("layer 'torch'.*pickled")
def torch_module_layer(folder: Path, trace: Path) -> Path:
    module = base64.b64encode(pickle.dumps(Payload(trace))).decode()
    config = {"name": "torch", "module": {"class_name": "__bytes__", "config": {"value": module}}}
    entry = {
        "module": "keras.layers",
        "class_name": "TorchModuleWrapper",
        "config": config,
        "registered_name": None,
    }
    return keras_file(folder / "m.keras", sequential(entry))


@forger("layer 'read'.*'io.read_file'")
def tensorflow_function_that_reads(folder: Path, trace: Path) -> Path:
    entry = {
        "class_name": "TFOpLambda",
        "config": {"name": "read", "trainable": True, "function": "io.read_file"},
    }
    return h5_file(folder / "m.h5", sequential(entry, dense(), version=2))


@forger("layer 'py'.*'py_function'")
def tensorflow_function_that_runs_python(folder: Path, trace: Path) -> Path:
    entry = {
        "class_name": "TFOpLambda",
        "config": {"name": "py", "trainable": True, "function": "py_function"},
    }
    return h5_file(folder / "m.h5", sequential(entry, dense(), version=2))


@forger("layer 'words'.*file path")
def vocabulary_path(folder: Path, trace: Path) -> Path:
    config = {"name": "words", "trainable": True, "vocabulary": str(trace)}
    entry = {
        "module": "keras.layers",
        "class_name": "StringLookup",
        "config": config,
        "registered_name": None,
    }
    return keras_file(folder / "m.keras", sequential(entry))


@forger("layer 'inner'.*marshalled")
def code_in_the_compile_settings_of_a_nested_model(folder: Path, trace: Path) -> Path:
    inner = sequential(dense())
    inner["config"]["name"] = "inner"
    inner["compile_config"] = {"loss": {"class_name": "__lambda__", "config": {"value": marshalled(trace)}}}
    return keras_file(folder / "m.keras", sequential(inner))


@forger("nested more than")
def deeply_nested_config(folder: Path, trace: Path) -> Path:
    depth = 400
    config = json.dumps(sequential(dense(note="HERE"))).replace('"HERE"', "[" * depth + "]" * depth)
    return keras_file(folder / "m.keras", config)


@forger("not JSON")
def config_that_overflows_the_parser(folder: Path, trace: Path) -> Path:
    return keras_file(folder / "m.keras", "[" * 200_000 + "]" * 200_000)
