"""One layer of a channels_first network in its channels_last form: its config, its axes, its weights.

A layout is the axis from which a tensor's channels were moved to the end, counted with the batch axis; 0 if
not moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lwdash.keras_models.learnt_state import learnt_config
from lwdash.keras_models.scan.allowed_classes import names

RECURRENT = {"ConvLSTM1D": 1, "ConvLSTM2D": 2, "ConvLSTM3D": 3}
"""Convolutions over time, and their number of spatial axes."""

SPATIAL = frozenset(RECURRENT) | names(
    """
    AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D
    AdaptiveMaxPooling2D AdaptiveMaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D CenterCrop Conv1D
    Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose Cropping2D Cropping3D DepthwiseConv1D DepthwiseConv2D
    Flatten GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D
    GlobalMaxPooling3D MaxPooling1D MaxPooling2D MaxPooling3D Resizing SeparableConv1D SeparableConv2D UpSampling2D
    UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
    """
)
"""Layers whose computation depends on the data format, and whose weights do not."""

BY_VALUE = names(
    """
    Activation ActivityRegularization Add AlphaDropout Average Dropout ELU GaussianDropout GaussianNoise Identity
    LeakyReLU Maximum Minimum Multiply ReLU SpatialDropout1D SpatialDropout2D SpatialDropout3D Subtract ThresholdedReLU
    """
)
"""Layers that treat every value alike, or pair values at the same position, if no activation works along an axis."""

ALONG_AXIS = names("BatchNormalization SyncBatchNormalization Concatenate GroupNormalization Softmax")
"""Layers with an `axis`, and no weights along any other axis."""

AXIS_ACTIVATIONS = names("softmax log_softmax sparsemax glu")

OPERATIONS = names(
    """
    Abs Absolute Add Clip Divide Elu Exp Gelu HardSigmoid HardSilu LeakyRelu Maximum Minimum Multiply Negative Relu
    Relu6 Selu Sigmoid Silu Softplus Sqrt Square Subtract Tanh TrueDivide
    """
)
FUNCTIONS = names(
    """
    __operators__.add __operators__.mul __operators__.sub __operators__.truediv clip_by_value math.abs math.add
    math.maximum math.minimum math.multiply math.sigmoid math.subtract math.tanh nn.relu nn.relu6 nn.silu nn.swish
    """
)
"""Operations of Keras 3, and functions of TensorFlow in Keras 2, that treat every value alike."""


def is_channels_first(layer: Any) -> bool:
    """True if a layer, or the layer that it wraps for each time step, computes channels_first.

    Raises ValueError for a channels_first layer that has no channels_last form here.
    """
    inner = _wrapped(layer)
    if type(inner).__name__ in BY_VALUE or getattr(inner, "data_format", None) != "channels_first":
        return False
    if type(inner).__name__ not in SPATIAL:
        raise ValueError(f"'{layer.name}' ({type(inner).__name__}) has no channels_last form here")
    return True


def layout_of(layer: Any, rank: int) -> int:
    """The layout of an input or output of this rank (batch axis included) of a channels_first layer."""
    if layer is not _wrapped(layer):
        return 2 if rank > 3 else 0
    spatial = RECURRENT.get(type(layer).__name__)
    if spatial is not None:
        return {spatial + 3: 2, spatial + 2: 1}.get(rank, 0)
    return 1 if rank > 2 else 0


def takes_any_layout(layer: Any, constants: Sequence[Any]) -> bool:
    """True if a layer or operation computes the same on tensors with channels last, after moving its axis
    too.

    constants: arguments of its call that are not tensors of the graph.
    """
    inner = _wrapped(layer)
    name = type(inner).__name__
    if any(np.ndim(value) for value in constants if not isinstance(value, str)):
        return False
    if type(layer).__module__.startswith("keras.src.ops."):
        return name in OPERATIONS
    if name == "TFOpLambda":
        return inner.get_config().get("function") in FUNCTIONS
    if name == "Rescaling":
        return np.ndim(inner.scale) == 0 and np.ndim(inner.offset) == 0
    if name in ALONG_AXIS:
        return isinstance(inner.axis, int) or len(inner.axis) == 1
    activation = getattr(getattr(inner, "activation", None), "__name__", "")
    return name == "PReLU" or (name in BY_VALUE and activation not in AXIS_ACTIVATIONS)


def in_layout(layer: Any, layout: int, rank: int) -> Any:
    """A new layer for inputs of this rank in this layout; its weights are set later."""
    config = learnt_config(layer) if hasattr(layer, "weights") else layer.get_config()
    inner = _wrapped(layer)
    if layout and inner is not layer:
        config["layer"] = {
            **config["layer"],
            "config": _moved(inner, dict(config["layer"]["config"]), layout - 1, rank - 1),
        }
        config["layer"].pop("build_config", None)
    elif layout:
        config = _moved(layer, config, layout, rank)
    return type(layer).from_config(config)


def weights_in_layout(layer: Any, layout: int) -> list[np.ndarray]:
    """The weights of `layer` for its form in this layout: PReLU has one per position."""
    weights = layer.get_weights()
    if not layout or type(_wrapped(layer)).__name__ != "PReLU":
        return weights
    axis = layout - 1 if layer is _wrapped(layer) else layout - 2
    return [np.moveaxis(values, axis, -1) for values in weights]


def _moved(layer: Any, config: dict[str, Any], layout: int, rank: int) -> dict[str, Any]:
    name = type(layer).__name__
    if name in SPATIAL:
        return {**config, "data_format": "channels_last"}
    if name in ALONG_AXIS:
        axis = config["axis"]
        return {
            **config,
            "axis": _moved_axis(axis if isinstance(axis, int) else next(iter(axis)), layout, rank),
        }
    if name == "PReLU" and config.get("shared_axes"):
        return {
            **config,
            "shared_axes": sorted(_moved_axis(axis, layout, rank) for axis in config["shared_axes"]),
        }
    return config


def _moved_axis(axis: int, layout: int, rank: int) -> int:
    """New index of an axis, counted from 0 with the batch axis, after the channels moved from `layout` to the end."""
    axis %= rank
    return rank - 1 if axis == layout else axis - 1 if axis > layout else axis


def _wrapped(layer: Any) -> Any:
    """The layer that a TimeDistributed applies at each step; otherwise the layer itself."""
    return layer.layer if type(layer).__name__ == "TimeDistributed" else layer
