"""Gives the Keras 3 original the structure of its treated Keras 2 twin: narrower layers, or chains of layers.

Then the twin's weights can be copied back (transfer.py) into the graph that its baseline was exported from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lwdash.keras_models.bridge.graph import legal_name
from lwdash.keras_models.bridge.transfer import can_transfer
from lwdash.keras_models.learnt_state import learnt_config
from lwdash.keras_models.ports import is_network

SIZES = ("units", "filters", "output_dim", "target_shape")
CHAINED = (*SIZES, "kernel_size", "strides", "padding", "dilation_rate", "use_bias")


def with_structure_of(treated: Any, original: Any) -> Any | None:
    """`original`, or a copy with other layers, that accepts the weights of `treated` (`transfer_weights`).

    None where that is impossible: then `treated` itself has to be exported.
    """
    import keras

    if can_transfer(treated, original):
        return original
    if not isinstance(original, keras.Model):
        return None
    parts = dict(_leaves(treated))
    paths = {id(layer): path for path, layer in _leaves(original)}

    def rebuilt(layer: Any) -> Any:
        if not isinstance(layer, keras.layers.Layer):
            return layer
        path = paths[id(layer)]
        if path in parts:
            return type(layer).from_config(
                {**learnt_config(layer), **_matching_values(parts[path], layer, SIZES)}
            )
        chain = [part for name, part in parts.items() if name.startswith(f"{path}/")]
        return _chained(layer, path, chain) if chain else type(layer).from_config(learnt_config(layer))

    try:
        copy = keras.models.clone_model(original, clone_function=rebuilt, recursive=True)
    except (ValueError, TypeError, KeyError, NotImplementedError):
        return None
    return copy if can_transfer(treated, copy) else None


def _chained(layer: Any, path: str, chain: Sequence[Any]) -> Any:
    """A nested Sequential that replaces a layer. The layer's activation and bias go to the last layer of the chain."""
    import keras

    layers = []
    for part in chain:
        plain = {} if part is chain[-1] else {"activation": "linear", "activity_regularizer": None}
        changed = _matching_values(part, layer, CHAINED)
        name = legal_name(part.name).removeprefix(f"{path}/")
        layers.append(type(layer).from_config({**layer.get_config(), **changed, **plain, "name": name}))
    return keras.Sequential(layers, name=layer.name)


def _matching_values(part: Any, layer: Any, keys: Sequence[str]) -> Mapping[str, Any]:
    """The values of these arguments in a Keras 2 layer, limited to those that the Keras 3 layer has."""
    own, known = part.get_config(), layer.get_config()
    return {key: own[key] for key in keys if key in own and key in known}


def _leaves(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for layer in model.layers:
        path = prefix + legal_name(layer.name)
        if is_network(layer):
            yield from _leaves(layer, f"{path}/")
        else:
            yield path, layer
