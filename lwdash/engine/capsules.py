"""A run's capsule and its C array, built from the store on request."""

import logging
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lwdash
from lwdash.capsule import c_array, capsule_zip
from lwdash.capsule.manifest import COMPARED_METRICS, Manifest, Origin
from lwdash.child.job_results import Failure, PlannedRows, ProjectWritten
from lwdash.engine.input_files.file_inspection import ask_child
from lwdash.engine.job_building import evaluation_rows_job, write_project_job
from lwdash.engine.stage_cache import stage_handlers
from lwdash.errors import NotFound
from lwdash.metrics.hosts import training_device
from lwdash.packing.coded_file import download_zip
from lwdash.recipe import storage_form
from lwdash.settings import Settings
from storage import experiments, run_rows
from storage.errors import MissingArtifact
from storage.file_runs import is_file_recipe
from storage.records import NamedFile, StoredExperiment, StoredRun
from storage.run_files import tflite_path
from storage.store import Store

logger = logging.getLogger(__name__)


def make_capsule(
    settings: Settings, store: Store, run_id: int, target: Path, *, with_originals: bool = False
) -> None:
    """Write the capsule of a run to `target`; with_originals: include the model and the data.

    Raises NotFound without such a succeeded run, MissingArtifact where one of its files is missing or
    damaged.
    """
    run, experiment = _finished(store, run_id)
    tflite_path(store, run)  # before the rows are read, which may take a while
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder) / capsule_zip.ROWS
        plan = _rows_plan(settings, store, run, experiment, arrays)
        manifest = _manifest(store, run, experiment, plan)
        local = store.artifacts.local_path
        files = {capsule_zip.TFLITE: tflite_path(store, run)}
        if plan is not None:
            files[capsule_zip.ROWS] = arrays
        if not any(
            manifest.expected.get(key) is not None for key in ("accuracy", "mae", "reconstruction_error")
        ):
            # Agreement with it is the only metric.
            files[capsule_zip.BASELINE] = local(run.files().baseline)
        for key, origin in manifest.originals.items():
            if with_originals or (key == "data" and experiment.generated is not None):
                files[capsule_zip.ORIGINALS[key]] = local(origin.sha256)
        capsule_zip.write_capsule(target, manifest, files)


def make_project(settings: Settings, store: Store, run_id: int, target: Path) -> None:
    """Write the project to flash of a run to `target`, with its first evaluation rows.

    Raises NotFound without such a succeeded run, or with the reason why there is no project; MissingArtifact.
    """
    run, experiment = _finished(store, run_id)
    job = write_project_job(
        store,
        experiment,
        tflite=_flashed_path(store, run),
        target=target,
        title=experiment.name,
        notes=_notes(run, experiment),
    )
    result = ask_child(settings, job, ProjectWritten, stage_handlers(store))
    if isinstance(result, Failure):
        raise NotFound(result.error)


def c_header(store: Store, run_id: int) -> str:
    """The header of a run's C array. Raises NotFound."""
    run, experiment = _finished(store, run_id)
    size = _flashed_path(store, run).stat().st_size
    return c_array.header(c_array.c_name(experiment.name), size, _notes(run, experiment))


def c_source(store: Store, run_id: int, header_name: str) -> Iterator[str]:
    """The definition, in pieces; it includes `header_name`. Raises NotFound or MissingArtifact before the first piece."""
    run, experiment = _finished(store, run_id)
    path = _flashed_path(store, run)
    return c_array.source(path, c_array.c_name(experiment.name), header_name, _notes(run, experiment))


def stored_file(store: Store, run_id: int, name: str) -> bytes:
    """The file of a run in a storage form that LiteRT does not run; coded files come in a zip with their decoders.

    name: of the files inside of the zip. Raises NotFound for a run without one, or MissingArtifact.
    """
    run, _ = _finished(store, run_id)
    if run.stored_sha256 is None:
        raise NotFound(f"run {run_id} has no file in another storage form")
    data = store.artifacts.local_path(run.stored_sha256).read_bytes()
    form = storage_form(run.recipe)
    return download_zip(data, name) if form == "coded" else data


def _flashed_path(store: Store, run: StoredRun) -> Path:
    """The file that a microcontroller holds: the one with look-up tables where the run has made it, else the .tflite."""
    form = storage_form(run.recipe)
    if run.stored_sha256 and form == "lut":
        return store.artifacts.local_path(run.stored_sha256)
    return tflite_path(store, run)


