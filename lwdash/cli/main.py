"""The command line: `python -m lwdash …`, through the same engine and database as the pages."""

import argparse
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lwdash.cli import analysis_records, exports, gc, linter_output, run_records, search_records, verify
from lwdash.cli.arguments import GOALS, LIMITS, command_parser
from lwdash.cli.waiting import say, wait, wait_for_search, working
from lwdash.datasets.data_settings import DataSettings
from lwdash.engine import doctor, submit
from lwdash.engine.file_inspection import inspect_as, inspect_file
from lwdash.engine.home import DiskFull, check_room, explain_storage, files_size_bytes, open_home
from lwdash.engine.linting import lint_data
from lwdash.engine.scheduler import Engine
from lwdash.errors import DataRefused, LwdashError, NotFound, UserMistake
from lwdash.recipe import parse_recipe
from lwdash.settings import Settings, load_settings
from storage import run_rows, runs
from storage.analyses import SENSITIVITY
from storage.errors import StorageError
from storage.run_files import REMEDY, file_problem, tflite_path
from storage.store import Store

DONE, FAILED, USAGE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code: 0 done, 1 a run failed, 2 the call cannot be used."""
    options = command_parser(COMMANDS).parse_args(arguments)
    try:
        settings = load_settings()
        with _disk_in_words(settings):
            return options.command(options, settings, open_home(settings))
    except (UserMistake, StorageError) as error:
        return _complain(options, str(error), USAGE)
    except LwdashError as error:
        return _complain(options, str(error), FAILED)
    except KeyboardInterrupt:
        return _complain(options, "interrupted", FAILED)
    except BrokenPipeError:  # the reader, `head` for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


@contextlib.contextmanager
def _disk_in_words(settings: Settings) -> Iterator[None]:
    """Says a full disk, or a home that can no longer be written, in one sentence, wherever it was noticed."""
    try:
        yield
    except (UserMistake, BrokenPipeError):
        raise
    except Exception as error:
        words = explain_storage(error, settings)
        if words is None:
            raise
        raise DiskFull(words) from error


def _inspect(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    sha256 = submit.add_local_file(store, options.model, "model")
    facts = submit.model_facts(inspect_file(settings, store, sha256, "model"))
    _print(options, facts.to_dict(), lambda: run_records.model_lines(facts))
    return DONE


def _run(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    recipes = [parse_recipe(text) for text in options.recipe]
    with _begun(options, settings, store) as (experiment, engine):
        baseline, ids = submit.submit_runs(store, experiment, recipes)
        wait(store, engine, sorted({baseline, *ids}))
    found = [run_records.run_record(store.database, run_id) for run_id in ids]
    whole = {
        "experiment": experiment,
        "baseline": run_records.run_record(store.database, baseline),
        "runs": found,
    }
    _print(options, whole, lambda: run_records.table_lines(found))
    return DONE if all(record["state"] == "succeeded" for record in found) else FAILED


def _search(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    with _begun(options, settings, store) as (experiment, engine):
        search = submit.start_search(
            store,
            experiment,
            goal=GOALS[options.goal],
            budget=options.runs,
            formats=options.format,
            techniques=() if options.post_training else options.technique,
            sampler=options.sampler,
            seed=options.sampler_seed,
        )
        wait_for_search(store, engine, search)
    record = search_records.search_record(store.database, search)
    _print(options, record, lambda: search_records.search_lines(record))
    is_fruitless = record["runs"] and not any(run["state"] == "succeeded" for run in record["runs"])
    return FAILED if record["state"] == "failed" or is_fruitless else DONE


@contextlib.contextmanager
def _begun(options: argparse.Namespace, settings: Settings, store: Store) -> Iterator[tuple[int, Engine]]:
    """The experiment that the options describe, with what the linter says of its rows, and an engine that works."""
    files = [options.model, options.data, options.eval, options.calibration]
    check_room(settings, files_size_bytes(path for path in files if path is not None))
    submit.expect_runs(settings)
    model_row, data_row, data_settings, own_parts = _read(options, settings, store)
    given = {
        key: value * factor
        for name, (key, factor, _, _) in LIMITS.items()
        if (value := getattr(options, f"max_{name}")) is not None
    }
    model = submit.model_facts(model_row)
    fitted = submit.fit(model, submit.data_facts(data_row), data_settings)
    say(f"task: {submit.task_to_measure(model, fitted, data_settings.task)} ({fitted.task_note})")
    for warning in fitted.warnings:
        say(f"note: {warning}")
    with working(settings, store) as engine:
        linted = lint_data(
            settings, store, model_row=model_row, data_row=data_row, chosen=data_settings, own_parts=own_parts
        )
        for line in linter_output.summary_lines(linted):
            say(line)
        if linted.stop is not None:
            raise DataRefused(f"{linted.stop.what} No run was started. {linted.stop.advice}")
        experiment = submit.create_experiment(
            store,
            name=options.experiment or options.model.stem,
            model_row=model_row,
            data_row=data_row,
            settings=data_settings,
            own_parts=own_parts,
            limits=given or None,
            threads=options.threads,
        )
        yield experiment, engine


def _read(
    options: argparse.Namespace, settings: Settings, store: Store
) -> tuple[dict[str, Any], dict[str, Any], DataSettings, dict[str, dict[str, Any]]]:
    """The rows of the model and the data file, how the data is read, and files of their own for single parts."""
    given = {"evaluation": options.eval, "calibration": options.calibration}
    files = {
        "model": options.model,
        "data": options.data,
        **{k: v for k, v in given.items() if v is not None},
    }

    def inspected(part: str, path: Path) -> dict[str, Any]:
        kind = "model" if part == "model" else "data"
        return inspect_file(settings, store, submit.add_local_file(store, path, kind), kind)

    with ThreadPoolExecutor(len(files)) as pool:
        rows = dict(zip(files, pool.map(inspected, files, files.values()), strict=True))
    chosen = DataSettings(
        label="" if options.no_label else options.label,
        classes=options.classes or None,
        has_header=options.header,
        delimiter=options.delimiter,
        ignored=tuple(options.ignore),
        preprocess=options.preprocess,
        seed=options.seed,
        task=options.task,
        trusts_labels=options.trust_labels,
    )
    model_row, data_row = rows.pop("model"), rows.pop("data")
    return model_row, inspect_as(settings, store, data_row, chosen.to_dict()), chosen, rows


def _lint(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    model_row, data_row, chosen, own_parts = _read(options, settings, store)
    submit.fit(submit.model_facts(model_row), submit.data_facts(data_row), chosen)
    linted = lint_data(
        settings, store, model_row=model_row, data_row=data_row, chosen=chosen, own_parts=own_parts
    )
    if linted.error:
        raise DataRefused(linted.error)
    _print(options, linter_output.findings_record(linted), lambda: linter_output.findings_lines(linted))
    return DONE


def _runs(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    found = run_records.run_records(store.database, options.experiment)
    _print(options, {"runs": found}, lambda: run_records.table_lines(found))
    return DONE


def _show(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    record = run_records.run_record(store.database, options.run, with_layers=options.layers)
    lines = run_records.show_lines(record)
    problem = file_problem(store, run_rows.get_run(store.database, options.run) or {"tflite_sha256": None})
    record["file_problem"] = problem
    _print(options, record, lambda: [*lines, *([f"{problem}; {REMEDY}"] if problem else [])])
    return DONE


def _sensitivity(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    analysis = submit.start_analysis(store, options.run, SENSITIVITY)
    with working(settings, store) as engine:
        wait(store, engine, [analysis])
    record = analysis_records.analysis_record(store.database, options.run, SENSITIVITY)
    _print(options, record, lambda: analysis_records.sensitivity_lines(record))
    return DONE if record["state"] == "succeeded" else FAILED


def _export(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    row = run_rows.get_run(store.database, options.run)
    if row is None or row["tflite_sha256"] is None or row["state"] != "succeeded":
        raise NotFound(
            f"run {options.run} has no file to export" if row else f"there is no run {options.run}"
        )
    if not options.out.parent.is_dir():
        raise UserMistake(f"there is no folder {options.out.parent}")
    if options.c_array:
        written = exports.write_c_array(store, options.run, options.out)
        _print(options, written, lambda: [f"{written['file']} and {written['header']}"])
        return DONE
    shutil.copyfile(tflite_path(store, row), options.out)
    answer = {"run": options.run, "file": str(options.out), "size_bytes": options.out.stat().st_size}
    _print(options, answer, lambda: [f"{answer['file']}: {answer['size_bytes']:,} bytes"])
    return DONE


def _capsule(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    written = exports.write_capsule(
        settings, store, options.run, options.out, with_originals=options.with_files
    )
    _print(options, written, lambda: [f"{written['file']}: {written['size_bytes']:,} bytes"])
    return DONE


def _verify(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    def work(own: Settings, own_store: Store, ids: Sequence[int]) -> None:
        with working(own, own_store) as engine:
            wait(own_store, engine, ids)

    given = {"model": options.model, "data": options.data, "evaluation": options.eval}
    given["calibration"] = options.calibration
    report = verify.verify(options.capsule, settings, work, given)
    _print(options, report, lambda: verify.lines(report))
    return DONE if report["reproduced"] else FAILED


def _cancel(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    row = run_rows.get_run(store.database, options.run)
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


def _complain(options: argparse.Namespace, text: str, code: int) -> int:
    say(f"lwdash: {text}")
    if options.json:
        print(json.dumps({"error": text}))
    return code


COMMANDS = {
    "inspect": _inspect,
    "run": _run,
    "search": _search,
    "lint": _lint,
    "runs": _runs,
    "show": _show,
    "sensitivity": _sensitivity,
    "export": _export,
    "capsule": _capsule,
    "verify": _verify,
    "cancel": _cancel,
    "gc": _gc,
    "doctor": _doctor,
}
