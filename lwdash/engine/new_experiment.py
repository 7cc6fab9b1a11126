"""A new experiment from local files, as the command line and the Python interface make it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lwdash.datasets.data_settings import DataSettings
from lwdash.engine import submit
from lwdash.engine.data_needs import refuse_training
from lwdash.engine.home import check_room, files_size_bytes
from lwdash.engine.input_files.file_inspection import inspect_as, inspect_file, inspect_with_code
from lwdash.engine.input_files.linting import Linted, lint_data
from lwdash.engine.input_files.row_generation import generate_data
from lwdash.engine.tensorflow_need import may_need_tensorflow
from lwdash.errors import DataRefused, UserMistake
from lwdash.recipe import Recipe
from lwdash.settings import Settings
from storage.experiments import get_file
from storage.records import StoredFile
from storage.store import Store


@dataclass(frozen=True)
class InputFiles:
    """Local files of an experiment. evaluation, calibration: files of their own for these rows.

    data: None: the rows are generated from the model. input_range: of the values of generated rows, as the user states it.
    code: Python code that the model needs. Giving it is the consent to run it.
    """

    model: Path
    data: Path | None
    evaluation: Path | None = None
    calibration: Path | None = None
    code: Path | None = None
    input_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.data is None and self.own_parts:
            raise UserMistake(
                f"rows for {' and '.join(self.own_parts)} were given, but no data. Give them as the data: they are divided "
                "into parts"
            )
        if self.data is not None and self.input_range is not None:
            raise UserMistake("a range of the values is for generated rows, but data was given. Leave it out")

    @property
    def own_parts(self) -> dict[str, Path]:
        given = {"evaluation": self.evaluation, "calibration": self.calibration}
        return {part: path for part, path in given.items() if path is not None}

    def __iter__(self) -> Iterator[Path]:
        given = (self.model, self.data, *self.own_parts.values(), self.code)
        yield from (path for path in given if path is not None)


@dataclass(frozen=True)
class InspectedFiles:
    """The stored and inspected files of an experiment, and how the data is read."""

    model: StoredFile
    data: StoredFile
    own_parts: Mapping[str, StoredFile]
    chosen: DataSettings

    def lint(self, settings: Settings, store: Store) -> Linted:
        """Findings of the linter, see `lint_data`."""
        return lint_data(
            settings,
            store,
            model_row=self.model,
            data_row=self.data,
            chosen=self.chosen,
            own_parts=self.own_parts,
        )


def inspect_local_file(settings: Settings, store: Store, path: Path, kind: str) -> StoredFile:
    """Copy a local file into the store and inspect it, see `inspect_file`. Raises UploadRefused for a missing file."""
    return inspect_file(settings, store, submit.add_local_file(store, path, kind), kind)


def inspect_local_model(settings: Settings, store: Store, path: Path, code: Path | None) -> StoredFile:
    """Copy a local model, and the code file that it needs, into the store and inspect it with the code.

    Without `code`, a model with custom code is refused. Raises UploadRefused for a missing file.
    """
    if code is None:
        return inspect_local_file(settings, store, path, "model")
    rows = []
    for one, kind in ((path, "model"), (code, "code")):
        found = get_file(store.database, submit.add_local_file(store, one, kind), kind)
        assert found is not None, "it was added a moment ago"
        rows.append(found)
    return inspect_with_code(settings, store, *rows)


def inspect_inputs(
    settings: Settings, store: Store, files: InputFiles, chosen: DataSettings
) -> InspectedFiles:
    """Copy the files into the store and inspect them, all at once; without data, generate rows from the model.

    Raises UploadRefused for a missing file, DataRefused where no rows can be generated.
    """
    if files.data is None:
        return _with_generated_rows(settings, store, files, chosen)

    def inspected(part: str, path: Path) -> StoredFile:
        if part == "model":
            return inspect_local_model(settings, store, path, files.code)
        return inspect_local_file(settings, store, path, "data")

    paths: dict[str, Path] = {"model": files.model, "data": files.data, **files.own_parts}
    with ThreadPoolExecutor(len(paths)) as pool:
        rows = dict(zip(paths, pool.map(inspected, paths, paths.values()), strict=True))
    model, data = rows.pop("model"), rows.pop("data")
    return InspectedFiles(model, inspect_as(settings, store, data, chosen.to_dict()), rows, chosen)


def _with_generated_rows(
    settings: Settings, store: Store, files: InputFiles, chosen: DataSettings
) -> InspectedFiles:
    """The model, and rows generated from it. Raises UserMistake for settings that are about a data file."""
    plain = DataSettings(seed=chosen.seed, task=chosen.task, label=chosen.label)
    if chosen != plain or chosen.label:
        raise UserMistake(
            "settings for reading data were given, but no data: with generated rows only the seed and the task count. Leave "
            "out the label, the columns, the classes and the pre-processing"
        )
    model = inspect_local_model(settings, store, files.model, files.code)
    submit.model_facts(model)
    data, own = generate_data(
        settings, store, model, seed=chosen.seed, stated=files.input_range, task=chosen.task
    )
    return InspectedFiles(model, data, {}, own)


def prepare_inputs(
    settings: Settings,
    store: Store,
    files: InputFiles,
    chosen: DataSettings,
    report: Callable[[str], None],
    recipes: Sequence[Recipe] | None = None,
) -> InspectedFiles:
    """The inspected files of an experiment that is about to be made; its task and warnings are reported.

    recipes: those that will run; None if they are not known yet.

    Raises DiskFull, UploadRefused, ModelRefused, DataRefused.
    """
    check_room(settings, files_size_bytes(files))
    if files.data is None:
        refuse_training({"generated": True}, recipes or ())
    model_sha256 = submit.add_local_file(store, files.model, "model")
    needs_tensorflow = recipes is None or may_need_tensorflow(store, model_sha256, recipes)
    submit.expect_runs(settings, tensorflow=needs_tensorflow)
    inputs = inspect_inputs(settings, store, files, chosen)
    model = submit.model_facts(inputs.model)
    fitted = submit.fit(model, submit.data_facts(inputs.data), inputs.chosen)
    task = submit.task_to_measure(model, fitted, inputs.chosen)
    report(f"task: {task} ({fitted.task_note})" if fitted.task_note else f"task: {task}")
    for warning in fitted.warnings:
        report(f"note: {warning}")
    return inputs


def create_linted_experiment(
    settings: Settings,
    store: Store,
    inputs: InspectedFiles,
    *,
    name: str,
    limits: Mapping[str, float] | None,
    threads: int,
    report: Callable[[str], None],
) -> int:
    """Lint the rows, report the findings, and record the experiment; the arguments are those of
    `submit.create_experiment`.

    Raises DataRefused where a finding prevents every run.
    """
    linted = inputs.lint(settings, store)
    for line in linted.summary_lines():
        report(line)
    if linted.stop is not None:
        raise DataRefused(f"{linted.stop.what} No run was started. {linted.stop.advice}")
    return submit.create_experiment(
        store,
        name=name,
        model_row=inputs.model,
        data_row=inputs.data,
        settings=inputs.chosen,
        own_parts=inputs.own_parts,
        limits=limits,
        threads=threads,
    )
