"""Vectors of scales that follow from others: a bias has the scale of its kernel times that of its input."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np

from lwdash.packing.decoder import Numbers, Product
from lwdash.packing.segment_plans import varint
from lwdash.tflite.reader import TfliteFacts, tflite_schema

MIN_LENGTH = 4
MAX_SOURCES = 64
PROBES = 4


def scale_vectors(facts: TfliteFacts) -> list[tuple[int, int]]:
    """(byte, number of floats) of every vector of scales in the file, in the order of the file, each once."""
    model = tflite_schema().Model.GetRootAs(facts.data, 0)
    base = address(np.frombuffer(facts.data, np.uint8))
    found = set()
    for g in range(model.SubgraphsLength()):
        graph = model.Subgraphs(g)
        for i in range(graph.TensorsLength()):
            quantization = graph.Tensors(i).Quantization()
            if quantization is not None and quantization.ScaleLength() >= MIN_LENGTH:
                found.add((address(quantization.ScaleAsNumpy()) - base, quantization.ScaleLength()))
    return sorted(found)


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def find_products(structure: bytes, vectors: Sequence[tuple[int, int]]) -> tuple[list[bytes], list[Product]]:
    """The products among `vectors` (byte of the structure, number of floats), for the plan and for the coder."""
    written: list[bytes] = []
    products: list[Product] = []
    place = 0
    for i, (target, count) in enumerate(vectors):
        if target % 4 or target < place or not (sources := _sources(vectors[:i], target, count)):
            continue
        wanted = np.frombuffer(structure, "<f4", count, target)
        best = max(
            (_best_factor(structure, source, wanted) for source in sources), key=lambda found: found[0]
        )
        matches, source, divides, factor = best
        if matches * 2 < count:
            continue
        plan = varint((target - place) // 4) + varint(count) + varint((target - source) // 4)
        plan += bytes([divides]) + struct.pack("<f", factor)
        products.append(Product(Numbers(plan), place))
        written.append(plan)
        place = products[-1].end
    return written, products


def _sources(earlier: Sequence[tuple[int, int]], target: int, count: int) -> list[int]:
    found = [at for at, length in earlier if length == count and at % 4 == 0 and at + 4 * count <= target]
    return found[-MAX_SOURCES:]


def _best_factor(structure: bytes, source: int, wanted: np.ndarray) -> tuple[int, int, bool, float]:
    """(equal floats, source, divides, factor) of the best constant between the floats at `source` and `wanted`."""
    have = np.frombuffer(structure, "<f4", len(wanted), source).astype(np.float64)
    best = (0, source, False, 1.0)
    operations: tuple[tuple[bool, Callable[..., np.ndarray]], ...] = ((False, np.multiply), (True, np.divide))
    for divides, operation in operations:
        for i in range(min(PROBES, len(wanted))):
            if not (have[i] > 0 and wanted[i] > 0):
                continue
            middle = np.float32(have[i] / wanted[i] if divides else wanted[i] / have[i])
            near = [middle, np.nextafter(middle, np.float32(0)), np.nextafter(middle, np.float32(np.inf))]
            for factor in near:
                if np.isfinite(factor) and factor > 0:
                    with np.errstate(all="ignore"):
                        equal = operation(have, np.float64(factor)).astype(np.float32) == wanted
                    if (matches := int(equal.sum())) > best[0]:
                        best = (matches, source, divides, float(factor))
    return best
