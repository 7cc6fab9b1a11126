"""Stages of a run: made once, kept under the hash of all that went in, and reported with what they took."""

import hashlib
import json
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import lwdash

LIBRARIES = (
    "tensorflow",
    "keras",
    "tf-keras",
    "tensorflow-model-optimization",
    "litert-quantizer",
    "ai-edge-litert",
)


class Cache(Protocol):
    """Where stages are kept between processes."""

    def get(self, key: str) -> tuple[Path, dict[str, Any]] | None:
        """The stage's file and facts, if it was made before."""

    def put(self, key: str, kind: str, data: bytes | Path, facts: Mapping[str, Any], seconds: float) -> None:
        """Keeps a stage, from its bytes or a file."""

    def making(self, key: str) -> AbstractContextManager[None]:
        """Waits until nobody else makes this stage; who comes in has to look whether it is there by now."""


@dataclass(frozen=True)
class StageReport:
    """One stage of a run as shown to people; `seconds` is what it took now, near 0 when cached."""

    name: str
    seconds: float
    cached: bool
    peak_memory_mb: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    skipped: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True)
class Made:
    """A stage's product: its bytes, and what is known about it."""

    data: bytes
    facts: Mapping[str, Any]


class Stages:
    """Makes stages or finds them made; `reports` has those of the run at hand, each once."""

    def __init__(self, cache: Cache):
        self.cache = cache
        self.reports: list[StageReport] = []

    def make(self, name: str, kind: str, key: str, make: Callable[[], Made]) -> Made:
        """A stage from the cache, or made and kept; a stage made inside another counts for itself alone."""
        started, nested = time.monotonic(), len(self.reports)

        def seconds_taken() -> float:
            inner = sum(report.seconds for report in self.reports[nested:])
            return max(0.0, time.monotonic() - started - inner)

        found = self.cache.get(key)
        if not found:
            with self.cache.making(key):
                started = time.monotonic()
                found = self.cache.get(key)
                if not found:
                    made = make()
                    self.cache.put(key, kind, made.data, made.facts, seconds_taken())
        if found:
            made = Made(found[0].read_bytes(), found[1])
        seconds = seconds_taken()
        facts = {k: v for k, v in made.facts.items() if k != "skipped"}
        skipped = made.facts.get("skipped", ())
        if all(report.name != name for report in self.reports):
            self.reports.append(
                StageReport(name, seconds, found is not None, _peak_memory_mb(), facts, skipped)
            )
        return made


def content_key(parts: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON-able description."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=list).encode()).hexdigest()


@lru_cache
def library_versions() -> tuple[str, ...]:
    return (f"lwdash {lwdash.__version__}", *(f"{name} {metadata.version(name)}" for name in LIBRARIES))


def _peak_memory_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
