"""The layer table of a .tflite: one row per operator, with its Keras layer, its bytes and its weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lwdash.measure.byte_ledger import Ledger, byte_ledger
from lwdash.measure.macs import operator_macs
from lwdash.measure.size import TensorStatistics, tensor_statistics
from lwdash.tflite.reader import Operator, TfliteFacts
from lwdash.tflite.tensor import bits_of
from lwdash.tflite.trained_parameters import BIAS, KERNEL, Owners, find_owners, kernel_of


@dataclass(frozen=True, eq=False)
class LayerTable:
    """`rows`: one JSON-able dict per operator; `ledger`: all bytes. Rows and overhead sum to the file's size."""

    rows: tuple[Mapping[str, Any], ...]
    ledger: Ledger

    def totals(self) -> dict[str, Any]:
        """Metrics of the whole file. Huffman size is over all trained values. Sparsity is over the kernels
        that pruning can change; depthwise kernels, which stay dense, count only if there are no others.
        """
        kernels = [row for row in self.rows if row["kernel_values"]]
        kernels = [row for row in kernels if row["type"] != "DEPTHWISE_CONV_2D"] or kernels
        weights = sum(row["kernel_values"] for row in kernels)
        zeros = sum(row["kernel_zeros"] for row in kernels)
        macs = [row["macs"] for row in self.rows]
        return {
            "parameters": sum(row["parameters"] for row in self.rows),
            "macs": None if None in macs else sum(macs),
            "weight_bytes": sum(row["weight_bytes"] for row in self.rows),
            "huffman_bytes": sum(row["huffman_bytes"] for row in self.rows),
            "sparsity": zeros / weights if weights else None,
            "overhead_bytes": sum(self.ledger.by_operator.get(None, {}).values()),
        }


def layer_table(facts: TfliteFacts, layer_names: Sequence[str] = ()) -> LayerTable:
    """One row per operator of every subgraph, in order.

    A constant shared by several operators counts at the first; the others have `shares_weights`. Sparsity,
    distinct values (the maximum over the tensors) and entropy are over the kernels, or over the other
    parameters where there are no kernels. Bytes are as stored; `huffman_bytes` is the size of the trained
    values in a Huffman code.
    """
    owners = find_owners(facts)
    ledger = byte_ledger(facts, owners)
    known = LayerNames(layer_names)
    return LayerTable(tuple(_row(facts, o, owners, ledger, known) for o in facts.operators), ledger)


def _row(
    facts: TfliteFacts, operator: Operator, owners: Owners, ledger: Ledger, known: LayerNames
) -> dict[str, Any]:
    key = (operator.subgraph, operator.index)
    owned = [(p, tensor_statistics(p.tensor)) for p in owners.parameters.get(key, ()) if p.is_trained]
    kernels = [s for p, s in owned if p.role == KERNEL]
    main = kernels or [s for p, s in owned if p.role != BIAS] or [s for _, s in owned]
    dtypes = [p.tensor.dtype for p, _ in owned if p.role == KERNEL] or [p.tensor.dtype for p, _ in owned]
    spent = ledger.by_operator.get(key, {})
    output = facts.tensor(operator, operator.outputs[0]) if operator.outputs else None
    return {
        "index": operator.index,
        "subgraph": operator.subgraph,
        "name": "" if output is None else output.name,
        "type": operator.type,
        "layer": known.of(operator_names(facts, operator)),
        "parameters": sum(s.values for _, s in owned),
        "macs": operator_macs(facts, operator),
        "weight_bytes": spent.get("weights", 0),
        "constant_bytes": spent.get("constants", 0),
        "quantization_bytes": spent.get("quantization", 0),
        "name_bytes": spent.get("names", 0),
        "graph_bytes": spent.get("graph", 0),
        "bytes": sum(spent.values()),
        "weight_dtype": dtypes[0] if dtypes else None,
        "bits_per_weight": bits_of(dtypes[0]) if dtypes else None,
        "kernel_values": sum(s.values for s in kernels),
        "kernel_zeros": sum(s.zeros for s in kernels),
        "sparsity": _share_of_zeros(main),
        "distinct_values": max((s.distinct for s in main), default=None),
        "entropy_bits": _mean_entropy(main),
        "huffman_bytes": sum(s.huffman_bytes for _, s in owned),
        "shares_weights": key in owners.shared,
        "input_dtype": _activation_dtype(facts, operator),
        "output_dtype": None if output is None else output.dtype,
        "output_shape": None if output is None else list(output.shape),
    }


def operator_names(facts: TfliteFacts, operator: Operator) -> list[str]:
    """Tensor names that identify the Keras layer. The kernel's name comes first, since fusing renames
    outputs.
    """
    kernel = kernel_of(facts, operator)
    outputs = [facts.tensor(operator, index) for index in operator.outputs]
    return [tensor.name for tensor in (kernel, *outputs) if tensor is not None]


def _activation_dtype(facts: TfliteFacts, operator: Operator) -> str | None:
    for index in operator.inputs:
        tensor = facts.tensor(operator, index)
        if tensor is not None and facts.stored(tensor) is None:
            return tensor.dtype
    return None


def _share_of_zeros(statistics: Sequence[TensorStatistics]) -> float | None:
    values = sum(s.values for s in statistics)
    return sum(s.zeros for s in statistics) / values if values else None


def _mean_entropy(statistics: Sequence[TensorStatistics]) -> float | None:
    values = sum(s.values for s in statistics)
    return sum(s.entropy_bits * s.values for s in statistics) / values if values else None


class LayerNames:
    """Finds the Keras layer in a tensor name such as `model/block/conv2d_1/Conv2D;model/block/bn/add`."""

    def __init__(self, layer_names: Iterable[str]):
        self.names = frozenset(layer_names)
        self.longest = max((name.count("/") + 1 for name in self.names), default=0)

    def of(self, tensor_names: Iterable[str]) -> str | None:
        """The longest run of path components that is a layer's name, if necessary without its `_<number>`."""
        paths = [re.sub(r":\d+$", "", part) for name in tensor_names for part in name.split(";")]
        for strip in (False, True):
            for path in paths:
                found = [name for name in self._candidates(path, strip=strip) if name in self.names]
                if found:
                    return max(found, key=len)
        return None

    def _candidates(self, path: str, *, strip: bool) -> Iterable[str]:
        components = path.split("/")
        for start in range(len(components)):
            for end in range(start + 1, min(start + self.longest, len(components)) + 1):
                candidate = "/".join(components[start:end])
                yield re.sub(r"_\d+$", "", candidate) if strip else candidate
