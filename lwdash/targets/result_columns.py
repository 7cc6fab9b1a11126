"""Metrics of a run that are read from its stored results on targets."""

from collections.abc import Mapping
from typing import Any

from lwdash.metrics.limits import NPU
from lwdash.metrics.offers import refused_column
from lwdash.metrics.target_values import TargetValues, target_values
from lwdash.targets import tflm
from lwdash.targets.boards import Assumptions, measured_facts, micro_flash_bytes
from lwdash.targets.vela import CONFIGURATIONS, USUAL_NPU

COLUMNS = ("arena_total_bytes", "micro_flash_bytes", "npu_cycles", "npu_sram_bytes", "npu_flash_bytes")


def npu_of(chosen: tuple[str, ...]) -> str:
    """The NPU that an experiment's metrics are of: the first of its own targets that is one, else the usual one."""
    return next((name for name in chosen if name in CONFIGURATIONS), USUAL_NPU.NAME)


def target_columns(
    results: Mapping[str, Mapping[str, Any]], assumptions: Assumptions, npu: str
) -> dict[str, float | None]:
    """The values of COLUMNS; None where one was not measured. npu: name of the target with the metrics of an NPU."""
    tflm, on_npu = _values(results.get("tflm")), _values(results.get(npu))
    has_arena = tflm.get("arena_total_bytes") is not None
    facts = measured_facts(0, results)
    return {
        "arena_total_bytes": tflm.get("arena_total_bytes"),
        "micro_flash_bytes": micro_flash_bytes(assumptions, facts) if has_arena else None,
        "npu_cycles": on_npu.get("npu_cycles"),
        "npu_sram_bytes": on_npu.get("sram_bytes"),
        "npu_flash_bytes": on_npu.get("flash_bytes"),
    }


def run_columns(
    results: Mapping[int, Mapping[str, Mapping[str, Any]]], assumptions: Assumptions, npu: str
) -> TargetValues:
    """The values of runs on targets: those of `target_columns`, and of all that each target offers.

    results: run → target → stored result.
    """
    offered = target_values(results)
    values = {
        run: {**target_columns(of_run, assumptions, npu), **offered.values.get(run, {})}
        for run, of_run in results.items()
    }
    columns = offered.columns
    if refused_column(npu) in columns:
        columns = (*columns, refused_column(NPU))
        for run in values:
            values[run][refused_column(NPU)] = values[run].get(refused_column(npu))
    return TargetValues(columns, values, offered.names)


def shown_targets(npu: str) -> tuple[str, str]:
    """The targets whose metrics are COLUMNS as well. npu: as of `npu_of`."""
    return tflm.NAME, npu


def _values(result: Mapping[str, Any] | None) -> dict[str, float | None]:
    if result is None or result["state"] != "runs":
        return {}
    return {name: metric["value"] for name, metric in result["metrics"].items()}
