"""Generates the rows of an experiment without data, and writes them as a data file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lwdash.generated_rows.input_plans import InputPlan, plan_inputs
from lwdash.generated_rows.start_values import start_values
from lwdash.generated_rows.statistics_match import match_statistics, normalizations, plain_values
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.keras_models.ports import leaf_layers
from lwdash.training.fine_tuning import seed_everything

PART_ROWS: Mapping[str, int] = {"train": 8, "val": 128, "test": 128}
"""Part in the name of an array → number of rows. Rows to train on are not used, but every data file has some."""


@dataclass(frozen=True)
class GeneratedRows:
    """Rows that were made from a model.

    arrays: input → (rows, *shape). method: how they were made, as a clause.

    distance: of the batch-norm statistics from the stored ones, before and after; None without batch normalization.
    """

    arrays: dict[str, np.ndarray]
    method: str
    distance: tuple[float, float] | None


def generate_rows(
    model: Any | None, facts: ModelFacts, *, seed: int, stated: tuple[float, float] | None = None
) -> GeneratedRows:
    """Rows for a model, the same for the same seed.

    model: live, with its ports as lists; None for a model without Keras layers. stated: the range of all values, from the
    user. Raises DataRefused where nothing tells which values the inputs take.
    """
    layers = normalizations(model) if model is not None else []
    plans = plan_inputs(
        facts,
        vocabularies={} if model is None else vocabularies(model, facts),
        has_statistics=bool(layers),
        stated=stated,
    )
    chance = np.random.default_rng(seed)
    rows = sum(PART_ROWS.values())
    starts = [
        start_values(rows, plan.shape, chance)
        if plan.vocabulary is None
        else chance.integers(0, plan.vocabulary, (rows, *plan.shape)).astype(plan.dtype)
        for plan in plans
    ]
    told = "; ".join(dict.fromkeys(plan.source for plan in plans))
    if not layers or all(plan.vocabulary is not None for plan in plans):
        return GeneratedRows(_typed(plans, plain_values(plans, starts)), f"random within {told}", None)
    seed_everything(seed)
    values, before, after = match_statistics(model, plans, starts)
    count = f"{len(layers)} batch normalization{'s' * (len(layers) != 1)}"
    return GeneratedRows(
        _typed(plans, values), f"{told}; moved to the statistics of {count}", (before, after)
    )


def vocabularies(model: Any, facts: ModelFacts) -> dict[str, int]:
    """Input → number of ids, for inputs that only embeddings take; the smallest one where several take it."""
    sizes = {path: int(layer.input_dim) for path, layer in leaf_layers(model) if hasattr(layer, "input_dim")}
    found = {}
    for tensor in facts.inputs:
        takers = [layer.path for layer in facts.layers if tensor.name in layer.sources]
        if takers and all(path in sizes for path in takers):
            found[tensor.name] = min(sizes[path] for path in takers)
    return found


def write_rows(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Write the rows as an .npz whose arrays state the parts, byte by byte the same for equal rows."""
    named: dict[str, np.ndarray] = {}
    for name, values in arrays.items():
        stem, start = (name if len(arrays) > 1 else "x"), 0
        for part, rows in PART_ROWS.items():
            named[f"{stem}_{part}"] = values[start : start + rows]
            start += rows
    np.savez(path, allow_pickle=False, **named)


def _typed(plans: list[InputPlan], values: list[np.ndarray]) -> dict[str, np.ndarray]:
    found = {}
    for plan, array in zip(plans, values, strict=True):
        whole = np.rint(array) if plan.is_whole else array
        found[plan.name] = whole.astype(plan.dtype if plan.is_whole else np.float32)
    return found
