"""The task of a model, derived from its loss, its last activation and its output shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lwdash.keras_models.model_facts import LayerFacts, TensorFacts
from lwdash.keras_models.output_heads import BINARY, CATEGORICAL, REGRESSION
from lwdash.keras_models.scan.value_kinds import Unfit, word
from lwdash.keras_models.weight_counts import snake_case

MAX_LOSS_DEPTH = 10
"""Maximum depth of lists and dicts of outputs around the name of a loss."""
ABBREVIATIONS = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "kld": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
}


def loss_name(compile_config: dict[str, Any] | None, outputs: Sequence[str] = ()) -> str | None:
    """The loss of the first output in compile settings, in snake case; None when there is none.

    outputs: names of all outputs, in the model's order. They select the entry in a dictionary of losses.
    """
    if not compile_config:
        return None
    loss = compile_config.get("loss")
    if isinstance(loss, list) and len(loss) == len(outputs) > 1:
        return _loss(loss[0])
    if isinstance(loss, dict) and "class_name" not in loss and len(outputs) > 1 and set(loss) <= set(outputs):
        return _loss(loss.get(outputs[0]))
    return _loss(loss)


def _loss(value: Any, depth: int = 0) -> str | None:
    if depth > MAX_LOSS_DEPTH:
        return None
    if isinstance(value, list):
        return next((name for item in value if (name := _loss(item, depth + 1))), None)
    if isinstance(value, dict) and "class_name" in value:
        config = value.get("config")
        # A loss given as a function is saved as class "function" with its name as config.
        value = config if isinstance(config, str) else value["class_name"]
    elif isinstance(value, dict):
        return _loss(list(value.values()), depth + 1)
    try:
        name = word(value).split(">")[-1]
    except Unfit:
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
    """The final activation of the layer at path `output`, ignoring changes of shape."""
    by_path = {layer.path: layer for layer in layers}
    layer = by_path.pop(output or "", None)
    while (
        layer is not None
        and layer.class_name in ("Reshape", "Flatten", "Permute", "Identity")
        and layer.sources
    ):
        layer = by_path.pop(layer.sources[0], None)  # each once: layers may be called in a circle
    return layer.activation if layer else None
