"""The recipe language: what is read, how it is written back, and what an error says."""

import itertools

import pytest

from lwdash.errors import RecipeError
from lwdash.quantize.number_formats import BITS, FLOAT32, FORMATS
from lwdash.recipe import KNOWN_AS, WEIGHT_BITS, Step, expand_values, make_recipe, parse_recipe, storage_form
from lwdash.techniques import ORDER, TECHNIQUES
from lwdash.techniques.int8 import Params as Int8
from lwdash.techniques.prune import Params as Prune

CANONICAL = {
    "int8": "int8",
    " int8 ( ) ": "int8",
    "int8(io=int8)": "int8",
    "int8( io = float32 )": "int8(io=float32)",
    "prune": "prune(sparsity=0.5)",
    "prune(sparsity=.80)": "prune(sparsity=0.8)",
    "prune(schedule=constant,sparsity=8e-1)": "prune(sparsity=0.8, schedule=constant)",
    "prune(skip=[dense, conv_*])": "prune(sparsity=0.5, skip=[dense, conv_*])",
    "prune(skip=dense)+int8": "prune(sparsity=0.5, skip=[dense]) + int8",
    "float32": "float32",
    "float32 + int8": "int8",
    "prune + float32": "prune(sparsity=0.5)",
    "prune(sparsity=0.5)\n + cluster(clusters=16)\n + int8": "prune(sparsity=0.5) + cluster(clusters=16) + int8",
    "cluster(init=kmeans++, clusters=4)": "cluster(clusters=4, init=kmeans++)",
}


@pytest.mark.parametrize(("written", "canonical"), CANONICAL.items())
def test_a_recipe_has_one_canonical_text(written: str, canonical: str) -> None:
    assert str(parse_recipe(written)) == canonical
    assert str(parse_recipe(canonical)) == canonical


def test_a_recipe_made_from_a_form_is_the_one_that_is_written() -> None:
    made = make_recipe(Step("prune", Prune(sparsity=0.8)), Step("int8", Int8(io="uint8")))
    assert made == parse_recipe("prune(sparsity=0.8) + int8(io=uint8)")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("", ["empty", "for example"]),
        ("  \n", ["empty"]),
        ("int4", ["Did you mean dynamic(bits=4) or weight_only(bits=4)?"]),
        ("int9", ["there is no technique 'int9'", "Did you mean 'int8'?"]),
        ("quantum", ["there is no technique 'quantum'", *TECHNIQUES]),
        ("int8 +", ["cannot read the step ''"]),
        ("int8 int8", ["cannot read the step 'int8 int8'"]),
        ("int8(", ["a bracket is not closed"]),
        ("int8)", ["a closing bracket too many"]),
        ("prune(skip=[a)", ["bracket"]),
        ("prune(0.8)", ["prune", "expected key=value", "'0.8'"]),
        ("prune(sparsity=)", ["prune", "expected key=value"]),
        ("prune(sparsity=0.5, sparsity=0.6)", ["prune", "sparsity is given twice"]),
        (
            "prune(sparsiti=0.5)",
            ["prune has no parameter 'sparsiti'", "sparsity", "Did you mean 'sparsity'?"],
        ),
        ("float32(bits=8)", ["float32 has no parameter 'bits'", "no parameters"]),
        ("prune(sparsity=1.5)", ["prune: sparsity must be in (0, 1)", "1.5"]),
        ("prune(sparsity=1)", ["prune: sparsity must be in (0, 1)"]),
        ("prune(sparsity=nan)", ["prune: sparsity must be in (0, 1)", "nan"]),
        ("prune(sparsity=much)", ["prune: sparsity must be a number in (0, 1)", "'much'"]),
        ("cluster(clusters=1)", ["cluster: clusters must be a whole number in 2…256", "1"]),
        ("cluster(clusters=2.5)", ["cluster: clusters must be a whole number", "'2.5'"]),
        ("int8(io=float64)", ["int8: io must be one of int8 | uint8 | float32", "Did you mean 'float32'?"]),
        ("int8 + prune", ["prune must come before int8"]),
        ("int8 + float16", ["int8 + float16", "choose one"]),
        ("float32 + float32", ["choose one"]),
        ("prune + prune", ["prune is there 2 times"]),
        ("cluster + prune", ["undo", "write prune + cluster"]),
        ("dynamic + lut", ["lut stores int8, int16x8 and mixed files", "dynamic + lut", "write int8 + lut"]),
        ("cluster + float16 + lut", ["lut stores", "a float16 file"]),
        ("lut", ["lut stores", "a float32 file", "write int8 + lut"]),
        ("prune + cluster(clusters=2)", ["clusters must be at least 3 after prune", "2"]),
    ],
)
def test_an_error_says_what_is_wrong_and_what_to_write(wrong: str, said: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(wrong)
    for words in said:
        assert words in str(caught.value)


def test_a_form_cannot_pass_the_checks_by() -> None:
    with pytest.raises(RecipeError, match="prune: sparsity"):
        make_recipe(Step("prune", Prune(sparsity=2.0)))
    with pytest.raises(RecipeError, match="before"):
        make_recipe(Step("int8", Int8()), Step("prune", Prune()))


def test_a_recipe_knows_its_stages() -> None:
    recipe = parse_recipe("prune + cluster + int8")
    assert [s.name for s in recipe.keras_steps] == ["prune", "cluster"]
    assert recipe.tflite_step is not None
    assert recipe.tflite_step.name == "int8"
    assert recipe.is_trained
    assert not parse_recipe("int8").is_trained
    assert parse_recipe("float32").tflite_step is None


@pytest.mark.parametrize(
    "text",
    ["int8 + lut", "cluster + qat + lut", "mixed + lut", "dynamic + sparse", "sparse", "dynamic + coded"],
)
def test_a_storage_form_follows_the_formats_that_it_stores(text: str) -> None:
    step = parse_recipe(text).storage_step
    assert step is not None
    assert step.name == storage_form(text)


def test_the_storage_form_of_a_stored_recipe_is_read_where_the_recipe_is_refused() -> None:
    assert storage_form("dynamic + lut") == "lut"
    assert storage_form("prune(sparsity=0.8) + sparse()") == "sparse"
    assert storage_form("prune(sparsity=0.8, skip=[a+b]) + int8") is None


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("prune", 32), ("float16", 16), ("int8", 8), ("int16x8", 8), ("qat", 8), ("weight_only(bits=4)", 4), ("dynamic", 8),
        ("dynamic(bits=4) + coded", 4), ("mixed(default=int8)", 8), ("mixed(default=float32)", 32),
        ("mixed(default=dynamic4)", 4),
    ],
)  # fmt: skip
def test_a_recipe_knows_the_bits_of_its_weights(text: str, bits: int) -> None:
    assert parse_recipe(text).weight_bits == bits


