"""Inspection of uploaded files, in a child process with strict limits."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import lwdash
from lwdash.child import jobs
from lwdash.child.job_results import ComparedFiles, Dissected, Failure, Inspected, Result, read_failure
from lwdash.child.jobs import Job, UploadedFile
from lwdash.child.no_network import NO_NETWORK
from lwdash.child.typed_messages import from_json, to_json
from lwdash.engine.child_process import Handler, run_child
from lwdash.errors import LwdashError, NotFound
from lwdash.settings import Settings
from storage import experiments
from storage.records import NamedFile, StoredFile
from storage.store import Store

INSPECTIONS: Mapping[str, type[jobs.InspectModel | jobs.InspectData | jobs.InspectTflite]] = {
    "model": jobs.InspectModel,
    "data": jobs.InspectData,
    "tflite": jobs.InspectTflite,
}
"""Kind of an uploaded file → the job that reads its facts."""


@dataclass(frozen=True)
class InspectionLimits:
    """Resources that a child may use until its reply."""

    seconds: int
    memory_mb: int


LIMITS = InspectionLimits(seconds=300, memory_mb=4096)
MODEL_LIMITS = InspectionLimits(seconds=90, memory_mb=2048)
"""Models of 2 GB take about 10 s, and less than 1 GB of memory for any size."""
CODE_LIMITS = InspectionLimits(seconds=120, memory_mb=4096)
"""For a model that is loaded together with its code file."""
_FOUND_BY = "lwdash"
"""Key in stored facts: the lwdash version that found them."""
_LOOKED_AT: set[tuple[str, str, str]] = set()
"""(database, hash, kind) of the files inspected by this process: a stored refusal has no version."""


def inspect_file(settings: Settings, store: Store, sha256: str, kind: str) -> StoredFile:
    """The record of a stored file after its inspection: with `facts`, or with the reason of its refusal in `error`.

    kind: "model", "data" or "tflite". The result is stored. An internal fault is not stored, so that the next call
    tries again. A result of another version of lwdash is replaced by a new one, once.
    """
    row = experiments.get_file(store.database, sha256, kind)
    if row is None:
        raise NotFound(f"no {kind} file {sha256[:12]}… was uploaded")
    key = (str(store.database.url), sha256, kind)
    if key in _LOOKED_AT or (row.facts or {}).get(_FOUND_BY) == lwdash.__version__:
        return row
    file = UploadedFile(str(store.artifacts.local_path(sha256)), sha256, row.name)
    job = INSPECTIONS[kind](file=file)
    result = ask_child(settings, job, Inspected)
    facts, error = _facts_and_error(result)
    is_fault = isinstance(result, Failure) and result.is_fault
    if not is_fault:
        _LOOKED_AT.add(key)
    if facts is None and row.facts is not None:
        return row  # experiments depend on the facts of an earlier version
    if not is_fault:
        facts = facts and {**facts, _FOUND_BY: lwdash.__version__}
        experiments.set_file_facts(store.database, row.id, facts, error)
    return replace(row, facts=facts, error=error)


def inspect_with_code(settings: Settings, store: Store, row: StoredFile, code: NamedFile) -> StoredFile:
    """A model's row with the facts that it has together with a code file, which the user allowed to run.

    The code runs in the child. The result is not stored with the model, which is refused without its code.
    """
    key = (str(store.database.url), row.sha256, code.sha256, code.name)
    if key not in _READ_WITH_CODE:
        file, given = (
            UploadedFile(str(store.artifacts.local_path(one.sha256)), one.sha256, one.name)
            for one in (row, code)
        )
        result = ask_child(settings, jobs.InspectModel(file=file, code=given), Inspected)
        if isinstance(result, Failure) and result.is_fault:
            return replace(row, facts=None, error=result.error)
        while len(_READ_WITH_CODE) >= MAX_READ_OTHERWISE:
            _READ_WITH_CODE.pop(next(iter(_READ_WITH_CODE)))
        _READ_WITH_CODE[key] = result
    facts, error = _facts_and_error(_READ_WITH_CODE[key])
    return replace(row, facts=facts, error=error)


_READ_WITH_CODE: dict[tuple[str, ...], Inspected | Failure] = {}


def _facts_and_error(result: Inspected | Failure) -> tuple[dict[str, Any] | None, str | None]:
    """One of the two is None."""
    return (None, result.error) if isinstance(result, Failure) else (dict(result.facts), None)


def inspect_as(settings: Settings, store: Store, row: StoredFile, reading: Mapping[str, Any]) -> StoredFile:
    """A data file's row with facts read another way than the file itself suggests.

    reading: `label`, `has_header` and `delimiter` as in DataSettings, None where the file decides. Without any,
    or with a label that is among the candidates already, the record comes back as it is.
    """
    facts = row.facts
    if facts is None or row.error:
        return row
    asked = {key: reading.get(key) or None for key in ("label", "delimiter")}
    asked["has_header"] = reading.get("has_header")
    if asked["label"] in [c["name"] for c in facts["candidates"]]:
        asked["label"] = None
    if all(value is None for value in asked.values()):
        return row
    key = (row.sha256, *asked.values())
    if key not in _READ_OTHERWISE:
        file = UploadedFile(str(store.artifacts.local_path(row.sha256)), row.sha256, row.name)
        result = ask_child(settings, jobs.InspectData(file=file, **asked), Inspected)
        if isinstance(result, Failure) and result.is_fault:
            return replace(row, facts=None, error=result.error)
        while len(_READ_OTHERWISE) >= MAX_READ_OTHERWISE:
            _READ_OTHERWISE.pop(next(iter(_READ_OTHERWISE)))
        _READ_OTHERWISE[key] = result
    facts, error = _facts_and_error(_READ_OTHERWISE[key])
    return replace(row, facts=facts, error=error)


_READ_OTHERWISE: dict[tuple[Any, ...], Inspected | Failure] = {}
MAX_READ_OTHERWISE = 16


class Unreadable(LwdashError):
    """A child process could not read a file; another try may succeed."""


def dissect_file(
    settings: Settings, store: Store, tflite_sha256: str, baseline_sha256: str, layer_names: Sequence[str]
) -> dict[str, Any]:
    """The graph and the weight histograms of a run's file. Raises MissingArtifact, Unreadable."""
    tflite, baseline = (
        str(store.artifacts.local_path(sha256)) for sha256 in (tflite_sha256, baseline_sha256)
    )
    job = jobs.Dissect(tflite=tflite, baseline=baseline, layer_names=tuple(layer_names))
    result = ask_child(settings, job, Dissected)
    if isinstance(result, Failure):
        raise Unreadable(result.error)
    return dict(result.dissected)


