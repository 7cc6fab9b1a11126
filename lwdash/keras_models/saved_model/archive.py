"""Zipped SavedModels: scanned, described and unpacked without TensorFlow."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lwdash.errors import ModelRefused
from lwdash.keras_models.model_facts import ModelFacts, Shape, TensorFacts
from lwdash.keras_models.model_file import read_json, version_of
from lwdash.keras_models.model_task import likely_task, loss_name
from lwdash.keras_models.network import NETWORK_CLASSES, read_network
from lwdash.keras_models.network_facts import network_facts
from lwdash.keras_models.saved_model.object_graph import all_parameters, layer_counts, variable_size
from lwdash.keras_models.saved_model.protobuf_wire import Malformed, Message
from lwdash.keras_models.scan.config_scan import scan_model_config, scan_object_config
from lwdash.keras_models.scan.saved_model_scan import scan_meta_graph
from lwdash.keras_models.scan.value_kinds import MAX_AXES, UNPRINTABLE
from lwdash.keras_models.scan.zip_scan import check_contents, check_members, open_zip

GRAPH, METADATA = "saved_model.pb", "keras_metadata.pb"
MAX_GRAPH_BYTES = 128 << 20
MAX_METADATA_BYTES = 32 << 20
"""Keras repeats the config of every layer in that of the models around it."""
MAX_LENGTH = 1 << 31
IGNORED = ("__MACOSX/", ".DS_Store")
DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    6: "int8",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    19: "float16",
}
"""Names of TensorFlow's DataType enum that occur as inputs or outputs of models."""

NOT_CONFIG = frozenset(
    {"full_save_spec", "save_spec", "input_spec", "build_input_shape", "training_config", "metadata"}
)
"""Parts of Keras's metadata with shapes and types, or compile settings, which are not used."""


def inspect_saved_model(path: Path) -> ModelFacts:
    """ModelFacts of a zipped SavedModel; `library` is "none" when it holds no Keras metadata.

    Raises ModelRefused as `inspect_model` does.
    """
    with open_zip(path) as archive:
        root, names = _members(archive)
        check_contents(archive)
        graph = _parse(archive, root + GRAPH)
        metadata = _parse(archive, root + METADATA) if root + METADATA in names else None
        stored_bytes = sum(archive.getinfo(name).file_size for name in names if "/variables.data-" in name)
    try:
        return _facts(graph, metadata, stored_bytes)
    except Malformed as fault:
        raise ModelRefused(f"the SavedModel is damaged: {fault}") from fault


def unpack_saved_model(path: Path, into: Path) -> Path:
    """Unpack the model's own files below `into` and return the folder that holds saved_model.pb.

    The zip is checked again. Call after `inspect_saved_model`, whose scan of the graph is not repeated here.
    """
    with open_zip(path) as archive:
        root, names = _members(archive)
        folder = into / "saved_model"
        for name in names:
            target = folder / name.removeprefix(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink)
    return folder


def _members(archive: zipfile.ZipFile) -> tuple[str, list[str]]:
    """The prefix of the model's folder in the zip, and its files; anything else is refused."""
    files = [
        member.filename
        for member in check_members(archive)
        if not member.is_dir()
        and not member.filename.startswith(IGNORED[0])
        and not member.filename.endswith(IGNORED[1])
    ]
    graphs = [name for name in files if name.rsplit("/", 1)[-1] == GRAPH]
    if len(graphs) != 1:
        raise ModelRefused(f"the zip holds {len(graphs)} SavedModels. Give one")
    root = graphs[0].removesuffix(GRAPH)
    for name in files:
        inner = name.removeprefix(root)
        if not name.startswith(root) or not (
            inner in (GRAPH, METADATA, "fingerprint.pb")
            or inner == "variables/variables.index"
            or (inner.startswith("variables/variables.data-") and inner.count("/") == 1)
        ):
            raise ModelRefused(_strange_member(name, inner))
    return root, files


def _strange_member(name: str, inner: str) -> str:
    if inner.startswith("assets"):
        return f"the SavedModel reads the file '{name}' (a vocabulary); a model may not read files"
    if name.endswith((".pkl", ".pickle")):
        return f"the zip holds a pickle ('{name}'), which can run code"
    return f"the zip holds '{name}', which is not part of a SavedModel"


def _parse(archive: zipfile.ZipFile, name: str) -> Message:
    size = archive.getinfo(name).file_size
    limit = MAX_METADATA_BYTES if name.endswith(METADATA) else MAX_GRAPH_BYTES
    if size > limit:
        raise ModelRefused(f"'{name}' has {size:,} bytes; the limit is {limit:,}")
    try:
        return Message(archive.read(name))
    except Malformed as fault:
        raise ModelRefused(f"'{name}' is damaged: {fault}") from fault


def _facts(graph: Message, metadata: Message | None, stored_bytes: int) -> ModelFacts:
    metas = graph.messages(2)
    if not metas:
        raise ModelRefused("the SavedModel holds no graph")
    for meta in metas:
        scan_meta_graph(meta)
    objects = metas[0].message(7).messages(1)
    sizes = [variable_size(entry) for entry in objects]
    records = list(_records(metadata.messages(1)) if metadata is not None else _inner_records(objects))
    for record in records:
        _scan_record(record)
    top = next((record for record in records if record["path"] == "root"), None)
    class_name = top["metadata"].get("class_name") if top else None
    if top is None or not isinstance(class_name, str) or class_name not in NETWORK_CLASSES:
        return _signature_facts(metas[0], objects, sizes)
    entry = {"class_name": class_name, "config": top["metadata"].get("config")}
    network = read_network(entry)
    version = version_of(top["metadata"].get("keras_version", "2"))
    return network_facts(
        network,
        layer_counts(network, records, objects, sizes),
        format="savedmodel",
        keras_version=version,
        library="tf_keras",
        loss=loss_name(top["metadata"].get("training_config"), [ref.layer for ref in network.outputs]),
        stored=min(stored_bytes, sum(size or 0 for size in sizes)),
    )


