"""A report as an agent sends it. The figures are made up."""

from typing import Any

HOST: dict[str, Any] = {
    "cpu": "Cortex-A72", "architecture": "aarch64", "cores": 4, "flags": ["dotprod"], "threads": 1, "litert": "2.3.0",
    "os": "Linux 6.1", "fingerprint": "invented",
}  # fmt: skip
LATENCY: dict[str, Any] = {
    "latency_ms_p50": 2.0, "latency_ms_p90": 2.1, "latency_ms_p99": 2.5, "baseline_latency_ms_p50": 3.0,
    "baseline_latency_ms_p90": 3.1, "baseline_latency_ms_p99": 3.5, "speedup": 1.5, "speedup_ci": [1.45, 1.55],
    "latency_pairs": 90, "latency_pairs_left_out": 3, "latency_sessions": 8, "latency_seconds": 1.2,
    "latency_is_narrow": False, "load_ms": 1.0, "first_ms": 0.5, "cold_start_ms": 1.5, "baseline_load_ms": 1.0,
    "baseline_first_ms": 0.5, "baseline_cold_start_ms": 1.5,
}  # fmt: skip
MEMORY = dict.fromkeys(
    ("peak_memory_bytes", "added_memory_bytes", "baseline_peak_memory_bytes", "baseline_added_memory_bytes"),
    4096,
)
OUTPUTS = {"rows": 16, "differing": 2, "not_finite": 0, "largest": 0.5, "steps": 3}
REPORT: dict[str, Any] = {
    "state": "runs",
    "host": HOST,
    "latency": LATENCY,
    "memory": MEMORY,
    "outputs": OUTPUTS,
}