def _finished(store: Store, run_id: int) -> tuple[StoredRun, StoredExperiment]:
    run = run_rows.get_run(store.database, run_id)
    if run is None:
        raise NotFound(f"there is no run {run_id}")
    if not run.has_succeeded or run.tflite_sha256 is None:
        raise NotFound(f"run {run_id} has no file: it is {run.state}")
    experiment = experiments.get_experiment(store.database, run.experiment_id)
    if experiment is None:
        raise NotFound(f"the experiment of run {run_id} is gone")
    return run, experiment


def _manifest(
    store: Store, run: StoredRun, experiment: StoredExperiment, plan: Mapping[str, Any] | None
) -> Manifest:
    figures = run.metrics
    compressed = run_rows.get_detail(store.database, run.id).compressed
    more = (
        "rows",
        "generated_rows",
        "accuracy_ci",
        "baseline_accuracy",
        "verdict",
        "latency_ms_p50",
        "speedup",
        "speedup_ci",
    )
    trained_on = training_device(compressed.get("stages", ()))
    assert run.finished_at is not None, "a run that has succeeded has ended"
    finished = datetime.fromtimestamp(run.finished_at, UTC)

    def origin(file: NamedFile) -> Origin:
        is_whole = store.artifacts.is_whole(file.sha256)
        size = store.artifacts.local_path(file.sha256).stat().st_size if is_whole else None
        return Origin(file.name, file.sha256, size)

    return Manifest(
        recipe=run.recipe,
        experiment=experiment.name,
        run=run.id,
        task=experiment.task,
        seed=experiment.seed,
        settings=experiment.settings,
        model=origin(experiment.model),
        data=origin(experiment.data),
        parts={part: origin(file) for part, file in experiment.own_parts.items()},
        tflite=origin(NamedFile(run.files().tflite, capsule_zip.TFLITE)),
        baseline=origin(NamedFile(run.files().baseline, capsule_zip.BASELINE)),
        libraries=tuple(compressed.get("libraries") or ()),
        expected={key: figures[key] for key in (*COMPARED_METRICS, *more) if figures.get(key) is not None},
        host={**(figures.get("host") or {}), **({"training": trained_on} if trained_on else {})},
        rows=plan,
        made_by=f"lwdash {lwdash.__version__}",
        code=None if experiment.code is None else origin(experiment.code),
        made_elsewhere=is_file_recipe(run.recipe),
        made_at=f"{finished:%Y-%m-%d %H:%M:%S} UTC",
    )


def _rows_plan(
    settings: Settings, store: Store, run: StoredRun, experiment: StoredExperiment, arrays: Path
) -> dict[str, Any] | None:
    """Plan of evaluate.py for reading the rows, with its arrays written to `arrays`; None where the data can
    no longer be read.
    """
    try:
        job = evaluation_rows_job(store, run, experiment, arrays)
    except MissingArtifact as error:
        logger.warning("run %s: its capsule has no plan for reading the rows: %s", run.id, error)
        return None
    result = ask_child(settings, job, PlannedRows, stage_handlers(store))
    if isinstance(result, Failure):
        logger.warning("run %s: its capsule has no plan for reading the rows: %s", run.id, result.error)
        return None
    return dict(result.plan)


def _notes(run: StoredRun, experiment: StoredExperiment) -> dict[str, str]:
    """Text of the comment above a C array."""
    figures = run.metrics
    notes = {
        "TensorFlow Lite model": f"run {run.id} of {experiment.name}",
        "Recipe": run.recipe,
        "Original model": f"{experiment.model_name}, SHA-256 {experiment.model_sha256}",
        "Bytes": f"{run.size_bytes:,}",
    }
    rows = figures.get("rows")
    for key, label in (("accuracy", "Accuracy"), ("agreement", "Agreement with the original")):
        if figures.get(key) is not None:
            notes[label] = f"{100 * figures[key]:.2f} % of {rows:,} evaluation rows"
    if experiment.generated is not None:
        notes["Accuracy"] = "unknown: the rows were generated from the model"
    if figures.get("agreement_generated") is not None:
        notes["Agreement on generated rows"] = (
            f"{100 * figures['agreement_generated']:.2f} % of {figures['generated_rows']:,} rows"
        )
    for key, label in (("rmse", "RMSE"), ("reconstruction_error", "Reconstruction error")):
        if figures.get(key) is not None:
            notes[label] = f"{figures[key]:.6g} on {rows:,} evaluation rows"
    return notes | {"SHA-256": run.files().tflite, "Made by": f"lwdash {lwdash.__version__}"}
