"""A list of recipes to edit, and a form that writes one: its fields come from the techniques' parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import Field, fields
from typing import Any

import streamlit as st

from lwdash.errors import RecipeError
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.keras_models.obstacles import obstacle
from lwdash.parameters import (
    AUTO,
    Choice,
    Flag,
    Integer,
    LayerNumbers,
    Names,
    Number,
    Overrides,
    Parameter,
    bounds_with_unit,
)
from lwdash.recipe import EXAMPLE, Recipe, Step, expand_values, make_recipe, parse_recipe
from lwdash.techniques import TECHNIQUES
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import counted

IN_ROW = 3
MAX_BASIC = 3
"""Number of parameters that a form shows at once: each technique lists its main ones first. The others are folded."""


def recipe_editor(
    start: Sequence[str], *, key: str, facts: Mapping[str, Any] | None = None
) -> list[Recipe] | None:
    """A list of recipes to edit as text, initially `start`, and a form below that adds to it.

    facts: the model's, as stored; recipes that cannot work with the model get a message below the list.
    Returns the recipes, each once, or None while one of them cannot be read (the message is shown). The text
    is kept for the session, on other pages as well, until `clear_recipes`.
    """
    area, kept = f"{key}:text:{st.session_state.get(f'{key}:round', 0)}", f"{key}:kept"
    if area not in st.session_state:
        st.session_state[area] = st.session_state.get(kept, "\n".join(start))
    text = st.text_area(
        "Recipes, one per line",
        key=area,
        height="content",
        placeholder=EXAMPLE,
        help=(
            "Steps joined by +, for example `prune(sparsity=0.8) + int8`. Omitted parameters have their "
            "defaults. Several values make several recipes: `prune(sparsity=0.5, 0.7, 0.9) + int8`."
        ),
    )
    st.session_state[kept] = text
    # Messages appear and disappear: in a separate container they move nothing, and open parts below stay
    # open.
    with st.container():
        recipes = _read([line.strip() for line in text.splitlines() if line.strip()])
        if recipes and facts:
            _show_obstacles(recipes, ModelFacts.from_dict(dict(facts)))
    with st.expander("Build a recipe", icon=":material/build:"):
        built = _builder(key)
        st.button(
            "Add to the list", key=f"{key}:add", disabled=built is None, icon=":material/add:",
            on_click=_append, args=(area, str(built)),
        )  # fmt: skip
    return recipes


def without_training(recipes: list[Recipe] | None) -> list[Recipe] | None:
    """The recipes of an experiment on generated rows; None, with a message, while one of them trains."""
    trained = [recipe for recipe in recipes or () if recipe.is_trained]
    if not trained:
        return recipes
    named = ", ".join(plain(str(recipe)) for recipe in trained)
    st.error(
        f"Without data no recipe can train: {named}. Remove it, or give samples.", icon=":material/block:"
    )
    return None


def clear_recipes(key: str) -> None:
    """Reset the list of `recipe_editor` at its next run."""
    st.session_state.pop(f"{key}:kept", None)
    st.session_state[f"{key}:round"] = st.session_state.get(f"{key}:round", 0) + 1


def fill_recipes(key: str, recipes: Sequence[str]) -> None:
    """Replace the list of `recipe_editor` by these recipes at its next run."""
    clear_recipes(key)
    st.session_state[f"{key}:kept"] = "\n".join(recipes)


def _append(area: str, recipe: str) -> None:
    lines = [line for line in st.session_state[area].splitlines() if line.strip()]
    st.session_state[area] = "\n".join([*lines, recipe])


def _read(texts: Sequence[str]) -> list[Recipe] | None:
    recipes: dict[str, Recipe] = {}
    mistakes = []
    for text in texts:
        try:
            for one in expand_values(text):
                recipe = parse_recipe(one)
                recipes[str(recipe)] = recipe
        except RecipeError as error:
            mistakes.append(plain(f"{text}: {error}"))
    for mistake in mistakes:
        st.error(mistake, icon=":material/error:")
    return None if mistakes else list(recipes.values())


def _show_obstacles(recipes: Sequence[Recipe], facts: ModelFacts) -> None:
    """Messages on steps that cannot work with this model, each once."""
    steps = dict.fromkeys(step.name for recipe in recipes for step in recipe.steps)
    for reason in filter(None, (obstacle(facts, name, TECHNIQUES[name].STAGE) for name in steps)):
        st.warning(plain(f"Not possible with this model: {reason}."), icon=":material/block:")


def _builder(key: str) -> Recipe | None:
    labels = {name: technique.LABEL for name, technique in TECHNIQUES.items()}
    kept = [name for name, technique in TECHNIQUES.items() if technique.STAGE == "keras"]
    forms = [name for name, technique in TECHNIQUES.items() if technique.STAGE == "storage"]
    formats = [name for name in TECHNIQUES if name not in {*kept, *forms}]
    trained = st.pills(
        "First, while training",
        kept,
        selection_mode="multi",
        format_func=labels.__getitem__,
        key=f"{key}:keras",
        wrap=True,
    )
    packed = st.pills(
        "Then, the number format",
        formats,
        default="int8",
        format_func=labels.__getitem__,
        key=f"{key}:format",
        wrap=True,
    )
    stored = st.pills(
        "Last, how the file is stored",
        forms,
        format_func=labels.__getitem__,
        key=f"{key}:storage",
        wrap=True,
    )
    names = [name for name in TECHNIQUES if name in {*trained, packed, stored}]
    if not names:
        st.caption("Choose at least one technique.")
        return None
    try:
        recipe = make_recipe(*[_step_form(name, f"{key}:{name}") for name in names])
    except RecipeError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return None
    st.code(str(recipe), language=None)
    return recipe


def _step_form(name: str, key: str) -> Step:
    technique = TECHNIQUES[name]
    with st.container(border=True):
        st.markdown(f"**{technique.LABEL}** · {technique.SUMMARY}")
        st.caption(f":material/lightbulb: {technique.TRAP}")
        described = fields(technique.Params)
        values = _fields(described[:MAX_BASIC], key)
        if further := described[MAX_BASIC:]:
            with st.expander(f"Advanced: {counted(len(further), 'more parameter')}"):
                values |= _fields(further, key)
        return Step(name, technique.Params(**values))


def _fields(described: Sequence[Field[Any]], key: str) -> dict[str, Any]:
    """The fields of parameters, and their values."""
    values = {}
    for start in range(0, len(described), IN_ROW):
        for column, field in zip(st.columns(IN_ROW), described[start : start + IN_ROW], strict=False):
            with column:
                values[field.name] = _field(field.metadata["parameter"], field.default, f"{key}:{field.name}")
    return values


def _field(parameter: Parameter, default: Any, key: str) -> Any:
    label = parameter.label
    if isinstance(parameter, Choice):
        return st.selectbox(
            label, list(parameter.options), index=list(parameter.options).index(default), key=key,
            help=parameter.help + "\n\n" + "\n".join(f"- `{k}`: {v}" for k, v in parameter.options.items()),
        )  # fmt: skip
    if isinstance(parameter, (Names, Overrides, LayerNumbers)):
        start = parameter.write(default).strip("[]")
        text = st.text_input(label, start, key=key, help=f"{parameter.help} {parameter.bounds}")
        return parameter.read(text)
    if isinstance(parameter, Flag):
        return st.toggle(label, default, key=key, help=parameter.help)
    if isinstance(parameter, Integer):
        help = f"{parameter.help} ({bounds_with_unit(parameter)})"
        if parameter.has_auto:
            chosen = st.number_input(
                label,
                parameter.low + 1,
                parameter.high,
                default or None,
                key=key,
                help=help,
                placeholder=AUTO,
            )
            return int(chosen or 0)
        return int(st.number_input(label, parameter.low, parameter.high, default, key=key, help=help))
    assert isinstance(parameter, Number)
    low = parameter.low + (parameter.step if parameter.low_open else 0)
    high = parameter.high - (parameter.step if parameter.high_open else 0)
    form = "%.4f" if parameter.step < 0.01 else "%.2f"
    help = f"{parameter.help} {bounds_with_unit(parameter)}"
    number = st.number_input(
        label, low, high, default, step=parameter.step, format=form, key=key, help=help, placeholder=AUTO
    )
    return None if number is None else float(number)
