"""Differences between two .tflite files that should be equal: operators, and values of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from lwdash.tflite.reader import TfliteFacts, read_tflite
from lwdash.tflite.tensor import Tensor

MAX_TENSORS = 20


def differences(expected: bytes, found: bytes) -> dict[str, Any]:
    """{"bytes_equal", "size_bytes": [expected, found], "operators", "tensors", "others"}, JSON-able.

    operators: None where both have the same types in the same order, else a sentence. tensors: stored tensors
    whose values, type, shape or scales differ, at most `MAX_TENSORS`, each with its name and difference;
    tensors are paired by name, then by place. others: number of further differences. Raises TfliteUnreadable.
    """
    same = expected == found
    differing: dict[str, Any] = {
        "bytes_equal": same, "size_bytes": [len(expected), len(found)], "operators": None, "tensors": [], "others": 0,
    }  # fmt: skip
    if same:
        return differing
    left, right = read_tflite(expected), read_tflite(found)
    kinds, others = ([o.type for o in facts.operators] for facts in (left, right))
    if kinds != others:
        first = next((i for i, (a, b) in enumerate(zip(kinds, others, strict=False)) if a != b), None)
        where = (
            ""
            if first is None
            else f"; the first that differs is number {first}: {kinds[first]}, now {others[first]}"
        )
        differing["operators"] = f"{len(kinds)} operators, now {len(others)}{where}"
    found_differences = [text for pair in _pairs(left, right) if (text := _difference(*pair))]
    differing["tensors"], differing["others"] = (
        found_differences[:MAX_TENSORS],
        max(0, len(found_differences) - MAX_TENSORS),
    )
    return differing


def _pairs(left: TfliteFacts, right: TfliteFacts) -> list[tuple[Tensor | None, Tensor | None]]:
    """Stored tensors of both, paired; None where one has no partner."""
    ours, theirs = _stored(left), _stored(right)
    by_name = {t.name: t for t in theirs}
    if len(by_name) == len(theirs) and {t.name for t in ours} == set(by_name):
        return [(t, by_name[t.name]) for t in ours]
    count = max(len(ours), len(theirs))
    return [
        (ours[i] if i < len(ours) else None, theirs[i] if i < len(theirs) else None) for i in range(count)
    ]


def _stored(facts: TfliteFacts) -> list[Tensor]:
    return [tensor for graph in facts.subgraphs for tensor in graph.tensors if tensor.is_constant]


def _difference(one: Tensor | None, other: Tensor | None) -> dict[str, Any] | None:
    """{"name", "difference"} as text, or None where the two are equal."""
    if one is None or other is None:
        present = one if one is not None else other
        assert present is not None
        return {
            "name": present.name,
            "difference": "only in the capsule's" if other is None else "only in the rebuilt",
        }
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        text = f"{one.dtype} {list(one.shape)}, now {other.dtype} {list(other.shape)}"
        return {"name": one.name, "difference": text}
    found_differences = []
    ours, theirs = one.values(), other.values()
    if ours.shape == theirs.shape and not np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f"):
        far = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
        found_differences.append(
            f"{np.count_nonzero(ours != theirs):,} of {ours.size:,} values, by {far.max():.4g} at most"
        )
    if _scales(one) != _scales(other):
        found_differences.append("other scales or zero points")
    return {"name": one.name, "difference": "; ".join(found_differences)} if found_differences else None


def _scales(tensor: Tensor) -> tuple[Any, ...]:
    quantization = tensor.quantization
    return () if quantization is None else (quantization.scale.tolist(), quantization.zero_point.tolist())
