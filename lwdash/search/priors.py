"""Prior expectations of each technique: how much smaller a file gets, and how much accuracy it may cost.

A search starts from these expectations and corrects them by what it measures. They are rules of thumb of the field
(an 8-bit weight has a quarter of the bits; half of the channels leave a third of the multiplications), not values
fitted to networks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from lwdash.recipe import parse_recipe
from lwdash.search.candidates import ABSENT, Candidates
from lwdash.search.space import TUNED

FLOAT_BITS = 32
STORED_BITS: Mapping[str, int] = {"float16": 16, "int8": 8, "int16x8": 8, "dynamic": 8, "weight_only": 8}
"""Bits of a stored weight, where the parameter `bits` does not say otherwise."""
COMPUTED_BITS: Mapping[str, int] = {"int8": 8, "int16x8": 16}
"""Bits of an activation."""
FORMAT_DROP: Mapping[str, float] = {"int8": 0.002, "int16x8": 0.001, "dynamic": 0.002, "weight_only": 0.001}
FOUR_BIT_DROP = 0.012
"""Accuracy that a number format usually costs, 0–1."""
ZERO_SAVING = 0.85
"""Share of its room that a zero weight saves in a gzipped file."""


@dataclass(frozen=True)
class Traits:
    """Candidates in units in which effects add up; every array has an element a candidate.

    channels: share of channels that is left. energy: share of the kernels' energy that is left. dense: share of the
    weights that are not zero. is_global: whether one threshold prunes all kernels. clusters: distinct values a kernel,
    infinite without clustering. is_qat: whether it is trained for integers. stored_bits, computed_bits: of weights
    and activations. format_drop: accuracy that the format costs. format: number of the format in `formats`, those of
    the space.
    """

    formats: tuple[str, ...]

    channels: np.ndarray
    energy: np.ndarray
    dense: np.ndarray
    is_global: np.ndarray
    clusters: np.ndarray
    is_qat: np.ndarray
    stored_bits: np.ndarray
    computed_bits: np.ndarray
    format_drop: np.ndarray
    format: np.ndarray

    @property
    def cluster_bits(self) -> np.ndarray:
        """Bits a weight that the distinct values take, infinite without clustering."""
        return np.log2(self.clusters)


@dataclass(frozen=True)
class _Format:
    stored_bits: float
    computed_bits: float
    drop: float


@cache
def _format(text: str) -> _Format:
    step = parse_recipe(text).steps[-1]
    stored = float(getattr(step.params, "bits", STORED_BITS.get(step.name, FLOAT_BITS)))
    drop = FOUR_BIT_DROP if stored <= 4 else FORMAT_DROP.get(step.name, 0.0)
    return _Format(stored, COMPUTED_BITS.get(step.name, FLOAT_BITS), drop)


def traits(candidates: Candidates, rows: np.ndarray) -> Traits:
    """rows: as `Candidates` has them."""

    def value(name: str, key: str, absent: Any) -> np.ndarray:
        if name not in candidates.space.techniques:
            return np.full(len(rows), absent)
        at = rows[:, candidates.columns[f"{name}.{key}"]]
        return np.where(at == ABSENT, absent, np.array(TUNED[name][key])[at])

    formats = [_format(text) for text in candidates.space.formats]
    is_qat = (
        rows[:, candidates.columns["qat"]] == 1 if "qat" in candidates.columns else np.zeros(len(rows), bool)
    )
    return Traits(
        formats=candidates.space.formats,
        channels=1 - value("channels", "ratio", 0.0),
        energy=value("low_rank", "energy", 1.0),
        dense=1 - value("prune", "sparsity", 0.0),
        is_global=value("prune", "scope", "layer") == "global",
        clusters=value("cluster", "clusters", np.inf),
        is_qat=is_qat,
        stored_bits=np.array([known.stored_bits for known in formats])[rows[:, 0]],
        computed_bits=np.array([known.computed_bits for known in formats])[rows[:, 0]],
        format_drop=np.array([known.drop for known in formats])[rows[:, 0]],
        format=rows[:, 0],
    )


def features(known: Traits) -> np.ndarray:
    """(candidates, features): coordinates in which a distance of 1 is a clear difference."""
    formats = np.eye(len(known.formats))[known.format]
    columns = [
        (1 - known.channels) / 0.3,
        (1 - known.energy) / 0.15,
        0.5 * (known.energy < 1),
        -np.log(known.dense),
        0.5 * known.is_global,
        np.where(np.isinf(known.clusters), 0.0, (8 - known.cluster_bits) / 2),
        1.0 * known.is_qat,
        np.log2(FLOAT_BITS / known.stored_bits),
        np.log2(FLOAT_BITS / known.computed_bits) / 2,
        *(0.5 * formats.T),
    ]
    return np.stack(columns, axis=1)


def expected_log_cost(known: Traits, column: str) -> np.ndarray:
    """The logarithm of a cost, up to a constant; column: one of `GOALS` or the key of a limit."""
    narrower = np.log(known.channels)
    if column in ("size_bytes", "gzip_bytes"):
        fewer = 1.5 * narrower - 2 * (1 - known.energy)
        if column == "size_bytes":
            return fewer + np.log(known.stored_bits)
        values = np.minimum(known.stored_bits, 0.5 + known.cluster_bits)
        return fewer + np.log(values * (1 - ZERO_SAVING * (1 - known.dense)))
    if column in ("speedup", "latency_ms"):
        return 1.2 * narrower - (1 - known.energy)
    if column == "arena_bytes":
        return 0.7 * narrower + np.log(known.computed_bits)
    return np.zeros(len(known.format))


def expected_drop(known: Traits) -> np.ndarray:
    """Accuracy that a candidate may cost, 0–1."""
    return (
        known.format_drop
        + 0.12 * (1 - known.channels) ** 2
        + 0.06 * (1 - known.energy)
        + 0.002 * (1 / known.dense - 1)
        + 0.1 / known.clusters
        - 0.001 * known.is_qat
    )
