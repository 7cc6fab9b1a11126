"""TensorFlow's own converter on a live Keras model: the other way to each post-training format."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lwdash.contract import Configure, Convert, Rows
from lwdash.errors import ConversionFailed
from lwdash.export.float_file import clean_names, converter_for, named_inputs
from lwdash.export.traced_function import ARGUMENT
from lwdash.keras_models.saved_model.function import SavedFunction
from lwdash.tflite.flatbuffer import read_model


def convert_with(
    model: Any,
    input_names: Sequence[str],
    input_shapes: Sequence[Sequence[int]],
    *,
    configure: Configure,
    rows: Rows | None,
    through_saved_model: bool = False,
) -> bytes:
    """The .tflite of a live Keras model of either library, from `tf.lite.TFLiteConverter`.

    input_names, input_shapes: in the model's order; shapes without the batch axis, every axis known.
    configure: sets the converter's options; the representative data set is set from `rows` if there are any.
    through_saved_model: as for the float export.
    Batch size 1, tensors named `layer/operation`, as in the float export. Raises ConversionFailed.
    """
    if isinstance(model, SavedFunction):
        raise ConversionFailed(
            "backend=tflite needs a Keras model, and this SavedModel has no Keras metadata"
        )
    order = list(input_names)
    if rows and through_saved_model and len(order) > 1:
        order = _file_order(model, input_names, input_shapes)
    with converter_for(model, input_shapes, through_saved_model=through_saved_model) as converter:
        if rows and through_saved_model:
            converter.representative_dataset = lambda: _by_position(rows, order)
        elif rows:
            converter.representative_dataset = lambda: _by_argument(rows, order)
        configure(converter)
        data = converter.convert()
    return clean_names(data, input_names)


def _by_position(rows: Rows, order: Sequence[str]) -> Iterator[list[np.ndarray]]:
    for i in range(len(rows[order[0]])):
        yield [rows[name][i : i + 1] for name in order]


def _by_argument(rows: Rows, order: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
    """Single rows by the names of the traced function's arguments; order: the model's inputs."""
    for i in range(len(rows[order[0]])):
        yield {f"{ARGUMENT}{position}": rows[name][i : i + 1] for position, name in enumerate(order)}


def _file_order(model: Any, input_names: Sequence[str], input_shapes: Sequence[Sequence[int]]) -> list[str]:
    """The inputs' names in the order of the file that goes through a SavedModel: calibration feeds them in that order."""
    with converter_for(model, input_shapes, through_saved_model=True) as converter:
        converted = read_model(converter.convert())
    graph = converted.subgraphs[0]
    names = named_inputs(converted, graph, input_names)
    return [names[index] for index in graph.inputs]


def require(convert: Convert | None) -> Convert:
    """The converter of the run. Raises ConversionFailed where there is only a .tflite."""
    if convert is None:
        raise ConversionFailed(
            "backend=tflite starts from the Keras model, but only its .tflite is available"
        )
    return convert


def half_precision(converter: Any) -> None:
    """Weights as float16."""
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def dynamic_range(converter: Any) -> None:
    """8-bit weights for tensors with at least 1,024 values, the converter's own limit."""
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = None


def full_integer(io: str, *, activations: str = "int8", per_channel: bool = True) -> Configure:
    """Integer weights and activations; `activations` int8 or int16, `io` the type of inputs and outputs.

    Operators without an integer kernel may stay in float: the caller reads the result back.
    """

    def configure(converter: Any) -> None:
        import tensorflow as tf

        sets = tf.lite.OpsSet
        integer = (
            sets.TFLITE_BUILTINS_INT8
            if activations == "int8"
            else sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        )
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [integer, sets.TFLITE_BUILTINS]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(io)
        converter._experimental_disable_per_channel = not per_channel

    return configure
