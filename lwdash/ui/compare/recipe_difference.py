"""The difference between recipes: steps and parameters that are not the same in all of them."""

from collections.abc import Collection, Sequence

import pandas as pd

from lwdash.errors import RecipeError
from lwdash.parameters import write_params
from lwdash.recipe import Step, parse_recipe
from lwdash.techniques import TECHNIQUES

ABSENT = "–"


def recipe_difference(recipes: Sequence[str]) -> pd.DataFrame | None:
    """One row per step that not all recipes have, or per parameter with different values; one column per
    recipe, in their order. None if this version cannot read one of them.

    The cell of a step that some recipes lack has its parameters without defaults and without those in other
    rows: "yes" if there are none.
    """
    try:
        tables = [_steps(parse_recipe(text).steps) for text in recipes]
    except RecipeError:
        return None
    rows: dict[str, list[str]] = {}
    for label in dict.fromkeys(label for table in tables for label in table):
        steps = [table.get(label) for table in tables]
        having = [step for step in steps if step is not None]
        differing = {
            key: [ABSENT if step is None else _written(step.to_dict()[key]) for step in steps]
            for key in having[0].to_dict()
            if key != "name" and len({_written(step.to_dict()[key]) for step in having}) > 1
        }
        if len(having) < len(steps):
            rows[label] = [ABSENT if step is None else _own(step, differing) for step in steps]
        for key, values in differing.items():
            rows[f"{label}: {key.replace('_', ' ')}"] = values
    return pd.DataFrame.from_dict(rows, orient="index", columns=range(len(recipes)))


def _steps(steps: Sequence[Step]) -> dict[str, Step]:
    """Steps by the technique's label, with a number from the second of a kind on."""
    found: dict[str, Step] = {}
    for step in steps:
        label, again = TECHNIQUES[step.name].LABEL, 1
        while (name := label if again == 1 else f"{label} {again}") in found:
            again += 1
        found[name] = step
    return found


def _own(step: Step, listed: Collection[str]) -> str:
    """A step's parameters except defaults and those that are `listed` in other rows."""
    return write_params(step.params, leave_out=listed) or "yes"


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
