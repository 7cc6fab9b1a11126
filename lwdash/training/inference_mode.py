"""Layers that compute in training as they do in inference, for fine-tuning with few rows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lwdash.keras_models.ports import library_of


@contextmanager
def as_in_inference(model: Any) -> Iterator[None]:
    """Keeps the statistics of batch normalization, normalizes by them in training too, and turns dropout off.

    Scales and offsets are learnt. The model must be compiled inside of this context.
    """
    layers = library_of(model).layers
    kinds = (layers.BatchNormalization, layers.Dropout, *_spatial(layers))
    changed = [layer for layer in model._flatten_layers() if isinstance(layer, kinds)]
    for layer in changed:
        layer.call = _called_for_inference(layer.call)
    try:
        yield
    finally:
        for layer in changed:
            del layer.call


def _spatial(layers: Any) -> tuple[Any, ...]:
    return layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D


def _called_for_inference(call: Callable[..., Any]) -> Callable[..., Any]:
    def called(inputs: Any, *_: Any, **options: Any) -> Any:
        return call(inputs, **{**options, "training": False})

    return called
