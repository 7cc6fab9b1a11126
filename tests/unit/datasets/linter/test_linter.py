"""The linter: each finding has data that must raise it and data that must not; clean data of every kind is silent."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lwdash.datasets.data_inspection import inspect_data
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.dataset import Dataset
from lwdash.datasets.fit import Fit, fit_to_model
from lwdash.datasets.input_fit import InputFit
from lwdash.datasets.linter.checks import lint
from lwdash.datasets.linter.findings import (
    CODES,
    ERROR,
    NOTE,
    WARNING,
    Finding,
    by_severity,
    generated_finding,
)
from lwdash.datasets.linter.rates_check import rate_findings
from lwdash.datasets.linter.scaling_check import Expected
from lwdash.datasets.prepare import prepare
from lwdash.examples import find_example
from lwdash.keras_models.inspection import inspect_model

RNG = np.random.default_rng(7)
BY_255 = Expected(("scale",), (1 / 255,), (0.0,), False)
TO_PLUS_MINUS_1 = Expected(("scale",), (1 / 127.5,), (-1.0,), False)
NOTHING = Expected((), (1.0,), (0.0,), False)
TRIGGERED: set[str] = set()


def found(
    folder: Path,
    values: np.ndarray,
    shape: Sequence[int],
    *,
    labels: Any = "even",
    names: Sequence[str] | None = None,
    outputs: int = 2,
    preprocess: str = "",
    expected: Expected | None = None,
    dtype: str = "float32",
    task: str | None = "classification",
    evaluation: pd.DataFrame | None = None,
) -> dict[str, Finding]:
    """Findings by code on a CSV of `values` (rows, columns) as a user gives it."""
    columns = names or [f"x{i}" for i in range(values.shape[1])]
    frame = pd.DataFrame(values, columns=list(columns))
    if labels is not None:
        frame.insert(0, "label", np.arange(len(values)) % outputs if isinstance(labels, str) else labels)
    frame.to_csv(folder / "rows.csv", index=False)
    facts = inspect_data(folder / "rows.csv")
    settings = DataSettings(preprocess=preprocess, label=None if labels is not None else "")
    ports = [("x", tuple(shape), dtype)], [("y", (outputs,), "float32")]
    extra = {}
    if evaluation is not None:
        evaluation.to_csv(folder / "evaluation.csv", index=False)
        extra = {"evaluation_path": folder / "evaluation.csv"}
    dataset = prepare(folder / "rows.csv", settings, *ports, task=task, facts=facts, **extra)
    fit = fit_to_model(facts, settings, *ports, task=task)
    told = {"x": expected} if expected else None
    findings = lint(dataset, fit, facts.names, expected=told, own_parts=tuple(p.split("_")[0] for p in extra))
    TRIGGERED.update(finding.code for finding in findings)
    return {finding.code: finding for finding in findings}


def fixed(folder: Path, finding: Finding, **reading: Any) -> dict[str, Finding]:
    """What is found once the fix has been applied."""
    assert finding.fix is not None
    return found(folder, **{**reading, **finding.fix})


def blobs(rows: int, height: int, width: int, channels: int = 1) -> np.ndarray:
    """Smooth images 0 … 255, one bright spot each: uint8 (rows, height, width, channels)."""
    y, x = np.mgrid[:height, :width]
    cy, cx = RNG.uniform(1, height - 1, rows), RNG.uniform(1, width - 1, rows)
    spot = np.exp(-((y - cy[:, None, None]) ** 2 + (x - cx[:, None, None]) ** 2) / 8)
    tint = RNG.uniform(0.3, 1, (rows, 1, 1, channels))
    return np.rint(255 * spot[..., None] * tint).astype(np.uint8)


def waves(rows: int, length: int) -> np.ndarray:
    """Sensor data: a sine of random phase, with noise; mean 0, deviation about 0.7."""
    t = np.linspace(0, 6 * np.pi, length)
    return np.sin(t + RNG.uniform(0, 6.28, (rows, 1))) + RNG.normal(0, 0.05, (rows, length))


def flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)


# Clean data of many kinds: nothing but the size of the evaluation part may be mentioned.


def spectra() -> np.ndarray:
    """One narrow peak on a flat ground: its maximum is far above nearly all values of a row, and is no outlier."""
    axis = np.arange(120)
    return np.exp(-((axis - RNG.uniform(20, 100, (400, 1))) ** 2) / 2) * RNG.uniform(0.8, 1.2, (400, 1))


CLEAN = {
    "pixels for a model that rescales": (flat(blobs(400, 12, 12)), (12, 12, 1), {"expected": BY_255}),
    "dark pixels for a model that rescales": (flat(blobs(400, 12, 12) // 6), (12, 12, 1), {"expected": BY_255}),
    "pixels / 255 for a model without": (flat(blobs(400, 12, 12)) / 255, (12, 12, 1), {"expected": NOTHING}),
    "pixels scaled by a setting": (
        flat(blobs(400, 12, 12)),
        (12, 12, 1),
        {"expected": NOTHING, "preprocess": "divide(255)"},
    ),
    "colour images": (flat(blobs(200, 12, 10, 3)), (12, 10, 3), {"expected": BY_255}),
    "pixels as whole numbers": (flat(blobs(200, 12, 12)), (12, 12, 1), {"expected": BY_255, "dtype": "uint8"}),
    "a sensor, z-scored": (waves(400, 64), (64, 1), {"expected": NOTHING}),
    "a sensor for an adapted Normalization": (
        40 + 5 * waves(400, 64),
        (64, 1),
        {"expected": Expected(("norm",), (1 / 3.5,), (-40 / 3.5,), True)},
    ),
    "beats scaled by row": (1000 * waves(400, 64), (64, 1), {"preprocess": "scale(minmax, per=row)"}),
    "beats shortened": (waves(400, 128), (64, 1), {"preprocess": "resize(64)", "expected": NOTHING}),
    "spectra": (spectra(), (120,), {"expected": NOTHING, "names": [f"{400 + 5 * i} nm" for i in range(120)]}),
    "a table": (RNG.normal(0, 1, (400, 6)), (6,), {"expected": NOTHING}),
    "three channels in one unit": (
        flat(np.stack([waves(300, 50)] * 3, -1) * [1, 2, 0.7]),
        (50, 3),
        {"expected": NOTHING},
    ),
    "noise in three channels": (RNG.normal(0, 1, (300, 150)), (50, 3), {"expected": NOTHING}),
    "token indices": (RNG.integers(0, 255, (300, 20)), (20,), {"dtype": "int32"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", CLEAN)
def test_clean_data_is_left_in_peace(tmp_path: Path, kind: str) -> None:
    values, shape, reading = CLEAN[kind]
    assert set(found(tmp_path, values, shape, **reading)) - {"few-rows"} == set()


@pytest.mark.parametrize("name", ["digits", "heartbeats"])
def test_the_examples_are_left_in_peace(name: str) -> None:
    example = find_example(name)
    model, data = inspect_model(example.model_path), inspect_data(example.data_path)
    assert model.scaling
    expected = {s.input: Expected(s.layers, s.scale, s.offset, s.is_learnt) for s in model.scaling}
    settings = DataSettings(label=example.label)
    dataset = prepare(example.data_path, settings, *model.ports, task=model.task, facts=data)
    fit = fit_to_model(data, settings, *model.ports, task=model.task)
    findings = lint(dataset, fit, data.names, expected=expected)
    assert [finding.code for finding in findings] == ["few-rows"]
    assert findings[0].severity == NOTE


# Scaling


def test_pixels_divided_before_and_in_the_model_are_scaled_twice(tmp_path: Path) -> None:
    reading = {"values": flat(blobs(300, 12, 12)), "shape": (12, 12, 1), "expected": BY_255}
    one = found(tmp_path, **reading, preprocess="divide(255)")["scaled-twice"]
    assert one.severity == ERROR
    assert "'scale' in the model converts 0 … 255 to 0 … 1" in one.what
    assert "258 times less contrast" in one.why
    assert one.fix == {"preprocess": ""}
    assert "scaled-twice" not in fixed(tmp_path, one, **reading)


def test_sixteen_grey_levels_scaled_before_are_scaled_twice(tmp_path: Path) -> None:
    grey = Expected(("scale",), (1 / 16,), (0.0,), False)
    reading = {"values": flat(blobs(300, 12, 12) // 16), "shape": (12, 12, 1), "expected": grey}
    assert "scaled-twice" in found(tmp_path, **reading, preprocess="divide(16)")
    assert "scaled-twice" not in found(tmp_path, **reading)


def test_a_file_of_scaled_pixels_is_scaled_back(tmp_path: Path) -> None:
    reading = {"values": flat(blobs(300, 12, 12)) / 255, "shape": (12, 12, 1), "expected": TO_PLUS_MINUS_1}
    one = found(tmp_path, **reading)["scaled-twice"]
    assert one.fix == {"preprocess": "scale(range, from=0, to=1, low=0, high=255)"}
    assert "scaled-twice" not in fixed(tmp_path, one, **reading)


def test_z_scores_for_a_model_with_a_normalization_are_normalised_twice(tmp_path: Path) -> None:
    adapted = Expected(("norm",), (1 / 3.5,), (-40 / 3.5,), True)
    one = found(tmp_path, waves(300, 64), (64, 1), expected=adapted)["scaled-twice"]
    assert "adapted to values around 40 with a deviation of 3.5" in one.what
    again = found(
        tmp_path, 40 + 5 * waves(300, 64), (64, 1), expected=adapted, preprocess="scale(zscore, per=all)"
    )
    assert again["scaled-twice"].fix == {"preprocess": ""}


def test_microvolts_for_a_model_of_millivolts_are_other_units(tmp_path: Path) -> None:
    adapted = Expected(("norm",), (1 / 3.5,), (-40 / 3.5,), True)
    one = found(tmp_path, 1000 * (40 + 5 * waves(300, 64)), (64, 1), expected=adapted)["other-units"]
    assert one.severity == ERROR
    assert one.fix is None


def test_sixteen_bit_pixels_go_beyond_what_a_rescaling_expects(tmp_path: Path) -> None:
    reading = {"values": flat(blobs(300, 12, 12)).astype(int) * 257, "shape": (12, 12, 1), "expected": BY_255}
    one = found(tmp_path, **reading)["beyond-range"]
    assert one.severity == WARNING
    assert "beyond-range" not in fixed(tmp_path, one, **reading)


def test_raw_pixels_for_a_model_without_rescaling_were_never_scaled(tmp_path: Path) -> None:
    reading = {"values": flat(blobs(300, 12, 12)), "shape": (12, 12, 1), "expected": NOTHING}
    one = found(tmp_path, **reading)["not-scaled"]
    assert one.fix == {"preprocess": "divide(255)"}
    assert "not-scaled" not in fixed(tmp_path, one, **reading)
    assert "not-scaled" not in found(tmp_path, **{**reading, "expected": None}), (
        "the model's file does not tell"
    )


# Order of the values


def test_images_written_column_by_column_are_put_in_order(tmp_path: Path) -> None:
    images = blobs(200, 10, 16)
    reading = {"values": flat(images.transpose(0, 2, 1, 3)), "shape": (10, 16, 1), "expected": BY_255}
    one = found(tmp_path, **reading)["transposed"]
    assert one.severity == ERROR
    assert one.fix == {"preprocess": "reshape(16x10) + axes(1, 0)"}
    assert "transposed" not in fixed(tmp_path, one, **reading)


@pytest.mark.parametrize(
    ("values", "shape", "fix"),
    [
        (blobs(200, 12, 12, 3).transpose(0, 3, 1, 2), (12, 12, 3), "reshape(3x12x12) + axes(1, 2, 0)"),
        (np.stack([waves(200, 50), 3 + waves(200, 50)], 1), (50, 2), "reshape(2x50) + axes(1, 0)"),
    ],
)
def test_channels_one_after_the_other_are_put_side_by_side(tmp_path, values, shape, fix) -> None:
    reading = {"values": flat(values), "shape": shape}
    one = found(tmp_path, **reading)["transposed"]
    assert one.fix == {"preprocess": fix}
    assert "transposed" not in fixed(tmp_path, one, **reading)


def test_column_names_tell_the_order_of_a_square_image(tmp_path: Path) -> None:
    images = flat(blobs(100, 8, 8).transpose(0, 2, 1, 3))
    down = [f"px_{i % 8}_{i // 8}" for i in range(64)]
    along = [f"px_{i // 8}_{i % 8}" for i in range(64)]
    one = found(tmp_path, images, (8, 8, 1), names=down)["transposed"]
    assert one.fix == {"preprocess": "reshape(8x8) + axes(1, 0)"}
    assert "transposed" not in found(tmp_path, images, (8, 8, 1), names=along)


# int8 ranges


def test_a_few_broken_rows_stretch_the_range(tmp_path: Path) -> None:
    values = waves(600, 40)
    assert "outliers" not in found(tmp_path, values, (40, 1))
    values[RNG.permutation(600)[:9], 7] = 90.0
    one = found(tmp_path, values, (40, 1))["outliers"]
    assert "bits are lost" in one.why
    assert "ranges=percentile" in one.advice
    assert "line" in one.where


def test_columns_of_very_different_units_share_one_int8_range(tmp_path: Path) -> None:
    values = RNG.normal(0, 1, (300, 4)) * [1, 1, 1, 5000]
    one = found(tmp_path, values, (4,), names=["ph", "temp", "salt", "pressure"])["uneven-units"]
    assert one.what.startswith("ph, temp, salt span at most")
    assert "pressure reaches" in one.what
    assert "mixed(default=int8, <first layer>=float32, io=float32); int16x8 is also fine enough" in one.advice
    wider = found(tmp_path, values * [1, 1, 1, 20], (4,), names=["ph", "temp", "salt", "pressure"])[
        "uneven-units"
    ]
    assert wider.advice.endswith("io=float32), since 16 bits are not enough.")
    assert "uneven-units" not in found(tmp_path, values, (4,), preprocess="scale(zscore, per=column)")


def test_targets_of_very_different_units_share_one_int8_range(tmp_path: Path) -> None:
    values = RNG.normal(size=(300, 4))

    def read(units: list[float]) -> dict[str, Finding]:
        frame = pd.DataFrame(values, columns=list("abcd"))
        targets = pd.DataFrame(values[:, :2] * units + [0.0, units[1]], columns=["y0", "y1"])
        pd.concat([frame, targets], axis=1).to_csv(tmp_path / "targets.csv", index=False)
        facts = inspect_data(tmp_path / "targets.csv")
        settings = DataSettings(label="y0..y1")
        ports = [("x", (4,), "float32")], [("y", (2,), "float32")]
        dataset = prepare(tmp_path / "targets.csv", settings, *ports, task="regression", facts=facts)
        fit = fit_to_model(facts, settings, *ports, task="regression")
        findings = {finding.code: finding for finding in lint(dataset, fit, facts.names)}
        TRIGGERED.update(findings)
        return findings

    one = read([1e-2, 1e4])["uneven-targets"]
    assert one.what.startswith("Target 1 of 2 varies by at most 0.0")
    assert "split heads" in one.advice
    assert "uneven-targets" not in read([1.0, 3.0])


def test_evaluation_rows_beyond_the_calibrated_range(tmp_path: Path) -> None:
    values, louder = waves(300, 40), 3 * waves(100, 40)
    names = [f"x{i}" for i in range(40)]
    other = pd.DataFrame(louder, columns=names)
    other.insert(0, "label", np.arange(100) % 2)
    one = found(tmp_path, values, (40, 1), evaluation=other)["beyond-calibration"]
    assert one.severity == WARNING
    assert "% of the evaluation rows are outside" in one.what


# Columns


def test_constant_columns_of_a_table_but_not_the_border_of_images(tmp_path: Path) -> None:
    table = RNG.normal(0, 1, (200, 5))
    table[:, 3] = 7
    one = found(tmp_path, table, (5,))["constant-columns"]
    assert one.severity == WARNING
    assert "1 column is constant over all rows: x3" in one.what
    images = blobs(200, 12, 12)
    images[:, :2] = 0
    assert "constant-columns" not in found(tmp_path, flat(images), (12, 12, 1), expected=BY_255)


def test_duplicated_columns(tmp_path: Path) -> None:
    table = RNG.normal(0, 1, (200, 5))
    table[:, 4] = table[:, 1]
    assert "x1 = x4" in found(tmp_path, table, (5,))["duplicate-columns"].what
    assert (
        found(tmp_path, np.repeat(waves(200, 30), 2, axis=1), (60, 1))["duplicate-columns"].severity == NOTE
    )


def test_a_column_that_tells_the_label(tmp_path: Path) -> None:
    table = RNG.normal(0, 1, (200, 4))
    table[:, 2] = 10 - 5 * (np.arange(200) % 2)
    assert "x2 determines the label 'label'" in found(tmp_path, table, (4,))["label-copy"].what
    table[:, 2] += RNG.normal(0, 3, 200) > 2
    assert "label-copy" not in found(tmp_path, table, (4,))


def test_a_time_stamp_fed_to_the_model(tmp_path: Path) -> None:
    table = RNG.normal(0, 1, (200, 4))
    table[:, 1] = np.cumsum(RNG.uniform(0.5, 1.5, 200))
    assert "x1 grows from each row to the next" in found(tmp_path, table, (4,))["counts-up"].what


# Rows


def test_rows_in_two_parts(tmp_path: Path) -> None:
    values = waves(200, 30)
    names = [f"x{i}" for i in range(30)]
    again = pd.DataFrame(values[:60], columns=names)
    again.insert(0, "label", np.arange(60) % 2)
    one = found(tmp_path, values, (30, 1), evaluation=again)["shared-rows"]
    assert one.severity == ERROR
    assert "in train and in evaluation" in one.what or "in calibration and in evaluation" in one.what
    assert one.where.count("lines 2, 5, 11") == 2, "those of each file"
    assert one.advice.startswith("Delete these samples from the evaluation file")
    fresh = pd.DataFrame(waves(60, 30), columns=names)
    fresh.insert(0, "label", np.arange(60) % 2)
    assert "shared-rows" not in found(tmp_path, values, (30, 1), evaluation=fresh)


def test_repeated_rows_and_rows_with_two_labels(tmp_path: Path) -> None:
    values = waves(200, 30)
    values[150] = values[10]
    values[160] = values[20]
    labels = np.arange(200) % 2
    only = found(tmp_path, values, (30, 1), labels=labels)
    assert only["repeated-rows"].what == "2 rows repeat an earlier one."
    assert "torn-labels" not in only
    labels[160] = 1 - labels[20]
    assert found(tmp_path, values, (30, 1), labels=labels)["torn-labels"].where.startswith("lines 22, 162 of")


def test_overlapping_windows_of_one_recording(tmp_path: Path) -> None:
    recording = np.cumsum(RNG.normal(0, 1, 4000))
    windows = np.lib.stride_tricks.sliding_window_view(recording, 64)
    one = found(tmp_path, windows[::16], (64, 1))["overlapping-windows"]
    assert "Each row repeats 75 % of the row before it, shifted by 16 values" in one.what
    assert "overlapping-windows" not in found(tmp_path, windows[::64], (64, 1))


def test_few_rows_to_calibrate_and_to_measure_with(tmp_path: Path) -> None:
    few = found(tmp_path, waves(40, 30), (30, 1))
    assert few["few-calibration"].what.startswith("Only 8 rows")
    assert few["few-rows"].severity == WARNING
    assert "known to ±32.6 points at 50 %" in few["few-rows"].why
    assert "no drop below 75.0 points (6 rows)" in few["few-rows"].why
    many = found(tmp_path, RNG.normal(0, 1, (2400, 3)), (3,))
    assert many == {}
    unlabelled = found(tmp_path, waves(100, 30), (30, 1), labels=None, task=None)
    assert "Every metric is imprecise" in unlabelled["few-rows"].why


def test_nothing_is_advised_that_was_given(tmp_path: Path) -> None:
    own = pd.DataFrame(waves(20, 30), columns=[f"x{i}" for i in range(30)])
    own.insert(0, "label", np.arange(20) % 2)
    few = found(tmp_path, waves(40, 30), (30, 1), evaluation=own)
    assert few["few-rows"].advice == "Add rows to the evaluation file."
    assert not any("separate evaluation file" in finding.advice for finding in few.values())


# Classes


def test_classes_without_rows_and_with_few(tmp_path: Path) -> None:
    labels = np.array([0, 1] * 99 + [3, 3])
    one = found(tmp_path, waves(200, 30), (30, 1), labels=labels, outputs=5)
    assert one["missing-classes"].severity == WARNING
    assert one["few-per-class"].what == "Evaluation rows of class 3: 1."
    even = found(tmp_path, waves(400, 30), (30, 1), outputs=5)
    assert "missing-classes" not in even
    assert "few-per-class" not in even


def test_uneven_classes_make_accuracy_misleading(tmp_path: Path) -> None:
    one = found(tmp_path, waves(300, 30), (30, 1), labels=(np.arange(300) % 10 == 0).astype(int))["imbalance"]
    assert one.severity == WARNING
    assert "would be right in 90.0 %" in one.why
    mild = found(tmp_path, waves(300, 30), (30, 1), labels=(np.arange(300) % 10 < 4).astype(int))
    assert "imbalance" not in mild


def test_numbers_that_are_a_scale_and_not_classes(tmp_path: Path) -> None:
    grams = np.array([5, 10, 20, 50])[np.arange(200) % 4]
    one = found(tmp_path, waves(200, 30), (30, 1), labels=grams, outputs=4)["number-or-class"]
    assert "5, 10, 20, 50, with gaps" in one.what
    assert "number-or-class" not in found(tmp_path, waves(200, 30), (30, 1), outputs=4)


def test_whole_numbers_as_a_regression_target(tmp_path: Path) -> None:
    grades = 1 + np.arange(200) % 6
    reading = {"values": waves(200, 30), "shape": (30, 1), "outputs": 1, "task": "regression"}
    one = found(tmp_path, **reading, labels=grades)["number-or-class"]
    assert one.severity == NOTE
    assert "1, 2, 3, 4, 5 and 1 more" in one.what
    assert "number-or-class" not in found(tmp_path, **reading, labels=grades + RNG.normal(0, 0.1, 200))


MODEL_COMPARISON_CODES = {"labels-contradicted", "labels-untold", "below-chance"}
"""Findings that need the model's outputs; test_measure_readings.py raises them."""