def test_the_bits_of_weights_are_those_of_the_number_formats() -> None:
    stored = {name: BITS[format.weights] for name, format in FORMATS.items() if name != FLOAT32}
    assert stored == WEIGHT_BITS


def refusal(text: str) -> str | None:
    """What is said against a recipe, None when it is read."""
    try:
        recipe = parse_recipe(text)
    except RecipeError as error:
        return str(error)
    assert parse_recipe(str(recipe)) == recipe
    return None


@pytest.mark.parametrize("names", itertools.combinations(TECHNIQUES, 2))
def test_any_two_techniques_are_read_in_one_order_at_most(names: tuple[str, str]) -> None:
    """The other order would undo work, or there is no such file; and it is said."""
    refusals = [refusal(" + ".join(order)) for order in (names, names[::-1])]
    assert any(refusals)
    for words in filter(None, refusals):
        assert any(name in words for name in names)


def test_the_order_covers_every_keras_technique() -> None:
    assert sorted(ORDER) == sorted(name for name, t in TECHNIQUES.items() if t.STAGE == "keras")


def test_the_identity_of_a_step_holds_its_defaults() -> None:
    """A later default must not make an old stage pass for a new one."""
    assert parse_recipe("int8").steps[0].to_dict() == {
        "name": "int8", "io": "int8", "bits": "8", "algorithm": "default",
        "per_channel": True, "rows": 256, "ranges": "minmax", "backend": "litert", "loops": "kept",
    }  # fmt: skip


@pytest.mark.parametrize(("elsewhere", "here"), KNOWN_AS.items())
def test_what_is_called_otherwise_elsewhere_is_no_technique_and_is_pointed_to_one(elsewhere, here):
    assert elsewhere not in TECHNIQUES
    for recipe in here.split(" or "):
        assert parse_recipe(recipe)
    with pytest.raises(RecipeError, match="Did you mean"):
        parse_recipe(elsewhere.upper())


def test_lists_of_values_make_several_recipes():
    assert expand_values("prune(sparsity=0.5, 0.7, 0.9) + int8") == [
        "prune(sparsity=0.5) + int8",
        "prune(sparsity=0.7) + int8",
        "prune(sparsity=0.9) + int8",
    ]
    grid = expand_values("cluster(clusters=8, 16, skip=[a, b]) + int8(per_channel=false, true)")
    assert len(grid) == 4
    assert grid[0] == "cluster(clusters=8, skip=[a, b]) + int8(per_channel=false)"
    assert expand_values("int8") == ["int8"]
    assert expand_values("prune(0.5)") == ["prune(0.5)"], "what it means is not decided here"


def test_too_many_recipes_in_one_text_are_refused():
    with pytest.raises(RecipeError, match="these are 121 recipes; at most 100"):
        expand_values(
            "prune(sparsity="
            + ", ".join(["0.5"] * 11)
            + ") + cluster(clusters="
            + ", ".join(["8"] * 11)
            + ")"
        )
