"""Facts of the machine that a latency was measured on. Latencies of different machines are not comparable."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

_FLAGS = {
    "avx2": "avx2", "avx512f": "avx512", "avx512_vnni": "avx512_vnni", "avx_vnni": "avx_vnni",
    "amx_int8": "amx_int8",
    "asimddp": "dotprod", "i8mm": "i8mm",
}  # fmt: skip


@dataclass(frozen=True)
class Host:
    """`flags`: the instruction sets that determine the speed of float and integer kernels."""

    cpu: str
    architecture: str
    cores: int
    flags: tuple[str, ...]
    threads: int
    litert: str
    os: str

    @property
    def has_integer_dot_product(self) -> bool:
        return bool({"avx512_vnni", "avx_vnni", "amx_int8", "dotprod", "i8mm"} & set(self.flags))

    @property
    def id(self) -> str:
        """Eight hex digits of the facts that affect latency: processor, instruction sets, cores, LiteRT
        version.
        """
        parts = (self.cpu, self.architecture, self.cores, self.flags, self.litert)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:8]

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits. Latencies with equal fingerprints are comparable."""
        parts = (self.cpu, self.architecture, self.cores, self.flags, self.threads, self.litert, self.os)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        return {
            "cpu": self.cpu,
            "architecture": self.architecture,
            "cores": self.cores,
            "flags": list(self.flags),
            "threads": self.threads,
            "litert": self.litert,
            "os": self.os,
            "fingerprint": self.fingerprint,
        }


def this_host(threads: int = 1) -> Host:
    """The machine of this process, with the number of threads of the interpreter."""
    cpuinfo = _cpuinfo()
    return Host(
        cpu=_cpu_name(cpuinfo),
        architecture=platform.machine(),
        cores=_usable_cores(),
        flags=flags_in(cpuinfo),
        threads=threads,
        litert=_version("ai-edge-litert"),
        os=f"{platform.system()} {platform.release()}",
    )


def flags_in(cpuinfo: str) -> tuple[str, ...]:
    """The relevant flags of a Linux /proc/cpuinfo text."""
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    present = set(found.group(1).split()) if found else set()
    return tuple(name for flag, name in _FLAGS.items() if flag in present)


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(errors="replace") if path.exists() else ""


def _cpu_name(cpuinfo: str) -> str:
    found = re.search(r"^(?:model name|Hardware|Model)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    if found:
        return found.group(1).strip()
    board = Path("/proc/device-tree/model")  # of ARM boards, whose cpuinfo often has no name
    name = board.read_text(errors="replace").strip("\0 \n") if board.exists() else ""
    return name or platform.processor() or platform.machine()


def _usable_cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"
