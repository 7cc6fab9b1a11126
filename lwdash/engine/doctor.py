"""The `doctor` command: checks of the installation."""

import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from typing import Any

import lwdash
from lwdash.child.job_results import Checked, Failure
from lwdash.child.jobs import Check
from lwdash.engine.gpu_training import gpu_state, tested_gpus
from lwdash.engine.input_files.file_inspection import ask_child
from lwdash.engine.pool import Shared
from lwdash.errors import EngineUnavailable
from lwdash.settings import Settings
from storage.database import ping
from storage.frames import count_states
from storage.store import Store

LIBRARIES = (
    "streamlit", "tensorflow", "keras", "tf-keras", "tensorflow-model-optimization", "ai-edge-litert",
    "litert-quantizer", "distributed", "sqlalchemy", "plotly", "pandas",
)  # fmt: skip
OPTIONAL = ("s3fs",)
LOW_DISK_GB = 2


def examine(settings: Settings, store: Store) -> dict[str, Any]:
    """Versions, database, engine, disk and a child process; each is actually tested."""
    problems = []
    libraries = {name: _version(name) for name in LIBRARIES}
    problems += [
        f"{name} is not installed: run `make install`" for name, version in libraries.items() if not version
    ]
    free_gb = shutil.disk_usage(settings.home).free / 1e9
    if free_gb < LOW_DISK_GB:
        problems.append(f"only {free_gb:.1f} GB are free in {settings.home}")
    child = ask_child(settings, Check(), Checked)
    if isinstance(child, Failure):
        problems.append(f"a worker process does not start: {child.error}")
    shared, unwell = look_at_cluster(settings, store)
    return {
        "lwdash": lwdash.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "libraries": libraries,
        "optional": {name: _version(name) for name in OPTIONAL},
        "home": str(settings.home),
        "database": {
            "kind": store.database.dialect.name,
            "schema": ping(store.database),
            "runs": count_states(store.database),
        },
        "artifacts": "folder" if store.artifacts.is_local else "remote",
        "engine": {
            "kind": "cluster" if settings.scheduler else "embedded",
            "slots": settings.slots,
            **shared,
            "disk_quota_mb": settings.disk_quota or "none",
            "job_memory_mb": settings.job_memory,
            "job_seconds": settings.job_seconds,
        },
        "child": {key: value for key, value in asdict(child).items() if key != "gpu"},
        "gpu": {"setting": settings.gpu, "for training": gpu_state(settings), **tested_gpus(settings)},
        "free_disk_gb": round(free_gb, 1),
        "problems": problems + unwell,
    }


def look_at_cluster(settings: Settings, store: Store) -> tuple[dict[str, Any], list[str]]:
    """The workers of the shared scheduler that get steps, and messages on problems of the scheduler and other workers."""
    if not settings.scheduler:
        return {}, []
    pool = Shared(settings, store)
    try:
        pool.open()
        pool.known()
        workers = pool.listed()
    except EngineUnavailable as error:
        return {"workers": 0, "slots": 0}, [str(error)]
    finally:
        pool.close()
    fit = [worker for worker in workers if worker.refused is None]
    facts = {"workers": len(fit), "slots": sum(worker.slots for worker in fit)}
    unwell = sorted({worker.refused for worker in workers if worker.refused})
    return facts, unwell or ([pool.problem] if pool.problem else [])


def lines(report: Mapping[str, Any]) -> list[str]:
    """The report for a terminal."""
    found = []
    for key, value in report.items():
        if isinstance(value, Mapping):
            found += [
                f"{key}: "
                + ", ".join(f"{k} {v if v is not None else 'not installed'}" for k, v in value.items())
            ]
        elif key != "problems":
            found.append(f"{key}: {value}")
    return [*found, *(f"PROBLEM: {p}" for p in report["problems"])] or ["nothing found"]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
