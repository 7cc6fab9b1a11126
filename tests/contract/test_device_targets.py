"""Every listed target keeps one contract: a result for files that run, files that are refused, and a missing library."""

import importlib.util
import json

import numpy as np
import pytest
from support.device_site import FLOAT, INT8
from support.measure_models import Model

from lwdash.engine.supervise import is_alone
from lwdash.measure.timing.host_facts import this_host
from lwdash.targets import MAX_ROWS, TARGETS, TIMED, USUAL, Target, run_on_targets, target_versions
from lwdash.targets.target_result import TargetResult
from lwdash.tflite.reader import read_tflite
from storage.target_results import target_kind

pytestmark = pytest.mark.processes

ALL = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
OPTIONAL = {name: target for name, target in TARGETS.items() if target.PACKAGE != "ai-edge-litert"}
STATES = {"runs", "refused", "unavailable"}


def rows_of(data: bytes, count: int = 4) -> dict[str, np.ndarray]:
    facts = read_tflite(data)
    random = np.random.default_rng(0)
    shapes = {port.name: facts.subgraphs[0].tensors[port.tensor].shape[1:] for port in facts.inputs}
    return {name: random.normal(size=(count, *shape)).astype(np.float32) for name, shape in shapes.items()}


def hybrid() -> bytes:
    """int8 weights and float activations, as `dynamic` makes them."""
    model = Model()
    x, y = model.tensor("x", (1, 4)), model.tensor("y", (1, 2))
    kernel = np.arange(8, dtype=np.int8).reshape(2, 4)
    model.operator("FULLY_CONNECTED", [x, model.tensor("w", (2, 4), "int8", kernel, scale=[0.1])], [y])
    return model.build([x], [y])


def unknown_operator() -> bytes:
    model = Model()
    x, y = model.tensor("x", (1, 4)), model.tensor("y", (1, 4))
    model.operator("GELU", [x], [y])
    return model.build([x], [y])


def metrics(result: TargetResult) -> dict[str, float | int | None]:
    return {metric.name: metric.value for metric in result.metrics}


@ALL
def test_a_target_is_described(target: Target) -> None:
    assert target.NAME.isidentifier()
    assert target.LABEL
    assert target.SUMMARY.endswith(".")
    assert target.PACKAGE
    assert set(target_versions()) == set(TARGETS)


@ALL
@pytest.mark.parametrize("data", [FLOAT, INT8, hybrid(), unknown_operator()])
def test_every_file_has_a_result_that_is_whole(target: Target, data: bytes) -> None:
    result = target.run(data, rows_of(data))
    assert result.state in STATES
    if result.state == "unavailable":
        pytest.skip(f"{target.PACKAGE} is not installed")
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["state"] == result.state
    assert result.operators, "the operators that the target needs"
    assert result.version
    if result.state == "runs":
        assert (result.reason, result.remedy) == (None, None)
        assert all((metric.label and metric.value is not None) or metric.unit for metric in result.metrics)
    else:
        assert result.reason
        assert not result.reason.endswith(".")
        assert result.remedy


@pytest.mark.parametrize("target", OPTIONAL.values(), ids=OPTIONAL)
def test_a_missing_library_is_one_line_with_the_command_that_installs_it(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def missing(name: str, package: str | None = None) -> object:
        return None if name in ("tflite_micro", "ethosu", "openvino", "tf2onnx") else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", missing)
    result = target.run(FLOAT, rows_of(FLOAT))
    assert result.state == "unavailable"
    assert result.reason
    assert result.remedy
    assert "\n" not in result.reason + result.remedy
    assert result.remedy.startswith("pip install ")
    assert result.metrics == ()


def test_tflm_reports_its_arena_and_how_far_its_outputs_are_from_litert() -> None:
    found = metrics(TARGETS["tflm"].run(INT8, rows_of(INT8, 8)))
    assert found["arena_total_bytes"] == found["arena_head_bytes"] + found["arena_tail_bytes"]
    assert found["arena_head_bytes"] == found["planned_head_bytes"]
    assert (found["compared_rows"], found["rows_differing"], found["largest_difference_steps"]) == (8, 0, 0)
    exact = metrics(TARGETS["tflm"].run(FLOAT, rows_of(FLOAT)))
    assert exact["rows_differing"] == 0
    assert exact["largest_difference_steps"] is None


@pytest.mark.parametrize("name", TIMED)
@pytest.mark.parametrize("data", [FLOAT, INT8], ids=["float", "int8"])
def test_a_runtime_is_timed_in_rotation_with_litert_and_its_outputs_are_close(name: str, data: bytes) -> None:
    result = TARGETS[name].run(data, rows_of(data, 8))
    if result.state == "unavailable":
        pytest.skip(f"{name} is not installed")
    found = metrics(result)
    assert found["speedup"] == pytest.approx(found["litert_latency_ms_p50"] / found["latency_ms_p50"])
    assert found["speedup_low"] <= found["speedup"] <= found["speedup_high"]
    assert found["compared_rows"] == 8
    assert (found["largest_difference_steps"] or 0) <= 1
    assert found["largest_difference"] < 1e-5 or data == INT8
    stored = result.to_dict()
    assert stored["label"] == TARGETS[name].LABEL
    assert stored["host"]["id"] == this_host().id


def test_the_host_runs_nothing_else_while_a_runtime_is_timed() -> None:
    assert {step for step in ("measure", *map(target_kind, TARGETS)) if is_alone(step)} == {
        "measure",
        *map(target_kind, TIMED),
    }


@pytest.mark.parametrize(
    ("data", "reason", "remedy"),
    [
        (hybrid(), "FULLY_CONNECTED has int8 weights and float activations", "use int8"),
        (unknown_operator(), "no kernel for GELU", "replace the layer"),
    ],
)
def test_tflm_says_why_it_refuses_a_file_and_what_to_do(data: bytes, reason: str, remedy: str) -> None:
    result = TARGETS["tflm"].run(data, rows_of(data))
    assert result.state == "refused"
    assert reason in (result.reason or "")
    assert remedy in (result.remedy or "")
    assert result.message, "the interpreter's own words"


def test_no_more_rows_are_run_than_needed() -> None:
    results = run_on_targets(INT8, rows_of(INT8, 3 * MAX_ROWS))
    assert list(results) == list(USUAL)
    assert metrics(results["tflm"])["compared_rows"] == MAX_ROWS
