"""Checks on what an agent sends: nothing of it is trusted. A report becomes the stored result of a target."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from lwdash.errors import UserMistake
from lwdash.measure.timing.host_facts import Host
from lwdash.measure.timing.rotation import Latency
from lwdash.targets.target_result import TargetMetric, TargetResult

MAX_TEXT = 500
MAX_MS = 1e8
MAX_BYTES = 1 << 46
MAX_RATIO = 1e6
MAX_COUNT = 10**9
MAX_FLAGS = 16
MAX_LARGEST = 1e300
RELATIVE_ERROR = 1e-6
"""Of a value that must follow from two others."""
OTHER_RECIPE = "use another recipe, or another version of ai-edge-litert on the device"
PARTS = ("file", "baseline")


class ReportRefused(UserMistake):
    """An agent's message is not what an agent of this lwdash sends."""


def machine_facts(message: Any) -> dict[str, Any]:
    """The checked facts of a machine, with the id and the fingerprint of the host computed here. Raises ReportRefused."""
    facts = _object(message, "facts")
    return {
        **_host(facts, threads=_count(facts, "threads", 1, 4096)).to_dict(),
        "memory_bytes": None if facts.get("memory_bytes") is None else _count(facts, "memory_bytes", 1, MAX_BYTES),
        "python": _text(facts, "python", 40),
    }  # fmt: skip


def agent_name(message: Mapping[str, Any]) -> str:
    """The name that an agent's process made up. Raises ReportRefused."""
    name = message.get("agent")
    if not isinstance(name, str) or not re.fullmatch("[0-9a-f]{16}", name):
        raise ReportRefused("agent must be 16 hexadecimal digits")
    return name


