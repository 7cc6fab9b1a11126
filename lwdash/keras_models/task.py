"""What a model is for, as far as its loss, its last activation and its output shape tell."""

from __future__ import annotations

from typing import Any

from lwdash.keras_models.facts import LayerFacts, TensorFacts
from lwdash.keras_models.heads import BINARY, CATEGORICAL, REGRESSION
from lwdash.keras_models.weights import snake_case

ABBREVIATIONS = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "kld": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
}


def loss_name(compile_config: dict[str, Any] | None) -> str | None:
    """The loss in compile settings, in snake case; of several outputs the first; None when there is none."""
    return _loss(compile_config.get("loss")) if compile_config else None


def _loss(value: Any) -> str | None:
    if isinstance(value, list):
        return next((name for item in value if (name := _loss(item))), None)
    if isinstance(value, str) and value:
        name = value.split(">")[-1]
    elif isinstance(value, dict) and "class_name" in value:
        config = value.get("config")
        # A loss given as a function is saved as class "function" with its name as config.
        name = config if isinstance(config, str) else str(value["class_name"]).split(">")[-1]
    elif isinstance(value, dict):
        return _loss(list(value.values()))
    else:
        return None
    snake = snake_case(name) if name != name.lower() else name
    snake = {"kldivergence": "kl_divergence", "mse": "mean_squared_error"}.get(snake, snake)
    return ABBREVIATIONS.get(snake, snake)


def likely_task(
    loss: str | None,
    output_activation: str | None,
    inputs: tuple[TensorFacts, ...],
    outputs: tuple[TensorFacts, ...],
) -> str | None:
    """The first output's task: "classification", "binary", "multi-label", "regression", "reconstruction" or
    None."""
    if not outputs or outputs[0].shape is None:
        return None
    shape = outputs[0].shape
    width = shape[-1] if shape else None
    if output_activation in ("softmax", "log_softmax"):
        return "classification"
    rebuilds_input = len(inputs) == 1 and inputs[0].shape == shape and (len(shape) > 1 or (width or 0) > 1)
    if loss in REGRESSION or loss in BINARY:
        if rebuilds_input:
            return "reconstruction"
        if loss in BINARY:
            return "binary" if width == 1 else "multi-label"
        return "regression"
    if loss in CATEGORICAL:
        return "classification"
    if output_activation == "sigmoid" and len(shape) == 1:
        return "reconstruction" if rebuilds_input else "binary" if width == 1 else "multi-label"
    if rebuilds_input:
        return "reconstruction"
    return None


def output_activation(layers: tuple[LayerFacts, ...], output: str | None) -> str | None:
    """The activation that the layer at path `output` ends in, looking through changes of shape."""
    by_path = {layer.path: layer for layer in layers}
    layer = by_path.get(output or "")
    while (
        layer is not None
        and layer.class_name in ("Reshape", "Flatten", "Permute", "Identity")
        and layer.sources
    ):
        layer = by_path.get(layer.sources[0])
    return layer.activation if layer else None
