"""A run's capsule and its C array, made from the store when somebody asks for them."""

import logging
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lwdash
from lwdash.capsule import c_array, capsule_zip
from lwdash.capsule.manifest import FIGURES, Manifest, Origin
from lwdash.engine.file_inspection import ask_child
from lwdash.engine.stage_cache import find_stage, keep_stage
from lwdash.errors import NotFound
from lwdash.settings import Settings
from storage import experiments, run_rows
from storage.errors import MissingArtifact
from storage.run_files import tflite_path
from storage.store import Store

logger = logging.getLogger(__name__)


def make_capsule(
    settings: Settings, store: Store, run_id: int, target: Path, *, with_originals: bool = False
) -> None:
    """Writes the capsule of a run to `target`; with_originals: with the model and the data inside.

    Raises NotFound where there is no such run that has ended well, MissingArtifact where a file of it is gone or damaged.
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
            files[capsule_zip.BASELINE] = local(
                run["baseline_sha256"]
            )  # agreement with it is the only figure
        if with_originals:
            for key, origin in (("model", manifest.model), ("data", manifest.data), *manifest.parts.items()):
                files[capsule_zip.ORIGINALS[key]] = local(origin.sha256)
        capsule_zip.write_capsule(target, manifest, files)


def c_header(store: Store, run_id: int) -> str:
    """The header of a run's C array. Raises NotFound."""
    run, experiment = _finished(store, run_id)
    size = tflite_path(store, run).stat().st_size
    return c_array.header(c_array.c_name(experiment["name"]), size, _notes(run, experiment))


def c_source(store: Store, run_id: int, header_name: str) -> Iterator[str]:
    """The definition, in pieces; it includes `header_name`. Raises NotFound, or MissingArtifact, before the first."""
    run, experiment = _finished(store, run_id)
    path = tflite_path(store, run)
    return c_array.source(path, c_array.c_name(experiment["name"]), header_name, _notes(run, experiment))


def _finished(store: Store, run_id: int) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    run = run_rows.get_run(store.database, run_id)
    if run is None:
        raise NotFound(f"there is no run {run_id}")
    if run["state"] != "succeeded" or run["tflite_sha256"] is None:
        raise NotFound(f"run {run_id} has no file: it is {run['state']}")
    experiment = experiments.get_experiment(store.database, run["experiment_id"])
    if experiment is None:
        raise NotFound(f"the experiment of run {run_id} is gone")
    return run, experiment


def _manifest(
    store: Store, run: Mapping[str, Any], experiment: Mapping[str, Any], plan: Mapping[str, Any] | None
) -> Manifest:
    figures = run["figures"] or {}
    compressed = run_rows.get_detail(store.database, run["id"])["compressed"] or {}
    more = ("rows", "accuracy_ci", "baseline_accuracy", "verdict", "latency_ms_p50", "speedup", "speedup_ci")
    finished = datetime.fromtimestamp(run["finished_at"], UTC)

    def origin(sha256: str, name: str) -> Origin:
        path = store.artifacts.local_path(sha256) if store.artifacts.is_whole(sha256) else None
        return Origin(name, sha256, path.stat().st_size if path else None)

    return Manifest(
        recipe=run["recipe"],
        experiment=experiment["name"],
        run=run["id"],
        task=experiment["task"],
        seed=experiment["seed"],
        settings=experiment["settings"],
        model=origin(experiment["model_sha256"], experiment["model_name"]),
        data=origin(experiment["data_sha256"], experiment["data_name"]),
        parts={part: origin(file["sha256"], file["name"]) for part, file in experiment["own_parts"].items()},
        tflite=origin(run["tflite_sha256"], capsule_zip.TFLITE),
        baseline=origin(run["baseline_sha256"], capsule_zip.BASELINE),
        libraries=tuple(compressed.get("libraries") or ()),
        expected={key: figures[key] for key in (*FIGURES, *more) if figures.get(key) is not None},
        host=figures.get("host") or {},
        rows=plan,
        made_by=f"lwdash {lwdash.__version__}",
        made_at=f"{finished:%Y-%m-%d %H:%M:%S} UTC",
    )


def _rows_plan(
    settings: Settings, store: Store, run: Mapping[str, Any], experiment: Mapping[str, Any], arrays: Path
) -> dict[str, Any] | None:
    """How evaluate.py reads the rows, its arrays written to `arrays`; None where the data can no longer be read."""
    try:
        local = store.artifacts.local_path
        job = {
            "model_facts": experiment["model_facts"],
            "data": {
                "path": str(local(experiment["data_sha256"])),
                "sha256": experiment["data_sha256"],
                "name": experiment["data_name"],
            },
            "parts": {
                part: {"path": str(local(file["sha256"])), **file}
                for part, file in experiment["own_parts"].items()
            },
            "settings": experiment["settings"],
            "tflite": str(local(run["tflite_sha256"])),
            "baseline": str(local(run["baseline_sha256"])),
            "arrays": str(arrays),
        }
    except MissingArtifact as error:
        logger.warning("run %s: its capsule cannot say how to read the rows: %s", run["id"], error)
        return None
    cache = {"stage": lambda message: find_stage(store, message), "store": lambda m: keep_stage(store, m)}
    answer = ask_child(settings, "evaluation-rows", job, cache)
    if "plan" not in answer:
        logger.warning(
            "run %s: its capsule cannot say how to read the rows: %s", run["id"], answer.get("error")
        )
        return None
    return answer["plan"]


def _notes(run: Mapping[str, Any], experiment: Mapping[str, Any]) -> dict[str, str]:
    """What the comment above a C array says."""
    figures = run["figures"] or {}
    notes = {
        "TensorFlow Lite model": f"run {run['id']} of {experiment['name']}",
        "Recipe": run["recipe"],
        "Original model": f"{experiment['model_name']}, SHA-256 {experiment['model_sha256']}",
        "Bytes": f"{run['size_bytes']:,}",
    }
    rows = figures.get("rows")
    for key, label in (("accuracy", "Accuracy"), ("agreement", "Agreement with the original")):
        if figures.get(key) is not None:
            notes[label] = f"{100 * figures[key]:.2f} % of {rows:,} evaluation rows"
    for key, label in (("rmse", "RMSE"), ("reconstruction_error", "Reconstruction error")):
        if figures.get(key) is not None:
            notes[label] = f"{figures[key]:.6g} on {rows:,} evaluation rows"
    return notes | {"SHA-256": run["tflite_sha256"], "Made by": f"lwdash {lwdash.__version__}"}
