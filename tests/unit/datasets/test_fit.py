"""Columns to inputs and labels to outputs: what fits, what is decided, and what is said when nothing fits."""

import json

import numpy as np
import pytest

from lwdash.datasets.data_inspection import inspect_data
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.fit import Fit, fit_to_model
from lwdash.datasets.labels.classes import map_classes
from lwdash.datasets.sample_shapes import fitting_shape
from lwdash.errors import DataRefused

RANDOM = np.random.default_rng(3)


def facts(tmp_path, header, labels=None, rows=30, values=None, **reading):
    """A CSV with the columns of `header`; 'label' gets `labels`, others random numbers or `values`."""
    names = header.split(",")
    lines = [header]
    for i in range(rows):
        cells = []
        for k, name in enumerate(names):
            if name == "label":
                cells.append(str(labels[i % len(labels)] if labels is not None else i % 3))
            else:
                cells.append(str(values(i, k) if values else round(float(RANDOM.normal()), 3)))
        lines.append(",".join(cells))
    path = tmp_path / "d.csv"
    path.write_text("\n".join(lines) + "\n")
    return inspect_data(path, **reading)


def model(shape, outputs=3, dtype="float32"):
    return [("x", shape, dtype)], [("y", (outputs,), "float32")]


@pytest.mark.parametrize(
    ("row", "wanted", "fitted"),
    [
        ((140,), (140, 1), (140, 1)),
        ((784,), (28, 28, 1), (28, 28, 1)),
        ((3072,), (32, 32, 3), (32, 32, 3)),
        ((12,), (None, 6), (2, 6)),
        ((13,), (None, 6), None),
        ((7,), (None,), (7,)),
        ((75,), (None, None, 3), (5, 5, 3)),
        ((72,), (None, None, 3), None),
        ((28, 28), (28, 28, 1), (28, 28, 1)),
        ((28, 28, 1), (28, 28), (28, 28)),
        ((3, 32, 32), (32, 32, 3), None),
        ((20, 30, 3), (None, None, 3), (20, 30, 3)),
        ((30, 20), (20, 30), None),
        ((141,), (140, 1), None),
    ],
)
def test_shapes_that_a_row_fills(row, wanted, fitted):
    assert fitting_shape(row, wanted) == fitted


def test_too_many_columns_name_what_is_left_what_is_taken_and_the_suspect(tmp_path):
    found = facts(tmp_path, "label,patient_id," + ",".join(f"t{i}" for i in range(140)))
    with pytest.raises(DataRefused) as refused:
        fit_to_model(found, DataSettings(), *model((140, 1)))
    message = str(refused.value)
    for part in (
        "141 columns left after the label 'label'",
        "takes 140 = (140, 1)",
        "1 too many",
        "'patient_id' an id",
    ):
        assert part in message
    fit = fit_to_model(found, DataSettings(ignored=("patient_id",)), *model((140, 1)))
    assert fit.inputs[0].columns == tuple(range(2, 142))
    assert fit.ignored == ("patient_id",)


def test_a_second_label_is_named(tmp_path):
    found = facts(tmp_path, "a,b,label,label_name", values=lambda i, k: "xyz"[i % 3] if k == 3 else i + 0.5)
    with pytest.raises(
        DataRefused, match=r"1 too many\. 'label(_name)?' looks like a label too: choose the one"
    ):
        fit_to_model(found, DataSettings(), *model((2,)))


def test_too_few_columns_say_how_many_are_missing(tmp_path):
    found = facts(tmp_path, "label,a,b,c,d")
    with pytest.raises(
        DataRefused, match=r"4 columns left after the label 'label': a, b, c, d.*takes .6,.: 2 too few"
    ):
        fit_to_model(found, DataSettings(), *model((6,)))


def test_wrong_names_get_the_nearest_right_one(tmp_path):
    found = facts(tmp_path, "label,t0,t1,t2")
    with pytest.raises(
        DataRefused, match=r"'lable' is not in the CSV \(columns: label, t0 … t2\). Did you mean 'label'"
    ):
        fit_to_model(found, DataSettings(label="lable"), *model((3,)))
    with pytest.raises(DataRefused, match="ignored column 't9'"):
        fit_to_model(found, DataSettings(ignored=("t9",)), *model((3,)))


