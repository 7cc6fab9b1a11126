"""Suggestions of a recipe, and the functions that change a run's recipe into one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from lwdash.errors import RecipeError
from lwdash.recipe import Recipe, Step, make_recipe, parse_recipe
from lwdash.techniques import ORDER

Topic = Literal["growth", "zeros", "lost output"]
"""Subjects that findings and suggestions share: a file that grew, stored zeros, an output that is lost."""


@dataclass(frozen=True)
class Suggestion:
    """A recipe to try next.

    title: the action, for a button. reason: the measurement, and the purpose of the change. recipe: canonical.

    topic: the finding that calls for it, see `Topic`; None where no finding does.
    """

    title: str
    reason: str
    recipe: str
    topic: Topic | None = None


def changed(step: Step, **values: Any) -> Step:
    """The step with other values of these parameters."""
    return Step(step.name, replace(step.params, **values))


def with_format(
    recipe: Recipe, params: Any, name: str, title: str, reason: str, topic: Topic | None = None
) -> Iterator[Suggestion]:
    """The recipe with another number format, if that is a valid recipe."""
    storage = [recipe.storage_step] if recipe.storage_step else []
    yield from if_valid([*recipe.keras_steps, Step(name, params), *storage], title, reason, topic)


def with_keras(recipe: Recipe, step: Step, title: str, reason: str) -> Iterator[Suggestion]:
    """The recipe with `step` added to its keras-stage steps, or replacing the step of the same name, if that is valid."""
    kept = [s for s in recipe.keras_steps if s.name != step.name]
    ordered = sorted([*kept, step], key=lambda s: ORDER.index(s.name))
    later = [step for step in (recipe.tflite_step, recipe.storage_step) if step]
    yield from if_valid([*ordered, *later], title, reason)


def if_valid(steps: list[Step], title: str, reason: str, topic: Topic | None = None) -> Iterator[Suggestion]:
    """The suggestion of these steps; nothing if they are no valid recipe."""
    try:
        recipe = make_recipe(*steps)
        if parse_recipe(str(recipe)) == recipe:
            yield Suggestion(title, reason, str(recipe), topic)
    except RecipeError:
        return


def percent(share: float) -> str:
    """A share (0–1) that is a parameter, in percent with all of its digits."""
    return f"{100 * share:g} %"
