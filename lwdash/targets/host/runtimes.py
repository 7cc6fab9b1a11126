"""LiteRT without XNNPACK, OpenVINO and ONNX Runtime as targets: outputs and latency against LiteRT with XNNPACK here."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lwdash.errors import LwdashError
from lwdash.measure.timing.forked_session import ending
from lwdash.measure.timing.host_facts import this_host
from lwdash.targets.device.rows import pack_rows
from lwdash.targets.target_result import TargetMetric, TargetResult, installed_version
from lwdash.tflite.reader import read_tflite

TIMEOUT_SECONDS = 120
TRY_ANOTHER = "run it in LiteRT, or report the message below to the authors of the runtime"


@dataclass(frozen=True)
class HostRuntime:
    """Another runtime on this host: a target whose result has times. modules: imported where it runs."""

    NAME: str
    LABEL: str
    SUMMARY: str
    PACKAGE: str
    modules: tuple[str, ...]
    install: str

    def run(
        self, tflite: bytes, rows: Mapping[str, np.ndarray], *, litert: bytes | None = None
    ) -> TargetResult:
        """Runs the file in a process of its own. See targets for the parameters.

        litert: run in place of a storage form of its own.
        """
        if any(importlib.util.find_spec(module) is None for module in self.modules):
            return TargetResult(
                "unavailable", f"{' or '.join(self.modules)} is not installed on this host", self.install
            )
        data = litert or tflite
        operators = dict(sorted(Counter(o.type for o in read_tflite(data).operators).items()))
        version, host = installed_version(self.PACKAGE), this_host()
        try:
            packed = pack_rows(data, data, rows)
        except (LwdashError, RuntimeError, ValueError) as error:
            found: dict[str, Any] = {"error": f"LiteRT: {str(error).splitlines()[0][:300]}"}
        else:
            found = self._measured(data, packed)
        if found["error"] is not None:
            reason = f"{self.LABEL} does not run it on this host"
            return TargetResult("refused", reason, TRY_ANOTHER, found["error"], (), operators, version)
        return TargetResult(
            "runs",
            metrics=(*_latency_metrics(found["latency"]), *_output_metrics(found["outputs"])),
            operators=operators,
            version=version,
            host={**host.to_dict(), "id": host.id},
            label=self.LABEL,
        )

    def _measured(self, data: bytes, packed: bytes) -> dict[str, Any]:
        """The result of the child process, with an `error` where the file does not run."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "model.tflite").write_bytes(data)
            (folder / "rows.npz").write_bytes(packed)
            command = [sys.executable, "-m", "lwdash.targets.host.runtime_child", self.NAME, name]
            try:
                ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                return {"error": f"it did not end within {TIMEOUT_SECONDS} s"}
            if not (folder / "result.json").exists():
                last = ended.stderr.strip().splitlines()[-1:] or [""]
                return {
                    "error": f"its process ended {ending(ended.returncode)}: {last[0][:300]}".rstrip(": ")
                }
            result: dict[str, Any] = json.loads((folder / "result.json").read_text())
            return result


def _latency_metrics(latency: Mapping[str, Any]) -> list[TargetMetric]:
    low, high = latency["speedup_ci"] or (None, None)
    return [
        TargetMetric("latency_ms_p50", "Latency", "ms", latency["latency_ms_p50"]),
        TargetMetric("litert_latency_ms_p50", "Latency in LiteRT with XNNPACK", "ms", latency["baseline_latency_ms_p50"]),
        TargetMetric("speedup", "Speed against LiteRT with XNNPACK", "×", latency["speedup"]),
        TargetMetric("speedup_low", "Speed, lower end of 95 %", "×", low),
        TargetMetric("speedup_high", "Speed, upper end of 95 %", "×", high),
        TargetMetric("latency_sessions", "Sessions", "processes", latency["latency_sessions"]),
        TargetMetric("latency_is_narrow", "Interval within ±3 %", "yes or no", int(latency["latency_is_narrow"])),
        TargetMetric("load_ms", "Loading", "ms", latency["load_ms"]),
    ]  # fmt: skip


def _output_metrics(outputs: Mapping[str, Any]) -> list[TargetMetric]:
    return [
        TargetMetric("compared_rows", "Compared rows", "rows", outputs["rows"]),
        TargetMetric("rows_differing", "Rows with other outputs than LiteRT", "rows", outputs["differing"]),
        TargetMetric("largest_difference", "Largest difference", "", outputs["largest"]),
        TargetMetric("largest_difference_steps", "Largest difference", "steps", outputs["steps"]),
    ]


LITERT_BUILTIN = HostRuntime(
    NAME="litert_builtin",
    LABEL="LiteRT without XNNPACK",
    SUMMARY="LiteRT's built-in kernels on this host, one thread: what a build without the XNNPACK delegate runs.",
    PACKAGE="ai-edge-litert",
    modules=("ai_edge_litert",),
    install="pip install ai-edge-litert",
)
OPENVINO = HostRuntime(
    NAME="openvino",
    LABEL="OpenVINO",
    SUMMARY="Intel's runtime on the processor of this host, one thread, float operators in float32.",
    PACKAGE="openvino",
    modules=("openvino",),
    install="pip install openvino",
)
ONNX_RUNTIME = HostRuntime(
    NAME="onnxruntime",
    LABEL="ONNX Runtime",
    SUMMARY="Microsoft's runtime on the processor of this host, one thread, after a conversion by tf2onnx.",
    PACKAGE="onnxruntime",
    modules=("onnxruntime", "tf2onnx"),
    install="pip install onnxruntime tf2onnx",
)
RUNTIMES_HERE = {runtime.NAME: runtime for runtime in (LITERT_BUILTIN, OPENVINO, ONNX_RUNTIME)}
