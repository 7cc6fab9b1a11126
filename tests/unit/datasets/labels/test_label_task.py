"""What the user names as labels, classes or task decides, or is refused with the reason; a guess is called a guess."""

import numpy as np
import pandas as pd
import pytest

from lwdash.datasets.data_inspection import inspect_data
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.fit import fit_to_model
from lwdash.errors import DataRefused
from lwdash.keras_models.output_heads import UNDECIDED, known_cut, labelled_task

FOUR = [("x", (4,), "float32")], [("y", (4,), "float32")]
ONE = [("x", (4,), "float32")], [("y", (1,), "float32")]


@pytest.fixture
def fit(tmp_path):
    """Fits a CSV of four inputs and the given label columns."""

    def fitted(ports, guess, labelled, columns, **settings):
        chance = np.random.default_rng(0)
        frame = pd.DataFrame(chance.normal(size=(60, 4)).round(3), columns=list("abcd"))
        for name in columns:
            whole = chance.integers(0, 2, 60)
            values = {"n": chance.normal(size=60).round(3), "y": whole, "w": np.array(["no", "yes"])[whole]}
            frame[name] = values[name[0]]
        frame.to_csv(tmp_path / "d.csv", index=False)
        facts = inspect_data(tmp_path / "d.csv", label=settings.get("label") or None)
        return fit_to_model(facts, DataSettings(**settings), *ports, task=guess, labelled_task=labelled)

    return fitted


NEXT, YES = [f"next{i}" for i in range(4)], [f"yes{i}" for i in range(4)]


@pytest.mark.parametrize(
    ("labelled", "run", "keep", "task"),
    [
        ("regression", "next0..next3", NEXT, "regression"),
        ("multi-label", "yes0..yes3", YES, "multi-label"),
        (UNDECIDED, "yes0..yes3", YES, "multi-label"),
        (UNDECIDED, "next0..next3", NEXT, "regression"),
        (None, "next0..next3", NEXT, "regression"),
    ],
)
def test_named_columns_decide_though_the_model_looks_like_an_autoencoder(fit, labelled, run, keep, task):
    found = fit(FOUR, "reconstruction", labelled, keep, label=run)
    assert (found.task, len(found.label_columns)) == (task, 4)
    assert not any("left out" in warning for warning in found.warnings)
    assert "guess" not in found.task_note


@pytest.mark.parametrize("labelled", ["regression", UNDECIDED, None])
def test_a_class_list_decides_whatever_the_loss_is(fit, labelled):
    found = fit(ONE, "regression", labelled, ["yes0"], label="yes0", classes=("0", "1"))
    assert (found.task, found.classes, found.task_note) == ("binary", ("0", "1"), "from the class list")
    swapped = fit(ONE, "regression", labelled, ["word"], label="word", classes=("yes", "no"))
    assert (swapped.task, swapped.classes) == ("binary", ("yes", "no"))


def test_two_texts_are_classes_though_the_loss_is_one_of_numbers(fit):
    assert fit(ONE, "regression", "regression", ["word"], label="word").task == "binary"


def test_a_sigmoid_trained_on_squares_takes_zeros_and_ones_as_classes(fit):
    assert fit(ONE, "regression", UNDECIDED, ["yes0"], label="yes0").task == "binary"
    assert fit(ONE, "regression", UNDECIDED, ["next0"], label="next0").task == "regression"


def test_a_stated_task_decides(fit):
    found = fit(ONE, "regression", UNDECIDED, ["yes0"], label="yes0", task="regression")
    assert (found.task, found.task_note) == ("regression", "as stated")
    found = fit(FOUR, "multi-label", "multi-label", ["yes0"], label="yes0", task="classification")
    assert found.task == "classification"
    found = fit(FOUR, None, None, [], label="", task="reconstruction")
    assert (found.task, found.warnings) == ("reconstruction", ())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"label": "next0", "task": "reconstruction"}, "stated as reconstruction.*'next0' is named"),
        ({"label": "word", "task": "regression"}, "stated as regression.*'word'.*can only be for binary"),
        ({"label": "yes0", "task": "regression", "classes": ("0", "1")}, "stated as regression.*classes are"),
        ({"label": "", "classes": ("0", "1")}, "marked as having no labels"),
        ({"task": "sorting"}, "task must be one of .* received 'sorting'"),
    ],
)
def test_what_contradicts_itself_is_refused(fit, settings, said):
    keep = [settings["label"]] if settings.get("label") else []
    with pytest.raises(DataRefused, match=said):
        fit(ONE, "regression", "regression", keep, **settings)


def test_a_guess_is_called_a_guess_and_says_how_to_change_it(fit):
    found = fit(FOUR, "reconstruction", "regression", [])
    assert (found.task, found.task_note) == (
        "reconstruction",
        "a guess: the output has the shape of the input",
    )
    assert "--task" in found.warnings[0]
    assert "--label" in found.warnings[0]


@pytest.mark.parametrize(
    ("loss", "activation", "shape", "task"),
    [
        ("mean_squared_error", "linear", (4,), "regression"),
        ("mean_squared_error", "sigmoid", (1,), UNDECIDED),
        ("mean_squared_error", "softmax", (3,), "classification"),
        ("binary_crossentropy", "sigmoid", (28, 28, 1), "binary"),
        ("binary_crossentropy", "linear", (4,), "multi-label"),
        (None, "sigmoid", (4,), "multi-label"),
        (None, "linear", (4,), None),
        (None, None, None, None),
    ],
)
def test_labels_of_an_output_have_a_task_whatever_the_input_is(loss, activation, shape, task):
    assert labelled_task(loss, activation, shape) == task


def test_the_cut_of_a_linear_output_is_that_of_its_training():
    assert known_cut("mean_squared_error", "binary", ("0", "1")) is False
    assert known_cut("mean_squared_error", "binary", ("-1", "1")) is True
    assert known_cut("binary_crossentropy", "binary", ("0", "1")) is None
    assert known_cut("mean_squared_error", "regression", None) is None
