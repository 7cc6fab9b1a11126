"""The command line: `lwdash …`, through the same engine and database as the pages."""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lwdash.cli import (
    analysis_records,
    check_records,
    exports,
    gc,
    linter_output,
    run_records,
    search_records,
    target_records,
    verify,
)
from lwdash.cli.arguments import command_parser
from lwdash.cli.device_commands import run_device_command
from lwdash.cli.progress_lines import ProgressLines, SearchLines, report_line
from lwdash.cli.recommendation_records import recommendation_lines, recommendation_record
from lwdash.cli.serve import serve
from lwdash.datasets.data_settings import DataSettings
from lwdash.engine import doctor, submit
from lwdash.engine.data_needs import refuse_search
from lwdash.engine.devices.device_waiting import queue_on_devices, wait_for_devices
from lwdash.engine.devices.known_boards import board_limits, known_boards
from lwdash.engine.devices.target_metrics import titles_of_devices
from lwdash.engine.home import DiskFull, explain_storage, open_home
from lwdash.engine.new_experiment import (
    InputFiles,
    create_linted_experiment,
    inspect_inputs,
    inspect_local_file,
    inspect_local_model,
    prepare_inputs,
)
from lwdash.engine.scheduler import Engine
from lwdash.engine.waiting import wait, wait_for_search, working
from lwdash.errors import DataRefused, LwdashError, NotFound, UserMistake
from lwdash.metrics.limits import LIMITS, checked_limits, limits_from_options
from lwdash.recipe import Recipe, parse_recipe
from lwdash.settings import Settings, load_settings
from storage import run_rows, runs
from storage.analyses import SENSITIVITY
from storage.errors import StorageError
from storage.run_files import REMEDY, file_problem
from storage.store import Store

