"""Facts that only a live model has: shapes behind custom layers, and the sizes of their weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lwdash.keras_models.custom_code.code_file import CodeFile
from lwdash.keras_models.custom_code.running import run_code
from lwdash.keras_models.inspection import inspect_model, writing_library
from lwdash.keras_models.load import load_model
from lwdash.keras_models.model_facts import LayerFacts, ModelFacts, Shape
from lwdash.keras_models.model_task import likely_task
from lwdash.keras_models.ports import leaf_layers


def inspect_with_code(path: Path, code: CodeFile) -> ModelFacts:
    """The facts of the model in `path`, loaded with its code file, which runs in this process. Raises ModelRefused.

    Of a SavedModel, which holds its computation, those that it has without code.
    """
    library = writing_library(path)
    if library is None:
        return inspect_model(path)
    custom = run_code(code, library)
    facts = inspect_model(path, custom)
    return with_live_facts(facts, load_model(path, facts, custom))


def with_live_facts(facts: ModelFacts, model: Any) -> ModelFacts:
    """`facts` of a model with custom layers, completed from the loaded `model`."""
    live = dict(leaf_layers(model))
    layers = tuple(_completed(layer, live.get(layer.path)) for layer in facts.layers)
    outputs = tuple(
        replace(port, shape=_shape(tensor.shape) if port.shape is None else port.shape)
        for port, tensor in zip(facts.outputs, model.outputs, strict=True)
    )
    return replace(
        facts,
        layers=layers,
        outputs=outputs,
        parameters=sum(layer.parameters for layer in layers),
        task=facts.task or likely_task(facts.loss, facts.output_activation, facts.inputs, outputs),
    )


def _completed(facts: LayerFacts, layer: Any) -> LayerFacts:
    """The facts of a layer, with what only the live layer tells.

    class_name: without the package in front of it.
    """
    name = facts.class_name.rpartition(">")[2]
    if layer is None or not hasattr(layer, "weights"):
        return replace(facts, class_name=name)
    shape = _output_shape(layer) if facts.output_shape is None else facts.output_shape
    parameters = facts.parameters
    if name != facts.class_name or not parameters:
        parameters = sum(int(np.prod(weight.shape)) for weight in layer.weights)
    return replace(facts, class_name=name, output_shape=shape, parameters=parameters)


def _output_shape(layer: Any) -> Shape | None:
    """The shape of a layer's first output; None for a layer that is called more than once."""
    try:
        output = layer.output
    except (AttributeError, ValueError, RuntimeError):
        return None
    first = output[0] if isinstance(output, (list, tuple)) else output
    return _shape(first.shape) if hasattr(first, "shape") else None


def _shape(shape: Any) -> Shape:
    """Without the batch axis."""
    return tuple(None if size is None else int(size) for size in tuple(shape)[1:])
