"""Recipes for one layer: they parse, treat only that layer, and keep the rest of the recipe."""

import pytest

from lwdash.advice.layer_recipes import layer_recipes
from lwdash.recipe import parse_recipe

TITLES = ("Keep in 16 bits", "Keep in float", "Leave alone", "Prune only this")


def changes(recipe: str, layer: str = "conv_1", *, is_trainable: bool = True) -> dict[str, str]:
    found = layer_recipes(parse_recipe(recipe), layer, is_trainable=is_trainable)
    assert all(str(parse_recipe(one.recipe)) == one.recipe for one in found)
    return {one.title: one.recipe for one in found}


@pytest.mark.parametrize(
    ("recipe", "sixteen", "floats"),
    [
        ("int8", "mixed(default=int8, conv_1=int16x8)", "mixed(default=int8, conv_1=float32)"),
        ("int8(bits=4, io=float32)", "mixed(default=int8x4, conv_1=int16x8, io=float32)",
         "mixed(default=int8x4, conv_1=float32, io=float32)"),
        ("dynamic(bits=4)", "mixed(default=dynamic4, conv_1=float16)", "mixed(default=dynamic4, conv_1=float32)"),
        ("float16", None, "mixed(default=float16, conv_1=float32)"),
        ("mixed(default=int8, conv_1=int16x8)", None, "mixed(default=int8, conv_1=float32)"),
        ("mixed(default=int8, dense=float32)", "mixed(default=int8, dense=float32, conv_1=int16x8)",
         "mixed(default=int8, dense=float32, conv_1=float32)"),
        ("int8(backend=tflite)", None, None),
        ("float32", None, None),
    ],
)  # fmt: skip
def test_a_format_for_one_layer_keeps_the_rest_of_the_recipe(recipe, sixteen, floats):
    found = changes(recipe, is_trainable=False)
    assert found == {k: v for k, v in {"Keep in 16 bits": sixteen, "Keep in float": floats}.items() if v}


def test_steps_that_skip_layers_skip_one_more():
    recipe = "prune(sparsity=0.5, skip=[dense]) + cluster(clusters=8) + int8"
    found = changes(recipe)
    assert found["Leave alone"] == (
        "prune(sparsity=0.5, skip=[dense, conv_1]) + cluster(clusters=8, skip=[conv_1]) + int8"
    )
    assert found["Prune only this"] == "prune(sparsity=0.5, only=[conv_1]) + cluster(clusters=8) + int8"
    assert changes("prune(sparsity=0.5, skip=[conv_1]) + int8", is_trainable=False).keys() == {
        "Keep in 16 bits", "Keep in float",
    }  # fmt: skip


def test_only_a_layer_with_kernels_of_a_model_that_trains_is_pruned():
    assert "Prune only this" not in changes("int8", is_trainable=False)
    assert changes("int8")["Prune only this"] == "prune(sparsity=0.8, only=[conv_1]) + int8"
    assert "Prune only this" not in changes("prune(sparsity=0.8, only=[conv_1]) + int8")


def test_a_name_that_no_recipe_can_hold_gives_no_recipe():
    assert changes("int8", "strange name, with=signs") == {}
