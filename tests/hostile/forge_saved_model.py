"""Hostile SavedModels, their protobuf written by hand (field numbers as in the .proto files of TensorFlow)."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from forge import Json, dense, forger, lambda_layer, marshalled, sequential, without_modules


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


@forger("not part of a SavedModel")
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
