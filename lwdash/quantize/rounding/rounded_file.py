"""A float .tflite whose kernels already have the values that its quantized file can store."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from lwdash.contract import Rows, Skipped
from lwdash.errors import ConversionFailed
from lwdash.quantize.ranges.activation_ranges import Watched
from lwdash.quantize.read_back import layer_of
from lwdash.quantize.rounding.kernel_inputs import KINDS, MAX_INPUTS, InputMoments, kernel_moments
from lwdash.quantize.rounding.stored_kernels import StoredKernel, float_values, stored_kernels
from lwdash.quantize.rounding.weight_rounding import compensated, least_squares
from lwdash.tflite.constants import add_buffer
from lwdash.tflite.flatbuffer import read_model, text, write_model
from lwdash.training.kernel_structure import structure_of

OWN_ALGORITHMS = ("default", "mse", "gptq")
"""Algorithms of this module; the others are litert-quantizer's."""


def reads_rows(algorithm: str, bits: Sequence[str]) -> bool:
    """True if weights stored in these types, such as "int4", are rounded with the help of rows."""
    return algorithm == "gptq" or (algorithm == "default" and "int4" in bits)


def with_rounded_weights(
    source: bytes, quantized: bytes, rows: Rows | None, algorithm: str
) -> tuple[bytes, tuple[Skipped, ...]]:
    """`source` with every kernel rounded by `algorithm` to the integers of `quantized`, and the kernels that were not.

    quantized: the same file quantized by min-max; it tells the bits and the axis of each kernel's scales.
    rows: calibration rows; without them `default` rounds nothing. Where the algorithm is `gptq`, each bias
    absorbs the mean error of its kernel (bias correction, arXiv 1906.04721, section 4.2). `default` is `gptq` for kernels
    of 4 bits, and for those with one scale for several outputs; of the latter, those that keep min-max are not listed.
    Raises ConversionFailed where `gptq` has no rows.
    """
    if algorithm == "gptq" and not rows:
        raise ConversionFailed("algorithm=gptq needs calibration rows, and there are none")
    model = read_model(source)
    asked = {
        kernel: name
        for kernel in stored_kernels(model, read_model(quantized))
        if (name := _asked(model, kernel, algorithm, rows)) != "minmax"
    }
    if not asked:
        return source, ()
    rounded, reasons = _rounded(Watched(source, rows) if rows else source, tuple(asked.items()))
    skipped = []
    for kernel, reason in reasons:
        if algorithm != "default" or kernel.bits == 4:
            tensor = model.subgraphs[kernel.graph].tensors[kernel.tensor]
            skipped.append(
                Skipped(layer_of(tensor), f"{kernel.kind} weights are rounded by min-max: {reason}")
            )
    return rounded, tuple(skipped)


@lru_cache(maxsize=8)
def _rounded(
    source: Watched | bytes, asked: tuple[tuple[StoredKernel, str], ...]
) -> tuple[bytes, tuple[tuple[StoredKernel, str], ...]]:
    """The file with the kernels rounded by their algorithms, and the kernels that were not, with the reason.

    source: with its calibration rows, where there are some. The results of the last few calls are cached: recipes of a
    sweep that differ in the type of the inputs round once.
    """
    data = source.data if isinstance(source, Watched) else source
    model = read_model(data)
    read = [k for k, name in asked if name == "gptq" and k.graph == 0]
    places = [p for k in read for p in k.readers]
    seen = kernel_moments(source, places) if isinstance(source, Watched) and read else {}
    reasons = []
    for kernel, name in asked:
        moments = _together([seen.get(place) for place in kernel.readers]) if kernel.graph == 0 else None
        if reason := _reason(model, kernel, name, moments):
            reasons.append((kernel, reason))
        else:
            _round(model, kernel, moments)
    return (write_model(model) if len(reasons) < len(asked) else data), tuple(reasons)


