"""Words and numbers as pages write them."""

import dataclasses
import math

import pytest

from lwdash.__main__ import COMMANDS
from lwdash.settings import PROJECT, Settings
from lwdash.techniques import TECHNIQUES
from lwdash.ui import formats
from lwdash.ui.cards import code, plain
from lwdash.ui.downloads import file_name
from lwdash.ui.run_details import duration, summary


@pytest.mark.parametrize(
    ("write", "value", "expected"),
    [
        (formats.size, 0, "0 B"),
        (formats.size, 999, "999 B"),
        (formats.size, 1000, "1.0 kB"),
        (formats.size, 93_412, "93.4 kB"),
        (formats.size, 999_949, "999.9 kB"),
        (formats.size, 999_999, "1.00 MB"),
        (formats.size, 1_234_567, "1.23 MB"),
        (formats.percent, 0.9876, "98.8 %"),
        (formats.points, -0.004, "−0.4 points"),
        (formats.points, 0.012, "+1.2 points"),
        (formats.points, -0.0001, "±0.0 points"),
        (formats.milliseconds, 0.0123, "12.3 µs"),
        (formats.milliseconds, 0.9999, "1 ms"),
        (formats.milliseconds, 12.345, "12.3 ms"),
        (formats.milliseconds, 2345.6, "2,346 ms"),
        (formats.times, 3.456, "3.46×"),
        (formats.seconds, 3.21, "3.2 s"),
        (formats.seconds, 59.7, "1 min 0 s"),
        (formats.seconds, 125.0, "2 min 5 s"),
        (formats.seconds, 7300.0, "2 h 1 min"),
        (formats.seconds, 9.96, "10 s"),
        (formats.count, 12345, "12,345"),
    ],
)
def test_numbers_have_their_units(write, value, expected):
    assert write(value) == expected


@pytest.mark.parametrize("missing", [None, math.nan])
@pytest.mark.parametrize(
    "write",
    [formats.size, formats.percent, formats.points, formats.milliseconds, formats.times, formats.seconds,
     formats.count],
)  # fmt: skip
def test_what_was_not_measured_is_a_dash(write, missing):
    assert write(missing) == formats.NOTHING


def test_shapes():
    assert formats.shape((140, 1)) == "(140, 1)"
    assert formats.shape((None, 3)) == "(?, 3)"
    assert formats.shape(None) == formats.NOTHING


@pytest.mark.parametrize(
    ("experiment", "recipe", "expected"),
    [
        ("ecg_cnn", "prune(sparsity=0.8) + int8", "ecg_cnn-prune-0.8-int8-run12.tflite"),
        ("Größe / test", "int8(io=float32)", "Gr-e-test-int8-float32-run12.tflite"),
        ("../../etc/passwd", "int8", "etc-passwd-int8-run12.tflite"),
        ("", "int8", "int8-run12.tflite"),
        ("…", "…", "model-run12.tflite"),
        ("x" * 500, "int8", "x" * 120 + "-run12.tflite"),
    ],
)
def test_file_names_say_what_is_inside_and_suit_every_file_system(experiment, recipe, expected):
    assert file_name(experiment, recipe, 12) == expected


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
    assert summary(run) == "3.90× smaller, 1.10× faster, accuracy −0.4 points: equivalent on 500 rows"
    assert summary({**run, "size_bytes": 78_000, "speedup": 0.5}).startswith("2.00× larger, 2.00× slower")
    assert ", as fast, " in summary({**run, "speedup": 1.02, "speedup_ci": [0.97, 1.07]})


def test_the_summary_names_only_what_was_measured():
    predicted = {"rmse": 0.7939, "baseline_rmse": 0.2757, "verdict": "worse", "rows": 120}
    assert summary(predicted) == "RMSE 0.7939 instead of 0.2757: a real loss on 120 rows"
    unlabelled = {"accuracy": None, "agreement": 0.975, "speedup": math.nan}
    assert summary({**unlabelled}) == "agrees with the original on 97.5 % of the rows"
    assert summary({}) == ""


def test_the_baseline_is_called_the_baseline():
    run = {"is_baseline": True, "size_bytes": 93_000, "accuracy": 0.955, "latency_ms_p50": 0.02}
    assert summary(run) == "the baseline: 93.0 kB, accuracy 95.5 %, 20 µs"


def test_a_users_text_is_shown_letter_by_letter():
    assert plain("a*b_c") == r"a\*b\_c"
    assert "<" not in plain("<b>").replace(r"\<", "")


def test_a_text_as_inline_code_stays_whole_whatever_is_in_it():
    assert code("prune(sparsity=0.5) + int8") == "`prune(sparsity=0.5) + int8`"
    assert code("a ``b`") == "``` a ``b` ```"


def test_a_run_that_has_not_ended_has_no_duration():
    assert duration({"started_at": 5.0, "finished_at": None}) == ""
    assert duration({"started_at": 5.0, "finished_at": 9.0}) == "4.0 s"


def test_the_readme_tells_of_every_technique_setting_and_command():
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert [name for name in TECHNIQUES if f"| `{name}` |" not in readme] == []
    settings = [f"LWDASH_{field.name.upper()}" for field in dataclasses.fields(Settings)]
    assert [name for name in settings if f"| `{name}` |" not in readme] == []
    assert [name for name in COMMANDS if f"| `{name}" not in readme] == []