def test_a_text_column_among_the_inputs_is_named(tmp_path):
    found = facts(tmp_path, "label,a,b", values=lambda i, k: "male" if k == 1 else 1.5)
    with pytest.raises(DataRefused, match=r"column 'a' holds text \(e.g. 'male'\) but input 'x'"):
        fit_to_model(found, DataSettings(), *model((2,)))


def test_columns_that_all_fit_leave_no_label_unless_it_is_named(tmp_path):
    found = facts(tmp_path, "a,b,c,d", values=lambda i, k: i % 3 if k == 3 else i + 0.5)
    assert fit_to_model(found, DataSettings(), *model((4,))).task == "unlabelled"
    assert fit_to_model(found, DataSettings(), *model((3,))).label == "d"
    assert fit_to_model(found, DataSettings(label="first"), *model((3,), 1)).task == "regression"
    with pytest.raises(DataRefused, match="1 too many"):
        fit_to_model(found, DataSettings(label=""), *model((3,)))


def test_the_label_is_the_likely_column_that_no_input_needs(tmp_path):
    cells = {0: lambda i: "yes" if i % 3 else "no", 3: lambda i: i % 4}
    found = facts(
        tmp_path, "churn,num_0,num_1,city_0", values=lambda i, k: cells[k](i) if k in cells else i + 0.5
    )
    assert found.candidates[0].name == "city_0"  # whole numbers at the end look most like a label
    inputs = [("num", (2,), "float32"), ("city", (1,), "int32")]
    fit = fit_to_model(found, DataSettings(), inputs, [("y", (1,), "float32")], task="binary")
    assert (fit.label, fit.classes) == ("churn", ("no", "yes"))
    assert [i.columns for i in fit.inputs] == [(1, 2), (3,)]


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("regression", "target_0,target_1"),
        ("regression", "y1,y2"),
        ("multi-label", "label_a,label_b"),
        ("multi-label", "afib,pvc"),
    ],
)
def test_a_column_for_each_of_several_answers_is_the_label(tmp_path, task, names):
    found = facts(tmp_path, f"a,b,c,{names}", values=lambda i, k: (i + k) % 2 if k > 2 else i + 0.5)
    ports = model((3,), 2)
    fit = fit_to_model(found, DataSettings(), *ports, task=task)
    assert (fit.task, fit.label, fit.label_columns) == (task, names.replace(",", ".."), (3, 4))
    assert fit.classes == tuple(names.split(","))
    assert Fit.from_dict(fit.to_dict()) == fit
    unlabelled = fit_to_model(found, DataSettings(label=""), *ports, task=task)
    assert (unlabelled.label, unlabelled.ignored) == (None, tuple(names.split(",")))
    assert unlabelled.inputs == fit.inputs
    wide = fit_to_model(found, DataSettings(label=""), *model((5,), 2), task=task)
    assert len(wide.inputs[0].columns) == 5


@pytest.mark.parametrize(
    ("value", "sizes", "expected"),
    [
        (lambda i: i % 5, (1, 5), ("classification", 5)),
        (lambda i: i % 5, (10, 5), ("classification", 5)),
        (lambda i: i % 2, (5, 1), ("binary", 1)),
        (lambda i: i + 0.5, (5, 1), ("regression", 1)),
    ],
)
def test_labels_are_for_the_output_that_they_fit_whatever_the_first_is_for(tmp_path, value, sizes, expected):
    found = facts(tmp_path, "a,b,label", labels=[value(i) for i in range(30)])
    outputs = [(f"y{size}", (size,), "float32") for size in sizes]
    first = "regression" if sizes[0] == 1 else "classification"
    fit = fit_to_model(found, DataSettings(), [("x", (2,), "float32")], outputs, task=first)
    assert (fit.task, fit.output) == (expected[0], f"y{expected[1]}")
    assert f"compared with 'y{expected[1]}'" in fit.warnings[0]


