"""The command line: `python -m lwdash …`, through the same engine and database as the pages."""

import argparse
import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lwdash.commands import analyses, doctor, findings, gc, records, takeaway, verify
from lwdash.datasets.settings import DataSettings
from lwdash.engine import submit
from lwdash.engine.inspection import inspect_as, inspect_file
from lwdash.engine.linting import lint_data
from lwdash.engine.scheduler import Engine
from lwdash.errors import DataRefused, EngineUnavailable, LwdashError, NotFound, UserMistake
from lwdash.recipe import parse_recipe
from lwdash.settings import Settings, load_settings
from storage import runs
from storage.analyses import SENSITIVITY
from storage.errors import StorageError
from storage.store import Store, open_store

DONE, FAILED, USAGE = 0, 1, 2
PATIENCE_S = 30.0
"""How long `run` waits for an engine that does not work."""
LIMITS = {
    "size": ("size_bytes", 1000.0, "KB", "largest .tflite in kB (1,000 bytes)"),
    "drop": ("accuracy_drop", 0.01, "POINTS", "largest loss of accuracy in percentage points"),
    "latency": ("latency_ms", 1.0, "MS", "longest latency in ms"),
    "arena": ("arena_bytes", 1000.0, "KB", "largest arena of TensorFlow Lite Micro in kB (1,000 bytes)"),
}
"""Options `--max-…` of `run`: the limit they set, the factor to its unit, the unit they take, what it means."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code: 0 done, 1 a run failed, 2 the call cannot be used."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        settings = load_settings()
        store = open_store(settings.database_url, settings.artifacts, settings.home / "cache")
        return options.command(options, settings, store)
    except (UserMistake, StorageError) as error:
        return _complain(options, str(error), USAGE)
    except LwdashError as error:
        return _complain(options, str(error), FAILED)
    except KeyboardInterrupt:
        return _complain(options, "interrupted", FAILED)
    except BrokenPipeError:  # the reader, `head` for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lwdash", description="Compression experiments on Keras models."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, help: str, function: Any) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help)
        sub.add_argument("--json", action="store_true", help="one JSON object on standard output")
        sub.set_defaults(command=function)
        return sub

    inspect = command("inspect", "Say what a model file holds, without running it.", _inspect)
    inspect.add_argument("model", type=Path)

    run = command("run", "Compress a model by recipes and measure every result.", _run)
    run.add_argument("model", type=Path)
    _data_options(run)
    run.add_argument(
        "--experiment", metavar="NAME", help="name of the experiment (default: the model's file name)"
    )
    for name, (_, _, unit, help) in LIMITS.items():
        run.add_argument(f"--max-{name}", type=_positive, metavar=unit, help=help)
    run.add_argument(
        "--threads", type=int, default=1, metavar="N", help="threads that latencies are measured with (1)"
    )
    run.add_argument(
        "--recipe",
        action="append",
        required=True,
        metavar="R",
        help="e.g. 'prune(sparsity=0.8) + int8'; repeat it for more",
    )

    check = command("lint", "Say what in the data would spoil the figures, before any run.", _lint)
    check.add_argument("model", type=Path)
    _data_options(check)

    listing = command("runs", "List runs, newest experiment first.", _runs)
    listing.add_argument("--experiment", metavar="NAME")

    show = command("show", "Show one run with everything measured.", _show)
    show.add_argument("run", type=int)
    show.add_argument("--layers", action="store_true", help="one line an operator of the .tflite")

    sensitivity = command(
        "sensitivity", "Measure which layers are to blame for what quantizing costs a run.", _sensitivity
    )
    sensitivity.add_argument("run", type=int)

    export = command("export", "Write a run's .tflite to a file.", _export)
    export.add_argument("run", type=int)
    export.add_argument("--out", type=Path, required=True, metavar="FILE")
    export.add_argument(
        "--c-array",
        action="store_true",
        help="as a C source file, with its header beside it, for microcontrollers",
    )

    capsule = command("capsule", "Write all that a run can be made again from to a zip.", _capsule)
    capsule.add_argument("run", type=int)
    capsule.add_argument("--out", type=Path, required=True, metavar="ZIP")
    capsule.add_argument(
        "--with-files",
        action="store_true",
        help="with the original model and the data, not only their hashes",
    )

    check = command("verify", "Make the file of a capsule again and say what differs.", _verify)
    check.add_argument("capsule", type=Path, metavar="ZIP")
    check.add_argument("--model", type=Path, help="the original model, where the capsule does not hold it")
    for option, what in (("data", "data"), ("eval", "evaluation rows"), ("calibration", "calibration rows")):
        check.add_argument(f"--{option}", type=Path, metavar="CSV", help=f"the {what}, likewise")

    cancel = command("cancel", "End a queued or running run.", _cancel)
    cancel.add_argument("run", type=int)

    spare = command("gc", "Remove what no run needs: old caches, logs, unused uploads.", _gc)
    spare.add_argument("--dry-run", action="store_true", help="only say what would go")
    spare.add_argument(
        "--older-than", type=float, default=gc.OLDER_THAN_DAYS, metavar="DAYS", help="(default: %(default)g)"
    )

    command("doctor", "Check versions, database, engine and disk.", _doctor)
    return parser


def _data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="CSV", help="the samples, one a row")
    parser.add_argument("--eval", type=Path, metavar="CSV", help="rows of their own to measure on")
    parser.add_argument(
        "--calibration", type=Path, metavar="CSV", help="rows of their own to set ranges with"
    )
    parser.add_argument(
        "--label", metavar="COLUMN", help="the label column (found when there is one that looks like it)"
    )
    parser.add_argument(
        "--no-label", action="store_true", help="the CSV has no labels: compare with the original model"
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column that is neither label nor input",
    )
    parser.add_argument(
        "--preprocess",
        default="",
        metavar="SPEC",
        help="e.g. 'resize(500, method=area) + scale(minmax, per=row)'",
    )
    parser.add_argument("--seed", type=int, default=0, help="decides which rows are in which part (0)")


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, but got {text}")
    return value


def _inspect(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    sha256 = submit.add_local_file(store, options.model, "model")
    facts = submit.model_facts(inspect_file(settings, store, sha256, "model"))
    _print(options, facts.to_dict(), lambda: records.model_lines(facts))
    return DONE


def _run(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    recipes = [parse_recipe(text) for text in options.recipe]
    model_row, data_row, data_settings, own_parts = _read(options, settings, store)
    given = {
        key: value * factor
        for name, (key, factor, _, _) in LIMITS.items()
        if (value := getattr(options, f"max_{name}")) is not None
    }
    experiment = submit.create_experiment(
        store,
        name=options.experiment or options.model.stem,
        model_row=model_row,
        data_row=data_row,
        settings=data_settings,
        own_parts=own_parts,
        limits=given,
        threads=options.threads,
    )
    fitted = submit.fit(submit.model_facts(model_row), submit.data_facts(data_row), data_settings)
    for warning in fitted.warnings:
        _say(f"note: {warning}")
    linted = lint_data(
        settings, store, model_row=model_row, data_row=data_row, chosen=data_settings, own_parts=own_parts
    )
    for line in findings.summary_lines(linted):
        _say(line)
    baseline, ids = submit.submit_runs(store, experiment, recipes)
    with _working(settings, store) as engine:
        _wait(store, engine, sorted({baseline, *ids}))
    found = [records.run_record(store.database, run_id) for run_id in ids]
    whole = {
        "experiment": experiment,
        "baseline": records.run_record(store.database, baseline),
        "runs": found,
    }
    _print(options, whole, lambda: records.table_lines(found))
    return DONE if all(record["state"] == "succeeded" for record in found) else FAILED


def _read(
    options: argparse.Namespace, settings: Settings, store: Store
) -> tuple[dict[str, Any], dict[str, Any], DataSettings, dict[str, dict[str, Any]]]:
    """The rows of the model and the data file, how the data is read, and files of their own for single parts."""
    model_row = inspect_file(settings, store, submit.add_local_file(store, options.model, "model"), "model")
    chosen = DataSettings(
        label="" if options.no_label else options.label,
        ignored=tuple(options.ignore),
        preprocess=options.preprocess,
        seed=options.seed,
    )
    data_row = inspect_file(settings, store, submit.add_local_file(store, options.data, "data"), "data")
    data_row = inspect_as(settings, store, data_row, chosen.to_dict())
    own_parts = {
        part: inspect_file(settings, store, submit.add_local_file(store, path, "data"), "data")
        for part, path in (("evaluation", options.eval), ("calibration", options.calibration))
        if path is not None
    }
    return model_row, data_row, chosen, own_parts


def _lint(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    model_row, data_row, chosen, own_parts = _read(options, settings, store)
    submit.fit(submit.model_facts(model_row), submit.data_facts(data_row), chosen)
    linted = lint_data(
        settings, store, model_row=model_row, data_row=data_row, chosen=chosen, own_parts=own_parts
    )
    if linted.error:
        raise DataRefused(linted.error)
    _print(options, findings.findings_record(linted), lambda: findings.findings_lines(linted))
    return DONE


@contextlib.contextmanager
def _working(settings: Settings, store: Store) -> Iterator[Engine]:
    """Takes part in the work: embeds the engine unless another process on this home already does."""
    engine = Engine(settings, store).start()
    try:
        yield engine
    finally:
        engine.stop()


def _wait(store: Store, engine: Engine, ids: Sequence[int]) -> None:
    """Until all have ended, saying on standard error what changes; an interrupt cancels them.

    Raises EngineUnavailable when no steps can be handed out for a while; the runs are then cancelled.
    """
    well_at = time.monotonic()
    said: dict[int, tuple[str, str | None]] = {}
    try:
        while True:
            rows = runs.get_states(store.database, ids)
            for row in rows:
                now = (row["state"], row["doing"])
                if said.get(row["id"]) != now:
                    said[row["id"]] = now
                    _say(f"run {row['id']} {row['recipe']}: {row['error'] or row['doing'] or row['state']}")
            if all(row["state"] in ("succeeded", "failed", "cancelled") for row in rows):
                return
            if not engine.problem:
                well_at = time.monotonic()
            elif time.monotonic() - well_at > PATIENCE_S:
                raise EngineUnavailable(f"the engine does not work: {engine.problem}")
            time.sleep(0.2)
    except (KeyboardInterrupt, EngineUnavailable):
        for run_id in ids:
            runs.cancel(store.database, run_id)
        raise


def _runs(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    found = records.run_records(store.database, options.experiment)
    _print(options, {"runs": found}, lambda: records.table_lines(found))
    return DONE


def _show(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    record = records.run_record(store.database, options.run, with_layers=options.layers)
    _print(options, record, lambda: records.show_lines(record))
    return DONE


def _sensitivity(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    analysis = submit.start_analysis(store, options.run, SENSITIVITY)
    with _working(settings, store) as engine:
        _wait(store, engine, [analysis])
    record = analyses.analysis_record(store.database, options.run, SENSITIVITY)
    _print(options, record, lambda: analyses.sensitivity_lines(record))
    return DONE if record["state"] == "succeeded" else FAILED


def _export(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    row = runs.get_run(store.database, options.run)
    if row is None or row["tflite_sha256"] is None or row["state"] != "succeeded":
        raise NotFound(
            f"run {options.run} has no file to export" if row else f"there is no run {options.run}"
        )
    if not options.out.parent.is_dir():
        raise UserMistake(f"there is no folder {options.out.parent}")
    if options.c_array:
        written = takeaway.write_c_array(store, options.run, options.out)
        _print(options, written, lambda: [f"{written['file']} and {written['header']}"])
        return DONE
    shutil.copyfile(store.artifacts.local_path(row["tflite_sha256"]), options.out)
    answer = {"run": options.run, "file": str(options.out), "size_bytes": options.out.stat().st_size}
    _print(options, answer, lambda: [f"{answer['file']}: {answer['size_bytes']:,} bytes"])
    return DONE


def _capsule(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    written = takeaway.write_capsule(
        settings, store, options.run, options.out, with_originals=options.with_files
    )
    _print(options, written, lambda: [f"{written['file']}: {written['size_bytes']:,} bytes"])
    return DONE


def _verify(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    def work(own: Settings, own_store: Store, ids: Sequence[int]) -> None:
        with _working(own, own_store) as engine:
            _wait(own_store, engine, ids)

    given = {"model": options.model, "data": options.data, "evaluation": options.eval}
    given["calibration"] = options.calibration
    report = verify.verify(options.capsule, settings, work, given)
    _print(options, report, lambda: verify.lines(report))
    return DONE if report["reproduced"] else FAILED


def _cancel(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    row = runs.get_run(store.database, options.run)
    if row is None:
        raise NotFound(f"there is no run {options.run}")
    if not runs.cancel(store.database, options.run):
        raise UserMistake(f"run {options.run} has already ended: {row['state']}")
    _print(
        options, {"run": options.run, "cancelled": True}, lambda: [f"run {options.run} is being cancelled"]
    )
    return DONE


def _gc(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    if not options.older_than >= 0:
        raise UserMistake(f"--older-than must be 0 days or more, but got {options.older_than:g}")
    report = gc.collect(settings, store, older_than_days=options.older_than, is_dry=options.dry_run)
    _print(options, report, lambda: gc.lines(report))
    return DONE


def _doctor(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    report = doctor.examine(settings, store)
    _print(options, report, lambda: doctor.lines(report))
    return DONE if not report["problems"] else FAILED


def _print(options: argparse.Namespace, whole: Mapping[str, Any], lines: Any) -> None:
    if options.json:
        print(json.dumps(whole, allow_nan=False))
    else:
        print("\n".join(lines()))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _complain(options: argparse.Namespace, text: str, code: int) -> int:
    _say(f"lwdash: {text}")
    if options.json:
        print(json.dumps({"error": text}))
    return code


if __name__ == "__main__":
    sys.exit(main())
