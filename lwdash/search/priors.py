"""Prior expectations of each technique: how much smaller a file gets, and how much accuracy it may cost.

A search starts from these expectations and corrects them with its measurements. They are common rules of
thumb (an 8-bit weight has a quarter of the bits; half of the channels leave a third of the multiplications).
They are not fitted to networks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from lwdash.metrics.offers import target_metric
from lwdash.recipe import FLOAT_BITS, parse_recipe
from lwdash.search.candidates import ABSENT, Candidates
from lwdash.search.space import BY_LAYER, TRAINING, TUNED
from lwdash.techniques import sparse

AUTO_BITS, AUTO_DROP = 5.0, 0.005
"""Typical bits of a weight, and typical loss, of formats that are chosen by layer."""
COMPUTED_BITS: Mapping[str, int] = {"int8": 8, "int16x8": 16, "auto": 8}
"""Bits of an activation."""
FORMAT_DROP: Mapping[str, float] = {"int8": 0.002, "int16x8": 0.001, "dynamic": 0.002, "weight_only": 0.001}
FOUR_BIT_DROP = 0.012
"""Typical loss of accuracy of a number format, 0–1."""
CODED_SHARE = 0.85
"""Bits of an entropy-coded weight without structure, as a share of its stored bits."""
EPOCH_FACTORS, RATE_FACTORS = np.array((0.0, -1.0, 0.0, 1.0)), np.array((0.0, -1.0, 1.0))
"""For each of the epochs and learning rates of `TUNED`: factors of 3 above 30 epochs, as which auto counts, and above the
default.
"""
CHANGED_DROP = 0.001
"""Loss of accuracy that is expected of another training than the default, so that the default is tried first."""
ZERO_SAVING = 0.85
"""Share of its bytes that a zero weight saves in a gzipped file."""


@dataclass(frozen=True)
class Traits:
    """Properties of candidates, in units that can be added; each array has one element per candidate.

    channels: share of channels that is left. macs: share of the operations that low rank leaves. dense: share of the
    weights that are not zero. is_global: True if one threshold prunes all kernels. clusters: distinct values per kernel or
    channel, infinite without clustering and training below 8 bits. is_pruned_by_layer: True if the sparsity is chosen
    for each layer. is_lowbit: True for training below 8 bits. is_qat: True for quantization-aware
    training. stored_bits, computed_bits: of weights and activations. format_drop: accuracy lost by the format. format:
    index of the format in `formats` of the space. is_sparse: True if the file does not store zeros. epochs, rates: of the
    training steps, in factors of 3 above the usual, summed. changed: number of epochs and rates that are not the default.
    """

    formats: tuple[str, ...]

    channels: np.ndarray
    macs: np.ndarray
    dense: np.ndarray
    is_global: np.ndarray
    is_pruned_by_layer: np.ndarray
    clusters: np.ndarray
    is_lowbit: np.ndarray
    is_qat: np.ndarray
    stored_bits: np.ndarray
    computed_bits: np.ndarray
    format_drop: np.ndarray
    format: np.ndarray
    is_sparse: np.ndarray
    epochs: np.ndarray
    rates: np.ndarray
    changed: np.ndarray

    @property
    def cluster_bits(self) -> np.ndarray:
        """Bits per weight for an index into the distinct values, infinite without clustering."""
        return np.log2(self.clusters)


@dataclass(frozen=True)
class _Format:
    stored_bits: float
    computed_bits: float
    drop: float
    has_sparse: bool
    """True if LiteRT loads such weights sparse."""


@cache
def _format(text: str) -> _Format:
    recipe = parse_recipe(text)
    step, stored = recipe.steps[-1], float(recipe.weight_bits)
    if step.name == "auto":
        return _Format(AUTO_BITS, COMPUTED_BITS["auto"], AUTO_DROP, sparse.can_store("auto", AUTO_BITS))
    drop = FOUR_BIT_DROP if stored <= 4 else FORMAT_DROP.get(step.name, 0.0)
    return _Format(
        stored, COMPUTED_BITS.get(step.name, FLOAT_BITS), drop, sparse.can_store(step.name, stored)
    )


def traits(candidates: Candidates, rows: np.ndarray) -> Traits:
    """Properties of recipes from which metrics are predicted before any run.

    rows: as in `Candidates`.
    """

    def value(name: str, key: str, absent: Any) -> np.ndarray:
        if name not in candidates.space.techniques:
            return np.full(len(rows), absent)
        at = rows[:, candidates.columns[f"{name}.{key}"]]
        return np.where(at == ABSENT, absent, np.array(TUNED[name][key])[at])

    scope = value("prune", "scope", "layer")
    formats = [_format(text) for text in candidates.space.formats]
    is_qat = (
        rows[:, candidates.columns["qat"]] == 1 if "qat" in candidates.columns else np.zeros(len(rows), bool)
    )
    epochs, rates = (_training(candidates, rows, key) for key in TRAINING)
    return Traits(
        formats=candidates.space.formats,
        channels=1 - value("channels", "ratio", 0.0),
        macs=value("low_rank", "macs", 1.0),
        dense=1 - value("prune", "sparsity", 0.0),
        is_global=scope == "global",
        is_pruned_by_layer=scope == BY_LAYER,
        clusters=np.minimum(value("cluster", "clusters", np.inf), 2.0 ** value("lowbit", "bits", np.inf)),
        is_lowbit=np.isfinite(value("lowbit", "bits", np.inf)),
        is_qat=is_qat,
        stored_bits=np.array([known.stored_bits for known in formats])[rows[:, 0]],
        computed_bits=np.array([known.computed_bits for known in formats])[rows[:, 0]],
        format_drop=np.array([known.drop for known in formats])[rows[:, 0]],
        format=rows[:, 0],
        is_sparse=np.array([known.has_sparse for known in formats])[rows[:, 0]]
        & (candidates.space.storage == "sparse"),
        epochs=EPOCH_FACTORS[epochs].sum(axis=1),
        rates=RATE_FACTORS[rates].sum(axis=1),
        changed=(epochs > 0).sum(axis=1) + (rates > 0).sum(axis=1),
    )


def _training(candidates: Candidates, rows: np.ndarray, key: str) -> np.ndarray:
    """(candidates, techniques): positions of a choice of `TRAINING`, 0 where a technique is absent."""
    columns = [candidates.columns[f"{name}.{key}"] for name in candidates.space.techniques]
    return np.maximum(rows[:, columns], 0)


def features(known: Traits) -> np.ndarray:
    """(candidates, features): coordinates in which a distance of 1 is a clear difference."""
    formats = np.eye(len(known.formats))[known.format]
    columns = [
        (1 - known.channels) / 0.3,
        -np.log2(known.macs),
        0.5 * (known.macs < 1),
        -np.log(known.dense),
        0.5 * known.is_global,
        0.5 * known.is_pruned_by_layer,
        np.where(np.isinf(known.clusters), 0.0, (8 - known.cluster_bits) / 2),
        0.5 * known.is_lowbit,
        1.0 * known.is_qat,
        0.3 * known.epochs,
        0.3 * known.rates,
        np.log2(FLOAT_BITS / known.stored_bits),
        np.log2(FLOAT_BITS / known.computed_bits) / 2,
        *(0.5 * formats.T),
    ]
    return np.stack(columns, axis=1)


def expected_log_cost(known: Traits, column: str) -> np.ndarray:
    """The logarithm of a cost, up to a constant; column: one of `GOALS`, the key of a limit, or the column of a target."""
    metric = target_metric(column)
    if metric is not None:
        return expected_log_cost(known, metric.offer.like)
    narrower = np.log(known.channels)
    if column in ("size_bytes", "gzip_bytes", "stored_bytes"):
        fewer = 1.5 * narrower + 0.7 * np.log(known.macs)
        if column == "size_bytes":
            share = np.where(known.is_sparse, sparse.expected_share(known.dense, known.stored_bits), 1.0)
            return fewer + np.log(known.stored_bits * np.minimum(share, 1.0))
        if column == "stored_bytes":
            values = np.minimum(CODED_SHARE * known.stored_bits, known.cluster_bits)
            return fewer + np.log(known.dense * values + _entropy_bits(known.dense))
        values = np.minimum(known.stored_bits, 0.5 + known.cluster_bits)
        return fewer + np.log(values * (1 - ZERO_SAVING * (1 - known.dense)))
    if column in ("speedup", "latency_ms", "latency_ms_p50"):
        return 1.2 * narrower + 0.4 * np.log(known.macs)
    if column == "npu_cycles":
        return 1.2 * narrower + 0.4 * np.log(known.macs) + np.log(known.computed_bits)
    if column == "micro_flash_bytes":
        return 1.5 * narrower + 0.7 * np.log(known.macs) + np.log(known.stored_bits)
    if column == "arena_bytes":
        return 0.7 * narrower + np.log(known.computed_bits)
    return np.zeros(len(known.format))


def _entropy_bits(share: np.ndarray) -> np.ndarray:
    """Bits per weight that an ideal code needs for the places of the zeros; share: of the other weights, above 0."""
    zeros = np.maximum(1 - share, np.finfo(float).tiny)
    return -share * np.log2(share) - zeros * np.log2(zeros)


def expected_drop(known: Traits) -> np.ndarray:
    """Expected loss of accuracy of a candidate, 0–1."""
    return (
        known.format_drop
        + 0.12 * (1 - known.channels) ** 2
        + 0.02 * (1 - known.macs)
        + np.where(known.is_pruned_by_layer, 0.001, 0.002) * (1 / known.dense - 1)
        + np.where(known.is_lowbit, 0.3 / known.clusters**2, 0.1 / known.clusters)
        - 0.001 * known.is_qat
        + CHANGED_DROP * known.changed
    )
