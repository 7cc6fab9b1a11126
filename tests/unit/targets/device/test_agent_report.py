"""Reports of agents are checked like those of an enemy, and what passes is the stored result of a target."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from support.device_reports import HOST, LATENCY, REPORT

from lwdash.targets.device.report import (
    ReportRefused,
    agent_name,
    checked_result,
    failure_of,
    is_same_machine,
    machine_facts,
)

REFUSED = {
    "state": "refused", "host": HOST, "part": "file", "doing": "its memory was measured", "message": "ended by SIGSEGV",
    "is_crash": True,
}  # fmt: skip


def checked(report: Any, *, is_baseline: bool = False) -> dict[str, Any]:
    return checked_result(report, "Pi 4", threads=1, is_baseline=is_baseline)


def changed(report: dict[str, Any], *path: str, to: Any) -> dict[str, Any]:
    found = copy.deepcopy(report)
    inner = found
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = to
    return found


def test_a_valid_report_is_a_result_with_its_host() -> None:
    found = json.loads(json.dumps(checked(REPORT), allow_nan=False))
    assert (found["state"], found["label"], found["version"]) == ("runs", "Pi 4", "2.3.0")
    assert found["metrics"]["speedup"]["value"] == 1.5
    assert found["metrics"]["rows_differing"]["value"] == 2
    assert found["host"]["fingerprint"] != "invented", "computed here"
    assert len(found["host"]["id"]) == 8


def test_a_refusal_says_which_file_and_when() -> None:
    found = checked(REFUSED)
    assert found["reason"] == "its file crashed the interpreter on the device while its memory was measured"
    assert found["message"] == "ended by SIGSEGV"
    gentle = checked({**REFUSED, "part": "baseline", "is_crash": False})
    assert "the baseline" in gentle["reason"]
    assert "was refused by the interpreter" in gentle["reason"]


def test_outputs_that_are_not_finite_are_a_refusal() -> None:
    found = checked(changed(REPORT, "outputs", "not_finite", to=2))
    assert found["state"] == "refused"
    assert "2 of 16 rows" in found["reason"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("state",), "fine"),
        (("state",), None),
        (("host",), None),
        (("host", "cpu"), ""),
        (("host", "cpu"), "x" * 500),
        (("host", "cores"), 0),
        (("host", "cores"), 10**9),
        (("host", "cores"), True),
        (("host", "flags"), "dotprod"),
        (("host", "flags"), ["x"] * 100),
        (("host", "flags"), [1]),
        (("latency",), []),
        (("latency", "latency_ms_p50"), -1.0),
        (("latency", "latency_ms_p50"), 0.0),
        (("latency", "latency_ms_p50"), float("nan")),
        (("latency", "latency_ms_p50"), float("inf")),
        (("latency", "latency_ms_p50"), "2.0"),
        (("latency", "latency_ms_p90"), 1.0),
        (("latency", "speedup"), 3.0),
        (("latency", "speedup_ci"), [1.6, 1.7]),
        (("latency", "speedup_ci"), [2.0, 1.0]),
        (("latency", "speedup_ci"), [1.0]),
        (("latency", "latency_sessions"), 0),
        (("latency", "latency_sessions"), 8.0),
        (("latency", "latency_is_narrow"), 1),
        (("latency", "more"), 1),
        (("memory", "peak_memory_bytes"), -1),
        (("memory", "peak_memory_bytes"), 1 << 60),
        (("memory", "peak_memory_bytes"), None),
        (("outputs", "rows"), 17),
        (("outputs", "differing"), 17),
        (("outputs", "largest"), -0.1),
        (("outputs", "largest"), float("inf")),
        (("outputs", "steps"), 1.5),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(path: tuple[str, ...], value: Any) -> None:
    with pytest.raises(ReportRefused) as refused:
        checked(changed(REPORT, *path, to=value))
    name = path[-1]
    assert name in str(refused.value) or "latency" in str(refused.value)


@pytest.mark.parametrize("name", LATENCY)
def test_a_latency_without_one_of_its_values_is_refused(name: str) -> None:
    found = copy.deepcopy(REPORT)
    del found["latency"][name]
    with pytest.raises(ReportRefused, match="exactly the keys"):
        checked(found)


def test_the_baseline_is_as_fast_as_itself() -> None:
    with pytest.raises(ReportRefused, match="the baseline is 1"):
        checked(REPORT, is_baseline=True)


def test_texts_lose_what_cannot_be_printed() -> None:
    found = checked({**REFUSED, "message": "a\x1b[31mred\nline\u202e"})
    assert found["message"].isprintable()


@pytest.mark.parametrize("report", [None, 1, [], "x", {}, {"state": ["runs"]}])
def test_what_is_no_report_is_refused(report: Any) -> None:
    for check in (checked, failure_of):
        function: Callable[[Any], Any] = check
        if report in ({}, {"state": ["runs"]}) and check is failure_of:
            continue
        with pytest.raises(ReportRefused):
            function(report)


def test_a_failure_has_its_message_and_what_was_done() -> None:
    assert (
        failure_of({"state": "failed", "message": "no room", "doing": "starting"})
        == "no room (while starting)"
    )
    assert failure_of(REPORT) is None


def test_facts_of_a_machine_are_checked() -> None:
    facts = machine_facts({**HOST, "memory_bytes": 4 << 30, "python": "3.11.2"})
    assert facts["memory_bytes"] == 4 << 30
    assert machine_facts({**HOST, "memory_bytes": None, "python": "3.11.2"})["memory_bytes"] is None
    assert is_same_machine(facts, {**facts, "litert": "2.4.0"})
    assert not is_same_machine(facts, {**facts, "cpu": "Cortex-A76"})
    for bad in ({}, {**HOST}, {**HOST, "python": "3", "memory_bytes": -1}):
        with pytest.raises(ReportRefused):
            machine_facts(bad)


@pytest.mark.parametrize("name", [None, 5, "", "A" * 16, "%" * 16, "0" * 17])
def test_the_name_of_an_agent_is_hexadecimal(name: Any) -> None:
    with pytest.raises(ReportRefused):
        agent_name({"agent": name})
    assert agent_name({"agent": "0123456789abcdef"}) == "0123456789abcdef"
