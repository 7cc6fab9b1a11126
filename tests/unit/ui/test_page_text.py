"""Words and numbers as pages write them."""

import dataclasses
import math

import pytest
from support.seeding import made_up_run

from lwdash.cli.main import COMMANDS
from lwdash.report.file_names import file_name, stored_file_name
from lwdash.settings import PROJECT, Settings
from lwdash.techniques import TECHNIQUES
from lwdash.ui.run.overview_tab import duration, summary
from lwdash.ui.shared import number_text
from lwdash.ui.shared.markdown_text import code, plain


@pytest.mark.parametrize(
    ("write", "value", "expected"),
    [
        (number_text.size, 0, "0 B"),
        (number_text.size, 999, "999 B"),
        (number_text.size, 1000, "1.0 kB"),
        (number_text.size, 93_412, "93.4 kB"),
        (number_text.size, 999_949, "999.9 kB"),
        (number_text.size, 999_999, "1.00 MB"),
        (number_text.size, 1_234_567, "1.23 MB"),
        (number_text.percent, 0.9876, "98.8 %"),
        (number_text.points, -0.004, "−0.4 points"),
        (number_text.points, 0.012, "+1.2 points"),
        (number_text.points, -0.0001, "±0.0 points"),
        (number_text.milliseconds, 0.0123, "12.3 µs"),
        (number_text.milliseconds, 0.9999, "1 ms"),
        (number_text.milliseconds, 12.345, "12.3 ms"),
        (number_text.milliseconds, 2345.6, "2,346 ms"),
        (number_text.times, 3.456, "3.46×"),
        (number_text.seconds, 3.21, "3.2 s"),
        (number_text.seconds, 59.7, "1 min 0 s"),
        (number_text.seconds, 125.0, "2 min 5 s"),
        (number_text.seconds, 7300.0, "2 h 1 min"),
        (number_text.seconds, 9.96, "10 s"),
        (number_text.count, 12345, "12,345"),
    ],
)
def test_numbers_have_their_units(write, value, expected):
    assert write(value) == expected


@pytest.mark.parametrize("missing", [None, math.nan])
@pytest.mark.parametrize(
    "write",
    [number_text.size, number_text.percent, number_text.points, number_text.milliseconds, number_text.times,
     number_text.seconds, number_text.count],
)  # fmt: skip
def test_what_was_not_measured_is_a_dash(write, missing):
    assert write(missing) == number_text.NOTHING


def test_shapes():
    assert number_text.shape((140, 1)) == "(140, 1)"
    assert number_text.shape((None, 3)) == "(?, 3)"
    assert number_text.shape(None) == number_text.NOTHING


@pytest.mark.parametrize(
    ("experiment", "recipe", "expected"),
    [
        ("ecg_cnn", "prune(sparsity=0.8) + int8", "ecg_cnn-prune-0.8-int8-run12.tflite"),
        ("Größe / test", "int8(io=float32)", "Gr-e-test-int8-float32-run12.tflite"),
        ("../../etc/passwd", "int8", "etc-passwd-int8-run12.tflite"),
        ("", "int8", "int8-run12.tflite"),
        ("…", "…", "model-run12.tflite"),
        ("kws", "prune(sparsity=0.8) + int8 + sparse", "kws-prune-0.8-int8-run12.sparse.tflite"),
        ("kws", "sparse", "kws-run12.sparse.tflite"),
        ("kws", "cluster(clusters=16) + int8 + lut", "kws-cluster-16-int8-run12.tflite"),
        ("x" * 500, "int8", "x" * 120 + "-run12.tflite"),
    ],
)
def test_file_names_say_what_is_inside_and_suit_every_file_system(experiment, recipe, expected):
    assert file_name(experiment, recipe, 12) == expected


def test_the_file_in_a_storage_form_is_named_after_it():
    assert (
        stored_file_name("kws", "cluster(clusters=16) + int8 + lut", 3)
        == "kws-cluster-16-int8-run3.lut.tflite"
    )
    assert stored_file_name("kws", "int8 + coded", 3) == "kws-int8-run3.coded.zip"


def test_the_summary_says_what_was_gained_and_what_it_cost():
    run = {
        "baseline_size_bytes": 39_000,
        "size_bytes": 10_000,
        "speedup": 1.1,
        "accuracy": 0.951,
        "baseline_accuracy": 0.955,
        "agreement": 0.99,
        "verdict": "equivalent",
        "rows": 500,
    }
    assert (
        summary(made_up_run(**run))
        == "3.90× smaller, 1.10× faster, accuracy −0.4 points: equivalent on 500 rows"
    )
    assert summary(made_up_run(**{**run, "size_bytes": 78_000, "speedup": 0.5})).startswith(
        "2.00× larger, 2.00× slower"
    )
    assert ", as fast, " in summary(made_up_run(**run | {"speedup": 1.02, "speedup_ci": [0.97, 1.07]}))


def test_the_summary_names_only_what_was_measured():
    predicted = {"rmse": 0.7939, "baseline_rmse": 0.2757, "verdict": "worse", "rows": 120}
    assert (
        summary(made_up_run(**predicted)) == "RMSE 0.7939 instead of 0.2757: a significant loss on 120 rows"
    )
    unlabelled = {"accuracy": None, "agreement": 0.975, "speedup": None}
    assert summary(made_up_run(**unlabelled)) == "agrees with the original on 97.5 % of the rows"
    assert summary(made_up_run()) == ""


def test_the_baseline_is_called_the_baseline():
    run = {"is_baseline": True, "size_bytes": 93_000, "accuracy": 0.955, "latency_ms_p50": 0.02}
    assert summary(made_up_run(**run)) == "the baseline: 93.0 kB, accuracy 95.5 %, 20 µs"


def test_a_users_text_is_shown_letter_by_letter():
    assert plain("a*b_c") == r"a\*b\_c"
    assert "<" not in plain("<b>").replace(r"\<", "")


def test_a_text_as_inline_code_stays_whole_whatever_is_in_it():
    assert code("prune(sparsity=0.5) + int8") == "`prune(sparsity=0.5) + int8`"
    assert code("a ``b`") == "``` a ``b` ```"


def test_a_run_that_has_not_ended_has_no_duration():
    assert duration(made_up_run(started_at=5.0)) == ""
    assert duration(made_up_run(started_at=5.0, finished_at=9.0)) == "4.0 s"


def test_the_readme_tells_of_every_technique_setting_and_command():
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert [name for name in TECHNIQUES if f"| `{name}` |" not in readme] == []
    settings = [f"LWDASH_{field.name.upper()}" for field in dataclasses.fields(Settings)]
    assert [name for name in settings if f"| `{name}` |" not in readme] == []
    assert [name for name in COMMANDS if f"| `{name}" not in readme] == []
