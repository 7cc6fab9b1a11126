"""Recipes that treat one layer in another way than a run did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lwdash.advice.recipe_changes import Suggestion, changed, if_valid, with_format, with_keras
from lwdash.recipe import Recipe, Step
from lwdash.techniques import TECHNIQUES

SPARSITY = 0.8
SIXTEEN_BITS = {"int8": "int16x8", "int8x4": "int16x8"}
"""Format of all other layers → its counterpart with 16 bits; float16 weights for those that compute in floats."""
NATIVE_IO = {"int8": "int8", "int8x4": "int8", "int16x8": "int16"}
"""Format → the type of the file's inputs and outputs without a conversion."""


def layer_recipes(recipe: Recipe, layer: str, *, is_trainable: bool) -> list[Suggestion]:
    """Changes of `recipe` for one layer, by its path: 16 bits, float, left alone, or pruned as the only one.

    is_trainable: the layer has kernels, and the model can be trained. Without a valid recipe, a change is left out.
    """
    return list(_changes(recipe, layer, is_trainable))


def _changes(recipe: Recipe, layer: str, is_trainable: bool) -> Iterator[Suggestion]:
    base = _as_mixed(recipe.tflite_step)
    if base is not None:
        others = [pair for pair in base.overrides if pair[0] != layer]
        present = dict(base.overrides).get(layer, base.default)
        sixteen = SIXTEEN_BITS.get(base.default, "float16")
        for format, title, reason in (
            (sixteen, "Keep in 16 bits", f"{layer} in {sixteen}, all else as in this run."),
            ("float32", "Keep in float", f"{layer} in 32-bit floats, all else as in this run."),
        ):
            if format not in (present, base.default):
                mixed = replace(base, overrides=(*others, (layer, format)))
                yield from with_format(recipe, mixed, "mixed", title, reason)
    skipping = [step for step in recipe.keras_steps if hasattr(step.params, "skip")]
    if skipping and not any(layer in step.params.skip for step in skipping):
        steps = [
            changed(step, skip=(*step.params.skip, layer)) if step in skipping else step
            for step in recipe.steps
        ]
        named = ", ".join(step.name for step in skipping)
        yield from if_valid(steps, "Leave alone", f"{named} without {layer}.")
    if is_trainable:
        prune = next((step for step in recipe.keras_steps if step.name == "prune"), None)
        params = prune.params if prune else TECHNIQUES["prune"].Params(sparsity=SPARSITY)
        if params.sparsity is None or params.layers:
            params = TECHNIQUES["prune"].Params(sparsity=dict(params.layers).get(layer) or SPARSITY)
        if params.only != (layer,):
            only = Step("prune", replace(params, only=(layer,), skip=()))
            yield from with_keras(
                recipe,
                only,
                "Prune only this",
                f"{params.sparsity:.0%} zeros in {layer}, no other layer is pruned.",
            )


def _as_mixed(step: Step | None) -> Any | None:
    """The parameters of `mixed` that give the same file as a number format; None where there are none."""
    if step is None or getattr(step.params, "backend", "litert") != "litert":
        return None
    if step.name == "mixed":
        return step.params
    if step.name not in ("int8", "int16x8", "dynamic", "weight_only", "float16"):
        return None
    name = step.name
    if getattr(step.params, "bits", "8") == "4":
        name = "int8x4" if name == "int8" else f"{name}4"
    shared = {
        key: getattr(step.params, key)
        for key in ("per_channel", "rows", "ranges", "algorithm")
        if hasattr(step.params, key)
    }
    io = getattr(step.params, "io", None)
    return TECHNIQUES["mixed"].Params(
        default=name, io="default" if io in (None, NATIVE_IO.get(name)) else io, **shared
    )
