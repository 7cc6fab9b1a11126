"""Each limit with a run's value: what is kept, what is exceeded, what was not measured."""

import math

import pytest

from lwdash.errors import UserMistake
from lwdash.metrics.limit_checks import check_limits
from lwdash.metrics.limits import limits_from_options

METRICS = {
    "size_bytes": 25_584,
    "baseline_accuracy": 0.98,
    "accuracy": 0.97,
    "latency_ms_p50": 0.0156,
    "arena_bytes": None,
    "arena_reason": "operator FLEX is unknown",
}


def test_options_are_stored_in_base_units() -> None:
    stored = limits_from_options({"size": 20, "drop": 1, "latency": 2, "arena": None})
    assert stored == {"size_bytes": 20_000, "accuracy_drop": 0.01, "latency_ms": 2}
    with pytest.raises(UserMistake):
        limits_from_options({"size": -1})


def test_each_limit_is_held_against_its_value() -> None:
    limits = {"size_bytes": 20_000, "accuracy_drop": 0.01, "latency_ms": 0.0156, "arena_bytes": 8000}
    checks = check_limits(METRICS, limits)
    assert [(check.limit, check.is_kept) for check in checks] == [
        ("size_bytes", False),
        ("accuracy_drop", True),  # 0.98 − 0.97 is a little more than 0.01 in floating point
        ("latency_ms", True),
        ("arena_bytes", False),
    ]
    assert checks[0].message == "size 25.584 kB, at most 20 kB"
    assert checks[0].title == "Size (kB), at most 20"
    assert checks[1].value_text == "1"
    assert math.isinf(checks[3].value or 0)
    assert checks[3].value_text == "cannot run"
    assert checks[3].to_dict()["value"] is None


def test_without_labels_the_drop_is_the_share_of_changed_rows() -> None:
    [check] = check_limits({"agreement": 0.9}, {"accuracy_drop": 0.05})
    assert not check.is_kept
    assert check.value == pytest.approx(0.1)


def test_what_was_not_measured_is_not_kept() -> None:
    for metrics in ({}, {"size_bytes": 1}):
        [check] = check_limits(metrics, {"latency_ms": 1.0})
        assert (check.value, check.is_kept, check.value_text) == (None, False, "not measured")


def test_a_file_that_a_target_refuses_cannot_run_there() -> None:
    limits = {
        "npu_cycles": 1000.0,
        "openvino.latency_ms_p50": 1.0,
        "openvino.speedup": 2.0,
        "litert_builtin.speedup": 2.0,
    }
    metrics = {"npu.refused": 1.0, "openvino.refused": 1.0}
    checks = check_limits(metrics, limits)
    assert [check.value_text for check in checks] == ["cannot run"] * 3 + ["not measured"]
    assert not any(check.is_kept for check in checks)
    assert [check.to_dict()["value"] for check in checks] == [None] * 4
    assert checks[0].message == "NPU cycles cannot run, at most 1 thousand"


def test_without_limits_there_are_no_checks() -> None:
    assert check_limits(METRICS, {}) == []


def test_limits_on_devices_have_their_names_and_small_numbers_keep_their_digits() -> None:
    limits = {"device_1.latency_ms_p50": 1e-7}
    [check] = check_limits({"device_1.latency_ms_p50": 0.5}, limits, {"device_1": "Pi 4"})
    assert check.title == "Latency p50 on Pi 4 (µs), at most 0.0001"
    assert check.message == "Latency p50 on Pi 4 500 µs, at most 0.0001 µs"
