"""Refusals of what an experiment on generated rows cannot give, with the reasons."""

from collections.abc import Iterable, Mapping
from typing import Any

from lwdash.errors import UserMistake
from lwdash.metrics.limits import ACCURACY_DROP
from lwdash.recipe import Recipe

WHY = "its rows are generated from the model, so the accuracy is unknown"
REMEDY = "Make an experiment with samples"


def refuse_drop(settings: Mapping[str, Any], limits: Mapping[str, float | None] | None) -> None:
    """Raises UserMistake for a limit on the drop of accuracy. settings: the experiment's, as stored."""
    if settings.get("generated") and (limits or {}).get(ACCURACY_DROP) is not None:
        raise UserMistake(
            f"the drop of accuracy cannot be limited in this experiment: {WHY}. {REMEDY}, or leave out this limit "
            "(--max-drop)"
        )


def refuse_training(settings: Mapping[str, Any], recipes: Iterable[Recipe]) -> None:
    """Raises UserMistake for a recipe that changes the model before its export."""
    if not settings.get("generated"):
        return
    for recipe in recipes:
        if recipe.is_trained:
            steps = ", ".join(step.name for step in recipe.keras_steps)
            raise UserMistake(
                f"{recipe}: {steps} needs real rows to train on or to be judged by, and {WHY}. {REMEDY}, or use number "
                "formats and storage forms only, for example int8"
            )


def refuse_search(settings: Mapping[str, Any]) -> None:
    """Raises UserMistake: a search chooses by the loss of accuracy."""
    if settings.get("generated"):
        raise UserMistake(
            f"a search chooses recipes by their loss of accuracy, but in this experiment {WHY}. {REMEDY}"
        )


def refuse_sensitivity(settings: Mapping[str, Any]) -> None:
    """Raises UserMistake: the sensitivity recommends layers by the loss of accuracy."""
    if settings.get("generated"):
        raise UserMistake(
            f"the sensitivity of layers needs real rows, but in this experiment {WHY}. {REMEDY}"
        )