def test_generated_rows_have_one_finding_that_denies_the_accuracy() -> None:
    found = generated_finding("seed 0: random within the range 0 … 1")
    assert (found.code, found.severity, found.stops) == ("generated-rows", "warning", False)
    assert found.where == "seed 0: random within the range 0 … 1"
    assert found.why.startswith("No accuracy is measured.")
    TRIGGERED.add(found.code)


def sound_fit(length: int) -> Fit:
    """A fit of sound files to a model of `length` values."""
    inputs = (InputFit("wave", (length, 1), "float32", (0,), "sound", (length,)),)
    return Fit("unlabelled", None, None, None, inputs, None, (), (), "", ())


def test_sounds_at_different_rates_are_resampled_with_one_click() -> None:
    sounds = ((16_000, 900, 16_000), (44_100, 100, 44_100))
    [one] = rate_findings(sounds, sound_fit(16_000), "sound(place=centre) + scale(minmax, per=row)")
    TRIGGERED.add(one.code)
    assert (one.code, one.severity) == ("mixed-rates", ERROR)
    assert "900 at 16,000 Hz, 100 at 44,100 Hz" in one.what
    assert one.fix is not None
    assert one.fix["preprocess"].startswith("sound(place=centre, rate=16000) + scale(minmax, per=row")
    assert rate_findings(sounds, sound_fit(16_000), one.fix["preprocess"]) == []
    assert rate_findings(sounds, sound_fit(16_000), "columns(sound)")[0].fix == {
        "preprocess": "columns(sound) + sound(place=start, rate=16000)"
    }


