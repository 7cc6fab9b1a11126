"""The accounting of Deep Compression (Han et al., arXiv 1510.00149), kernel by kernel, on a .tflite's own
weights.

A kernel is stored as its non-zero weights. Each has the distance to the previous one and an index into a code
book (P+Q). Then both streams are Huffman-coded (P+Q+H). Where that is larger than storing every weight, every
weight is counted. The streams are built and decoded again, so the values belong to a lossless code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lwdash.errors import InternalFault
from lwdash.measure.layers import LayerNames, operator_names
from lwdash.measure.size import huffman_lengths
from lwdash.tflite.reader import TfliteFacts
from lwdash.tflite.tensor import Tensor, bits_of
from lwdash.tflite.trained_parameters import KERNEL, find_owners

INDEX_BITS = range(1, 9)
FLOAT_BITS = 32


@dataclass(frozen=True)
class Coded:
    """Code of one kernel. Bits are per kept weight; bytes include code books; rates are relative to 32-bit
    floats.

    index_bits 0: every weight is stored, so no distances are needed.
    """

    layer: str | None
    name: str
    weights: int
    kept: float
    weight_bits: float
    weight_bits_huffman: float
    index_bits: float
    index_bits_huffman: float
    pq_bytes: int
    pqh_bytes: int

    @property
    def pq_rate(self) -> float:
        return self.weights * FLOAT_BITS / 8 / self.pq_bytes

    @property
    def pqh_rate(self) -> float:
        return self.weights * FLOAT_BITS / 8 / self.pqh_bytes


def deep_compression(facts: TfliteFacts, layer_names: Sequence[str] = ()) -> dict[str, Any]:
    """{"kernels": one dict per kernel, "others_bytes": biases, scales and the rest as stored, "total": …};
    JSON-able.

    The total rates are 32 bits per parameter, divided by all coded and stored bits.
    """
    known = LayerNames(layer_names)
    kernels: list[Coded] = []
    others_bytes = others = 0
    operators = {(o.subgraph, o.index): o for o in facts.operators}
    for key, owned in find_owners(facts).parameters.items():
        for parameter in owned:
            if not parameter.is_trained:
                continue
            tensor = parameter.tensor
            if tensor.quantization is not None:
                others_bytes += 4 * len(tensor.quantization.scale)
            if parameter.role == KERNEL and tensor.elements > 1:
                layer = known.of(operator_names(facts, operators[key]))
                kernels.append(code_kernel(tensor, layer))
            else:
                others_bytes += tensor.stored_bytes
                others += tensor.elements
    float_bytes = (sum(k.weights for k in kernels) + others) * FLOAT_BITS // 8
    pq, pqh = (others_bytes + sum(getattr(k, f) for k in kernels) for f in ("pq_bytes", "pqh_bytes"))
    return {
        "kernels": [{**asdict(k), "pq_rate": k.pq_rate, "pqh_rate": k.pqh_rate} for k in kernels],
        "others_bytes": others_bytes,
        "total": {
            "float_bytes": float_bytes,
            "pq_bytes": pq,
            "pqh_bytes": pqh,
            "pq_rate": float_bytes / pq if pq else None,
            "pqh_rate": float_bytes / pqh if pqh else None,
        },
    }


def code_kernel(tensor: Tensor, layer: str | None = None) -> Coded:
    """Smallest code of one kernel by P+Q size, checked to decode to the same values."""
    values = tensor.values().reshape(-1)
    stored_bits = bits_of(tensor.dtype)
    zero = _zero_of(tensor)
    sizes = _pq_bits(values, zero, stored_bits)
    index_bits = min(sizes, key=lambda bits: sizes[bits])
    gaps, entries = encode(values, zero, index_bits)
    if not np.array_equal(decode(gaps, entries, index_bits, zero, values.size), values):
        raise InternalFault(f"the code of '{tensor.name}' does not decode to the same weights")
    value_counts = np.unique(entries, return_counts=True)[1]
    lengths = huffman_lengths(value_counts)
    value_bits = int((value_counts * lengths).sum())
    book_bits = int((stored_bits + lengths).sum())
    # too many distinct values: a code book would be larger than its gain
    if value_bits + book_bits > entries.size * stored_bits:
        value_bits, book_bits = entries.size * stored_bits, 0
    gap_counts = np.unique(gaps, return_counts=True)[1]
    gap_lengths = huffman_lengths(gap_counts) if index_bits else np.zeros(len(gap_counts), np.int64)
    gap_bits = int((gap_counts * gap_lengths).sum())
    gap_book_bits = int((index_bits + gap_lengths).sum()) if index_bits else 0
    if gap_bits + gap_book_bits > gaps.size * index_bits:
        gap_bits, gap_book_bits = gaps.size * index_bits, 0
    number = max(1, entries.size)
    return Coded(
        layer=layer,
        name=tensor.name,
        weights=values.size,
        kept=float(np.mean(values != zero)),
        weight_bits=float(_code_bits(entries.size, len(value_counts), stored_bits)),
        weight_bits_huffman=value_bits / number,
        index_bits=float(index_bits),
        index_bits_huffman=gap_bits / number,
        pq_bytes=-(-sizes[index_bits] // 8),
        pqh_bytes=max(1, -(-(value_bits + book_bits + gap_bits + gap_book_bits) // 8)),
    )


def encode(values: np.ndarray, zero: float, index_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """(distances, entries): each entry is a kept weight, or a filler zero if the next weight is too far away.

    values: flat. A distance is the number of zeros skipped, at most 2^index_bits − 1. With index_bits 0 every
    weight is an entry.
    """
    if index_bits == 0:
        return np.zeros(values.size, np.int64), values
    places = np.flatnonzero(values != zero)
    skipped = np.diff(places, prepend=-1) - 1
    reach = 1 << index_bits
    fillers = skipped // reach
    ends = np.cumsum(fillers + 1) - 1
    gaps = np.full(int((fillers + 1).sum()), reach - 1, np.int64)
    entries = np.full(gaps.size, zero, values.dtype)
    gaps[ends], entries[ends] = skipped % reach, values[places]
    return gaps, entries


def decode(gaps: np.ndarray, entries: np.ndarray, index_bits: int, zero: float, size: int) -> np.ndarray:
    """The flat weights that were passed to `encode`."""
    if index_bits == 0:
        return entries
    values = np.full(size, zero, entries.dtype)
    values[np.cumsum(gaps + 1) - 1] = entries
    return values


def _pq_bits(values: np.ndarray, zero: float, stored_bits: int) -> dict[int, int]:
    """Size in bits, code book included, for every number of index bits."""
    places = np.flatnonzero(values != zero)
    skipped = np.diff(places, prepend=-1) - 1
    distinct = len(np.unique(values[places]))

    def size(entries: int, distinct: int, index_bits: int) -> int:
        bits = _code_bits(entries, distinct, stored_bits)
        book = 0 if bits == stored_bits else distinct * stored_bits
        return max(1, entries * (bits + index_bits) + book)

    sizes = {0: size(values.size, distinct + (places.size < values.size), 0)}
    for index_bits in INDEX_BITS:
        fillers = int((skipped >> index_bits).sum())
        sizes[index_bits] = size(places.size + fillers, distinct + (fillers > 0), index_bits)
    return sizes


def _code_bits(entries: int, distinct: int, stored_bits: int) -> int:
    """Bits of an index into the code book, or of the weight itself where a book saves nothing."""
    bits = max(1, (distinct - 1).bit_length())
    return bits if entries * bits + distinct * stored_bits < entries * stored_bits else stored_bits


def _zero_of(tensor: Tensor) -> float:
    quantization = tensor.quantization
    if quantization is None or len(quantization.zero_point) == 0:
        return 0
    first = quantization.zero_point.flat[0]
    return first.item() if (quantization.zero_point == first).all() else 0
