"""Devices and runtimes other than LiteRT on this host; a target exists by being listed here.

A target has:
  NAME, LABEL, SUMMARY   its key in stored results, its title, one sentence
  PACKAGE                the distribution whose version its results depend on
  run(tflite, rows, litert=…)
                         runs a file on rows (name → (rows, *shape), real numbers) and returns a TargetResult; its outputs
                         are compared with those of `litert` in LiteRT, which is the same network, by default the same file
`run` does not raise for a file that the target refuses, nor where the target's library is missing: both are results.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

import numpy as np

from lwdash.metrics.offers import Offering, register
from lwdash.targets import tflm
from lwdash.targets.host.runtimes import RUNTIMES_HERE
from lwdash.targets.offered_metrics import DEVICE, MICRO, NPU, RUNTIME
from lwdash.targets.target_result import TargetResult, installed_version
from lwdash.targets.vela import CONFIGURATIONS, USUAL_NPU


class Target(Protocol):
    """A module or an object, as described above."""

    @property
    def NAME(self) -> str: ...
    @property
    def LABEL(self) -> str: ...
    @property
    def SUMMARY(self) -> str: ...
    @property
    def PACKAGE(self) -> str: ...
    def run(
        self, tflite: bytes, rows: Mapping[str, np.ndarray], *, litert: bytes | None = None
    ) -> TargetResult: ...


_ALL: tuple[Target, ...] = (tflm, *CONFIGURATIONS.values(), *RUNTIMES_HERE.values())
TARGETS: Mapping[str, Target] = {target.NAME: target for target in _ALL}
USUAL = (tflm.NAME, USUAL_NPU.NAME)
"""Targets that every run is measured on; the others are switched on for an experiment, or asked for one run."""
TIMED = tuple(RUNTIMES_HERE)
"""Targets whose results have times: a step that runs one of them has the host to itself."""

DEVICE_PREFIX = "device_"
"""Begins the names under which results of devices are stored; the number of the device follows."""

MAX_ROWS = 16

register(Offering(tflm.NAME, tflm.LABEL, MICRO, is_integer_only=True))
for _npu in CONFIGURATIONS.values():
    register(Offering(_npu.NAME, _npu.LABEL, NPU, is_integer_only=True))
for _runtime in RUNTIMES_HERE.values():
    register(Offering(_runtime.NAME, _runtime.LABEL, RUNTIME, is_of_host=True))
register(Offering(DEVICE_PREFIX, "another computer", DEVICE, is_family=True, is_of_host=True))


def target_versions() -> dict[str, str | None]:
    """The installed version of each target's package; None where it is missing."""
    return {name: installed_version(target.PACKAGE) for name, target in TARGETS.items()}


def run_on_targets(
    tflite: bytes,
    rows: Mapping[str, np.ndarray],
    *,
    litert: bytes | None = None,
    names: Collection[str] = USUAL,
) -> dict[str, TargetResult]:
    """The result of each of the targets `names`, on at most MAX_ROWS of `rows`; names without a target are left out."""
    some = {name: values[:MAX_ROWS] for name, values in rows.items()}
    return {
        name: target.run(tflite, some, litert=litert) for name, target in TARGETS.items() if name in names
    }
