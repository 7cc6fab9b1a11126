"""Builds the jobs for child processes from records of the database and files of the artifact store.

All functions raise MissingArtifact, with what to do, where a file is no longer stored.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lwdash.child import jobs
from lwdash.child.jobs import Job, UploadedFile
from lwdash.datasets.data_settings import DataSettings
from lwdash.metrics.limits import ACCURACY_DROP
from lwdash.search.outcomes import limits_of_search
from lwdash.targets import TIMED
from storage import run_rows, searches
from storage.errors import MissingArtifact
from storage.file_runs import is_file_recipe
from storage.records import NamedFile, StoredExperiment, StoredFile, StoredRun
from storage.store import Store
from storage.target_results import DEVICE_ROWS, target_of

UPLOAD_AGAIN, START_AGAIN = "upload the file again", "start the run again"


def step_job(
    store: Store,
    step: str,
    run: StoredRun,
    experiment: StoredExperiment,
    *,
    log: Path,
    seconds: int,
    peers: Sequence[str] = (),
) -> Job:
    """The job of one step of a run. peers: paths of the files that are measured with it."""
    rows = {**_rows_of(store, experiment), "task": experiment.task, "log": str(log), "seconds": seconds}
    if step == "compress":
        rows |= {"model": uploaded_file(store, experiment.model), "seed": experiment.seed}
        rows["code"] = None if experiment.code is None else uploaded_file(store, experiment.code)
        if is_file_recipe(run.recipe):
            return jobs.TakeFile(**rows, tflite=_taken_file(store, run))
        return jobs.Compress(**rows, recipe=run.recipe, max_drop=max_drop_of(store, run, experiment))
    tflite, baseline = _paths(store, run)
    stored = None if run.stored_sha256 is None else _path(store, run.stored_sha256, START_AGAIN)
    if step == "measure":
        threads = experiment.threads
        return jobs.MeasureRun(
            **rows, tflite=tflite, baseline=baseline, stored=stored, threads=threads, peers=tuple(peers)
        )
    if step == DEVICE_ROWS:
        return jobs.PackDeviceRows(**rows, tflite=tflite, baseline=baseline)
    if (target := target_of(step)) is not None:
        return jobs.MeasureOnTarget(**rows, tflite=tflite, stored=stored, target=target)
    compressed = run_rows.get_detail(store.database, run.of_run or run.id).compressed
    trail = tuple(compressed.get("trail", ()))
    if step == "details":
        threads = experiment.threads
        return jobs.MeasureDetails(
            **rows,
            tflite=tflite,
            baseline=baseline,
            stored=stored,
            threads=threads,
            trail=trail,
            targets=tuple(name for name in experiment.targets if name not in TIMED),
        )
    if step == "sensitivity":
        return jobs.MeasureSensitivity(**rows, recipe=run.recipe, baseline=baseline, trail=trail)
    raise ValueError(f"no job for the step '{step}'")


def evaluation_rows_job(
    store: Store, run: StoredRun, experiment: StoredExperiment, arrays: Path
) -> jobs.EvaluationRows:
    """arrays: the file that the child writes."""
    tflite, baseline = _paths(store, run)
    rows = _rows_of(store, experiment)
    return jobs.EvaluationRows(**rows, task=None, tflite=tflite, baseline=baseline, arrays=str(arrays))


def write_project_job(
    store: Store,
    experiment: StoredExperiment,
    *,
    tflite: Path,
    target: Path,
    title: str,
    notes: Mapping[str, str],
) -> jobs.WriteProject:
    """tflite: the file on the microcontroller; target: the zip that the child writes."""
    rows = _rows_of(store, experiment)
    return jobs.WriteProject(
        **rows, task=experiment.task, tflite=str(tflite), zip=str(target), title=title, notes=notes
    )


def lint_job(
    store: Store,
    model_row: StoredFile,
    data_row: StoredFile,
    chosen: DataSettings,
    parts: Mapping[str, StoredFile],
) -> jobs.Lint:
    """model_row, data_row, parts: inspected files."""
    return jobs.Lint(**_rows_of_files(store, model_row, data_row, chosen, parts))


def compare_labels_job(
    store: Store,
    model_row: StoredFile,
    data_row: StoredFile,
    chosen: DataSettings,
    parts: Mapping[str, StoredFile],
) -> jobs.CompareLabels:
    """model_row, data_row, parts: inspected files."""
    model, code = uploaded_file(store, model_row), code_of(store, model_row)
    rows = _rows_of_files(store, model_row, data_row, chosen, parts)
    return jobs.CompareLabels(**rows, model=model, seed=chosen.seed, code=code)


def code_of(store: Store, model_row: StoredFile) -> UploadedFile | None:
    """The code file that a model was inspected with."""
    code = (model_row.facts or {}).get("code")
    return uploaded_file(store, NamedFile(code["sha256"], code["name"])) if code else None


def uploaded_file(store: Store, file: NamedFile) -> UploadedFile:
    return UploadedFile(_path(store, file.sha256, UPLOAD_AGAIN), file.sha256, file.name)


def _rows_of(store: Store, experiment: StoredExperiment) -> dict[str, Any]:
    """Fields of a RowsJob, except the task, for an experiment."""
    return {
        "model_facts": experiment.model_facts,
        "data": uploaded_file(store, experiment.data),
        "parts": {part: uploaded_file(store, file) for part, file in experiment.own_parts.items()},
        "settings": experiment.settings,
        "data_facts": None,
    }


def _rows_of_files(
    store: Store,
    model_row: StoredFile,
    data_row: StoredFile,
    chosen: DataSettings,
    parts: Mapping[str, StoredFile],
) -> dict[str, Any]:
    """Fields of a RowsJob for files without an experiment."""
    return {
        "model_facts": model_row.facts,
        "data": uploaded_file(store, data_row),
        "parts": {part: uploaded_file(store, file) for part, file in parts.items()},
        "settings": chosen.to_dict(),
        "task": None,
        "data_facts": data_row.facts,
    }


def max_drop_of(store: Store, run: StoredRun, experiment: StoredExperiment) -> float | None:
    """The limit on the drop of accuracy that a run of a search is stopped by; None where it goes on to its end.

    A run that was started again goes on.
    """
    search = searches.search_of(store.database, run.submission) if run.attempt == 1 else None
    if search is None or not search.settings.get("stops_early", True) or experiment.settings.get("generated"):
        return None
    return limits_of_search(search.settings, experiment.limits).get(ACCURACY_DROP)


def _taken_file(store: Store, run: StoredRun) -> UploadedFile:
    """The .tflite that was brought in as this run."""
    if run.tflite_sha256 is None:
        raise MissingArtifact(f"the file of run {run.id} is not stored; add it again")
    path = _path(store, run.tflite_sha256, "add the file again")
    return UploadedFile(path, run.tflite_sha256, run.recipe)


def _paths(store: Store, run: StoredRun) -> tuple[str, str]:
    """The file of a run and its baseline."""
    files = run.files()
    return _path(store, files.tflite, START_AGAIN), _path(store, files.baseline, START_AGAIN)


def _path(store: Store, sha256: str, remedy: str) -> str:
    try:
        return str(store.artifacts.local_path(sha256))
    except MissingArtifact as error:
        raise MissingArtifact(f"{error}; {remedy}") from error
