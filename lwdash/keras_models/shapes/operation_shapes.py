"""Output shapes of operations between layers: TensorFlow functions in Keras 2, `keras.ops` in Keras 3."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lwdash.keras_models.model_facts import Shape
from lwdash.keras_models.scan.allowed_classes import names
from lwdash.keras_models.scan.layer_settings import CallOptions, UnknownConstant
from lwdash.keras_models.shapes.layer_shapes import broadcast

ELEMENTWISE = names(
    """
    add subtract multiply divide true_divide truediv realdiv maximum minimum pow power abs absolute exp
    log log1p sqrt square rsqrt negative tanh sigmoid relu relu6 softplus gelu silu swish clip_by_value
    clip cast identity softmax log_softmax not_equal notequal equal greater less leaky_relu leakyrelu elu
    selu sub mul radd rmul rsub sin cos round floor ceil sign stop_gradient stopgradient where
    squared_difference l2_normalize logical_and logical_or
    """
)
"""Operations that keep the (broadcast) shape of their input: the last part of their name, lower case."""

REDUCTIONS = names(
    """
    mean sum max min prod std variance var any all logsumexp argmax argmin amax amin
    """
)


def operation_shape(name: str, options: CallOptions, inputs: Sequence[Shape]) -> Shape | None:
    """The output shape, batch axis first, or None when this operation has no rule here.

    name: "tf.math.reduce_mean" or "Mean"; options: constants of the call by their argument names.
    """
    kind = name.rsplit(".", 1)[-1].lower().removeprefix("reduce_")
    try:
        if kind in ELEMENTWISE:
            return broadcast(inputs)
        if kind in REDUCTIONS:
            return _reduced(inputs[0], options.get("axis"), options.get("keepdims", False))
        if kind == "reshape":
            return _reshaped(inputs[0], options.get("shape") or options["newshape"])
        if kind in ("concat", "concatenate"):
            return _joined(inputs, options.get("axis") or 0)
        if kind == "transpose":
            order = options.get("perm") or options.get("axes")
            return tuple(inputs[0][axis] for axis in order) if order else tuple(reversed(inputs[0]))
        if kind in ("expand_dims", "expanddims"):
            axis = options["axis"] % (len(inputs[0]) + 1)
            return (*inputs[0][:axis], 1, *inputs[0][axis:])
        if kind == "squeeze":
            return _squeezed(inputs[0], options.get("axis"))
        if kind == "getitem":
            return _sliced(inputs[0], options.get("slice_spec", options.get("key")))
    except (UnknownConstant, KeyError, TypeError, ValueError, IndexError, ArithmeticError):
        return None  # an argument is itself a tensor, or does not match: the shape stays unknown
    return None


def _axes(axis: Any, rank: int) -> set[int]:
    return {item % rank for item in (axis if isinstance(axis, tuple) else (axis,))}


def _reduced(shape: Shape, axis: Any, keepdims: bool) -> Shape:
    axes = set(range(len(shape))) if axis is None else _axes(axis, len(shape))
    return tuple(
        1 if position in axes else size
        for position, size in enumerate(shape)
        if keepdims or position not in axes
    )


def _reshaped(shape: Shape, target: Sequence[Any]) -> Shape:
    sizes: list[int | None] = list(target)
    # The batch axis is usually the unknown one, both in the shape and in the target.
    if shape[0] is None and sizes and sizes[0] in (-1, None):
        known = [size for size in shape[1:] if size is not None]
        rest = [size for size in sizes[1:] if size not in (-1, None)]
        if len(known) == len(shape) - 1 and sizes[1:].count(-1) == 1:
            missing = math.prod(known) // math.prod(size for size in rest if size is not None)
            return (None, *(missing if size == -1 else size for size in sizes[1:]))
        return (None, *(None if size == -1 else size for size in sizes[1:]))
    return tuple(None if size == -1 else size for size in sizes)


def _joined(inputs: Sequence[Shape], axis: int) -> Shape:
    position = axis % len(inputs[0])
    sizes = [shape[position] for shape in inputs]
    total = None if None in sizes else sum(size for size in sizes if size is not None)
    return (*inputs[0][:position], total, *inputs[0][position + 1 :])


def _squeezed(shape: Shape, axis: Any) -> Shape:
    if axis is None or axis == ():
        return tuple(size for size in shape if size != 1)
    axes = _axes(axis, len(shape))
    return tuple(size for position, size in enumerate(shape) if position not in axes)


def _sliced(shape: Shape, key: Any) -> Shape | None:
    """x[key] for integers, None, slices and an ellipsis."""
    items = key if isinstance(key, tuple) else (key,)
    result: list[int | None] = []
    position = 0
    for index, item in enumerate(items):
        if isinstance(item, int):
            position += 1
        elif item is ...:
            rest = len(shape) - position - sum(1 for later in items[index + 1 :] if later is not None)
            result += shape[position : position + rest]
            position += rest
        elif item is None:
            result.append(1)
        else:
            size = shape[position]
            result.append(None if size is None else len(range(*item.indices(size))))
            position += 1
    return (*result, *shape[position:])
