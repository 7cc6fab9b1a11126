"""The kernels of a float .tflite, each with the integers in which a quantized file of it stores them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.quantize.number_formats import WEIGHT_OPERATORS
from lwdash.quantize.read_back import CONVERSIONS, shape_of
from lwdash.tflite.operator_codes import kind_of


@dataclass(frozen=True)
class StoredKernel:
    """A float kernel. graph, tensor: its place in the float file; readers: the operators that read it, by place.

    kind: their type. bits: of its integers; axis: the axis with one scale for each slice, None for one scale.
    """

    graph: int
    tensor: int
    readers: tuple[int, ...]
    kind: str
    bits: int
    axis: int | None

    @property
    def limit(self) -> int:
        """The largest integer."""
        return int(2 ** (self.bits - 1) - 1)

    @property
    def is_depthwise(self) -> bool:
        return self.kind == "DEPTHWISE_CONV_2D"

    def grouped(self, values: np.ndarray) -> np.ndarray:
        """The kernel's values as G products, (G, outputs, inputs): a depthwise one has one product per channel."""
        outputs = np.moveaxis(values, self._outputs, 0)
        shape = (len(outputs), 1, -1) if self.is_depthwise else (1, len(outputs), -1)
        return outputs.reshape(shape)

    def ungrouped(self, products: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The opposite of `grouped`; shape: of the kernel in the file."""
        rest = [size for axis, size in enumerate(shape) if axis != self._outputs]
        return np.moveaxis(products.reshape(shape[self._outputs], *rest), 0, self._outputs)

    @property
    def _outputs(self) -> int:
        return 3 if self.is_depthwise else self.axis or 0


def stored_kernels(source: Any, quantized: Any) -> list[StoredKernel]:
    """The kernels of the float `ModelT` that are integers in `quantized`, in the order of their first readers.

    Kernels that differ from reader to reader are left out, and all of a file with other operators.
    """
    found: dict[tuple[int, int], list[tuple[int, str, int, int | None]]] = defaultdict(list)
    if len(source.subgraphs) != len(quantized.subgraphs):
        return []
    for number, (before, after) in enumerate(zip(source.subgraphs, quantized.subgraphs, strict=True)):
        old = [(i, o) for i, o in enumerate(before.operators) if kind_of(source, o) not in CONVERSIONS]
        new = [o for o in after.operators if kind_of(quantized, o) not in CONVERSIONS]
        kinds = [kind_of(source, o) for _, o in old]
        if kinds != [kind_of(quantized, o) for o in new]:
            return []
        unpacked = _unpacked(quantized, after)
        for kind, (place, operator), now in zip(kinds, old, new, strict=True):
            if kind in WEIGHT_OPERATORS and len(operator.inputs) > 1 and operator.inputs[1] >= 0:
                index = int(now.inputs[1])
                stored = _integers(quantized, after.tensors[unpacked.get(index, index)])
                if stored is not None and _is_float_kernel(source, before.tensors[operator.inputs[1]]):
                    found[number, int(operator.inputs[1])].append((place, kind, *stored))
    return [
        StoredKernel(graph, tensor, tuple(place for place, *_ in uses), *uses[0][1:])
        for (graph, tensor), uses in found.items()
        if len({use[1:] for use in uses}) == 1
        and len(uses) == sum(tensor in list(o.inputs) for o in source.subgraphs[graph].operators)
    ]


def float_values(model: Any, tensor: Any) -> np.ndarray:
    """The stored float32 values of a tensor, in its shape."""
    return np.asarray(model.buffers[tensor.buffer].data, np.uint8).view(np.float32).reshape(shape_of(tensor))


def _unpacked(model: Any, graph: Any) -> Mapping[int, int]:
    """Output → input of every conversion to floats."""
    return {int(o.outputs[0]): int(o.inputs[0]) for o in graph.operators if kind_of(model, o) == "DEQUANTIZE"}


def _integers(model: Any, tensor: Any) -> tuple[int, int | None] | None:
    """(bits, axis) of a stored tensor of integers, None for any other."""
    from ai_edge_litert import schema_py_generated as schema

    bits = {schema.TensorType.INT4: 4, schema.TensorType.INT8: 8}.get(tensor.type)
    quantization, data = tensor.quantization, model.buffers[tensor.buffer].data
    if bits is None or data is None or len(data) == 0 or quantization is None or quantization.scale is None:
        return None
    return bits, None if len(quantization.scale) == 1 else int(quantization.quantizedDimension)


def _is_float_kernel(model: Any, tensor: Any) -> bool:
    from ai_edge_litert import schema_py_generated as schema

    data = model.buffers[tensor.buffer].data
    is_stored = data is not None and len(data) > 0
    return is_stored and tensor.type == schema.TensorType.FLOAT32 and len(shape_of(tensor)) > 1
