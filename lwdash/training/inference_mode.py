"""Layers that compute in training as they do in inference, for fine-tuning with few rows."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from lwdash.keras_models.ports import library_of


@contextmanager
def as_in_inference(model: Any) -> Iterator[None]:
    """Keeps the statistics of batch normalization, normalizes by them in training too, and turns dropout off.

    Scales and offsets are learnt. The model must be compiled inside of this context.
    """
    layers = library_of(model).layers
    kinds = (layers.BatchNormalization, layers.Dropout, *_spatial(layers))
    with ExitStack() as stack:
        for layer in model._flatten_layers():
            if isinstance(layer, kinds):
                stack.enter_context(replaced(layer, "call", _called_for_inference(layer.call)))
        yield


@contextmanager
def replaced(layer: Any, name: str, value: Any) -> Iterator[None]:
    """The attribute `name` of a layer is `value`; afterwards it is what it was."""
    is_own, before = name in vars(layer), getattr(layer, name)
    setattr(layer, name, value)
    try:
        yield
    finally:
        if is_own:
            setattr(layer, name, before)
        else:
            delattr(layer, name)


def _spatial(layers: Any) -> tuple[Any, ...]:
    return layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D


def _called_for_inference(call: Callable[..., Any]) -> Callable[..., Any]:
    def called(inputs: Any, *_: Any, **options: Any) -> Any:
        return call(inputs, **{**options, "training": False})

    return called
