"""Generated rows as the data file of an experiment without data, made in a child process."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lwdash.child import jobs
from lwdash.child.job_results import Failure, RowsGenerated
from lwdash.datasets.data_settings import NO_LABEL, DataSettings
from lwdash.engine.input_files.file_inspection import ask_child, inspect_file
from lwdash.engine.job_building import code_of, uploaded_file
from lwdash.errors import DataRefused
from lwdash.settings import Settings
from storage import experiments
from storage.records import StoredFile
from storage.store import Store

MAX_KEPT = 32
_KEPT: dict[str, tuple[str, str] | Failure] = {}
"""(database, model, seed, range) → (SHA-256 of the rows, method), or why there are none."""


def generate_data(
    settings: Settings,
    store: Store,
    model_row: StoredFile,
    *,
    seed: int = 0,
    stated: tuple[float, float] | None = None,
    task: str | None = None,
) -> tuple[StoredFile, DataSettings]:
    """The stored and inspected data file of generated rows, and the settings that mark it as generated.

    stated: the range of all values; None: the model tells it. The last few results are kept.
    Raises DataRefused with the reason why no rows can be generated.
    """
    if stated is not None and not stated[0] < stated[1]:
        raise DataRefused(
            f"the range of the values must go from a smaller to a larger number; received {stated[0]:g} {stated[1]:g}"
        )
    code = (model_row.facts or {}).get("code")
    key = json.dumps([str(store.database.url), model_row.sha256, code, seed, stated])
    if key not in _KEPT or (isinstance(found := _KEPT[key], tuple) and not store.artifacts.has(found[0])):
        made = _generate(settings, store, model_row, seed, stated)
        if isinstance(made, Failure) and made.is_fault:
            raise DataRefused(f"the rows could not be generated: {made.error}")
        while len(_KEPT) >= MAX_KEPT:
            _KEPT.pop(next(iter(_KEPT)))
        _KEPT[key] = made
    kept = _KEPT[key]
    if isinstance(kept, Failure):
        raise DataRefused(kept.error)
    sha256, method = kept
    row = inspect_file(settings, store, sha256, "data")
    chosen = DataSettings(label=NO_LABEL, seed=seed, task=task, generated=f"seed {seed}: {method}")
    return replace(row, name=_name(seed)), chosen


def _name(seed: int) -> str:
    return f"generated-rows-seed-{seed}.npz"


def _generate(
    settings: Settings, store: Store, model_row: StoredFile, seed: int, stated: tuple[float, float] | None
) -> tuple[str, str] | Failure:
    low, high = stated or (None, None)
    with tempfile.TemporaryDirectory(prefix="lwdash-", dir=settings.scratch) as folder:
        path = Path(folder) / _name(seed)
        job = jobs.GenerateRows(
            model=uploaded_file(store, model_row),
            model_facts=_facts(model_row),
            rows=str(path),
            seed=seed,
            low=low,
            high=high,
            code=code_of(store, model_row),
        )
        result = ask_child(settings, job, RowsGenerated)
        if isinstance(result, Failure):
            return result
        sha256 = store.artifacts.put(path)
        size_bytes = path.stat().st_size
    experiments.add_file(store.database, sha256=sha256, kind="data", name=_name(seed), size_bytes=size_bytes)
    return sha256, result.method


def _facts(row: StoredFile) -> Mapping[str, object]:
    if row.error or row.facts is None:
        raise DataRefused(f"rows cannot be generated for a model that cannot be used: {row.error}")
    return row.facts
