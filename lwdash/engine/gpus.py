"""The GPUs of this host that training steps may use, and the lock that gives each to one training at a time.

The driver is asked, not TensorFlow: `nvidia-smi -L`, or the driver's files under /proc without it. Lock files serve all
processes and users of the host, like those in `room`.
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lwdash.engine.room import lock_file, take_exclusively

DRIVER_FILES = Path("/proc/driver/nvidia/gpus")
REPLY_SECONDS = 10.0
"""Time limit of nvidia-smi. It may take seconds where no other program keeps the driver loaded."""
FRESH_SECONDS = 60.0
POLL_SECONDS = 0.25
UNSEEN = re.compile(r"-1|none|NoDevFiles", re.IGNORECASE)
"""Entries of CUDA_VISIBLE_DEVICES that hide all GPUs."""


@dataclass(frozen=True)
class Gpu:
    """A GPU, or a MIG part of one.

    number: that of its GPU in nvidia-smi. visible_as: its entry in CUDA_VISIBLE_DEVICES, the UUID where it is known.
    name: the model, as the driver names it.
    """

    number: int
    visible_as: str
    name: str


@dataclass(frozen=True)
class GpusFound:
    """The GPUs that trainings may use, and why there are none, or fewer than asked for; None without a reason to tell."""

    usable: tuple[Gpu, ...]
    problem: str | None = None


_known: dict[tuple[str, ...], tuple[float, GpusFound]] = {}


def gpus_of_host(setting: str) -> GpusFound:
    """The GPUs that LWDASH_GPU allows; the result is kept for a minute.

    With `auto`, a CUDA_VISIBLE_DEVICES of this process limits them, as batch systems set it.
    """
    if setting == "off":
        return GpusFound((), "LWDASH_GPU is off")
    inherited = os.environ.get("CUDA_VISIBLE_DEVICES") if setting == "auto" else None
    key = (setting, inherited or "", os.environ.get("PATH", ""), str(DRIVER_FILES))
    if key not in _known or time.monotonic() - _known[key][0] > FRESH_SECONDS:
        _known[key] = (time.monotonic(), _find(setting, inherited))
    return _known[key][1]


def _find(setting: str, inherited: str | None) -> GpusFound:
    present, problem = _ask_driver()
    if setting == "auto" and inherited is None:
        return GpusFound(present, problem)
    asked = [entry.strip() for entry in (inherited if setting == "auto" else setting).split(",")]  # type: ignore[union-attr]
    if setting == "auto" and (not inherited or UNSEEN.fullmatch(asked[0])):
        return GpusFound((), "CUDA_VISIBLE_DEVICES hides them" if present else problem)
    if not present:  # a statement of the operator; the training tells whether it is true
        return GpusFound(tuple(_stated(entry) for entry in asked), problem)
    chosen = {entry: [gpu for gpu in present if _is_meant(entry, gpu)] for entry in asked}
    missing = [entry for entry, gpus in chosen.items() if not gpus]
    usable = tuple(dict.fromkeys(gpu for gpus in chosen.values() for gpu in gpus))
    if missing:
        there = ", ".join(f"{gpu.number} ({gpu.visible_as})" for gpu in present)
        problem = f"not on this host: GPU {', '.join(missing)}. It has {there}"
    return GpusFound(usable, problem)


def _stated(entry: str) -> Gpu:
    return Gpu(int(entry) if entry.isdigit() else 0, entry, f"GPU {entry}")


def _is_meant(entry: str, gpu: Gpu) -> bool:
    return entry == str(gpu.number) if entry.isdigit() else gpu.visible_as.startswith(entry)


def _ask_driver() -> tuple[tuple[Gpu, ...], str | None]:
    """The GPUs, and a message on a driver that does not respond."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return read_driver_files(DRIVER_FILES), None
    process = subprocess.Popen(
        [program, "-L"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", start_new_session=True,
    )  # fmt: skip
    with contextlib.closing(process.stdout):  # type: ignore[type-var]
        try:
            output, _ = process.communicate(timeout=REPLY_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            with contextlib.suppress(
                subprocess.TimeoutExpired
            ):  # a call into a broken driver cannot be ended
                process.wait(timeout=1)
            return (), f"nvidia-smi did not reply within {REPLY_SECONDS:g} s"
    if process.returncode:
        first = next(iter(output.strip().splitlines()), f"exit code {process.returncode}")
        return (), f"nvidia-smi failed: {first[:200]}"
    return read_list(output), None


def read_list(text: str) -> tuple[Gpu, ...]:
    """The GPUs in the output of `nvidia-smi -L`. A GPU that is divided into MIG parts is listed as these parts."""
    gpus: list[Gpu] = []
    whole: Gpu | None = None
    for line in text.splitlines():
        if found := re.fullmatch(r"GPU (\d+): (.+?) \(UUID: (\S+)\)\s*", line):
            whole = Gpu(int(found[1]), found[3], found[2])
            gpus.append(whole)
        elif whole and (found := re.fullmatch(r"\s+(MIG \S+)\s+Device\s+\d+: \(UUID: (\S+)\)\s*", line)):
            if whole in gpus:
                gpus.remove(whole)
            gpus.append(Gpu(whole.number, found[2], f"{whole.name} {found[1]}"))
    return tuple(gpus)


def read_driver_files(folder: Path) -> tuple[Gpu, ...]:
    """The GPUs in the driver's folder of one `information` file each, in the order of their bus addresses."""
    gpus = []
    for number, file in enumerate(sorted(folder.glob("*/information"))):
        lines = (line.partition(":") for line in file.read_text(errors="replace").splitlines())
        facts = {key.strip(): value.strip() for key, _, value in lines}
        uuid = facts.get("GPU UUID", "?")  # unknown to the driver until the GPU is used for the first time
        visible_as = str(number) if "?" in uuid else uuid
        gpus.append(Gpu(number, visible_as, facts.get("Model") or f"GPU {number}"))
    return tuple(gpus)


def variables_for(gpu: Gpu) -> dict[str, str]:
    """Environment of a child process that trains on `gpu` alone."""
    return {
        "CUDA_VISIBLE_DEVICES": gpu.visible_as,
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # the numbers of nvidia-smi
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "NVIDIA_TF32_OVERRIDE": "0",  # float32 products are exact to float32, as on the CPU
        "TF_CPP_MIN_LOG_LEVEL": "1",  # TensorFlow warns about libraries of CUDA that it does not find
    }


@contextlib.contextmanager
def one_gpu(
    gpus: Sequence[Gpu], *, gives_up: Callable[[], bool], waits: Callable[[], None] = lambda: None
) -> Iterator[Gpu | None]:
    """The first of `gpus` that becomes free, for the duration of the block; None if `gives_up` returned True first.

    waits: called while all are in use. A GPU whose lock file cannot be opened counts as not there; None if all are so.
    """
    folder = Path(tempfile.gettempdir())
    locks: dict[Gpu, int] = {}
    try:
        for gpu in gpus:
            name = re.sub(r"[^0-9A-Za-z-]", "-", gpu.visible_as)
            with contextlib.suppress(OSError):  # another user made it unreadable
                locks[gpu] = lock_file(folder / f"lwdash-gpu-{name}.lock")
        while locks and not gives_up():
            for gpu, lock in locks.items():
                if take_exclusively(lock):
                    yield gpu
                    return
            waits()
            time.sleep(POLL_SECONDS)
        yield None
    finally:
        for lock in locks.values():
            os.close(lock)