DONE, FAILED, USAGE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0 done, 1 a run failed, 2 wrong usage."""
    parser = command_parser(COMMANDS)
    options, further = parser.parse_known_args(arguments)
    if options.name == "serve":
        serve(options.port, options.address, further)
    if further:
        parser.error(f"unrecognized arguments: {' '.join(further)}")
    try:
        settings = load_settings()
        with _disk_errors_reported(settings):
            return options.command(options, settings, open_home(settings))
    except (UserMistake, StorageError) as error:
        return _complain(options, str(error), USAGE)
    except LwdashError as error:
        return _complain(options, str(error), FAILED)
    except KeyboardInterrupt:
        return _complain(options, "interrupted", FAILED)
    except BrokenPipeError:  # the reader, for example `head`, has closed its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


@contextlib.contextmanager
def _disk_errors_reported(settings: Settings) -> Iterator[None]:
    """Report a full disk, or an unwritable home, in one sentence, wherever it occurs."""
    try:
        yield
    except (UserMistake, BrokenPipeError):
        raise
    except Exception as error:
        message = explain_storage(error, settings)
        if message is None:
            raise
        raise DiskFull(message) from error


def _inspect(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    facts = submit.model_facts(inspect_local_model(settings, store, options.model, options.code))
    _print(options, facts.to_dict(), lambda: run_records.model_lines(facts))
    return DONE


def _run(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    whole, checked = _measured(options, settings, store)
    found = whole["runs"]
    lines = [*check_records.exceeded_lines(checked), *recommendation_lines(whole["recommendation"])]
    _print(options, whole, lambda: [*run_records.table_lines(found), *lines])
    is_done = all(record["state"] == "succeeded" for record in found)
    return DONE if is_done and check_records.are_kept(checked) else FAILED


def _check(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    if not _limits(options):
        names = ", ".join(f"--max-{limit.option.name}" for limit in LIMITS.values())
        raise UserMistake(f"check needs at least one limit: {names}, --limit")
    whole, checked = _measured(options, settings, store)
    limits = whole["limits"]
    titles = titles_of_devices(store.database)
    _print(options, whole, lambda: check_records.markdown_lines(checked, whole["baseline"], limits, titles))
    return DONE if check_records.are_kept(checked) else FAILED


def _measured(
    options: argparse.Namespace, settings: Settings, store: Store
) -> tuple[dict[str, Any], list[check_records.Checked]]:
    """The record of all runs after their ends, and the checks of their limits."""
    recipes = [parse_recipe(text) for text in options.recipe]
    limits = _limits(options)
    with _begun(options, settings, store, recipes) as (experiment, engine):
        submit.switch_on_targets(store, experiment, limits)
        baseline, ids = submit.submit_runs(store, experiment, recipes)
        wait(store, engine, sorted({baseline, *ids}), ProgressLines())
        wait(
            store,
            engine,
            submit.queue_target_limits(store, sorted({baseline, *ids}), limits),
            ProgressLines(),
        )
        _measure_on_devices(options, store, engine, experiment, sorted({baseline, *ids}), limits)
    found = [run_records.run_record(store.database, run_id) for run_id in ids]
    checked = check_records.checked_runs(found, limits, titles_of_devices(store.database))
    whole = {
        "experiment": experiment,
        "baseline": run_records.run_record(store.database, baseline),
        "runs": found,
        "recommendation": recommendation_record(store.database, experiment),
    }
    if limits:
        whole |= check_records.limits_record(checked, limits)
    return whole, checked


def _measure_on_devices(
    options: argparse.Namespace,
    store: Store,
    engine: Engine,
    experiment: int,
    ids: Sequence[int],
    limits: Mapping[str, float],
) -> None:
    """Measure runs on the devices that have limits, and wait for their agents as long as the options allow."""
    tasks, prepared = queue_on_devices(store, ids, limits)
    if not tasks:
        return
    wait(store, engine, prepared, ProgressLines())
    if not wait_for_devices(store, experiment, tasks, options.device_wait, report_line):
        report_line(
            f"the devices did not report within {options.device_wait:g} s, so their limits count as not kept. Start the "
            "agent (its dashboard must run: lwdash serve), or give a longer --device-wait. The measurements stay queued"
        )


def _add(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    experiment = submit.known_experiment(store, options.experiment)
    submit.expect_runs(settings)
    baseline, run = submit.submit_file(
        store, experiment, inspect_local_file(settings, store, options.file, "tflite")
    )
    with working(settings, store) as engine:
        wait(store, engine, sorted({baseline, run}), ProgressLines())
    record = run_records.run_record(store.database, run)
    whole = {
        "experiment": experiment,
        "baseline": run_records.run_record(store.database, baseline),
        "runs": [record],
    }
    _print(options, whole, lambda: run_records.table_lines([record]))
    return DONE if record["state"] == "succeeded" else FAILED


def _limits(options: argparse.Namespace) -> dict[str, float]:
    """The given limits, as they are stored."""
    names = [limit.option.name for limit in LIMITS.values()]
    own = limits_from_options({name: getattr(options, f"max_{name}") for name in names})
    return own | checked_limits(dict(options.limit))


def _search(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    refuse_search({"generated": options.no_data})
    with _begun(options, settings, store) as (experiment, engine):
        search = submit.start_search(
            store,
            experiment,
            goal=options.goal,
            budget=options.runs,
            formats=options.format,
            techniques=() if options.post_training else options.technique,
            sampler=options.sampler,
            seed=options.sampler_seed,
            stops_early=not options.no_early_stop,
        )
        wait_for_search(store, engine, search, SearchLines(store, experiment))
    record = search_records.search_record(store.database, search)
    _print(options, record, lambda: search_records.search_lines(record))
    is_fruitless = record["runs"] and not any(run["state"] == "succeeded" for run in record["runs"])
    return FAILED if record["state"] == "failed" or is_fruitless else DONE


@contextlib.contextmanager
def _begun(
    options: argparse.Namespace, settings: Settings, store: Store, recipes: Sequence[Recipe] | None = None
) -> Iterator[tuple[int, Engine]]:
    """The experiment that the options describe, and a working engine. recipes: those that will run, if known."""
    filled = board_limits(known_boards(settings, store, ""), options.board) if options.board else {}
    limits = filled | _limits(options)
    inputs = prepare_inputs(settings, store, _files(options), _data_settings(options), report_line, recipes)
    with working(settings, store) as engine:
        experiment = create_linted_experiment(
            settings,
            store,
            inputs,
            name=options.experiment or options.model.stem,
            limits=limits or None,
            threads=options.threads,
            report=report_line,
        )
        yield experiment, engine


def _files(options: argparse.Namespace) -> InputFiles:
    stated = None if options.input_range is None else (options.input_range[0], options.input_range[1])
    return InputFiles(options.model, options.data, options.eval, options.calibration, options.code, stated)


def _data_settings(options: argparse.Namespace) -> DataSettings:
    return DataSettings(
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


def _lint(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    inputs = inspect_inputs(settings, store, _files(options), _data_settings(options))
    submit.fit(submit.model_facts(inputs.model), submit.data_facts(inputs.data), inputs.chosen)
    linted = inputs.lint(settings, store)
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
    run = run_rows.get_run(store.database, options.run)
    problem = file_problem(store, run) if run else None
    record["file_problem"] = problem
    best = recommendation_record(store.database, run.experiment_id) if run else None
    record["recommendation"] = best
    more = [*([f"{problem}; {REMEDY}"] if problem else []), *recommendation_lines(best)]
    _print(options, record, lambda: [*lines, *more])
    return DONE


def _sensitivity(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    analysis = submit.start_analysis(store, options.run, SENSITIVITY)
    with working(settings, store) as engine:
        wait(store, engine, [analysis], ProgressLines())
    record = analysis_records.analysis_record(store.database, options.run, SENSITIVITY)
    _print(options, record, lambda: analysis_records.sensitivity_lines(record))
    return DONE if record["state"] == "succeeded" else FAILED


def _targets(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    asked = [submit.measure_on_target(store, options.run, name) for name in dict.fromkeys(options.on)]
    if asked:
        with working(settings, store) as engine:
            wait(store, engine, asked, ProgressLines())
    record = target_records.targets_record(store.database, options.run)
    _print(options, record, lambda: target_records.target_lines(record))
    return DONE


def _device(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    record, lines = run_device_command(options, settings, store)
    _print(options, record, lambda: lines)
    return FAILED if record.get("state") in ("failed", "cancelled") else DONE


def _boards(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    record = target_records.boards_record(store.database, known_boards(settings, store, ""), options.run)
    _print(options, record, lambda: target_records.board_lines(record))
    return DONE


def _export(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    form = next((form for form in exports.FORMS if getattr(options, form)), None)
    record = exports.write_export(settings, store, options.run, options.out, form)
    _print(options, record, lambda: exports.lines(record))
    return DONE


def _capsule(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    written = exports.write_capsule(
        settings, store, options.run, options.out, with_originals=options.with_files
    )
    _print(options, written, lambda: exports.lines(written))
    return DONE


def _verify(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    def work(own: Settings, own_store: Store, ids: Sequence[int]) -> None:
        with working(own, own_store) as engine:
            wait(own_store, engine, ids, ProgressLines())

    given = {"model": options.model, "data": options.data, "evaluation": options.eval}
    given |= {"calibration": options.calibration, "code": options.code}
    report = verify.verify(options.capsule, settings, work, given)
    _print(options, report, lambda: verify.lines(report))
    return DONE if report["reproduced"] else FAILED


def _cancel(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    row = run_rows.get_run(store.database, options.run)
    if row is None:
        raise NotFound(f"there is no run {options.run}")
    if not runs.cancel(store.database, options.run):
        raise UserMistake(f"run {options.run} has already ended: {row.state}")
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
    report_line(f"lwdash: {text}")
    if options.json:
        print(json.dumps({"error": text}))
    return code


COMMANDS = {
    "inspect": _inspect,
    "run": _run,
    "check": _check,
    "add": _add,
    "search": _search,
    "lint": _lint,
    "runs": _runs,
    "show": _show,
    "sensitivity": _sensitivity,
    "targets": _targets,
    "boards": _boards,
    "device": _device,
    "export": _export,
    "capsule": _capsule,
    "verify": _verify,
    "cancel": _cancel,
    "gc": _gc,
    "doctor": _doctor,
}
