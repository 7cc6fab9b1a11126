"""Parameters: bounds, texts, and the errors that name both."""

from dataclasses import dataclass
from typing import Any

import pytest

from lwdash.errors import RecipeError
from lwdash.parameters import (
    Choice,
    Integer,
    Names,
    Number,
    Parameter,
    Size,
    bounds_with_unit,
    check_params,
    described,
    parameter,
    read_params,
    write_params,
)

SHARE = Number("Share", "How much.", 0.0, 1.0, low_open=True)
COUNT = Integer("Count", "How many.", 2, 256)
WORD = Choice("Word", "Which.", {"first": "the first", "second": "the second"})
LAYERS = Names("Layers", "Which layers.")


@dataclass(frozen=True)
class Params:
    share: float = parameter(0.5, SHARE, always=True)
    count: int = parameter(16, COUNT)
    word: str = parameter("first", WORD)
    layers: tuple[str, ...] = parameter((), LAYERS)


@pytest.mark.parametrize(
    ("what", "value"),
    [
        (SHARE, 1.0),
        (SHARE, 1e-9),
        (COUNT, 2),
        (COUNT, 256),
        (WORD, "second"),
        (LAYERS, ()),
        (LAYERS, ("a/b", "conv_*", "x-1", "re?u")),
    ],
)
def test_what_is_inside_the_bounds_survives_text(what: Parameter, value: Any) -> None:
    assert what.check(what.read(what.write(value))) == value


@pytest.mark.parametrize(
    ("what", "value", "bounds"),
    [
        (SHARE, 0.0, "(0, 1]"),
        (SHARE, 1.0000001, "(0, 1]"),
        (SHARE, float("nan"), "(0, 1]"),
        (SHARE, float("inf"), "(0, 1]"),
        (SHARE, True, "(0, 1]"),
        (SHARE, "0.5", "(0, 1]"),
        (SHARE, None, "(0, 1]"),
        (COUNT, 1, "2…256"),
        (COUNT, 257, "2…256"),
        (COUNT, 16.0, "2…256"),
        (COUNT, True, "2…256"),
        (WORD, "third", "first | second"),
        (WORD, None, "first | second"),
        (WORD, ["first"], "first | second"),
        (LAYERS, ("a b",), "layer names"),
        (LAYERS, ("a,b",), "layer names"),
        (LAYERS, ("",), "layer names"),
        (LAYERS, (1,), "layer names"),
        (LAYERS, "a b", "layer names"),
        (LAYERS, None, "layer names"),
    ],
)
def test_what_is_outside_is_refused_with_the_bounds_and_the_value(
    what: Parameter, value: Any, bounds: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        what.check(value)
    assert bounds in str(caught.value)
    assert (
        f"but got {value[0]!r}" in str(caught.value)
        if isinstance(value, tuple)
        else repr(value) in str(caught.value)
    )


@pytest.mark.parametrize("value", [0.1 + 0.2, 1 / 3, 1e-7, 0.12345678901234])
def test_a_number_and_its_text_are_the_same(value: float) -> None:
    """What runs is what the recipe's text says."""
    checked = SHARE.check(value)
    assert checked == pytest.approx(value, rel=1e-11)
    assert SHARE.check(SHARE.read(SHARE.write(checked))) == checked


def test_a_number_that_rounds_to_an_open_bound_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"\[0, 1\)"):
        Number("Share", "How much.", 0.0, 1.0, high_open=True).check(1 - 1e-14)


def test_only_what_differs_from_the_defaults_is_written() -> None:
    assert write_params(Params()) == "share=0.5"
    assert write_params(Params(share=0.25, word="second", layers=("a", "b"))) == (
        "share=0.25, word=second, layers=[a, b]"
    )


def test_params_are_read_from_texts() -> None:
    texts = {"share": "1", "count": "8", "word": "second", "layers": "[a, b*]"}
    assert read_params(Params, texts, "here") == Params(1.0, 8, "second", ("a", "b*"))
    assert read_params(Params, {}, "here") == Params()


def test_errors_say_where() -> None:
    with pytest.raises(RecipeError, match=r"^here: count must be a whole number in 2…256, but got 'many'$"):
        read_params(Params, {"count": "many"}, "here")
    with pytest.raises(RecipeError, match=r"^here has no parameter 'cuont' .*Did you mean 'count'\?$"):
        read_params(Params, {"cuont": "3"}, "here")
    with pytest.raises(RecipeError, match=r"^here: word must be one of"):
        check_params(Params(word="third"), "here")


def test_checking_gives_every_parameter_its_type() -> None:
    checked = check_params(Params(share=1, layers=["a"]), "here")  # type: ignore[arg-type]
    assert checked == Params(share=1.0, layers=("a",))
    assert isinstance(checked.share, float)


def test_the_order_of_the_form_is_the_order_of_the_declaration() -> None:
    assert list(described(Params)) == ["share", "count", "word", "layers"]


@pytest.mark.parametrize(
    ("text", "kb"), [("20kB", 20.0), ("20 KB", 20.0), ("0.5MB", 500.0), ("900B", 0.9), ("12.5", 12.5)]
)
def test_a_size_is_read_with_its_unit(text: str, kb: float) -> None:
    what = Size("Size", "", 0.0, 1000.0)
    assert what.check(what.read(text)) == pytest.approx(kb)
    assert what.read(what.write(kb)) == kb


@pytest.mark.parametrize("text", ["20 apples", "kB", "1.2.3kB", "-3kB"])
def test_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(RecipeError, match="size such as 20kB"):
        Size("Size", "", 0.0, 1000.0).read(text)


def test_a_whole_number_that_may_be_automatic_is_stored_as_zero_and_named_auto():
    epochs = Integer("Epochs", "How often.", 0, 1000, "epochs", has_auto=True)
    assert epochs.read("auto") == epochs.check(0) == 0
    assert epochs.read("0") == 0, "as recipes of earlier versions write it"
    assert bounds_with_unit(epochs) == "1…1000 epochs | auto"
    assert bounds_with_unit(COUNT) == "2…256"
    assert bounds_with_unit(Size("Size", "At most.", 0.0, 100.0, "kB")) == "[0, 100] kB"
