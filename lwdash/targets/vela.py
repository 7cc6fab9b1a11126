"""Arm Ethos-U NPUs as targets: Arm's compiler Vela maps a file to the NPU and estimates its cycles.

Vela runs in a process of its own: some files end it with a signal (int4 weights, in version 5.2).
"""

from __future__ import annotations

import importlib.util
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

import numpy as np

from lwdash.measure.micro_runtime import USE_DENSE, USE_INT8
from lwdash.targets.target_programs import PROGRAMS, VELA
from lwdash.targets.target_result import TargetResult, installed_version
from lwdash.targets.vela_report import compiled_result
from lwdash.tflite.reader import read_tflite

PACKAGE = "ethos-u-vela"
INSTALL = "pip install ethos-u-vela"
TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class EthosU:
    """One configuration of an NPU: a target. system, memory: Vela's names of clock and memories around the NPU.

    They are stated, so that another version's defaults do not change them.
    """

    family: str
    macs: int
    clock_mhz: int
    system: str
    memory: str = "Shared_Sram"
    PACKAGE: str = PACKAGE

    @property
    def NAME(self) -> str:
        return f"ethos_{self.family}_{self.macs}"

    @property
    def LABEL(self) -> str:
        return f"Arm Ethos-{self.family.upper()}, {self.macs:,} MACs"

    @property
    def SUMMARY(self) -> str:
        return (
            f"An NPU as Arm's compiler Vela estimates it at {self.clock_mhz:,} MHz ({self.system}, {self.memory}); "
            "nothing is measured on a chip."
        )

    def run(
        self, tflite: bytes, rows: Mapping[str, np.ndarray], *, litert: bytes | None = None
    ) -> TargetResult:
        """Compiles the file for the NPU; no row is run. See targets for the parameters.

        litert: compiled in place of a storage form of its own, which Vela does not read.
        """
        if importlib.util.find_spec("ethosu") is None:
            return TargetResult("unavailable", "ethos-u-vela is not installed on this host", INSTALL)
        source = litert or tflite
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            (place / "model.tflite").write_bytes(source)
            arguments = [
                "--accelerator-config", f"ethos-{self.family}-{self.macs}",
                "--system-config", self.system, "--memory-mode", self.memory, "--verbose-performance",
                "--output-dir", folder, str(place / "model.tflite"),
            ]  # fmt: skip
            try:
                ended = PROGRAMS.run(VELA, arguments, folder=folder, timeout=TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                return _refused(
                    source, f"Vela did not end within {TIMEOUT_SECONDS} s", "use a smaller network"
                )
            compiled = place / "model_vela.tflite"
            if ended.returncode or not compiled.exists():
                return _refused(source, *_failure(ended.returncode), _last_line(ended.stderr))
            summary = next(place.glob("*_summary_*.csv")).read_text(encoding="utf-8")
            by_layer = [path.read_text(encoding="utf-8") for path in place.glob("*_per-layer.csv")]
            return compiled_result(
                ended.stdout,
                summary,
                by_layer[0] if by_layer else "",
                read_tflite(compiled.read_bytes()),
                version=installed_version(PACKAGE),
            )


DEEP, HIGH = "Ethos_U55_Deep_Embedded", "Ethos_U55_High_End_Embedded"
CONFIGURATIONS: Mapping[str, EthosU] = {
    npu.NAME: npu
    for npu in (
        EthosU("u55", 32, 200, DEEP),
        EthosU("u55", 64, 200, DEEP),
        EthosU("u55", 128, 500, HIGH),
        EthosU("u55", 256, 500, HIGH),
        EthosU("u65", 256, 500, "Ethos_U65_Embedded"),
        EthosU("u65", 512, 1000, "Ethos_U65_High_End", "Dedicated_Sram"),
        EthosU("u85", 128, 500, "Ethos_U85_SYS_Flash_High"),
        EthosU("u85", 256, 500, "Ethos_U85_SYS_Flash_High"),
        EthosU("u85", 512, 500, "Ethos_U85_SYS_Flash_High"),
        EthosU("u85", 1024, 1000, "Ethos_U85_SYS_DRAM_High", "Dedicated_Sram"),
        EthosU("u85", 2048, 1000, "Ethos_U85_SYS_DRAM_High", "Dedicated_Sram"),
    )
}
USUAL_NPU = CONFIGURATIONS["ethos_u55_128"]
"""The configuration that every file is compiled for."""


def _refused(tflite: bytes, reason: str, remedy: str, message: str | None = None) -> TargetResult:
    kinds = Counter(operator.type for operator in read_tflite(tflite).operators)
    operators = dict(sorted(kinds.items()))
    remedy = USE_DENSE if "DENSIFY" in operators else remedy
    return TargetResult(
        "refused", reason, remedy, message, operators=operators, version=installed_version(PACKAGE)
    )


def _failure(code: int) -> tuple[str, str]:
    """Reason and remedy for the exit code of a Vela that made no file."""
    if code < 0:
        return f"Vela crashed on this file ({Signals(-code).name})", USE_INT8
    return "Vela cannot compile this file", USE_INT8


def _last_line(printed: str) -> str | None:
    lines = printed.strip().splitlines()
    return lines[-1][:200] if lines else None
