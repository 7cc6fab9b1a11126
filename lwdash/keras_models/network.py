"""The layer graph that a model's config describes, in one form for both Keras versions and all model classes.

The config is checked while it is read: the result has the stated types, names and ranges.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lwdash.errors import ModelRefused
from lwdash.keras_models.model_facts import Shape
from lwdash.keras_models.scan.allowed_classes import LAYERS, MODELS, OPERATIONS, TF_LAMBDA_LAYERS
from lwdash.keras_models.scan.layer_settings import CallOptions, LayerSettings, call_options, layer_settings
from lwdash.keras_models.scan.value_kinds import Unfit, items, natural, optional, shape, word

NETWORK_CLASSES = MODELS
"""Class names of models made of layers; "Model" is the name of a Functional in Keras before 2.3."""


@dataclass(frozen=True)
class TensorRef:
    """Output `tensor` of the `node`-th call of `layer`; `shape`, batch axis first, if the file states it."""

    layer: str
    node: int
    tensor: int
    shape: Shape | None = None


@dataclass(frozen=True)
class LayerNode:
    """A layer: `calls` holds the input tensors of each call, `network` the inside of a nested model.

    config: checked settings (layer_settings.py). options: the constant arguments of each call, for
    operations.
    """

    name: str
    class_name: str
    is_operation: bool
    config: LayerSettings | CallOptions
    calls: tuple[tuple[TensorRef, ...], ...]
    network: Network | None = None
    options: tuple[CallOptions, ...] = ()


@dataclass(frozen=True)
class Network:
    """A model: its layers in saved order, and its input and output tensors."""

    name: str
    class_name: str
    nodes: tuple[LayerNode, ...]
    inputs: tuple[TensorRef, ...]
    outputs: tuple[TensorRef, ...]

    @cached_property
    def by_name(self) -> dict[str, LayerNode]:
        """The layers by name; of layers with equal names, the first."""
        return {node.name: node for node in reversed(self.nodes)}

    @cached_property
    def takers(self) -> dict[str, list[LayerNode]]:
        """For each layer, the layers that take one of its outputs, each once, in saved order."""
        found: dict[str, dict[int, LayerNode]] = {}
        for position, node in enumerate(self.nodes):
            for call in node.calls:
                for ref in call:
                    found.setdefault(ref.layer, {})[position] = node
        return {layer: list(nodes.values()) for layer, nodes in found.items()}


def read_network(entry: Mapping[str, Any]) -> Network:
    """The network in a serialised model: `{"class_name": …, "config": …}` as Keras 2 or Keras 3 writes it.

    Raises ModelRefused when the config is not that of a Sequential or Functional model, or is inconsistent.
    """
    class_name, config = entry.get("class_name"), entry.get("config")
    if isinstance(config, list):  # Keras 2.2 wrote a Sequential's config as the bare list of layers
        config = {"name": "sequential", "layers": config}
    if not isinstance(class_name, str) or not isinstance(config, dict) or not _is_network(class_name, config):
        raise ModelRefused(
            f"the model is a subclassed {str(class_name)[:100]!r}: its file holds no layer graph. Only "
            "Sequential and Functional models can be used. Rebuild it with the functional API and save "
            "that"
        )
    name = _checked(word, config.get("name", class_name.lower()), "the model's name")
    layers = config.get("layers")
    if not isinstance(layers, list):
        raise ModelRefused(f"the model '{name}' has no list of layers in its config, {DAMAGED}")
    entries = [_entry(layer, name) for layer in layers]
    if class_name == "Sequential":
        return _sequential(name, entry, config, entries)
    return _functional(name, class_name, config, entries)


def _is_network(class_name: str, config: Any) -> bool:
    """True for Keras's own models, and for a subclass of the Functional, such as one with its own training step."""
    has_graph = isinstance(config, dict) and {"layers", "input_layers", "output_layers"} <= set(config)
    return class_name in NETWORK_CLASSES or has_graph


DAMAGED = "which every model of layers has: the file is damaged or forged. Save the model again"


def _checked(kind: Any, value: Any, what: str) -> Any:
    """`value` after the check by `kind`; raises ModelRefused naming `what`."""
    try:
        return kind(value)
    except Unfit as fault:
        raise ModelRefused(
            f"{what} has to be {fault}, but the file has {repr(value)[:60]}: it is damaged or forged. "
            "Save the model again"
        ) from None


