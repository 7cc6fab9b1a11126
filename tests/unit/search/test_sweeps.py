"""The first recipes for a goal and a device."""

import pytest

from lwdash.keras_models.model_facts import LayerFacts, ModelFacts, TensorFacts
from lwdash.recipe import parse_recipe
from lwdash.search.sweeps import DEVICES, STANDARD_SWEEP, SWEEP_GOALS, sweep
from lwdash.ui.new.goal_step import possible_recipes


@pytest.mark.parametrize("goal", SWEEP_GOALS)
@pytest.mark.parametrize("device", DEVICES)
def test_every_sweep_is_canonical_without_repetition_and_cheap_first(goal, device):
    recipes = sweep(goal, device)
    assert [str(parse_recipe(text)) for text in recipes] == list(recipes)
    assert len(set(recipes)) == len(recipes)
    trained = [parse_recipe(text).is_trained for text in recipes]
    assert trained == sorted(trained)
    assert any(text.startswith("channels") for text in recipes)


@pytest.mark.parametrize("goal", SWEEP_GOALS)
@pytest.mark.parametrize("device", ["microcontroller", "npu"])
def test_devices_without_floats_get_integer_files(goal, device):
    formats = {step.name for text in sweep(goal, device) if (step := parse_recipe(text).tflite_step)}
    assert formats <= {"int8", "int16x8"}
    assert not any("sparse" in text for text in sweep(goal, device)), "it cannot read them"


def test_goals_differ_by_what_serves_them():
    assert any(text.endswith("+ lut") for text in sweep("size", "microcontroller"))
    assert any(text.endswith("+ sparse") for text in STANDARD_SWEEP)
    assert sum(text.endswith("+ coded") for text in sweep("update", "any")) == 4
    assert not any("prune" in text or "cluster" in text for text in sweep("speed", "phone"))


def test_recipes_that_cannot_treat_the_model_are_left_out():
    facts = ModelFacts(
        format="saved_model", keras_version="", library="none", name="m", class_name="SavedModel",
        inputs=(TensorFacts("x", (8,), "float32"),), outputs=(TensorFacts("y", (3,), "float32"),),
        parameters=27, layers=(LayerFacts("y", "Dense", 27, (3,), "y"),),
    )  # fmt: skip
    left = possible_recipes(STANDARD_SWEEP, facts)
    assert "int8" in left
    assert not any(parse_recipe(text).is_trained for text in left)