def test_columns_of_several_answers_without_a_name_are_asked_about(tmp_path):
    found = facts(tmp_path, "a,b,c,pulse,pressure")
    with pytest.raises(DataRefused, match=r"2 too many.* outputs 2 numbers per row. .* as first..last"):
        fit_to_model(found, DataSettings(), *model((3,), 2), task="regression")


def test_true_and_false_among_the_inputs_are_asked_for_as_numbers(tmp_path):
    found = facts(tmp_path, "label,a,b", values=lambda i, k: i % 2 == 0 if k == 1 else 1.5)
    with pytest.raises(DataRefused, match=r"column 'a' holds text \(e.g. '(True|False)'\).* as 1 and 0"):
        fit_to_model(found, DataSettings(), *model((2,)))


def test_two_inputs_by_prefix_in_any_order_and_by_position(tmp_path):
    found = facts(tmp_path, "b_0,a_0,label,b_1,a_1,a_2")
    inputs = [("a", (3, 1), "float32"), ("b", (2,), "float32")]
    outputs = [("y", (3,), "float32")]
    fit = fit_to_model(found, DataSettings(), inputs, outputs)
    assert [i.columns for i in fit.inputs] == [(1, 4, 5), (0, 3)]
    plain = facts(tmp_path, "label,u,v,w,r,s")
    fit = fit_to_model(plain, DataSettings(), inputs, outputs)
    assert [i.columns for i in fit.inputs] == [(1, 2, 3), (4, 5)]
    with pytest.raises(DataRefused, match=r"4 columns left .* 2 inputs take 5: 'a' \(3, 1\), 'b' \(2,\)"):
        fit_to_model(facts(tmp_path, "label,u,v,w,r"), DataSettings(), inputs, outputs)


def test_pre_processing_decides_what_fits(tmp_path):
    found = facts(tmp_path, "label," + ",".join(f"t{i}" for i in range(100)))
    fit = fit_to_model(found, DataSettings(preprocess="resize(20) + channel(last)"), *model((20, 1)))
    assert fit.inputs[0].shape == (20, 1)
    fit = fit_to_model(found, DataSettings(preprocess="columns(t10..t19)"), *model((10, 1)))
    assert fit.inputs[0].columns == tuple(range(11, 21))
    with pytest.raises(DataRefused, match=r"after the pre-processing a row is \(30,\)"):
        fit_to_model(found, DataSettings(preprocess="resize(30)"), *model((20, 1)))
    with pytest.raises(DataRefused, match="'t200' is not an input column"):
        fit_to_model(found, DataSettings(preprocess="columns(t0..t200)"), *model((20, 1)))
    with pytest.raises(DataRefused, match="input 'z', which the model does not have"):
        fit_to_model(found, DataSettings(preprocess="z: divide(2)"), *model((100,)))


@pytest.mark.parametrize(
    ("labels", "outputs", "classes", "doubt"),
    [
        (["1", "2", "3", "4", "5"], 5, "1 2 3 4 5", False),
        (["0", "1", "2"], 3, "0 1 2", False),
        (["0", "1", "3"], 5, "0 1 2 3 4", True),
        (["1", "2", "4"], 4, "1 2 3 4", True),
        (["1", "2"], 5, "1 2 3 4 5", True),
        (["1"], 2, "0 1", True),
        (["2"], 2, "1 2", True),
        (["2", "3"], 5, "0 1 2 3 4", True),
        (["-1", "1"], 2, "-1 1", False),
        (["10", "9", "100"], 3, "9 10 100", False),
        (["b", "a", "C"], 3, "C a b", False),
        (["1.0", "0.0"], 2, "0 1", False),
        (["0", "1", "2", "4"], 4, "0 1 2 4", False),
    ],
)
def test_each_label_gets_its_output_and_guesses_are_said(labels, outputs, classes, doubt):
    mapping = map_classes(dict.fromkeys(labels, 5), outputs, column="label")
    assert mapping.classes == tuple(classes.split())
    assert bool(mapping.warnings) == doubt
    if doubt:
        assert mapping.explanation in mapping.warnings[0]


