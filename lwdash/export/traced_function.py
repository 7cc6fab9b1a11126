"""A live Keras model as one traced function that holds its weights as constants.

`TFLiteConverter.from_keras_model` first writes a SavedModel of the whole Keras model. That traces every layer
again, and saves and restores every weight: four fifths of a conversion. A function with constant weights
avoids all of it. It keeps the inner functions by which the converter recognises an LSTM. Measured (CPU
seconds, MobileNetV2 0.35 at 96×96 of tf_keras):
from_keras_model 23.5, frozen by convert_variables_to_constants_v2 2.1, traced with constants 1.1.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lwdash.errors import ConversionFailed
from lwdash.keras_models.ports import fixed_rows
from lwdash.keras_models.saved_model.one_row_function import single_row_function

ARGUMENT = "lwdash_input_"
"""The function's arguments are named by this prefix and their position in the model's inputs."""

MAX_CONSTANT_VALUES = 100_000
"""A larger weight stays a variable: TensorFlow copies graphs several times, each with their constants.
Measured on ResNet50 (CPU seconds): all constant 10.4, up to this limit 5.1, up to 10,000 values 6.4, through
Keras' SavedModel 27.
"""


def traced_function(model: Any, input_shapes: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    """(concrete function of batch size 1, trackable): the arguments of
    `TFLiteConverter.from_concrete_functions`.

    model: a live model of either Keras, with a list of inputs.
    input_shapes: in the model's order, without the batch axis, every axis known.
    The trackable holds the variables whose handles the function still uses; usually it has none. Raises
    ConversionFailed where the function uses other resources, such as look-up tables.
    """
    import tensorflow as tf

    rows = fixed_rows(model) or 1
    specifications = [
        tf.TensorSpec((rows, *shape), tensor.dtype, name=f"{ARGUMENT}{position}")
        for position, (tensor, shape) in enumerate(zip(model.inputs, input_shapes, strict=True))
    ]

    def call(*tensors: Any) -> Any:
        return model(list(tensors) if len(tensors) > 1 else tensors[0], training=False)

    with _weights_as_constants():
        function = tf.function(call, autograph=False).get_concrete_function(*specifications)
    handles = {id(tensor) for tensor in function.captured_inputs if tensor.dtype == tf.resource}
    variables = {id(v.handle): v for v in _variables(model)}
    trackable = tf.Module()
    trackable.variables_in_use = [variables[handle] for handle in handles & variables.keys()]
    if handles - variables.keys():
        raise ConversionFailed("the model uses resources that are not variables")
    if rows > 1:
        return _of_one_row(function, specifications, rows), trackable
    return function, trackable


def _of_one_row(function: Any, specifications: Sequence[Any], rows: int) -> Any:
    import tensorflow as tf

    single = single_row_function(function, lambda tensors: function(*tensors), specifications, rows)
    one_row = [tf.TensorSpec((1, *each.shape[1:]), each.dtype, name=each.name) for each in specifications]
    return tf.function(lambda *tensors: single(*tensors), autograph=False).get_concrete_function(*one_row)


def _variables(model: Any) -> Iterator[Any]:
    """TensorFlow's variables of a model; Keras 3's variables contain theirs."""
    import tensorflow as tf

    for variable in model.variables:
        yield variable if isinstance(variable, tf.Variable) else variable.value


@contextmanager
def _weights_as_constants() -> Iterator[None]:
    """Context in which a graph that reads a variable of moderate size gets its present value as a constant."""
    import tensorflow as tf
    from tensorflow.python.ops.resource_variable_ops import BaseResourceVariable

    read = BaseResourceVariable._read_variable_op
    sparse_read, gather_nd = BaseResourceVariable.sparse_read, BaseResourceVariable.gather_nd
    constants: dict[tuple[int, int], tuple[Any, Any]] = {}

    def is_constant(variable: Any) -> bool:
        return (variable.shape.num_elements() or 0) <= MAX_CONSTANT_VALUES

    def constant(variable: Any, no_copy: bool = False) -> Any:
        if tf.executing_eagerly() or not is_constant(variable):
            return read(variable, no_copy)
        graph = tf.compat.v1.get_default_graph()
        key = id(graph), id(variable)
        if key not in constants:
            with tf.init_scope():
                value = read(variable).numpy()
            constants[key] = (
                graph,
                tf.constant(value, name="ReadVariableOp"),
            )  # keep the graph alive, so that its id is not reused
        return constants[key][1]

    def gather(variable: Any, indices: Any, name: str | None = None) -> Any:
        if tf.executing_eagerly() or not is_constant(variable):
            return sparse_read(variable, indices, name)
        return tf.gather(constant(variable), indices, name=name)

    def gather_positions(variable: Any, indices: Any, name: str | None = None) -> Any:
        if tf.executing_eagerly() or not is_constant(variable):
            return gather_nd(variable, indices, name)
        return tf.gather_nd(constant(variable), indices, name=name)

    BaseResourceVariable._read_variable_op = constant
    BaseResourceVariable.sparse_read, BaseResourceVariable.gather_nd = gather, gather_positions
    try:
        yield
    finally:
        BaseResourceVariable._read_variable_op = read
        BaseResourceVariable.sparse_read, BaseResourceVariable.gather_nd = sparse_read, gather_nd