def is_same_machine(known: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """True if both are of machines with the same processor."""
    return all(known[name] == facts[name] for name in ("cpu", "architecture"))


def failure_of(message: Any) -> str | None:
    """The error of a report without a result; None where it has one. Raises ReportRefused."""
    report = _object(message, "report")
    if report.get("state") != "failed":
        return None
    return f"{_text(report, 'message')} (while {_text(report, 'doing', 200)})"


def checked_result(message: Any, device: str, *, threads: int, is_baseline: bool) -> dict[str, Any]:
    """The stored form of a target's result, with `label` (the device's name) and `host`. Raises ReportRefused.

    threads: of the measurement. is_baseline: the file is its own baseline.
    """
    report = _object(message, "report")
    host = _host(_object(report.get("host"), "host"), threads=threads)
    state = report.get("state")
    if state == "runs":
        latency = _latency(_object(report.get("latency"), "latency"), is_baseline=is_baseline)
        memory = _object(report.get("memory"), "memory")
        outputs = _outputs(_object(report.get("outputs"), "outputs"))
        not_finite = outputs.pop("not_finite")
        if not_finite:
            reason = (
                f"its outputs are not finite (NaN or infinite) for {not_finite} of {outputs['rows']} rows"
            )
            result = TargetResult("refused", reason, OTHER_RECIPE, version=host.litert)
        else:
            metrics = (*_latency_metrics(latency), *_memory_metrics(memory), *_output_metrics(outputs))
            result = TargetResult("runs", metrics=metrics, version=host.litert)
    elif state == "refused":
        result = _refusal(report, host)
    else:
        raise ReportRefused(f"state must be runs, refused or failed, but got {state!r:.60}")
    return replace(result, label=device, host={**host.to_dict(), "id": host.id}).to_dict()


def _refusal(report: Mapping[str, Any], host: Host) -> TargetResult:
    part, doing, message = report.get("part"), _text(report, "doing", 200), _text(report, "message")
    if part not in PARTS or not isinstance(report.get("is_crash"), bool):
        raise ReportRefused(f"part must be one of {', '.join(PARTS)}, and is_crash true or false")
    what = "its file" if part == "file" else "the baseline that its times are compared with"
    how = "crashed the interpreter" if report["is_crash"] else "was refused by the interpreter"
    return TargetResult(
        "refused",
        f"{what} {how} on the device while {doing}",
        OTHER_RECIPE,
        message,
        version=host.litert,
    )


def _host(facts: Mapping[str, Any], *, threads: int) -> Host:
    flags = facts.get("flags")
    if not isinstance(flags, list) or len(flags) > MAX_FLAGS:
        raise ReportRefused(f"flags must be a list of at most {MAX_FLAGS} names")
    return Host(
        cpu=_text(facts, "cpu", 120),
        architecture=_text(facts, "architecture", 40),
        cores=_count(facts, "cores", 1, 4096),
        flags=tuple(_text({"flags": flag}, "flags", 20) for flag in flags),
        threads=threads,
        litert=_text(facts, "litert", 40),
        os=_text(facts, "os", 120),
    )


def _latency(found: Mapping[str, Any], *, is_baseline: bool) -> dict[str, Any]:
    """The fields of a Latency by their stored keys, each within its range, and consistent with the others."""
    if set(found) != set(Latency.KEYS):
        raise ReportRefused("latency must have exactly the keys " + ", ".join(Latency.KEYS))
    kinds = {field.name: str(field.type) for field in fields(Latency)}
    values: dict[str, Any] = {}
    for key, name in Latency.KEYS.items():
        if kinds[name] == "bool":
            if not isinstance(found[key], bool):
                raise ReportRefused(f"{key} must be true or false")
            values[key] = found[key]
        elif kinds[name] == "int":
            values[key] = _count(found, key, 0, MAX_COUNT)
        elif name == "speedup_ci":
            values[key] = _interval(found, key)
        else:
            is_ratio = name == "speedup"
            values[key] = _number(
                found, key, 1 / MAX_RATIO if is_ratio else 0.0, MAX_RATIO if is_ratio else MAX_MS
            )
    for prefix in ("", "baseline_"):
        names = [f"{prefix}latency_ms_p{point}" for point in (50, 90, 99)]
        p50, p90, p99 = (values[name] for name in names)
        if not 0 < p50 <= p90 * (1 + RELATIVE_ERROR) <= p99 * (1 + RELATIVE_ERROR) ** 2:
            raise ReportRefused(
                f"{', '.join(names)} must be positive and in order, but got {p50}, {p90}, {p99}"
            )
    speedup, interval = values["speedup"], values["speedup_ci"]
    ratio = values["baseline_latency_ms_p50"] / values["latency_ms_p50"]
    if not math.isclose(speedup, ratio, rel_tol=RELATIVE_ERROR):
        raise ReportRefused(f"speedup must be the ratio of the latencies, {ratio}, but got {speedup}")
    if is_baseline and speedup != 1:
        raise ReportRefused(f"the speedup of the baseline is 1, but got {speedup}")
    if (
        interval is not None
        and not interval[0] <= speedup * (1 + RELATIVE_ERROR) <= interval[1] * (1 + RELATIVE_ERROR) ** 2
    ):
        raise ReportRefused(f"speedup {speedup} must be within speedup_ci, {interval}")
    if values["latency_pairs"] < 1 or values["latency_sessions"] < 1:
        raise ReportRefused("a latency needs at least one session with one inference")
    return values


def _outputs(found: Mapping[str, Any]) -> dict[str, Any]:
    from lwdash.targets.device.rows import MAX_ROWS

    rows = _count(found, "rows", 1, MAX_ROWS)
    return {
        "rows": rows,
        "differing": _count(found, "differing", 0, rows),
        "not_finite": _count(found, "not_finite", 0, rows),
        "largest": _number(found, "largest", 0.0, MAX_LARGEST),
        "steps": None if found.get("steps") is None else _count(found, "steps", 0, 1 << 64),
    }


def _latency_metrics(latency: Mapping[str, Any]) -> list[TargetMetric]:
    low, high = latency["speedup_ci"] or (None, None)
    return [
        TargetMetric("latency_ms_p50", "Latency", "ms", latency["latency_ms_p50"]),
        TargetMetric("latency_ms_p90", "Latency, 90 % of inferences", "ms", latency["latency_ms_p90"]),
        TargetMetric("latency_ms_p99", "Latency, 99 % of inferences", "ms", latency["latency_ms_p99"]),
        TargetMetric("baseline_latency_ms_p50", "Latency of the baseline", "ms", latency["baseline_latency_ms_p50"]),
        TargetMetric("speedup", "Speed-up", "×", latency["speedup"]),
        TargetMetric("speedup_low", "Speed-up, lower end of 95 %", "×", low),
        TargetMetric("speedup_high", "Speed-up, upper end of 95 %", "×", high),
        TargetMetric("latency_sessions", "Sessions", "processes", latency["latency_sessions"]),
        TargetMetric("latency_pairs", "Timed inferences", "inferences", latency["latency_pairs"]),
        TargetMetric("latency_is_narrow", "Interval within ±3 %", "yes or no", int(latency["latency_is_narrow"])),
        TargetMetric("load_ms", "Loading", "ms", latency["load_ms"]),
        TargetMetric("first_ms", "First inference", "ms", latency["first_ms"]),
    ]  # fmt: skip


def _memory_metrics(memory: Mapping[str, Any]) -> list[TargetMetric]:
    labels = {
        "peak_memory_bytes": "Peak memory of the process",
        "added_memory_bytes": "Memory that the file added",
        "baseline_peak_memory_bytes": "Peak memory with the baseline",
        "baseline_added_memory_bytes": "Memory that the baseline added",
    }
    return [
        TargetMetric(name, label, "bytes", _count(memory, name, 0, MAX_BYTES))
        for name, label in labels.items()
    ]


def _output_metrics(outputs: Mapping[str, Any]) -> list[TargetMetric]:
    return [
        TargetMetric("compared_rows", "Compared rows", "rows", outputs["rows"]),
        TargetMetric("rows_differing", "Rows with other outputs than LiteRT here", "rows", outputs["differing"]),
        TargetMetric("largest_difference", "Largest difference", "", outputs["largest"]),
        TargetMetric("largest_difference_steps", "Largest difference", "steps", outputs["steps"]),
    ]  # fmt: skip


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ReportRefused(f"{name} must be an object, but got {type(value).__name__}")
    return value


def _text(values: Mapping[str, Any], name: str, longest: int = MAX_TEXT) -> str:
    """A text of one line without characters that cannot be printed."""
    value = values.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        raise ReportRefused(f"{name} must be a text of 1 to {longest} characters")
    return "".join(sign if sign.isprintable() else " " for sign in value).strip() or "?"


def _count(values: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = values.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ReportRefused(f"{name} must be a whole number from {least} to {most}, but got {value!r:.60}")
    return value


def _number(values: Mapping[str, Any], name: str, least: float, most: float) -> float:
    value = values.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:  # type: ignore[operator]  # false for NaN
        raise ReportRefused(f"{name} must be a number from {least:g} to {most:g}, but got {value!r:.60}")
    return float(value)  # type: ignore[arg-type]


def _interval(values: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    value = values.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise ReportRefused(f"{name} must be null or two numbers")
    low, high = (_number({name: end}, name, 0.0, 1e12) for end in value)
    if low > high:
        raise ReportRefused(f"{name} must be in order, but got {low}, {high}")
    return low, high
