"""What differs between recipes: the steps and parameters that not all of them have alike."""

from collections.abc import Sequence

import pandas as pd

from lwdash.errors import RecipeError
from lwdash.recipe import Step, parse_recipe
from lwdash.techniques import TECHNIQUES

ABSENT = "–"


def recipe_difference(recipes: Sequence[str]) -> pd.DataFrame | None:
    """One row a parameter (or a step without any) that differs, one column a recipe, in their order.

    None where one of them cannot be read by this version. A parameter that is not written has its default.
    """
    try:
        tables = [_parameters(parse_recipe(text).steps) for text in recipes]
    except RecipeError:
        return None
    names = list(dict.fromkeys(name for table in tables for name in table))
    rows = {name: [table.get(name, ABSENT) for table in tables] for name in names}
    differing = {name: values for name, values in rows.items() if len(set(values)) > 1}
    return pd.DataFrame.from_dict(differing, orient="index", columns=range(len(recipes)))


def _parameters(steps: Sequence[Step]) -> dict[str, str]:
    found: dict[str, str] = {}
    counted: dict[str, int] = {}
    for step in steps:
        counted[step.name] = counted.get(step.name, 0) + 1
        again = f" {counted[step.name]}" if counted[step.name] > 1 else ""
        label = TECHNIQUES[step.name].LABEL + again
        found[label] = "yes"
        for key, value in step.to_dict().items():
            if key != "name":
                found[f"{label}: {key.replace('_', ' ')}"] = _written(value)
    return found


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
