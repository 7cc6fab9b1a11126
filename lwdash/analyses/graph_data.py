"""Data for the graph view of a .tflite, and the histograms of each kernel's weights beside the baseline's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lwdash.measure.layer_error import match_operators
from lwdash.measure.layers import LayerNames, operator_names
from lwdash.measure.size import distinct_values
from lwdash.tflite.reader import TfliteFacts, read_tflite
from lwdash.tflite.tensor import Tensor
from lwdash.tflite.trained_parameters import KERNEL, Owners, find_owners

BINS = 64


def dissect(run: bytes, baseline: bytes, layer_names: Sequence[str] = ()) -> dict[str, Any]:
    """{"graph": …, "weights": one dict per kernel}, JSON-able; see `graph_of` and `kernel_histograms`.

    Raises TfliteUnreadable.
    """
    facts = read_tflite(run)
    return {
        "graph": graph_of(facts, layer_names),
        "weights": kernel_histograms(facts, read_tflite(baseline), layer_names),
    }


def graph_of(facts: TfliteFacts, layer_names: Sequence[str] = ()) -> dict[str, Any]:
    """The main graph as nodes and edges.

    "nodes": operators with their index, type and Keras layer; "ports": the model's inputs and outputs, with
    dtype and shape. "edges": from and to are operator indices, or "in:0", "out:0" for ports; each with the
    tensor's dtype and shape. Operators that only unpack stored weights are left out: their bytes belong to
    the operators that read the weights.
    """
    graph = facts.subgraphs[0]
    known = LayerNames(layer_names)
    shown = [o for o in graph.operators if not facts.unpacks_a_constant(o)]
    producer: dict[int, Any] = {tensor: f"in:{i}" for i, tensor in enumerate(graph.inputs)}
    producer |= {tensor: o.index for o in shown for tensor in o.outputs}
    ports = [
        {"id": f"{kind}:{i}", "name": port.name, **_flow(graph.tensors[port.tensor])}
        for kind, ports in (("in", facts.inputs), ("out", facts.outputs))
        for i, port in enumerate(ports)
    ]
    used: list[tuple[int | str, int]] = [
        (o.index, tensor) for o in shown for tensor in dict.fromkeys(o.inputs)
    ]
    used += [(f"out:{i}", tensor) for i, tensor in enumerate(graph.outputs)]
    return {
        "nodes": [
            {"index": o.index, "type": o.type, "layer": known.of(operator_names(facts, o))} for o in shown
        ],
        "ports": ports,
        "edges": [
            {"from": producer[tensor], "to": to, **_flow(graph.tensors[tensor])}
            for to, tensor in used
            if tensor in producer
        ],
        "subgraphs": len(facts.subgraphs),
    }


def _flow(tensor: Tensor) -> dict[str, Any]:
    return {"dtype": tensor.dtype, "shape": list(tensor.shape_signature or tensor.shape)}


def kernel_histograms(
    facts: TfliteFacts, baseline: TfliteFacts, layer_names: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """One dict for every trained kernel of the main graph, in order.

    "low", "high": the range of both files' weights, as real numbers; "counts": `BINS` equal bins over it,
    without exact zeros, which are counted as "zeros"; "values": total; "distinct": different stored values.
    "baseline": the same for the counterpart operator (counts, zeros, values, distinct), None if there is none
    of the same size.
    Kernels whose real numbers are not stored directly (sparse, blockwise) or are not finite are left out.
    """
    known = LayerNames(layer_names)
    twins = match_operators(facts, baseline)
    owners, originals = find_owners(facts), find_owners(baseline)
    found = []
    for operator in facts.subgraphs[0].operators:
        owned = owners.parameters.get((0, operator.index), ())
        kernels = [p.tensor for p in owned if p.role == KERNEL]
        for position, tensor in enumerate(kernels):
            real = tensor.real()
            if real is None or real.size < 2 or not np.isfinite(real).all():
                continue
            twin = _twin_kernel(originals, twins.get(operator.index), position, real.size)
            alike = None if twin is None else twin.real()
            found.append(
                {
                    "index": operator.index,
                    "type": operator.type,
                    "layer": known.of(operator_names(facts, operator)),
                    "name": tensor.name,
                    "dtype": tensor.dtype,
                    **_histogram(
                        real, alike, distinct_values(tensor), None if twin is None else distinct_values(twin)
                    ),
                }
            )
    return found


def _twin_kernel(originals: Owners, index: int | None, position: int, values: int) -> Tensor | None:
    owned = originals.parameters.get((0, index), ()) if index is not None else ()
    kernels = [p.tensor for p in owned if p.role == KERNEL]
    real = kernels[position].real() if position < len(kernels) else None
    is_alike = real is not None and real.size == values and bool(np.isfinite(real).all())
    return kernels[position] if is_alike else None


def _histogram(
    real: np.ndarray, twin: np.ndarray | None, distinct: int, twin_distinct: int | None
) -> dict[str, Any]:
    both = [values for values in (real, twin) if values is not None]
    low = float(min(values.min() for values in both))
    high = float(max(values.max() for values in both))
    if low == high:
        low, high = low - 0.5, high + 0.5
    return {
        "low": low,
        "high": high,
        **_counts(real, low, high),
        "distinct": distinct,
        "baseline": None if twin is None else {**_counts(twin, low, high), "distinct": twin_distinct},
    }


def _counts(values: np.ndarray, low: float, high: float) -> dict[str, Any]:
    flat = values.reshape(-1)
    counts = np.histogram(flat[flat != 0], bins=BINS, range=(low, high))[0]
    return {
        "counts": counts.tolist(),
        "zeros": int(np.count_nonzero(flat == 0)),
        "values": int(flat.size),
    }
