"""`python -m lwdash verify`: makes a capsule's file again and reports differences."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lwdash.capsule import capsule_zip
from lwdash.capsule.manifest import COMPARED_METRICS, CapsuleRefused, Manifest, Origin
from lwdash.datasets.data_settings import DataSettings
from lwdash.engine import submit
from lwdash.engine.input_files.file_inspection import Unreadable, compare_files, inspect_as, inspect_file
from lwdash.engine.new_experiment import inspect_local_model
from lwdash.errors import UserMistake
from lwdash.settings import Settings
from storage import run_rows
from storage.records import StoredFile
from storage.store import Store, open_store

Work = Callable[[Settings, Store, Sequence[int]], None]
"""Waits until these runs have ended, with a working engine."""

RELATIVE, ABSOLUTE = "relative", "absolute"
TOLERANCES: Mapping[str, tuple[str, float]] = {
    "size_bytes": (RELATIVE, 0.01),
    "gzip_bytes": (RELATIVE, 0.02),
    "huffman_bytes": (RELATIVE, 0.02),
    "sparsity": (ABSOLUTE, 0.01),
    "accuracy": (ABSOLUTE, 0.01),
    "agreement": (ABSOLUTE, 0.02),
    "mae": (RELATIVE, 0.05),
    "rmse": (RELATIVE, 0.05),
    "reconstruction_error": (RELATIVE, 0.05),
    "sqnr_db": (ABSOLUTE, 1.0),
    "mean_iou": (ABSOLUTE, 0.02),
    "agreement_generated": (ABSOLUTE, 0.02),
    "sqnr_generated_db": (ABSOLUTE, 1.0),
}
"""Largest accepted difference of a metric from the capsule's. Latencies are not compared: they depend on the host."""
MEMBERS = 3
"""Size limit of a capsule in multiples of the largest upload: it can hold a model, its data and the results."""


def verify(capsule: Path, settings: Settings, work: Work, given: Mapping[str, Path | None]) -> dict[str, Any]:
    """The report on one capsule, JSON-able. All work is done in a temporary home that is removed afterwards.

    given: "model", "data", "evaluation", "calibration" → a local file, if the capsule does not contain it; "code" → the
    code file of a model that needs one.
    Nothing in the capsule is executed: its recipe is parsed, its model is inspected and loaded like any
    upload. Code runs only if it is given, like that of `lwdash run`.
    Raises CapsuleRefused or UserMistake.
    """
    if not capsule.is_file():
        raise UserMistake(f"there is no file {capsule}")
    with tempfile.TemporaryDirectory(prefix="lwdash-verify-") as name:
        folder = Path(name)
        manifest, files = capsule_zip.read_capsule(capsule, folder, MEMBERS * settings.max_upload << 20)
        if manifest.made_elsewhere:
            raise UserMistake(
                f"{capsule.name} holds {manifest.recipe}, which was made elsewhere: no recipe makes it again. Its metric "
                "can be checked: unpack the capsule and run evaluate.py as its README says"
            )
        originals = _originals(manifest, files, given, folder)
        own = _own_settings(settings, folder / "home")
        store = open_store(own.database_url, own.artifacts, own.home / "cache")
        try:
            run_id = _start(own, store, manifest, originals)
            work(own, store, [run_id])
            return _report(own, store, capsule, manifest, files[capsule_zip.TFLITE], run_id)
        finally:
            store.database.dispose()


def _own_settings(settings: Settings, home: Path) -> Settings:
    home.mkdir()
    return replace(
        settings,
        home=home,
        database_url=f"sqlite:///{home / 'lwdash.sqlite'}",
        artifacts=str(home / "artifacts"),
        scheduler=None,
    )


def _originals(
    manifest: Manifest, files: Mapping[str, Path], given: Mapping[str, Path | None], folder: Path
) -> dict[str, Path]:
    """Role of an original file → the local file with its SHA-256."""
    if manifest.code is not None and given.get("code") is None:
        raise UserMistake(
            f"the capsule's model needs the Python code in {manifest.code.name} (SHA-256 {manifest.code.sha256[:16]}…"
            f"{', in the capsule as ' + capsule_zip.ORIGINALS['code'] if capsule_zip.ORIGINALS['code'] in files else ''}). "
            "Read it, and if you trust it, give it with --code"
        )
    needed = manifest.originals
    return {key: _original(key, origin, files, given.get(key), folder) for key, origin in needed.items()}


def _original(key: str, origin: Origin, files: Mapping[str, Path], given: Path | None, folder: Path) -> Path:
    if given is not None:
        if not given.is_file():
            raise UserMistake(f"there is no file {given}")
        found = capsule_zip.sha256_of(given)
        if found != origin.sha256:
            raise CapsuleRefused(
                f"{given} is not the capsule's {key} file {origin.name}: its SHA-256 is {found[:16]}…, the capsule's is "
                f"{origin.sha256[:16]}…"
            )
        return given
    inside = files.get(capsule_zip.ORIGINALS[key])
    if inside is None:
        option = {"evaluation": "eval"}.get(key, key)
        raise UserMistake(
            f"the capsule does not contain its {key} file {origin.name} (SHA-256 {origin.sha256[:16]}…). "
            f"Give it with --{option}"
        )
    named = (
        folder / "originals" / key / origin.name
    )  # files are inspected, and reported, under their own names
    named.parent.mkdir(parents=True)
    return inside.rename(named)


