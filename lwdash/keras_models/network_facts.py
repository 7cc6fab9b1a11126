"""Facts of a network from its config alone: layers, shapes, inputs and outputs, without Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lwdash.errors import ModelRefused
from lwdash.keras_models.input_scaling import Statistics, input_scaling
from lwdash.keras_models.model_facts import LayerFacts, ModelFacts, Shape, TensorFacts
from lwdash.keras_models.model_task import likely_task, output_activation
from lwdash.keras_models.network import LayerNode, Network, TensorRef, walk
from lwdash.keras_models.scan.declared_sizes import check_declared, check_layers
from lwdash.keras_models.scan.layer_settings import CallOptions, LayerSettings
from lwdash.keras_models.scan.value_kinds import LAYER_ACTIVATIONS
from lwdash.keras_models.shapes.network_shapes import infer_shapes
from lwdash.keras_models.support import support


def network_facts(
    network: Network,
    counts: Mapping[str, int],
    *,
    format: str,
    keras_version: str,
    library: str,
    loss: str | None,
    stored: int,
    statistics: Statistics | None = None,
) -> ModelFacts:
    """ModelFacts of a network whose layers have `counts` parameters and normalization `statistics` by path.

    stored: number of weights in the file. Raises ModelRefused where the config declares far more than that.
    """
    check_layers(network)
    check_declared(network, stored)
    shapes, output_shapes = infer_shapes(network)
    layers = _layers(network, counts, shapes)
    inputs = tuple(_input(network, ref, shapes) for ref in network.inputs)
    _refuse_text(inputs, layers)
    _refuse_hashes(layers)
    outputs = tuple(_output(network, ref, output_shapes.get(ref)) for ref in network.outputs)
    last = _producer(network, network.outputs[0]) if network.outputs else None
    activation = output_activation(layers, last)
    return ModelFacts(
        format=format,
        keras_version=keras_version,
        library=library,
        name=network.name,
        class_name=network.class_name,
        inputs=inputs,
        outputs=outputs,
        parameters=sum(counts.values()),
        layers=layers,
        loss=loss,
        task=likely_task(loss, activation, inputs, outputs),
        output_activation=activation,
        support=support(layers),
        scaling=input_scaling(network, statistics or {}),
    )


def _refuse_text(inputs: Sequence[TensorFacts], layers: Sequence[LayerFacts]) -> None:
    """Raises ModelRefused for a text input: no interpreter on phones and microcontrollers can look words up."""
    port = next((port for port in inputs if port.dtype == "string"), None)
    if port is None:
        return
    reader = next((layer for layer in layers if port.name in layer.sources), None)
    after = f"the layer '{reader.path}' ({reader.class_name})" if reader else "the layer that reads it"
    raise ModelRefused(
        f"the input '{port.name}' takes text, which TensorFlow Lite files cannot look up. Save the part "
        f"of the model after {after}, and give the rows as the numbers that it computes from the words"
    )


HASHING = frozenset({"Hashing", "HashedCrossing"})


def _refuse_hashes(layers: Sequence[LayerFacts]) -> None:
    """Raises ModelRefused for a standard layer without TensorFlow Lite operators: it hashes numbers as text."""
    layer = next((layer for layer in layers if layer.class_name in HASHING), None)
    if layer is not None:
        raise ModelRefused(
            f"the layer '{layer.path}' ({layer.class_name}) hashes its input as text, which TensorFlow "
            "Lite files cannot do. Save the part of the model after it, and give the rows as the numbers "
            "that it computes"
        )


def _layers(
    network: Network, counts: Mapping[str, int], shapes: Mapping[str, Shape]
) -> tuple[LayerFacts, ...]:
    sources = _sources(network, "", {})
    return tuple(
        LayerFacts(
            name=node.name,
            class_name=f"ops.{node.class_name}" if node.is_operation else node.class_name,
            parameters=counts.get(path, 0),
            output_shape=shapes[path][1:] if path in shapes else None,
            path=path,
            activation=_activation(node),
            sources=sources.get(path, ()),
        )
        for path, node in walk(network)
    )


def _sources(
    network: Network, prefix: str, entering: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Paths of the layers that feed each layer (over all its calls), including layers inside nested models.

    entering: the layers that feed the input layers of this network, by their name, when it is nested in
    another.
    """
    result: dict[str, tuple[str, ...]] = {}
    for node in network.nodes:
        feeding = tuple(
            dict.fromkeys(prefix + _producer(network, ref) for call in node.calls for ref in call)
        )
        if node.network is None:
            result[prefix + node.name] = feeding or entering.get(node.name, ())
        else:
            inner = {ref.layer: (source,) for ref, source in zip(node.network.inputs, feeding, strict=False)}
            result.update(_sources(node.network, f"{prefix}{node.name}/", inner))
    return result


def _producer(network: Network, ref: TensorRef) -> str:
    """Path of the layer (inside nested models if necessary) that computes a tensor."""
    node = network.by_name.get(ref.layer)
    if node is None or node.network is None or not node.network.outputs:
        return ref.layer
    inner = node.network.outputs[min(ref.tensor, len(node.network.outputs) - 1)]
    return f"{ref.layer}/{_producer(node.network, inner)}"


def _input(network: Network, ref: TensorRef, shapes: Mapping[str, Shape]) -> TensorFacts:
    node = network.by_name.get(ref.layer)
    while node is not None and node.network is not None:  # a Sequential whose first layer is a model
        node = node.network.nodes[0]
    stated = shapes.get(ref.layer)
    if node is not None and isinstance(node.config, LayerSettings):
        stated = node.config.get("batch_shape") or stated
    return TensorFacts(ref.layer, stated[1:] if stated else None, _dtype(node))


def _output(network: Network, ref: TensorRef, shape: Shape | None) -> TensorFacts:
    return TensorFacts(ref.layer, None if shape is None else tuple(shape[1:]), _output_dtype(network, ref))


def _output_dtype(network: Network, ref: TensorRef) -> str:
    """The dtype of a tensor. Operations keep the dtype of their input. Layers may be called in a circle."""
    seen: set[str] = set()
    while (node := network.by_name.get(ref.layer)) is not None:
        if node.network is not None:
            network, seen = node.network, set()
            ref = network.outputs[min(ref.tensor, len(network.outputs) - 1)]
            continue
        sources = next((call for call in node.calls if call), ())
        if not isinstance(node.config, CallOptions):
            return _dtype(node)
        if not sources or node.name in seen:
            break
        seen.add(node.name)
        ref = sources[0]
    return "float32"


def _dtype(node: LayerNode | None) -> str:
    """The dtype that a layer computes in."""
    name = (
        node.config.get("dtype", "float32")
        if node is not None and isinstance(node.config, LayerSettings)
        else "float32"
    )
    return {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}.get(name, name)


def _activation(node: LayerNode) -> str | None:
    """The final activation of a layer: None without an activation, "linear" for the identity."""
    if isinstance(node.config, CallOptions):
        name = str(node.config.known("function") or node.class_name).rsplit(".", 1)[-1].lower()
        return name if name in ("relu", "relu6", "softmax", "sigmoid", "tanh") else None
    if node.config.get("activation") is not None:
        return str(node.config["activation"])
    if node.class_name == "ReLU" and node.config.get("max_value") == 6:
        return "relu6"
    return LAYER_ACTIVATIONS.get(node.class_name)