@pytest.mark.parametrize(
    ("labels", "outputs", "said"),
    [
        (["0", "1", "2", "3"], 3, "4 distinct values .* 3 outputs: label 3 has no output"),
        (["1", "2", "7"], 5, "label 7 has no output"),
        (["-1", "0"], 4, "label -1 has no output"),
        (["a", "b"], 3, "does not state its output"),
        (["a", "b", "c", "d"], 3, "4 distinct values"),
    ],
)
def test_labels_without_an_output_are_refused_by_name(labels, outputs, said):
    with pytest.raises(DataRefused, match=said):
        map_classes(dict.fromkeys(labels, 5), outputs, column="label")


def test_the_users_list_of_classes_decides(tmp_path):
    found = facts(tmp_path, "label,a", labels=["N", "V", "S"])
    fit = fit_to_model(found, DataSettings(classes=("S", "V", "N", "F")), *model((1,), 4))
    assert fit.classes == ("S", "V", "N", "F")
    assert any("no rows of class F" in warning for warning in fit.warnings)
    with pytest.raises(DataRefused, match=r"label S has no output"):
        fit_to_model(found, DataSettings(classes=("N", "V", "T")), *model((1,), 3))
    with pytest.raises(DataRefused, match=r"4 classes are listed .* 3 outputs"):
        fit_to_model(found, DataSettings(classes=("S", "V", "N", "F")), *model((1,), 3))
    with pytest.raises(DataRefused, match="'N' is listed twice"):
        DataSettings(classes=("N", "N"))


def test_one_output_is_two_classes_or_a_number(tmp_path):
    binary = facts(tmp_path, "label,a", labels=["yes", "no"])
    fit = fit_to_model(binary, DataSettings(), *model((1,), 1))
    assert (fit.task, fit.classes) == ("binary", ("no", "yes"))
    measured = facts(tmp_path, "label,a", labels=[1.5, 2.25, -3.0])
    assert fit_to_model(measured, DataSettings(), *model((1,), 1)).task == "regression"
    counted = facts(tmp_path, "label,a", labels=[1, 2, 3])
    assert fit_to_model(counted, DataSettings(), *model((1,), 1)).task == "regression"
    assert (
        fit_to_model(facts(tmp_path, "label,a", labels=[0, 1]), DataSettings(), *model((1,), 1)).task
        == "binary"
    )
    with pytest.raises(DataRefused, match=r"3 distinct values.*2 outputs"):
        fit_to_model(counted, DataSettings(), *model((1,), 1), task="binary")
    with pytest.raises(DataRefused, match="3 distinct texts"):
        fit_to_model(facts(tmp_path, "label,a", labels=list("abc")), DataSettings(), *model((1,), 1))
    with pytest.raises(DataRefused, match="holds fractions"):
        fit_to_model(measured, DataSettings(), *model((1,), 3))


def test_reconstruction_and_several_outputs_are_recognised(tmp_path):
    found = facts(tmp_path, "a,b,c")
    auto = [("x", (3,), "float32")], [("y", (3,), "float32")]
    assert fit_to_model(found, DataSettings(), *auto).task == "reconstruction"
    labelled = facts(tmp_path, "label,a,b,c")
    outputs = [("box", (4,), "float32"), ("kind", (3,), "float32")]
    fit = fit_to_model(labelled, DataSettings(), [("x", (3,), "float32")], outputs)
    assert fit.output == "kind"
    assert any("2 outputs" in warning for warning in fit.warnings)


def test_fit_and_settings_survive_json(tmp_path):
    settings = DataSettings(
        label="label", classes=("0", "1", "2"), ignored=("a",), preprocess="divide(255)", seed=3
    )
    fit = fit_to_model(facts(tmp_path, "label,a,b,c"), settings, *model((2,)))
    assert Fit.from_dict(json.loads(json.dumps(fit.to_dict()))) == fit
    assert DataSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    with pytest.raises(DataRefused, match="unknown data setting 'lable'"):
        DataSettings.from_dict({"lable": "x"})
