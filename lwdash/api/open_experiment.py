"""Opens experiments: makes them from a model and data, or finds existing ones."""

import re
import sys
import tempfile
from pathlib import Path
from typing import Any, Unpack

import pandas as pd

from lwdash.api.error_messages import errors_in_words
from lwdash.api.experiment_handle import ExperimentHandle
from lwdash.api.input_saving import data_path, input_names, model_path
from lwdash.api.limit_options import LimitOptions, stored_limits
from lwdash.datasets.data_settings import DataSettings
from lwdash.engine import submit
from lwdash.engine.home import open_home
from lwdash.engine.new_experiment import InputFiles, create_linted_experiment, prepare_inputs
from lwdash.errors import UserMistake
from lwdash.settings import Settings, load_settings
from storage.overview import found_experiments
from storage.store import Store

MAX_LISTED = 1000
COLUMNS = (
    "id",
    "name",
    "task",
    "model_name",
    "data_name",
    "runs",
    "succeeded",
    "running",
    "queued",
    "failed",
)


def experiment(
    name: str | int,
    model: Any = None,
    x: Any = None,
    y: Any = None,
    *,
    evaluation: Any = None,
    calibration: Any = None,
    code: str | Path | None = None,
    label: str | None = None,
    classes: tuple[str, ...] | None = None,
    task: str | None = None,
    preprocess: str = "",
    ignore: tuple[str, ...] = (),
    has_header: bool | None = None,
    delimiter: str | None = None,
    trust_labels: bool = False,
    input_range: tuple[float, float] | None = None,
    seed: int = 0,
    threads: int = 1,
    home: str | Path | None = None,
    quiet: bool = False,
    **limits: Unpack[LimitOptions],
) -> ExperimentHandle:
    """Make an experiment of a model and samples, or open it again; without a model, open an existing one by name or number.

    model: a live Keras model (Keras 3 or tf_keras), or the path of a model file. It is not changed.
    x: samples that the model was not trained on, as the model takes them: an array (rows, …), several inputs as a
    mapping by name or as a list, or the path of a data file, which holds the labels too. y: labels, one row each: class
    numbers, one-hot, or targets; None without labels.
    Without x, rows are generated from the model. Then no accuracy is measured, and no recipe that trains can run.
    evaluation, calibration: separate rows to measure on and to set ranges with, as a path or as (x, y); otherwise they
    are split from x, always in the same way for one `seed`.
    code: the Python file that defines the model's custom layers and functions. It runs in a process of its own, without
    network and secrets: give only code that you trust. It is needed for a live model too.
    input_range: without x, the range (low, high) of the model's input values; by default its first layers tell it.
    label, classes, task, preprocess, ignore, has_header, delimiter, trust_labels: as the options of `lwdash run`.
    threads: number of threads of latency measurements.
    limits: max_size, max_drop and others, see `LimitOptions`.
    home: the folder of database and files; by default LWDASH_HOME, or `.lwdash` in the working directory.
    quiet: print no findings on the data to standard error.

    The same name, model, data and settings give the same experiment with its runs.
    Raises ModelRefused, DataRefused, UploadRefused, NotFound, UserMistake, each with what to do.
    """
    settings = load_settings(home)
    with errors_in_words(settings):
        store = open_home(settings)
        if model is None:
            if x is not None or y is not None:
                raise UserMistake("data was given without a model: experiment(name, model, x, y)")
            return ExperimentHandle(settings, store, submit.known_experiment(store, name))
        chosen = DataSettings(
            label=label,
            classes=classes,
            has_header=has_header,
            delimiter=delimiter,
            ignored=tuple(ignore),
            preprocess=preprocess,
            seed=seed,
            task=task,
            trusts_labels=trust_labels,
        )
        asked = stored_limits(limits)
        with tempfile.TemporaryDirectory(prefix="lwdash-", dir=settings.scratch) as folder:
            files = _files(Path(folder), str(name), model, x, y, evaluation, calibration, code, input_range)
            return ExperimentHandle(
                settings, store, _create(settings, store, files, chosen, str(name), asked, threads, quiet)
            )


def experiments(home: str | Path | None = None) -> pd.DataFrame:
    """The newest experiments, at most 1,000, newest first: id, name, task, files, and the number of runs in each state.

    `lwdash.experiment(id)` opens one.
    """
    settings = load_settings(home)
    with errors_in_words(settings):
        found = found_experiments(open_home(settings).database, limit=MAX_LISTED)
    frame = pd.DataFrame([[getattr(each, key) for key in COLUMNS] for each in found], columns=list(COLUMNS))
    frame["created_at"] = pd.to_datetime([each.created_at for each in found], unit="s", utc=True)
    return frame


def _files(
    folder: Path,
    name: str,
    model: Any,
    x: Any,
    y: Any,
    evaluation: Any,
    calibration: Any,
    code: Any,
    input_range: tuple[float, float] | None,
) -> InputFiles:
    """The given files, and files made of the objects that are none. Without x there is no data file."""
    if x is None and y is not None:
        raise UserMistake("labels were given without samples: experiment(name, model, x, y)")
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"
    inputs = input_names(model)
    parts = {"evaluation": evaluation, "calibration": calibration}
    own = {
        part: data_path(*_pair(given), folder, f"{stem}-{part}", inputs)
        for part, given in parts.items()
        if given is not None
    }
    return InputFiles(
        model_path(model, folder, stem, has_code=code is not None),
        None if x is None else data_path(x, y, folder, f"{stem}-data", inputs),
        own.get("evaluation"),
        own.get("calibration"),
        None if code is None else Path(code).expanduser(),
        input_range,
    )


def _pair(given: Any) -> tuple[Any, Any]:
    """(x, y) of separate rows; y is None for a path, and for arrays without labels."""
    return given if isinstance(given, tuple) and len(given) == 2 else (given, None)


def _create(
    settings: Settings,
    store: Store,
    files: InputFiles,
    chosen: DataSettings,
    name: str,
    limits: dict[str, float],
    threads: int,
    quiet: bool,
) -> int:
    def report(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr)

    inputs = prepare_inputs(settings, store, files, chosen, report)
    return create_linted_experiment(
        settings, store, inputs, name=name, limits=limits or None, threads=threads, report=report
    )