def compare_files(settings: Settings, expected: Path, found: Path) -> dict[str, Any]:
    """The differences of two .tflite files, see `tflite.differences`. Raises Unreadable."""
    result = ask_child(settings, jobs.CompareFiles(expected=str(expected), found=str(found)), ComparedFiles)
    if isinstance(result, Failure):
        raise Unreadable(result.error)
    return dict(result.differences)


R = TypeVar("R", bound=Result)


def ask_child(
    settings: Settings,
    job: Job,
    expected: type[R],
    handlers: Mapping[str, Handler] | None = None,
    *,
    variables: Mapping[str, str] | None = None,
    needs_tensorflow: bool = False,
) -> R | Failure:
    """The result of one job in a child of its own.

    expected: its type. handlers: for other messages of the child. variables, needs_tensorflow: as for `run_child`.
    """
    received: list[R | Failure] = []
    waiting = [to_json(job)]
    started = time.monotonic()

    def keep_result(message: dict[str, Any]) -> dict[str, Any]:
        received.append(from_json(message["result"], (expected,)))
        return {}

    def keep_failure(message: dict[str, Any]) -> dict[str, Any]:
        received.append(read_failure(message["failure"]))
        return {}

    limits = _limits(job)
    code: UploadedFile | None = getattr(job, "code", None)
    what = f"running {code.name} and loading the model" if code else "reading the file"
    remedy = f"Correct {code.name}, or give a smaller model" if code else "Give a smaller file"

    def watch(memory_mb: int) -> str | None:
        if memory_mb > limits.memory_mb:
            return f"{what} took more than {limits.memory_mb:,} MB of memory. {remedy}"
        if time.monotonic() - started > limits.seconds:
            return f"{what} took longer than {limits.seconds} s. {remedy}"
        return None

    ended = run_child(
        [job.kind, *([NO_NETWORK] if code else [])],
        scratch=settings.scratch,
        log=settings.logs / "inspections.log",
        handlers={
            "next": lambda _: {"job": waiting.pop() if waiting else None},
            "done": keep_result,
            "failed": keep_failure,
            "progress": lambda _: None,
            **(handlers or {}),
        },
        watch=watch,
        variables=variables,
        needs_tensorflow=needs_tensorflow,
    )
    if received:
        return received[0]
    if code and ended.reason:
        return Failure(ended.reason, is_fault=True)
    unread = f"{code.name} could not be run" if code else "the file could not be read"
    return Failure(f"{unread}: {ended.message}", is_fault=True)


def _limits(job: Job) -> InspectionLimits:
    if not isinstance(job, jobs.InspectModel):
        return LIMITS
    return MODEL_LIMITS if job.code is None else CODE_LIMITS
