"""Suggestions of storage forms: sparse storage of zeros, look-up tables of shared values, coding for updates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lwdash.advice.evidence import Evidence
from lwdash.advice.recipe_changes import Suggestion, if_valid
from lwdash.percent_text import as_percent
from lwdash.recipe import Recipe, Step
from lwdash.techniques import TECHNIQUES, sparse

MAX_SPARSE_SHARE = 0.9
"""Sparse storage is suggested where the weights then take at most this share of their bytes."""


def tables_and_codes(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    """Suggestions of look-up tables for int8 files with few values, and of coding for these and pruned ones."""
    step, names = recipe.tflite_step, {s.name for s in recipe.keras_steps}
    if recipe.storage_step or evidence.has_lost or not names & {"prune", "cluster", "lowbit"}:
        return
    if (
        names & {"cluster", "lowbit"}
        and step is not None
        and step.name == "int8"
        and hasattr(step.params, "per_channel")
    ):
        has_channel_scales = names & {"qat", "lowbit"}
        whole = step if has_channel_scales else Step("int8", replace(step.params, per_channel=False))
        yield from if_valid(
            [*recipe.keras_steps, whole, Step("lut", TECHNIQUES["lut"].Params())], "Look-up tables for microcontrollers",
            "The shared values become short indices into tables: less flash in TensorFlow Lite Micro, more RAM.",
        )  # fmt: skip
    yield from if_valid(
        [*recipe.steps, Step("coded", TECHNIQUES["coded"].Params())], "Code it for updates",
        "The coded file is lossless and was 27 to 37 % smaller than the gzipped one on six pruned and clustered networks.",
    )  # fmt: skip


def sparse_storage(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    """A suggestion of sparse storage for a file that stores many zeros."""
    zeros, step = evidence.metrics.get("sparsity"), recipe.tflite_step
    is_pruned = any(s.name == "prune" for s in recipe.keras_steps)
    if not is_pruned or recipe.storage_step or zeros is None:
        return
    share = sparse.expected_share(1 - zeros, float(recipe.weight_bits))
    if not sparse.can_store(step.name if step else "float32", recipe.weight_bits) or share > MAX_SPARSE_SHARE:
        return
    yield from if_valid(
        [*recipe.steps, Step("sparse", TECHNIQUES["sparse"].Params())], "Use sparse storage",
        f"{as_percent(zeros)} of the weights are zeros that the file stores. Without them, its weights take about "
        f"{as_percent(share)} of their bytes (an estimate), with the same outputs.", "zeros",
    )  # fmt: skip