def with_kernels_of(source: bytes, rounded: bytes, scopes: Collection[str]) -> bytes:
    """`source` with the stored values of the operators of `scopes` (see `Computed.scope`) as in `rounded`.

    rounded: the same file with other values, from `with_rounded_weights`.
    """
    model, other = read_model(source), read_model(rounded)
    wanted = set(scopes)
    for graph, donor in zip(model.subgraphs, other.subgraphs, strict=True):
        for operator in graph.operators:
            if "".join(f"{text(graph.tensors[i].name)};" for i in operator.outputs) not in wanted:
                continue
            for index in [int(i) for i in operator.inputs if i >= 0]:
                data = other.buffers[donor.tensors[index].buffer].data
                if data is not None and len(data):
                    graph.tensors[index].buffer = add_buffer(model, np.asarray(data, np.uint8))
    return write_model(model)


def _asked(model: Any, kernel: StoredKernel, algorithm: str, rows: Rows | None) -> str:
    if algorithm != "default":
        return algorithm
    values = float_values(model, model.subgraphs[kernel.graph].tensors[kernel.tensor])
    outputs = int(np.prod(kernel.grouped(values).shape[:2]))
    is_coarse = kernel.bits == 4 or (kernel.axis is None and outputs > 1)
    return "gptq" if is_coarse and rows else "minmax"


def _reason(model: Any, kernel: StoredKernel, name: str, moments: InputMoments | None) -> str:
    """Reason why the kernel keeps its values; empty if it is rounded."""
    tensor = model.subgraphs[kernel.graph].tensors[kernel.tensor]
    values = float_values(model, tensor)
    if structure_of(np.moveaxis(values, kernel.axis or 0, -1)).is_clustered:
        return "its shared values stay shared"
    if name == "gptq" and moments is None:
        return (
            f"gptq takes {', '.join(KINDS)} of at most {MAX_INPUTS:,} inputs, and no operator inside a loop"
        )
    return ""


def _round(model: Any, kernel: StoredKernel, moments: InputMoments | None) -> None:
    graph = model.subgraphs[kernel.graph]
    tensor = graph.tensors[kernel.tensor]
    values = float_values(model, tensor)
    products = kernel.grouped(values)
    is_shared = kernel.axis is None
    if moments is None:
        found = least_squares(products, kernel.limit, is_shared=is_shared)
    else:
        moments = _for_products(moments, len(products))
        biases = _own_biases(model, kernel, outputs=products.shape[0] * products.shape[1])
        inputs = moments.second if biases is None else moments.covariance
        found = compensated(products, inputs, kernel.limit, is_shared=is_shared)
        for bias in biases or ():
            missing = ((products - found.values) * moments.mean[:, None, :]).sum(axis=2).ravel()
            bias.buffer = add_buffer(model, (float_values(model, bias) + missing).astype(np.float32))
    stored = kernel.ungrouped(found.values, values.shape).astype(np.float32)
    tensor.buffer = add_buffer(model, np.ascontiguousarray(stored))


def _own_biases(model: Any, kernel: StoredKernel, *, outputs: int) -> list[Any] | None:
    """The bias tensors of the kernel's readers; None if one has none, or shares it with another kernel's."""
    graph = model.subgraphs[kernel.graph]
    biases: dict[int, Any] = {}
    for place in kernel.readers:
        inputs = list(graph.operators[place].inputs)
        if len(inputs) < 3 or inputs[2] < 0:
            return None
        biases[int(inputs[2])] = graph.tensors[inputs[2]]
    readers = [i for i, o in enumerate(graph.operators) if set(biases) & {int(n) for n in o.inputs}]
    sizes = [len(data) for bias in biases.values() if (data := model.buffers[bias.buffer].data) is not None]
    is_own = set(readers) == set(kernel.readers) and sizes == [4 * outputs] * len(biases)
    return list(biases.values()) if is_own else None


def _together(found: Sequence[InputMoments | None]) -> InputMoments | None:
    """The mean over the operators that read one kernel; None if one of them has no moments."""
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found):
        return None
    return InputMoments.together(known)


def _for_products(moments: InputMoments, count: int) -> InputMoments:
    """For depthwise kernels with several outputs per channel: each output sees the inputs of its channel."""
    times = count // len(moments.mean)
    return InputMoments(np.repeat(moments.mean, times, axis=0), np.repeat(moments.covariance, times, axis=0))
