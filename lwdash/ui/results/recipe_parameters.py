"""Numeric parameters of recipes as columns of a frame of runs, and how metrics change with them."""

from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from math import atanh, sqrt, tanh

import pandas as pd
import streamlit as st

from lwdash.errors import RecipeError
from lwdash.metrics.run_metrics import Measure
from lwdash.parameters import AUTO, Integer, Number
from lwdash.recipe import Step, parse_recipe
from lwdash.techniques import TECHNIQUES
from lwdash.ui.shared.memo import remembered
from lwdash.ui.shared.number_text import NOTHING

PREFIX = "recipe:"
"""Begins the name of a column with a parameter: `recipe:prune.sparsity`; of a technique: `recipe:prune`."""
MIN_RUNS = 8
"""Fewer runs tell nothing about a parameter."""
MAX_ROUNDED = 0.999
"""A larger correlation would have no interval."""
MAX_KEPT = 20_000
"""Recipes whose parameters are kept: to read ten thousand takes 0.6 s."""


def with_parameters(runs: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Measure]]:
    """The runs with a column for each numeric parameter that differs among them, NaN where a recipe has none; and the
    description of each column.
    """
    rows = {recipe: _numbers(recipe) for recipe in runs["recipe"].unique()}
    values = pd.DataFrame([rows[recipe] for recipe in runs["recipe"]], index=runs.index, dtype=float)
    varying = [column for column in values if values[column].nunique() > 1]
    return pd.concat([runs, values[varying]], axis=1), {
        column: described_parameter(column) for column in varying
    }


def effects(runs: pd.DataFrame, metrics: tuple[Measure, ...]) -> pd.DataFrame:
    """One row for each parameter that differs, and for each technique that some recipes use: the number of runs, and for
    each metric its rank correlation with a 95 % interval (Fieller, Hartley and Pearson 1957), as text.

    runs: measured ones; the baseline is left out. A technique counts as 1 where it is used and 0 elsewhere.
    """
    own = runs[~runs["is_baseline"].astype(bool)]
    own, parameters = with_parameters(own)
    used = {recipe: {PREFIX + step.name for step in _steps(recipe)} for recipe in own["recipe"].unique()}
    for column in sorted(set().union(*used.values())):
        uses = own["recipe"].map(lambda recipe, column=column: float(column in used[recipe]))
        if uses.nunique() > 1:
            own = own.assign(**{column: uses})
            parameters[column] = described_parameter(column)
    table = {
        measure.label: {
            "Runs": f"{int(own[column].notna().sum()):,}",
            **{metric.label: correlation_text(own[column], own[metric.column]) for metric in metrics},
        }
        for column, measure in parameters.items()
    }
    return pd.DataFrame.from_dict(table, orient="index")


def correlation_text(parameter: pd.Series, metric: pd.Series) -> str:
    """`−0.83 (−0.95 to −0.51)`, `0.10 (−0.40 to 0.55), not significant`, or `too few runs`."""
    both = pd.DataFrame({"p": parameter, "m": pd.to_numeric(metric)}).dropna()
    if len(both) < MIN_RUNS or both.nunique().min() < 2:
        return "too few runs" if len(both) < MIN_RUNS else NOTHING
    found = float(both["p"].rank().corr(both["m"].rank()))
    middle, away = atanh(max(-MAX_ROUNDED, min(MAX_ROUNDED, found))), 1.96 * 1.06 / sqrt(len(both) - 3)
    low, high = tanh(middle - away), tanh(middle + away)
    text = f"{found:.2f} ({low:.2f} to {high:.2f})".replace("-", "−")
    return f"{text}, not significant" if low <= 0 <= high else text


def show_effects(runs: pd.DataFrame, metrics: tuple[Measure, ...]) -> None:
    """A folded table of `effects` on the metrics of the chart's axes; computed when it is opened."""
    place = st.expander(
        "Effect of parameters", icon=":material/monitoring:", key="results:effects", on_change="rerun"
    )
    if not place.open:
        return
    with place:
        table = remembered("effects", (runs, metrics), lambda: effects(runs, metrics))
        if table.empty:
            st.caption("The recipes of the shown runs have no numeric parameter that differs.")
            return
        st.table(table, border="horizontal")
        st.caption(
            "Rank correlation with the metrics of the axes: 1 if larger values always go with a larger metric, −1 with a "
            f"smaller one; in brackets the 95 % interval. At least {MIN_RUNS} runs are needed. Runs also differ in "
            "their other parameters, so this is no proof of a cause."
        )


@lru_cache(MAX_KEPT)
def parameter_texts(recipe: str) -> Mapping[str, tuple[str, float | None]]:
    """Column → each parameter as written in recipes, defaults included, and its number; None for words, and for numbers
    that a technique decides itself.
    """
    found: dict[str, tuple[str, float | None]] = {}
    for step in _steps(recipe):
        for field in fields(step.params):
            value, parameter = getattr(step.params, field.name), field.metadata["parameter"]
            is_auto = value is None or (getattr(parameter, "has_auto", False) and value == 0)
            is_number = isinstance(parameter, (Number, Integer)) and not is_auto
            text = AUTO if is_auto else parameter.write(value)
            found.setdefault(f"{PREFIX}{step.name}.{field.name}", (text, float(value) if is_number else None))
    return found


def _numbers(recipe: str) -> Mapping[str, float]:
    """Column → value of each numeric parameter; those that a technique decides itself are left out."""
    return {column: number for column, (_, number) in parameter_texts(recipe).items() if number is not None}


def _steps(recipe: str) -> tuple[Step, ...]:
    try:
        return parse_recipe(recipe).steps
    except RecipeError:  # of another version, or of an added file
        return ()


def described_parameter(column: str) -> Measure:
    """The description of a column with a parameter, or of a technique."""
    technique, _, name = column.removeprefix(PREFIX).partition(".")
    label = TECHNIQUES[technique].LABEL
    if not name:
        return Measure(column, f"{label} (used or not)", "", digits=0)
    of = {field.name: field.metadata["parameter"] for field in fields(TECHNIQUES[technique].Params)}
    return Measure(column, f"{label}: {of[name].label.lower()}", "", digits=2)