@dataclass(frozen=True)
class _Entry:
    """A serialised layer whose outer parts have been checked.

    config: as in the file, a list only for the Sequential of Keras 2.2; inbound: one item per call.
    """

    name: str
    class_name: str
    config: dict[str, Any] | list[Any]
    inbound: list[Any]
    is_operation: bool
    content: dict[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """The config, or {} where it is a list."""
        return self.config if isinstance(self.config, dict) else {}


def _entry(value: Any, model: str) -> _Entry:
    if not isinstance(value, dict):
        raise ModelRefused(
            f"a layer of the model '{model}' is {repr(value)[:60]} instead of a config, {DAMAGED}"
        )
    class_name = _checked(word, value.get("class_name"), f"the class of a layer of the model '{model}'")
    config = value.get("config")
    stated = config.get("name") if isinstance(config, dict) else None
    own = value.get("name")
    name = own if own is not None else class_name.lower() if stated is None else stated
    name = _checked(word, name, f"the name of a layer ({class_name}) of the model '{model}'")
    if not isinstance(config, dict) and not (isinstance(config, list) and class_name in NETWORK_CLASSES):
        raise ModelRefused(f"layer '{name}' ({class_name}) has no config")
    inbound = value.get("inbound_nodes")
    calls = inbound if isinstance(inbound, list) else [] if inbound is None else [inbound]
    if not all(isinstance(call, (dict, list)) for call in calls):
        raise ModelRefused(f"the calls of layer '{name}' ({class_name}) are not lists of tensors, {DAMAGED}")
    return _Entry(name, class_name, config, calls, _is_operation(value, class_name, config), value)


def walk(network: Network, prefix: str = "") -> Iterator[tuple[str, LayerNode]]:
    """Every layer that is not itself a model, with its path "outer/inner", in saved order."""
    for node in network.nodes:
        path = prefix + node.name
        if node.network is None:
            yield path, node
        else:
            yield from walk(node.network, path + "/")


def _functional(name: str, class_name: str, config: dict[str, Any], entries: list[_Entry]) -> Network:
    names = {entry.name for entry in entries}
    nodes = tuple(
        _node(entry, tuple(tuple(_refs(call, names)) for call in entry.inbound)) for entry in entries
    )
    network = Network(
        name=name,
        class_name=class_name,
        nodes=nodes,
        inputs=_ends(config, "input_layers", names, name),
        outputs=_ends(config, "output_layers", names, name),
    )
    _check_refs(network)
    return network


def _check_refs(network: Network) -> None:
    """Raises ModelRefused for a reference to a layer, or to a call of it, that does not exist."""
    calls = {node.name: len(node.calls) for node in network.nodes}
    for taker, refs in _all_refs(network):
        for ref in refs:
            # Both libraries number the calls of a nested model from 1, since its own inputs are call 0.
            if ref.layer not in calls or ref.node > calls[ref.layer]:
                raise ModelRefused(
                    f"{taker} takes the output of call {ref.node} of the layer '{ref.layer}', which the model "
                    f"'{network.name}' does not have: the file is damaged or forged. Save the model again"
                )


def _all_refs(network: Network) -> Iterator[tuple[str, tuple[TensorRef, ...]]]:
    yield f"the model '{network.name}'", network.inputs
    yield f"the model '{network.name}'", network.outputs
    for node in network.nodes:
        for call in node.calls:
            yield f"layer '{node.name}' ({node.class_name})", call


def _sequential(
    name: str, content: Mapping[str, Any], config: dict[str, Any], entries: list[_Entry]
) -> Network:
    if not entries:
        raise ModelRefused(f"the model '{name}' has no layers")
    nodes: list[LayerNode] = []
    if entries[0].class_name != "InputLayer":
        nodes.append(_implied_input(name, content, config, entries[0]))
    for entry in entries:
        previous = ((TensorRef(nodes[-1].name, 0, 0),),) if nodes else ()
        nodes.append(_node(entry, previous))
    return Network(
        name=name,
        class_name="Sequential",
        nodes=tuple(nodes),
        inputs=(TensorRef(nodes[0].name, 0, 0),),
        outputs=(TensorRef(nodes[-1].name, 0, 0),),
    )


def _implied_input(name: str, content: Mapping[str, Any], config: dict[str, Any], first: _Entry) -> LayerNode:
    """The input of a Sequential saved without an InputLayer, with the name that Keras 2 gives it on loading."""
    build = content.get("build_config")
    stated = (
        first.settings.get("batch_input_shape"),
        first.settings.get("batch_shape"),
        config.get("build_input_shape"),
        build.get("input_shape") if isinstance(build, dict) else None,
    )
    lengths = next((one for one in stated if one), None)
    if lengths is None and first.class_name in NETWORK_CLASSES:
        network = read_network(first.content)
        lengths = network.nodes[0].config.get("batch_shape") if network.nodes else None
    if lengths is None:
        raise ModelRefused(
            f"the Sequential model '{name}' was saved without an input shape. Call it on data "
            "(or give it an Input layer) and save it again."
        )
    where = f"the input of the model '{name}'"
    settings = {
        "batch_shape": _checked(shape, lengths, f"the shape of {where}"),
        "dtype": "int32" if first.class_name == "Embedding" else first.settings.get("dtype", "float32"),
    }
    return LayerNode(
        f"{first.name}_input", "InputLayer", False, layer_settings("InputLayer", settings, where), ()
    )


def _node(entry: _Entry, calls: tuple[tuple[TensorRef, ...], ...]) -> LayerNode:
    where = f"layer '{entry.name}' ({entry.class_name})"
    network = read_network(entry.content) if _is_network(entry.class_name, entry.config) else None
    config: LayerSettings | CallOptions
    if entry.is_operation or entry.class_name in TF_LAMBDA_LAYERS:
        config = call_options(entry.settings)
    else:
        config = layer_settings(entry.class_name, {} if network else _normalised(entry), where)
    return LayerNode(
        name=entry.name,
        class_name=entry.class_name,
        is_operation=entry.is_operation,
        config=config,
        calls=calls,
        network=network,
        options=tuple(call_options(_constants(call)) for call in entry.inbound),
    )


def _constants(call: Any) -> dict[str, Any]:
    """The constant arguments of one call. Keras 2 stores them last in the first tensor's entry."""
    if isinstance(call, dict):
        positional, named = call.get("args"), call.get("kwargs")
        second = {"key": positional[1]} if isinstance(positional, list) and len(positional) > 1 else {}
        return {**second, **(named if isinstance(named, dict) else {})}
    while isinstance(call, list) and call and isinstance(call[0], list):
        call = call[0]
    return call[3] if isinstance(call, list) and len(call) == 4 and isinstance(call[3], dict) else {}


def _is_operation(content: dict[str, Any], class_name: str, config: Any) -> bool:
    """True for a `keras.ops` call. For names that exist as both (Add …), only the layer's config has `trainable`."""
    if content.get("module"):
        return str(content["module"]).startswith("keras.src.ops.")
    if not any(class_name in operations for operations in OPERATIONS.values()):
        return False
    return class_name not in LAYERS or "trainable" not in config


def _normalised(entry: _Entry) -> dict[str, Any]:
    config = entry.settings
    if entry.class_name == "InputLayer":
        return {**config, "batch_shape": config.get("batch_shape", config.get("batch_input_shape"))}
    return config


def _ends(config: dict[str, Any], key: str, names: set[str], model: str) -> tuple[TensorRef, ...]:
    """The tensors of `input_layers` or `output_layers`: one, a list, or a dict of ["layer", node, tensor]."""
    value = config.get(key)
    refs = tuple(_refs(value, names))
    if not refs or len(refs) != _ends_stated(value):
        raise ModelRefused(
            f"the model '{model}' has {repr(value)[:100]} for its {key}, where the names of its layers "
            "are expected: the file is damaged or forged. Save the model again"
        )
    return refs


def _ends_stated(value: Any) -> int:
    """Number of tensors in the value: lists that begin with a name, counted at any depth."""
    if isinstance(value, dict):
        return sum(_ends_stated(item) for item in value.values())
    if not isinstance(value, list) or not value:
        return 1
    return 1 if isinstance(value[0], str) else sum(_ends_stated(item) for item in value)


def _refs(value: Any, names: set[str]) -> Iterator[TensorRef]:
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            yield _keras_tensor(value.get("config"))
            return
        # Keras flattens dicts in the order of their sorted keys, which is also the order of model.inputs.
        for key in sorted(value, key=str):
            yield from _refs(value[key], names)
    elif isinstance(value, list):
        if _is_ref(value, names):
            yield TensorRef(value[0], value[1], value[2])
            yield from _refs(value[3:], names)
        else:
            for item in value:
                yield from _refs(item, names)


def _keras_tensor(config: Any) -> TensorRef:
    config = config if isinstance(config, dict) else {}
    history = items(config.get("keras_history")) or []
    if len(history) != 3:
        raise ModelRefused(
            f"a tensor between layers has {repr(config)[:100]} as its source: the file is damaged or "
            "forged. Save the model again"
        )
    layer = _checked(word, history[0], "the name of the layer that a tensor comes from")
    node, tensor = (_checked(natural, one, f"the number of an output of '{layer}'") for one in history[1:])
    stated = _checked(optional(_tensor_shape), config.get("shape"), f"the shape of an output of '{layer}'")
    return TensorRef(layer, node, tensor, stated)


def _tensor_shape(value: Any) -> Shape:
    """A shape, or [] for a scalar."""
    return () if items(value) == [] else shape(value)


def _is_ref(value: list[Any], names: set[str]) -> bool:
    return (
        len(value) in (3, 4)
        and isinstance(value[0], str)
        and value[0] in names
        and all(type(number) is int and number >= 0 for number in value[1:3])
    )
