"""Suggestions after an integer file whose recurrent layers were unrolled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lwdash.advice.evidence import Evidence
from lwdash.advice.recipe_changes import Suggestion, with_format
from lwdash.recipe import Recipe, parse_recipe
from lwdash.techniques import TECHNIQUES


def grows_again(evidence: Evidence, suggestion: Suggestion) -> bool:
    """True for an integer recipe after an integer file of unrolled layers that grew: its file would be as large."""
    step = parse_recipe(suggestion.recipe).tflite_step
    if not evidence.has_grown_unrolled or step is None or step.name not in ("int8", "int16x8", "mixed"):
        return False
    return not (
        _is_unrolled_by_choice(evidence.recipe) and step.name == "int8" and step.params.loops == "kept"
    )


def _is_unrolled_by_choice(recipe: Recipe | None) -> bool:
    """True if the recipe asks for recurrent layers without loops."""
    step = recipe.tflite_step if recipe else None
    return step is not None and getattr(step.params, "loops", "") == "unrolled"


def keep_loops(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    """For an integer file of unrolled recurrent layers that is larger than the float file: keep the loops."""
    if not evidence.has_grown_unrolled:
        return
    grown = (
        f"The {evidence.unrolled_steps:,} unrolled time steps made the file {evidence.growth:.1f} times as large as the "
        "float one; "
    )
    if recipe.tflite_step is not None and _is_unrolled_by_choice(recipe):
        yield from with_format(
            recipe, replace(recipe.tflite_step.params, loops="kept"), "int8", "Keep the loops",
            grown + "loops that compute in integers store each layer once.", "growth",
        )  # fmt: skip
        return
    yield from with_format(
        recipe, TECHNIQUES["dynamic"].Params(), "dynamic", "Keep the loops",
        grown + "dynamic stores the same weights in 8 bits and keeps the layers as loops.", "growth",
    )  # fmt: skip
