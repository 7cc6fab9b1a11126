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
import pickle
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


# Honest parts


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


# Code in the config


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


# Pickles


@forger("Python pickle")
def pickle_named_h5(folder: Path, trace: Path) -> Path:
    path = folder / "m.h5"
    path.write_bytes(pickle.dumps(Payload(trace)))
    return path


@forger("pickle")
def pickle_inside_a_keras_file(folder: Path, trace: Path) -> Path:
    return keras_file(
        folder / "m.keras", sequential(dense()), more={"model.pkl": pickle.dumps(Payload(trace))}
    )


@forger("PyTorch")
def pytorch_checkpoint(folder: Path, trace: Path) -> Path:
    path = folder / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Payload(trace)))
    return path


@forger("not numbers")
def object_array_in_the_weights(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        data = np.frombuffer(pickle.dumps(Payload(trace)), "uint8")
        file.create_dataset("layers/dense/vars/2", (1,), dtype=h5py.vlen_dtype(np.uint8))[0] = data

    return keras_file(folder / "m.keras", sequential(dense()), weights(change))


# HDF5


@forger("external link, to the file")
def hdf5_external_link(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        del file["model_weights/dense/dense/kernel:0"]
        file["model_weights/dense/dense/kernel:0"] = h5py.ExternalLink(str(trace), "/data")

    return h5_file(folder / "m.h5", sequential(dense(), version=2), change)


@forger("soft link")
def hdf5_soft_link(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        file["model_weights/more"] = h5py.SoftLink("/model_weights/dense")

    return h5_file(folder / "m.h5", sequential(dense(), version=2), change)


@forger("a loop")
def hdf5_hard_link_loop(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        file["model_weights/dense/again"] = file["model_weights"]

    return h5_file(folder / "m.h5", sequential(dense(), version=2), change)


@forger("stored in another file")
def hdf5_external_storage(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        del file["model_weights/dense/dense/bias:0"]
        file["model_weights/dense/dense"].create_dataset(
            "bias:0", (2,), "float32", external=[(str(trace), 0, 8)]
        )

    return h5_file(folder / "m.h5", sequential(dense(), version=2), change)


@forger("virtual dataset")
def hdf5_virtual_dataset(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((2,), "float32")
        layout[:] = h5py.VirtualSource(str(trace), "data", (2,))
        file.create_virtual_dataset("layers/dense/vars/2", layout)

    return keras_file(folder / "m.keras", sequential(dense()), weights(change))


@forger("declares more than")
def hdf5_that_declares_gigabytes_in_pieces(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        for index in range(100):
            file.create_dataset(f"model_weights/dense/part{index}", (15 << 20,), "float32")

    return h5_file(folder / "m.h5", sequential(dense(), version=2), change)


@forger("declare 17,179,869,184 bytes")
def hdf5_that_declares_one_huge_dataset(folder: Path, trace: Path) -> Path:
    def change(file: h5py.File) -> None:
        file.create_dataset(
            "layers/dense/vars/2", (4 << 30,), "float32", chunks=(1 << 20,), compression="gzip"
        )

    return keras_file(folder / "m.keras", sequential(dense()), weights(change))


@forger("damaged or incomplete")
def hdf5_cut_off(folder: Path, trace: Path) -> Path:
    path = h5_file(folder / "m.h5", sequential(dense(), version=2))
    path.write_bytes(path.read_bytes()[:-900])
    return path


# Zips


@forger("leaves its folder")
def zip_member_that_climbs_out(folder: Path, trace: Path) -> Path:
    return keras_file(folder / "m.keras", sequential(dense()), more={f"assets/../../{trace.name}": b"trace"})


@forger("absolute path")
def zip_member_with_absolute_path(folder: Path, trace: Path) -> Path:
    return keras_file(folder / "m.keras", sequential(dense()), more={str(trace): b"trace"})


@forger("backslash")
def zip_member_with_backslashes(folder: Path, trace: Path) -> Path:
    return keras_file(
        folder / "m.keras", sequential(dense()), more={f"assets\\..\\..\\{trace.name}": b"trace"}
    )


@forger("symbolic link")
def zip_symbolic_link(folder: Path, trace: Path) -> Path:
    path = keras_file(folder / "m.keras", sequential(dense()))
    link = zipfile.ZipInfo("assets/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, str(trace.parent))
    return path


@forger("zip bomb")
def zip_bomb(folder: Path, trace: Path) -> Path:
    path = keras_file(folder / "m.keras", sequential(dense()))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/zeros", b"\0" * (32 << 20))
    return path


@forger("overlaps")
def zip_with_overlapping_members(folder: Path, trace: Path) -> Path:
    path = keras_file(folder / "m.keras", sequential(dense()), more={"assets/a": b"x" * 400})
    data = bytearray(path.read_bytes())
    first = data.index(b"PK\x01\x02")  # the directory's first entry; give the last one its place in the file
    last = data.rindex(b"PK\x01\x02")
    data[last + 42 : last + 46] = data[first + 42 : first + 46]
    path.write_bytes(data)
    return path


@forger("twice")
def zip_with_two_configs(folder: Path, trace: Path) -> Path:
    path = keras_file(folder / "m.keras", sequential(dense()))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("Config.json", json.dumps(sequential(lambda_layer(trace))))
    return path


@forger("at most 10,000")
def zip_with_too_many_members(folder: Path, trace: Path) -> Path:
    return keras_file(
        folder / "m.keras", sequential(dense()), more={f"assets/{n}": b"" for n in range(10_001)}
    )


@forger("an HDF5 file and a zip at once")
def hdf5_and_zip_at_once(folder: Path, trace: Path) -> Path:
    path = h5_file(folder / "m.keras", sequential(dense(), version=2))
    evil = keras_file(folder / "evil.keras", sequential(lambda_layer(trace), dense()))
    path.write_bytes(path.read_bytes() + evil.read_bytes())
    return path


# SavedModels: protobuf written by hand (field numbers as in the .proto files of TensorFlow)


def field(number: int, value: bytes | str | int) -> bytes:
    def varint(amount: int) -> bytes:
        out = bytearray()
        while amount > 0x7F:
            out.append(amount & 0x7F | 0x80)
            amount >>= 7
        return bytes([*out, amount])

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def node(name: str, operator: str, inputs: tuple[str, ...] = (), function: str = "") -> bytes:
    called = field(5, field(1, "f") + field(2, field(10, field(1, function)))) if function else b""
    return field(1, name) + field(2, operator) + b"".join(field(3, one) for one in inputs) + called


def function(name: str, *nodes: bytes) -> bytes:
    return field(1, field(1, name)) + b"".join(field(3, one) for one in nodes)


def signature(output: str) -> bytes:
    return field(1, "serving_default") + field(
        2, field(2, field(1, "y") + field(2, field(1, output) + field(2, 1)))
    )


def saved_model(
    path: Path,
    nodes: tuple[bytes, ...] = (),
    functions: tuple[bytes, ...] = (),
    output: str = "y:0",
    metadata: list[Json] | None = None,
    more: bytes = b"",
    members: dict[str, bytes] | None = None,
) -> Path:
    graph = b"".join(field(1, one) for one in nodes) + field(2, b"".join(field(1, one) for one in functions))
    meta = field(2, graph) + field(5, signature(output)) + more
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/saved_model.pb", field(1, 1) + field(2, meta))
        archive.writestr("model/variables/variables.index", b"")
        for name, data in (members or {}).items():
            archive.writestr(name, data)
        if metadata is not None:
            entries = b"".join(
                field(
                    1,
                    field(2, index)
                    + field(3, entry["path"])
                    + field(4, entry["kind"])
                    + field(5, json.dumps(entry["json"])),
                )
                for index, entry in enumerate(metadata)
            )
            archive.writestr("model/keras_metadata.pb", entries)
    return path


@forger("layer 'payload' .Lambda.*Python code")
def saved_model_with_lambda(folder: Path, trace: Path) -> Path:
    entry = without_modules(lambda_layer(trace))
    metadata = [
        {
            "path": "root",
            "kind": "_tf_keras_sequential",
            "json": without_modules(sequential(dense(), version=2)),
        },
        {"path": "root.layer-0", "kind": "_tf_keras_layer", "json": {**entry, "name": "payload"}},
    ]
    return saved_model(folder / "m.zip", (node("y", "Placeholder"),), metadata=metadata)


@forger("metric 'spy'")
def saved_model_with_metric_of_code(folder: Path, trace: Path) -> Path:
    spy = {
        "class_name": "MeanMetricWrapper",
        "name": "spy",
        "config": {"name": "spy", "fn": {"class_name": "__lambda__", "config": {"value": marshalled(trace)}}},
    }
    metadata = [
        {
            "path": "root",
            "kind": "_tf_keras_sequential",
            "json": without_modules(sequential(dense(), version=2)),
        },
        {"path": "root.keras_api.metrics.0", "kind": "_tf_keras_metric", "json": spy},
    ]
    return saved_model(folder / "m.zip", (node("y", "Placeholder"),), metadata=metadata)


@forger("ReadFile.*reads files")
def saved_model_that_reads_a_file(folder: Path, trace: Path) -> Path:
    return saved_model(folder / "m.zip", (node("name", "Const"), node("y", "ReadFile", ("name",))))


@forger("function 'inner' holds the operator WriteFile.*writes files")
def saved_model_that_writes_in_a_function(folder: Path, trace: Path) -> Path:
    inner = function("inner", node("out", "WriteFile"))
    return saved_model(folder / "m.zip", (node("y", "StatefulPartitionedCall", (), "inner"),), (inner,))


@forger("PyFunc.*runs Python code")
def saved_model_that_calls_python(folder: Path, trace: Path) -> Path:
    return saved_model(folder / "m.zip", (node("y", "EagerPyFunc"),))


@forger("PrintV2.*into a file")
def saved_model_that_prints_to_a_file(folder: Path, trace: Path) -> Path:
    return saved_model(folder / "m.zip", (node("text", "Const"), node("y", "PrintV2", ("text",))))


@forger("computes with the operator SaveV2")
def saved_model_that_saves_while_computing(folder: Path, trace: Path) -> Path:
    hidden = function("__inference__traced_save_1", node("save", "SaveV2"))
    nodes = (
        node("write", "StatefulPartitionedCall", (), "__inference__traced_save_1"),
        node("y", "Identity", ("^write",)),
    )
    return saved_model(folder / "m.zip", nodes, (hidden,))


@forger("writes files .SaveV2.*restored")
def saved_model_that_saves_while_restored(folder: Path, trace: Path) -> Path:
    nodes = (node("y", "Placeholder"), node("name", "Placeholder"), node("restore", "SaveV2", ("name",)))
    return saved_model(folder / "m.zip", nodes, more=field(3, field(3, "restore")))


@forger("computes with the operator MergeV2Checkpoints")
def saved_model_that_writes_when_initialised(folder: Path, trace: Path) -> Path:
    init = field(4, field(1, "saved_model_main_op") + field(2, field(1, field(1, "init"))))
    return saved_model(
        folder / "m.zip", (node("y", "Placeholder"), node("init", "MergeV2Checkpoints")), more=init
    )


@forger("asset files")
def saved_model_with_assets(folder: Path, trace: Path) -> Path:
    asset = field(6, field(2, str(trace)))
    return saved_model(folder / "m.zip", (node("y", "Placeholder"),), more=asset)


@forger("registered class 'evil.Thing'")
def saved_model_with_registered_class(folder: Path, trace: Path) -> Path:
    return saved_model(
        folder / "m.zip", (node("y", "Placeholder"),), more=field(7, field(1, field(13, "evil.Thing")))
    )


@forger("no part of a SavedModel")
def saved_model_with_stray_file(folder: Path, trace: Path) -> Path:
    return saved_model(
        folder / "m.zip", (node("y", "Placeholder"),), members={"model/run.py": b"open('trace', 'w')"}
    )


@forger("damaged")
def saved_model_cut_off(folder: Path, trace: Path) -> Path:
    path = folder / "m.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("saved_model.pb", field(1, 1) + b"\x12\xff\xff\xff\x0f")
    return path
