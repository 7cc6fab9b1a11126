"""A TensorFlow function for a fixed number of rows, rewritten for one row and compared with the original.

Such a graph holds the number of rows in its constants: shapes of reshapes, initial states, elements of lists. Each of them
gets the length 1. The outputs for random rows decide whether the result is right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from lwdash.errors import ConversionFailed

SHAPES = {
    "Reshape": 1, "Fill": 0, "BroadcastTo": 1, "TensorListReserve": 0, "TensorListFromTensor": 1, "TensorListStack": 1,
    "TensorListGetItem": 2, "EmptyTensorList": 0, "Slice": 2,
}  # fmt: skip
"""Operators, and the place of their input that holds a shape. The first multiple of the rows in it includes them, unless
it begins with −1, which stands for them.
"""
KERNELS = {
    "MatMul": 1,
    "BatchMatMulV2": 1,
    "Conv2D": 1,
    "DepthwiseConv2dNative": 1,
    "Conv3D": 1,
    "GatherV2": 0,
}
"""Operators, and the place of their input whose first axis is not the rows."""
TOLERANCE = 1e-4
FREE_LENGTH = 16
REMEDY = (
    "Save the model again for any number of rows (shape=… without batch_size in Keras, tf.TensorSpec((None, …)) in a "
    "signature), and with -1 or tf.shape(x)[0] in place of the number of rows in its operators"
)


def single_row_function(
    function: Any, call: Callable[[Sequence[Any]], Any], specifications: Sequence[Any], rows: int
) -> Any:
    """`function`, a concrete function of `rows` rows, as one of one row: a list of the same outputs, in the same order.

    call: runs `function` on one tensor for each of its `specifications`, which are in the order of its flat inputs. Raises
    ConversionFailed with the remedy where the graph cannot be rewritten, or where a row's output depends on the others.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    problem = f"the model takes {rows} rows at once, and the file takes one"
    if _keeps_state(function.graph.as_graph_def()):
        raise ConversionFailed(
            f"{problem}; it also keeps a state from call to call. Save it again with stateful=False in its recurrent "
            "layers, or as a .keras or .h5 file, whose layers can be rewritten"
        )
    try:
        frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
        definition = frozen.graph.as_graph_def()
        for nodes in (definition.node, *(inner.node_def for inner in definition.library.function)):
            _rewrite(nodes, rows)
        _rename_functions(definition)
        for inner in definition.library.function:
            inner.attr.pop("_input_shapes", None)
            for attributes in inner.arg_attr.values():
                attributes.attr.pop("_output_shapes", None)
        wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
        single = wrapped.prune(
            [tensor.name for tensor in frozen.inputs], [tensor.name for tensor in frozen.outputs]
        )
        difference = _difference(call, single, specifications, rows)
    except Exception as fault:  # TensorFlow raises any exception for a graph whose shapes do not fit
        reason = " ".join(str(fault).split())[:200] or type(fault).__name__
        raise ConversionFailed(f"{problem}; its graph cannot be rewritten: {reason}. {REMEDY}") from fault
    if not difference <= TOLERANCE:  # also NaN
        raise ConversionFailed(
            f"{problem}; its outputs for one row depend on the other rows (they differ by {100 * difference:.3g} %). "
            f"{REMEDY}"
        )
    return single


def _keeps_state(definition: Any) -> bool:
    """True if a graph writes to variables."""
    functions = (function.node_def for function in definition.library.function)
    return any("Assign" in node.op for nodes in (definition.node, *functions) for node in nodes)


def _rename_functions(definition: Any) -> None:
    """Give the functions of a graph names of their own: the process knows the original ones already."""
    names = {
        function.signature.name: f"{function.signature.name}_of_one_row"
        for function in definition.library.function
    }
    for nodes in (definition.node, *(function.node_def for function in definition.library.function)):
        for node in nodes:
            node.op = names.get(node.op, node.op)
            for value in node.attr.values():
                for function in (*([value.func] if value.HasField("func") else ()), *value.list.func):
                    function.name = names.get(function.name, function.name)
    for function in definition.library.function:
        function.signature.name = names[function.signature.name]


