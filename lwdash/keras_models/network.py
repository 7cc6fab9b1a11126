"""The layer graph that a model's config describes, in one form for both Keras versions and all model classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lwdash.errors import ModelRefused
from lwdash.keras_models.allowed import LAYERS, MODELS, OPERATIONS
from lwdash.keras_models.facts import Shape

NETWORK_CLASSES = MODELS
"""Class names of models made of layers; "Model" is what Keras before 2.3 called a Functional."""


@dataclass(frozen=True)
class TensorRef:
    """Output `tensor` of the `node`-th call of `layer`; `shape`, batch axis first, if the file states it."""

    layer: str
    node: int
    tensor: int
    shape: Shape | None = None


@dataclass(frozen=True)
class LayerNode:
    """A layer: `calls` holds the tensors taken by each call, `network` the inside of a nested model.

    options: the constants given to each call by argument name, for operations.
    """

    name: str
    class_name: str
    is_operation: bool
    config: dict[str, Any]
    calls: tuple[tuple[TensorRef, ...], ...]
    network: Network | None = None
    options: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Network:
    """A model: its layers in saved order, and the tensors that go in and come out."""

    name: str
    class_name: str
    nodes: tuple[LayerNode, ...]
    inputs: tuple[TensorRef, ...]
    outputs: tuple[TensorRef, ...]

    @cached_property
    def by_name(self) -> dict[str, LayerNode]:
        """The layers by name; of namesakes the first."""
        return {node.name: node for node in reversed(self.nodes)}


def read_network(entry: dict[str, Any]) -> Network:
    """The network in a serialised model: `{"class_name": …, "config": …}` as Keras 2 or Keras 3 writes it.

    Raises ModelRefused when the config is not that of a Sequential or Functional model.
    """
    class_name, config = entry.get("class_name"), entry.get("config")
    if isinstance(config, list):  # Keras 2.2 wrote a Sequential's config as the bare list of layers
        config = {"name": "sequential", "layers": config}
    if (
        class_name not in NETWORK_CLASSES
        or not isinstance(config, dict)
        or not isinstance(config.get("layers"), list)
    ):
        raise ModelRefused(
            f"the model is a subclassed '{class_name}': its file holds no layer graph. Sequential and "
            "Functional models can be used; rebuild it with the functional API and save that."
        )
    try:
        if class_name == "Sequential":
            return _sequential(entry, config)
        return _functional(str(class_name), config)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as fault:
        raise ModelRefused(f"the model's config cannot be read: {type(fault).__name__} {fault}") from fault


def walk(network: Network, prefix: str = "") -> Iterator[tuple[str, LayerNode]]:
    """Every layer that is not itself a model, with its path "outer/inner", in saved order."""
    for node in network.nodes:
        path = prefix + node.name
        if node.network is None:
            yield path, node
        else:
            yield from walk(node.network, path + "/")


def _functional(class_name: str, config: dict[str, Any]) -> Network:
    names = {_name(entry) for entry in config["layers"]}
    nodes = tuple(
        _node(entry, tuple(tuple(_refs(call, names)) for call in _calls(entry))) for entry in config["layers"]
    )
    return Network(
        name=str(config.get("name", class_name.lower())),
        class_name=class_name,
        nodes=nodes,
        inputs=tuple(_ends(config.get("input_layers", []), names)),
        outputs=tuple(_ends(config.get("output_layers", []), names)),
    )


def _calls(entry: dict[str, Any]) -> list[Any]:
    nodes = entry.get("inbound_nodes") or []
    return nodes if isinstance(nodes, list) else [nodes]


def _sequential(entry: dict[str, Any], config: dict[str, Any]) -> Network:
    layers = config["layers"]
    nodes: list[LayerNode] = []
    if layers and layers[0]["class_name"] != "InputLayer":
        nodes.append(_implied_input(entry, config, layers[0]))
    for layer in layers:
        previous = ((TensorRef(nodes[-1].name, 0, 0),),) if nodes else ()
        nodes.append(_node(layer, previous))
    first, last = nodes[0].name, nodes[-1].name
    return Network(
        name=str(config.get("name", "sequential")),
        class_name="Sequential",
        nodes=tuple(nodes),
        inputs=(TensorRef(first, 0, 0),),
        outputs=(TensorRef(last, 0, 0),),
    )


def _implied_input(entry: dict[str, Any], config: dict[str, Any], first: dict[str, Any]) -> LayerNode:
    """The input of a Sequential saved without an InputLayer, named as Keras 2 names it on loading."""
    inner = first["config"] if isinstance(first["config"], dict) else {}
    build = entry.get("build_config") or {}
    shape = inner.get("batch_input_shape") or inner.get("batch_shape") or config.get("build_input_shape")
    shape = shape or build.get("input_shape")
    if shape is None and first["class_name"] in NETWORK_CLASSES:
        network = read_network(first)
        shape = network.nodes[0].config.get("batch_shape") if network.nodes else None
    if shape is None:
        raise ModelRefused(
            f"the Sequential model '{config.get('name')}' was saved without an input shape. Call it on data "
            "(or give it an Input layer) and save it again."
        )
    dtype = inner.get("dtype", "float32")
    if first["class_name"] == "Embedding":
        dtype = "int32"
    return LayerNode(f"{_name(first)}_input", "InputLayer", False, {"batch_shape": shape, "dtype": dtype}, ())


def _node(entry: dict[str, Any], calls: tuple[tuple[TensorRef, ...], ...]) -> LayerNode:
    class_name, config = entry["class_name"], entry["config"]
    network = read_network(entry) if class_name in NETWORK_CLASSES else None
    if network is None and not isinstance(config, dict):
        raise ModelRefused(f"layer '{_name(entry)}' ({class_name}) has no config")
    return LayerNode(
        name=_name(entry),
        class_name=class_name,
        is_operation=_is_operation(entry),
        config=_normalised(class_name, config) if network is None else {},
        calls=calls,
        network=network,
        options=tuple(_options(call) for call in entry.get("inbound_nodes") or ()),
    )


def _options(call: Any) -> dict[str, Any]:
    """The constants of one call: Keras 2 puts them last in the first tensor's entry."""
    if isinstance(call, dict):
        positional = call.get("args") or []
        key = {"key": positional[1]} if len(positional) > 1 else {}
        return {**key, **(call.get("kwargs") or {})}
    while isinstance(call, list) and call and isinstance(call[0], list):
        call = call[0]
    return call[3] if isinstance(call, list) and len(call) == 4 and isinstance(call[3], dict) else {}


