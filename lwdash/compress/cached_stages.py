"""Stages of a run: computed once, cached under the hash of all inputs, and reported with their cost."""

import hashlib
import json
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import lwdash
from lwdash.contract import Skipped

LIBRARIES = (
    "tensorflow",
    "keras",
    "tf-keras",
    "tensorflow-model-optimization",
    "litert-quantizer",
    "ai-edge-litert",
)


class Cache(Protocol):
    """Storage of stages between processes."""

    def get(self, key: str) -> tuple[Path, dict[str, Any]] | None:
        """The file and facts of a stage; None where it is not stored."""

    def put(self, key: str, kind: str, data: bytes | Path, facts: Mapping[str, Any], seconds: float) -> None:
        """Store a stage, given as bytes or as a file."""

    def making(self, key: str) -> AbstractContextManager[None]:
        """Wait until no other process computes this stage. Call `get` again inside: it may be stored by then."""


@dataclass(frozen=True)
class StageReport:
    """One stage of a run as shown on the page; `seconds` is the time in this run, near 0 when cached."""

    name: str
    seconds: float
    cached: bool
    peak_memory_mb: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    skipped: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True)
class StageProduct:
    """The bytes of a stage and facts about them, JSON-able."""

    data: bytes
    facts: Mapping[str, Any]


class Stages:
    """Takes stages from the cache or computes them; `reports` lists those of the current run, each once."""

    def __init__(self, cache: Cache):
        self.cache = cache
        self.reports: list[StageReport] = []
        self.away_s = 0.0
        """Seconds of waiting for another process, which belong to no stage."""

    def make(self, name: str, kind: str, key: str, make: Callable[[], StageProduct]) -> StageProduct:
        """A stage from the cache, or a new one that is stored there. Stages computed inside it report their
        own seconds.
        """
        started, nested, away_s = time.monotonic(), len(self.reports), self.away_s

        def own_seconds() -> float:
            inner = sum(report.seconds for report in self.reports[nested:])
            return max(0.0, time.monotonic() - started - inner - (self.away_s - away_s))

        found = self.cache.get(key)
        if not found:
            with self.cache.making(key):
                started = time.monotonic()
                found = self.cache.get(key)
                if not found:
                    product = make()
                    self.cache.put(key, kind, product.data, product.facts, own_seconds())
        if found:
            product = StageProduct(found[0].read_bytes(), found[1])
        seconds = own_seconds()
        facts = {k: v for k, v in product.facts.items() if k != "skipped"}
        skipped = product.facts.get("skipped", ())
        self.report(StageReport(name, seconds, found is not None, _peak_memory_mb(), facts, skipped))
        return product

    def report(self, report: StageReport) -> None:
        """Add the report of a stage, unless the current run has one of it."""
        if all(known.name != report.name for known in self.reports):
            self.reports.append(report)


class Trainer(Protocol):
    """Training of Keras steps in another process, with a GPU."""

    def __call__(self, recipe: str, key: str) -> Sequence[Mapping[str, Any]] | None:
        """Train the steps of `recipe`; the last one's stage is stored under `key`.

        Returns a `StageReport` of each stage as JSON; None where this process has to train.
        """


def skipped_facts(skipped: Sequence[Skipped]) -> list[dict[str, str]]:
    """Skipped layers as the fact "skipped" of a stage, JSON-able."""
    return [asdict(one) for one in skipped]


def content_key(parts: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON-able description."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=list).encode()).hexdigest()


@lru_cache
def library_versions() -> tuple[str, ...]:
    return (f"lwdash {lwdash.__version__}", *(f"{name} {metadata.version(name)}" for name in LIBRARIES))


def _peak_memory_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