def test_many_rates_are_counted_and_the_most_frequent_named() -> None:
    sounds = tuple((8_000 + n, 1 + n, 8_000) for n in range(2_000))
    [one] = rate_findings(sounds, sound_fit(8_000), "")
    assert "2,000 at 9,999 Hz, 1,999 at 9,998 Hz" in one.what
    assert one.what.endswith(", and files at 1,994 other rates.")
    assert len(one.what) < 300


def test_sounds_whose_length_fits_the_model_at_another_rate_are_named() -> None:
    [one] = rate_findings(((44_100, 50, 44_100),), sound_fit(16_000), "")
    TRIGGERED.add(one.code)
    assert (one.code, one.severity, one.stops) == ("other-rate", WARNING, False)
    assert "which is as long at 16,000 Hz" in one.what
    assert one.fix == {"preprocess": "sound(place=start, rate=16000)"}
    for sounds, length in (
        (((16_000, 50, 16_000),), 16_000),
        (((16_000, 50, 40_000),), 16_000),
        ((), 16_000),
    ):
        assert rate_findings(sounds, sound_fit(length), "") == []
    assert rate_findings(((44_100, 50, 44_100),), sound_fit(16_000), "sound(rate=44100)") == []


def test_every_finding_has_been_raised_above() -> None:
    """Runs last in this file: a finding without a test that raises it fails here."""
    if len(TRIGGERED) > 5:  # not when a single test is run
        assert set(CODES) == TRIGGERED | MODEL_COMPARISON_CODES