def _start(settings: Settings, store: Store, manifest: Manifest, originals: Mapping[str, Path]) -> int:
    """Create the capsule's experiment and queue its recipe; return the run."""

    def entered(key: str, kind: str) -> StoredFile:
        return inspect_file(settings, store, submit.add_local_file(store, originals[key], kind), kind)

    chosen = DataSettings.from_dict(manifest.settings)
    experiment = submit.create_experiment(
        store,
        name=manifest.experiment,
        model_row=inspect_local_model(settings, store, originals["model"], originals.get("code")),
        data_row=inspect_as(settings, store, entered("data", "data"), chosen.to_dict()),
        settings=chosen,
        own_parts={part: entered(part, "data") for part in manifest.parts},
    )
    _, [run_id] = submit.submit_runs(store, experiment, [manifest.recipe])
    return run_id


def _report(
    settings: Settings, store: Store, capsule: Path, manifest: Manifest, expected: Path, run_id: int
) -> dict[str, Any]:
    run = run_rows.get_run(store.database, run_id)
    assert run is not None, "it was submitted a moment ago"
    compressed = run_rows.get_detail(store.database, run_id).compressed
    report: dict[str, Any] = {
        "capsule": str(capsule),
        "recipe": manifest.recipe,
        "state": run.state,
        "error": run.error,
        "reproduced": False,
        "bytes_equal": None,
        "baseline_equal": None,
        "differences": None,
        "figures": [],
        "libraries": compare_libraries(manifest.libraries, compressed.get("libraries") or ()),
        "host": {
            "capsule": manifest.host.get("cpu"),
            "trained_on": manifest.host.get("training"),
            "here": (run.metrics.get("host") or {}).get("cpu"),
        },
    }
    if not run.has_succeeded:
        return report
    figures = compare_metrics(manifest.expected, run.metrics)
    same = run.tflite_sha256 == manifest.tflite.sha256
    if not same:
        made = store.artifacts.local_path(run.files().tflite)
        try:
            report["differences"] = compare_files(settings, expected, made)
        except Unreadable as error:
            report["differences"] = {"error": str(error)}
    return {
        **report,
        "bytes_equal": same,
        "baseline_equal": run.baseline_sha256 == manifest.baseline.sha256,
        "figures": figures,
        "reproduced": same and all(figure["agrees"] for figure in figures),
    }


def compare_metrics(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry per metric in the capsule: expected, found, the tolerance as text, and whether they agree.

    The accuracy may be anywhere inside the interval from the capsule's rows.
    """
    entries = []
    for name in COMPARED_METRICS:
        stated, here = expected.get(name), found.get(name)
        if not isinstance(stated, (int, float)) or isinstance(stated, bool):
            continue
        kind, allowed = TOLERANCES[name]
        interval: Any = expected.get("accuracy_ci")
        if name == "accuracy" and _is_interval(interval):
            tolerance = f"{interval[0]:.4f} to {interval[1]:.4f}"
            agrees = here is not None and interval[0] <= here <= interval[1]
        else:
            slack = allowed * abs(stated) if kind == RELATIVE else allowed
            tolerance = f"± {100 * allowed:g} %" if kind == RELATIVE else f"± {allowed:g}"
            agrees = here is not None and abs(here - stated) <= slack
        entries.append(
            {"figure": name, "expected": stated, "found": here, "within": tolerance, "agrees": agrees}
        )
    return entries


def _is_interval(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(v, (int, float)) for v in value)


def compare_libraries(then: Sequence[str], now: Sequence[str]) -> list[dict[str, str | None]]:
    """Libraries whose version here differs from the capsule's: {"name", "capsule", "here"}; empty if none was recorded."""
    if not then or not now:
        return []
    before, after = ({n: v for n, _, v in (line.rpartition(" ") for line in lines)} for lines in (then, now))
    return [
        {"name": name, "capsule": before.get(name), "here": after.get(name)}
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def lines(report: Mapping[str, Any]) -> list[str]:
    """The report for a terminal."""
    text = [f"{report['capsule']}: {report['recipe']}"]
    for library in report["libraries"]:
        text.append(
            f"another version: {library['name']} {library['here'] or 'is not installed'}, the capsule's was made with "
            f"{library['capsule'] or 'none'}"
        )
    if report["state"] != "succeeded":
        return [*text, f"the run {report['state']}: {report['error'] or 'without a message'}"]
    text.append("float baseline: " + ("the same bytes" if report["baseline_equal"] else "other bytes"))
    text.append("model.tflite: " + ("the same bytes" if report["bytes_equal"] else "other bytes"))
    trained_on = (report.get("host") or {}).get("trained_on")
    if trained_on and not report["bytes_equal"]:
        text.append(f"  it was trained on {trained_on}: another device gives other bytes")
    text += _difference_lines(report["differences"] or {})
    for figure in report["figures"]:
        word = "agrees" if figure["agrees"] else "DIFFERS"
        text.append(
            f"{figure['figure']}: {_number(figure['found'])}, the capsule says {_number(figure['expected'])} "
            f"(within {figure['within']}): {word}"
        )
    text.append("reproduced" if report["reproduced"] else "not reproduced")
    return text


def _difference_lines(found: Mapping[str, Any]) -> list[str]:
    if found.get("error"):
        return [f"  the files could not be compared: {found['error']}"]
    text = [f"  {found['operators']}"] if found.get("operators") else []
    text += [f"  {tensor['name']}: {tensor['difference']}" for tensor in found.get("tensors", ())]
    if found and not text:
        text.append("  every operator and stored tensor is equal; only the bytes around them differ")
    return [*text, *([f"  and {found['others']} more tensors"] if found.get("others") else [])]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
