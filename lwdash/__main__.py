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

from lwdash.commands import doctor, records
from lwdash.datasets.settings import DataSettings
from lwdash.engine import submit
from lwdash.engine.inspection import inspect_as, inspect_file
from lwdash.engine.scheduler import Engine
from lwdash.errors import EngineUnavailable, LwdashError, NotFound, UserMistake
from lwdash.recipe import parse_recipe
from lwdash.settings import Settings, load_settings
from storage import runs
from storage.errors import StorageError
from storage.store import Store, open_store

DONE, FAILED, USAGE = 0, 1, 2
PATIENCE_S = 30.0
"""How long `run` waits for an engine that does not work."""


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
    run.add_argument("--data", type=Path, required=True, metavar="CSV", help="the samples, one a row")
    run.add_argument("--eval", type=Path, metavar="CSV", help="rows of their own to measure on")
    run.add_argument("--calibration", type=Path, metavar="CSV", help="rows of their own to set ranges with")
    run.add_argument(
        "--label", metavar="COLUMN", help="the label column (found when there is one that looks like it)"
    )
    run.add_argument(
        "--no-label", action="store_true", help="the CSV has no labels: compare with the original model"
    )
    run.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column that is neither label nor input",
    )
    run.add_argument(
        "--preprocess",
        default="",
        metavar="SPEC",
        help="e.g. 'resize(500, method=area) + scale(minmax, per=row)'",
    )
    run.add_argument(
        "--experiment", metavar="NAME", help="name of the experiment (default: the model's file name)"
    )
    run.add_argument("--seed", type=int, default=0)
    run.add_argument(
        "--recipe",
        action="append",
        required=True,
        metavar="R",
        help="e.g. 'prune(sparsity=0.8) + int8'; repeat it for more",
    )

    listing = command("runs", "List runs, newest experiment first.", _runs)
    listing.add_argument("--experiment", metavar="NAME")

    show = command("show", "Show one run with everything measured.", _show)
    show.add_argument("run", type=int)
    show.add_argument("--layers", action="store_true", help="one line an operator of the .tflite")

    export = command("export", "Write a run's .tflite to a file.", _export)
    export.add_argument("run", type=int)
    export.add_argument("--out", type=Path, required=True, metavar="FILE")

    cancel = command("cancel", "End a queued or running run.", _cancel)
    cancel.add_argument("run", type=int)

    command("doctor", "Check versions, database, engine and disk.", _doctor)
    return parser


def _inspect(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    sha256 = submit.add_local_file(store, options.model, "model")
    facts = submit.model_facts(inspect_file(settings, store, sha256, "model"))
    _print(options, facts.to_dict(), lambda: records.model_lines(facts))
    return DONE


def _run(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    recipes = [parse_recipe(text) for text in options.recipe]
    model_row = inspect_file(settings, store, submit.add_local_file(store, options.model, "model"), "model")
    data_settings = DataSettings(
        label="" if options.no_label else options.label,
        ignored=tuple(options.ignore),
        preprocess=options.preprocess,
        seed=options.seed,
    )
    data_row = inspect_file(settings, store, submit.add_local_file(store, options.data, "data"), "data")
    data_row = inspect_as(settings, store, data_row, data_settings.to_dict())
    own_parts = {
        part: inspect_file(settings, store, submit.add_local_file(store, path, "data"), "data")
        for part, path in (("evaluation", options.eval), ("calibration", options.calibration))
        if path is not None
    }
    experiment = submit.create_experiment(
        store,
        name=options.experiment or options.model.stem,
        model_row=model_row,
        data_row=data_row,
        settings=data_settings,
        own_parts=own_parts,
    )
    for warning in submit.fit(
        submit.model_facts(model_row), submit.data_facts(data_row), data_settings
    ).warnings:
        _say(f"note: {warning}")
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
            rows = [row for run_id in ids if (row := runs.get_run(store.database, run_id))]
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


def _export(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    row = runs.get_run(store.database, options.run)
    if row is None or row["tflite_sha256"] is None or row["state"] != "succeeded":
        raise NotFound(
            f"run {options.run} has no file to export" if row else f"there is no run {options.run}"
        )
    if not options.out.parent.is_dir():
        raise UserMistake(f"there is no folder {options.out.parent}")
    shutil.copyfile(store.artifacts.local_path(row["tflite_sha256"]), options.out)
    answer = {"run": options.run, "file": str(options.out), "size_bytes": options.out.stat().st_size}
    _print(options, answer, lambda: [f"{answer['file']}: {answer['size_bytes']:,} bytes"])
    return DONE


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