def _rewrite(nodes: Iterable[Any], rows: int) -> None:
    """Replace the number of rows by 1 in the nodes of one graph, in place."""
    by_name = {node.name: node for node in nodes}
    for node in by_name.values():
        node.attr.pop("_output_shapes", None)
        for key in ("shape", "output_shapes"):
            if node.op != "Const" and key in node.attr:
                value = node.attr[key]
                for shape in (*([value.shape] if value.HasField("shape") else ()), *value.list.shape):
                    if shape.dim and shape.dim[0].size == rows:
                        shape.dim[0].size = 1
    kept = {id(node) for node in _sources(by_name, KERNELS)}
    shapes = {id(node) for node in _sources(by_name, SHAPES)}
    packed = {id(node) for node in _sources(by_name, {"Pack": 0})}
    for node in by_name.values():
        if node.op == "StridedSlice" and id(node) in packed:
            _shorten_known_shape(by_name, node, rows)
        elif node.op == "Pack" and len(node.input) == rows and id(node) not in kept:
            _shorten_packed_rows(by_name, node)
    for node in by_name.values():
        if node.op != "Const":
            continue
        values = _values(node)
        is_whole = values.dtype.kind == "i"
        if id(node) in shapes and is_whole and values.ndim == 1:
            counted = (values > 0) & (values % rows == 0)
            if counted.any() and values[0] != -1:
                _store(node, np.where(np.arange(len(values)) == counted.argmax(), values // rows, values))
        elif id(node) in packed and is_whole and values.ndim == 0 and values == rows:
            _store(node, np.asarray(1, values.dtype))
        elif (
            id(node) not in kept
            and values.dtype.kind in "fb"
            and values.ndim > 1
            and len(values) == rows
            and (values == values[:1]).all()
        ):
            _store(node, values[:1])


def _shorten_known_shape(by_name: dict[str, Any], node: Any, rows: int) -> None:
    """Replace the number of rows that a StridedSlice takes from the known shape of a tensor."""
    source, begin = (_source(by_name, node, place) for place in (0, 1))
    if getattr(source, "op", "") != "Const" or getattr(begin, "op", "") != "Const":
        return
    shape, first = _values(source), _values(begin)
    if shape.ndim == 1 and len(first) == 1 and first[0] < len(shape) and shape[first[0]] == rows:
        shape[first[0]] = 1
        _store(source, shape)


def _shorten_packed_rows(by_name: dict[str, Any], node: Any) -> None:
    """Leave one of equal rows of floats that a Pack puts together from constants, as Keras 2 writes lists of numbers."""
    values = _packed_values(by_name, node)
    if values is not None and values.dtype.kind == "f" and values.ndim > 1 and (values == values[:1]).all():
        del node.input[1:]
        node.attr["N"].i = 1


def _packed_values(by_name: dict[str, Any], node: Any) -> np.ndarray | None:
    """The value of a constant, or of one that Packs put together; None for anything else."""
    if node is None or (node.op == "Pack" and node.attr["axis"].i):
        return None
    if node.op == "Const":
        return _values(node)
    if node.op != "Pack":
        return None
    parts = [_packed_values(by_name, _source(by_name, node, place)) for place in range(len(node.input))]
    return None if any(part is None for part in parts) else np.stack(parts)  # type: ignore[arg-type]


def _sources(by_name: dict[str, Any], places: dict[str, int]) -> Iterator[Any]:
    """The nodes that give these inputs, before any Identity."""
    for node in by_name.values():
        place = places.get(node.op)
        if place is None or place >= len(node.input):
            continue
        source = _source(by_name, node, place)
        is_of_constant = node.op == "Reshape" and getattr(_source(by_name, node, 0), "op", "") == "Const"
        if source is not None and not is_of_constant:
            yield source


def _source(by_name: dict[str, Any], node: Any, place: int) -> Any:
    """The node that gives an input, before any Identity; None for an argument of a function."""
    source = by_name.get(node.input[place].partition(":")[0])
    while source is not None and source.op == "Identity":
        source = by_name.get(source.input[0].partition(":")[0])
    return source


def _values(node: Any) -> np.ndarray:
    import tensorflow as tf

    return np.asarray(tf.make_ndarray(node.attr["value"].tensor))


def _store(node: Any, values: np.ndarray) -> None:
    import tensorflow as tf

    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values))


def _difference(
    call: Callable[[Sequence[Any]], Any], single: Any, specifications: Sequence[Any], rows: int
) -> float:
    """Largest difference of the two functions' outputs for random rows, as a share of the largest output."""
    import tensorflow as tf

    chance = np.random.default_rng(0)
    columns = []
    for one in specifications:
        shape = (rows, *(FREE_LENGTH if size is None else size for size in one.shape[1:]))
        values = chance.normal(size=shape) if one.dtype.is_floating else chance.integers(0, 2, shape)
        columns.append(tf.cast(values, one.dtype))
    expected = tf.nest.flatten(call(columns))
    apart, reach = 0.0, 1e-2
    for row in {0, rows // 2, rows - 1}:
        received = single(*(values[row : row + 1] for values in columns))
        for values, own in zip(expected, received, strict=True):
            one = np.asarray(values, np.float64)[row : row + 1]
            if one.shape != tuple(own.shape):
                raise ValueError(f"an output of the shape {one.shape} would get the shape {tuple(own.shape)}")
            apart = float(np.maximum(apart, np.abs(one - np.asarray(own, np.float64)).max(initial=0)))
            reach = max(reach, float(np.abs(one).max(initial=0)))
    return apart / reach