def _records(nodes: Iterable[Message]) -> Iterator[dict[str, Any]]:
    """The objects of keras_metadata.pb (saved_metadata.proto): their index in the object graph, their config."""
    for node in nodes:
        yield _record(node.number(2), node.text(3), node.text(4), node.text(5))


def _inner_records(objects: Sequence[Message]) -> list[dict[str, Any]]:
    """The same for TensorFlow 2.4 and older, which kept each object's metadata in the object graph itself.

    Empty where a Keras object has none: newer versions write such a graph when only the function was
    exported.
    """
    records = []
    for number, entry in enumerate(objects):
        described = entry.message(4)  # SavedUserObject: identifier, version, metadata
        kind, text = described.text(1), described.text(3)
        if kind.startswith("_tf_keras_"):
            if not text:
                return []
            records.append(_record(number, "root" if number == 0 else f"object {number}", kind, text))
    return records


def _record(number: int, path: str, kind: str, text: str) -> dict[str, Any]:
    """One object's metadata, which is JSON. Raises ModelRefused for any other format."""
    what = f"metadata of '{_printable(path)}'"
    try:
        content = _plain(read_json(text, what)) if text else {}
    except RecursionError:
        raise ModelRefused(f"the SavedModel's {what} is nested too deep") from None
    if not isinstance(content, dict):
        raise ModelRefused(f"the SavedModel's {what} is not a JSON object")
    return {"id": number, "path": path, "kind": kind, "metadata": content}


def _plain(value: Any) -> Any:
    """JSON as Keras 2 writes it into SavedModels, with its tuples and shapes as plain lists."""
    if isinstance(value, dict):
        if value.get("class_name") in ("__tuple__", "TensorShape") and set(value) == {"class_name", "items"}:
            return _plain(value["items"])
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _scan_record(record: dict[str, Any]) -> None:
    content = record["metadata"]
    entry = {key: value for key, value in content.items() if key not in NOT_CONFIG and key != "model_config"}
    named = content.get("name", record["path"]), content.get("class_name", "unknown")
    where = "'{}' ({})".format(*(_printable(str(part)[:100]) for part in named))
    if record["kind"] == "_tf_keras_metric":
        # Metrics are restored even when a model is loaded uncompiled.
        try:
            scan_object_config({**entry, "module": "keras.metrics"}, f"metric {where}")
        except ModelRefused as refused:
            raise ModelRefused(
                f"the SavedModel was compiled with the metric {where}, which is not one of Keras's. No "
                "metric is needed here. Load the model with compile=False, save it again, and give that"
            ) from refused
        return
    if not record["kind"].startswith("_tf_keras_"):
        raise ModelRefused(
            f"the SavedModel's metadata holds an object of the kind '{_printable(record['kind'][:100])}', not from Keras"
        )
    if "class_name" not in entry:
        raise ModelRefused(f"the SavedModel's metadata of '{_printable(record['path'])}' names no class")
    scan_model_config(entry)
    model = content.get("model_config")
    if isinstance(model, dict):
        scan_model_config(model)


def _signature_facts(meta: Message, objects: list[Message], sizes: list[int | None]) -> ModelFacts:
    """Facts of a SavedModel without Keras metadata, from its serving signature."""
    signatures = {name: entry for name, entry in meta.map_of(5).items() if not name.startswith("__")}
    signature = signatures.get("serving_default") or next(iter(signatures.values()), None)
    if signature is None:
        raise ModelRefused("the SavedModel has no serving signature, so its inputs and outputs are unknown")
    inputs, outputs = _tensors(signature.map_of(1)), _tensors(signature.map_of(2))
    return ModelFacts(
        format="savedmodel",
        keras_version="none",
        library="none",
        name="saved_model",
        class_name="SavedModel",
        inputs=inputs,
        outputs=outputs,
        parameters=all_parameters(objects, sizes),
        layers=(),
        task=likely_task(None, None, inputs, outputs),
        support={"prune": (), "cluster": (), "qat": ()},
    )


def _tensors(entries: Mapping[str, Message]) -> tuple[TensorFacts, ...]:
    return tuple(
        TensorFacts(_printable(name), _shape(name, entry), DTYPES.get(entry.number(2), "unknown"))
        for name, entry in sorted(entries.items())
    )


def _shape(name: str, entry: Message) -> Shape | None:
    shape = entry.message(3)
    if shape.number(3):
        return None
    sizes = [dimension.number(1) for dimension in shape.messages(2)]
    if len(sizes) > MAX_AXES or any(size == 0 or size > MAX_LENGTH for size in sizes):
        raise ModelRefused(
            f"the SavedModel's signature gives the tensor '{_printable(name)}' the shape "
            f"{sizes[:MAX_AXES]}, but lengths have to be at least 1. Export the model again with an input "
            "of rows"
        )
    return tuple(None if size < 0 else size for size in sizes[1:])


def _printable(text: str) -> str:
    """A text of the file without control characters, at most 200 characters of it."""
    return UNPRINTABLE.sub("�", text[:200])