def _is_operation(entry: dict[str, Any]) -> bool:
    """Whether it is a `keras.ops` call. Of two namesakes (Add …) only the layer's config says `trainable`."""
    class_name, config = entry["class_name"], entry["config"]
    if entry.get("module"):
        return ".ops." in str(entry["module"])
    if not any(class_name in operations for operations in OPERATIONS.values()):
        return False
    return class_name not in LAYERS or "trainable" not in config


def _normalised(class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    if class_name == "InputLayer":
        return {**config, "batch_shape": config.get("batch_shape", config.get("batch_input_shape"))}
    return config


def _name(entry: dict[str, Any]) -> str:
    config = entry.get("config")
    if entry.get("name") is not None:
        return str(entry["name"])
    return str(config["name"] if isinstance(config, dict) else entry["class_name"].lower())


def _ends(value: Any, names: set[str]) -> Iterator[TensorRef]:
    """The tensors of `input_layers` or `output_layers`: one, a list, or a dict of ["layer", node, tensor]."""
    return _refs(value, names)


def _refs(value: Any, names: set[str]) -> Iterator[TensorRef]:
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            layer, node, tensor = value["config"]["keras_history"]
            yield TensorRef(str(layer), int(node), int(tensor), tuple(value["config"]["shape"]))
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


def _is_ref(value: list[Any], names: set[str]) -> bool:
    return (
        len(value) in (3, 4)
        and isinstance(value[0], str)
        and value[0] in names
        and type(value[1]) is int
        and type(value[2]) is int
    )
