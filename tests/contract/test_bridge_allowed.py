"""The allow-lists against the libraries: what they name exists, and what is left out is left out on purpose."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest

from lwdash.keras_models.scan import allowed_classes
from lwdash.keras_models.scan.allowed_operators import OPERATORS, REASONS, SAVER

LEFT_OUT = frozenset(
    {
        *allowed_classes.CODE_LAYERS,
        "Layer",
        "Wrapper",
        "Pipeline",
        "AugMix",
        "AutoContrast",
        "ContrastLimitedAdaptiveHistogramEqualization",
        "MaxNumBoundingBoxes",
    }
)


def layer_classes(library: Any) -> set[str]:
    layers = library.layers
    return {
        name
        for name in dir(layers)
        if inspect.isclass(getattr(layers, name)) and issubclass(getattr(layers, name), layers.Layer)
    }


@pytest.mark.tensorflow
def test_every_layer_of_both_libraries_is_allowed_or_left_out_on_purpose() -> None:
    import keras
    import tf_keras

    assert layer_classes(keras) | layer_classes(tf_keras) <= allowed_classes.LAYERS | LEFT_OUT


def test_no_layer_that_carries_code_is_allowed() -> None:
    assert not allowed_classes.LAYERS & set(allowed_classes.CODE_LAYERS)
    assert not any(classes & set(allowed_classes.CODE_LAYERS) for classes in allowed_classes.CLASSES.values())


@pytest.mark.tensorflow
@pytest.mark.parametrize("module", sorted(allowed_classes.OPERATIONS))
def test_operations_exist_and_take_no_function(module: str) -> None:
    from keras.src.ops.operation import Operation

    namespace = importlib.import_module(f"keras.src.ops.{module}")
    for name in allowed_classes.OPERATIONS[module]:
        operation = getattr(namespace, name)
        assert issubclass(operation, Operation)
        arguments = {
            *inspect.signature(operation.__init__).parameters,
            *inspect.signature(operation.call).parameters,
        }
        assert not arguments & {"function", "f", "fn", "body", "body_fun", "cond", "true_fn", "false_fn"}, (
            name
        )


@pytest.mark.tensorflow
def test_activations_are_those_of_keras() -> None:
    import keras
    import tf_keras

    theirs = {name for name, value in vars(keras.activations).items() if inspect.isfunction(value)}
    theirs |= {name for name, value in vars(tf_keras.activations).items() if inspect.isfunction(value)}
    assert theirs - {"get", "serialize", "deserialize"} >= allowed_classes.ACTIVATIONS


@pytest.mark.tensorflow
def test_operators_exist_and_none_of_them_is_known_to_do_harm() -> None:
    from tensorflow.python.framework import op_def_registry

    assert {name for name in OPERATORS if op_def_registry.get(name) is None} == set()
    assert not OPERATORS & (set(REASONS) | SAVER)