# Findings as objects


def test_findings_survive_json_and_unknown_codes_are_refused(tmp_path: Path) -> None:
    one = found(tmp_path, flat(blobs(60, 12, 12)), (12, 12, 1), expected=NOTHING)["not-scaled"]
    assert Finding.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    assert one.to_dict()["title"] == "Never scaled"
    with pytest.raises(ValueError, match="code must be one of"):
        Finding("typo", NOTE, "", "", "", "")
    with pytest.raises(ValueError, match="severity must be one of"):
        Finding("outliers", "bad", "", "", "", "")


def test_the_gravest_comes_first() -> None:
    ranks = [Finding("outliers", severity, "", "", "", "") for severity in (NOTE, ERROR, WARNING)]
    assert [finding.severity for finding in by_severity(ranks)] == [ERROR, WARNING, NOTE]


def test_a_fix_changes_only_the_steps_of_its_own_input() -> None:
    data = Dataset(
        inputs={"x": flat(blobs(60, 12, 12)).reshape(-1, 12, 12, 1).astype(np.float32)},
        labels=None, classes=None, warnings=(), preprocess="divide(2); x: reshape(12x12) + cast(float32)",
        parts={"train": np.arange(20), "calibration": np.arange(20, 40), "evaluation": np.arange(40, 60)},
    )  # fmt: skip
    from lwdash.datasets.linter.checks import input_view
    from lwdash.datasets.linter.scaling_check import scaling_findings

    view = input_view(data, "x", [f"p{i}" for i in range(144)])
    fix = scaling_findings(view, NOTHING)[0].fix
    assert fix == {"preprocess": "divide(2); x: reshape(12x12) + divide(255) + cast(float32)"}
