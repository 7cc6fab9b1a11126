"""Layer names for kernels: the converter names a folded kernel after the layer that was folded into it."""

import re
from collections.abc import Iterator
from typing import Any

from lwdash.keras_models.ports import leaf_layers
from lwdash.quantize.number_formats import WEIGHT_OPERATORS
from lwdash.tflite.flatbuffer import text
from lwdash.tflite.operator_codes import kind_of


def name_kernels(data: Any, model: Any, mark: str) -> int:
    """Rename such kernels in a `ModelT` to the part of their name that belongs to a layer of `model` with a
    kernel.

    The converter joins the names of all fused layers, as in `m/relu/Relu;m/bn/mul_1;m/conv/depthwise`, in any
    order. If the kernel has only another layer's name, such as a batch norm's, the operator's output has the
    right part.
    mark: suffix of each layer's name. Returns the number of renamed kernels.
    """
    holders = {path for path, layer in leaf_layers(model) if any(len(w.shape) > 1 for w in layer.weights)}
    named = 0
    for graph in data.subgraphs:
        for operator in graph.operators:
            if kind_of(data, operator) not in WEIGHT_OPERATORS:
                continue
            outputs = [graph.tensors[i] for i in operator.outputs]
            for tensor in (graph.tensors[i] for i in operator.inputs if i >= 0):
                if not _is_kernel(data, tensor):
                    continue
                parts = [part for each in (tensor, *outputs) for part in text(each.name).split(";") if part]
                part = next((part for part in parts if _layer_in(part, mark) in holders), None)
                if part is not None and part != text(tensor.name):
                    tensor.name = part.encode()
                    named += 1
    return named


def _layer_in(name: str, mark: str) -> str:
    """`m/block._1/conv._1/Conv2D` → `block/conv`."""
    return "/".join(_layers_in(name, mark))


def _layers_in(name: str, mark: str) -> Iterator[str]:
    for piece in name.split("/"):
        if match := re.fullmatch(rf"(.+?){re.escape(mark)}(_\d+)?", piece):
            yield match.group(1)


def _is_kernel(data: Any, tensor: Any) -> bool:
    stored = data.buffers[tensor.buffer].data
    return stored is not None and len(stored) > 0 and tensor.shape is not None and len(tensor.shape) > 1
