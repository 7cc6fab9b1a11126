"""Actions on files, experiments and runs that pages and the command line share."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from lwdash.datasets.data_facts import DataFacts
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.fit import Fit, fit_to_model
from lwdash.engine.child_process import keep_warm
from lwdash.engine.data_needs import refuse_drop, refuse_search, refuse_sensitivity, refuse_training
from lwdash.engine.input_files.port_check import check_ports
from lwdash.engine.process_events import CHANGED
from lwdash.errors import DataRefused, ModelRefused, NotFound, UploadRefused, UserMistake
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.keras_models.obstacles import obstacle
from lwdash.metrics.limits import checked_limits
from lwdash.metrics.offers import targets_of
from lwdash.recipe import Recipe, parse_recipe
from lwdash.search.outcomes import limits_of_search
from lwdash.search.proposals import DEFAULT_SAMPLER, SAMPLERS
from lwdash.search.space import goal_of, make_space
from lwdash.settings import Settings
from lwdash.targets import DEVICE_PREFIX, TARGETS, TIMED, USUAL, target_versions
from lwdash.targets.result_columns import npu_of
from lwdash.techniques import TECHNIQUES
from storage import annotations, experiments, run_rows, runs, searches
from storage.analyses import SENSITIVITY, add_analysis
from storage.devices import devices
from storage.file_runs import add_file_run
from storage.frames import baseline_run
from storage.records import NamedFile, StoredExperiment, StoredFile
from storage.store import Store
from storage.target_results import chosen_targets, runs_without, set_targets, target_kind
from storage.visitors import visitor_of

BASELINE = "float32"
MAX_THREADS = 64
MAX_SEARCH_RUNS = 500
MAX_MEASURED_AGAIN = 200
"""Maximum number of runs that are measured on a target after it was chosen."""


def expect_runs(settings: Settings, *, tensorflow: bool = True) -> None:
    """Prepare this host for runs that a user will probably start in the next minutes.

    tensorflow: they may need TensorFlow.
    """
    if not settings.scheduler:
        keep_warm(settings, tensorflow=tensorflow)


def add_local_file(store: Store, path: Path, kind: str) -> str:
    """Copy a local file into the store; return its SHA-256. Raises UploadRefused."""
    if path.is_dir():
        raise UploadRefused(f"{path} is a folder{_what_to_give(path)}")
    if not path.is_file():
        raise UploadRefused(f"there is no file {path}")
    if path.stat().st_size == 0:
        raise UploadRefused(f"{path.name} is empty")
    sha256 = store.artifacts.put(path)
    experiments.add_file(
        store.database, sha256=sha256, kind=kind, name=path.name, size_bytes=path.stat().st_size
    )
    return sha256


def _what_to_give(folder: Path) -> str:
    """The rest of a sentence on a folder: what it holds, and the file to give instead."""
    name = folder.resolve().name
    if (folder / "saved_model.pb").is_file():
        return f", a SavedModel. Give it as a zip: zip -r {name}.zip {name}"
    if (folder / "config.json").is_file() and (folder / "model.weights.h5").is_file():
        return f", an unpacked .keras file. Pack its content: cd {name} && zip -r ../{name}.keras ."
    return ". Give one file; a folder of images or sounds as a zip"


def model_facts(row: StoredFile) -> ModelFacts:
    """The facts of an inspected model file. Raises ModelRefused with the inspection's message."""
    if row.error:
        raise ModelRefused(row.error)
    return ModelFacts.from_dict(row.found_facts())


def data_facts(row: StoredFile) -> DataFacts:
    """The facts of an inspected data file. Raises DataRefused with the inspection's message."""
    if row.error:
        raise DataRefused(row.error)
    return DataFacts.from_dict(row.found_facts())


def fit(model: ModelFacts, data: DataFacts, settings: DataSettings) -> Fit:
    """Assignment of the data's columns to the model. Raises DataRefused with expected and received columns."""
    inputs, outputs = model.ports
    return fit_to_model(data, settings, inputs, outputs, task=model.task, labelled_task=model.labelled_task)


def task_to_measure(model: ModelFacts, fitted: Fit, chosen: DataSettings) -> str:
    """The task of the outputs: stated by the user, the model's own, or (for labelled data) from its last layer.

    On generated rows a reconstruction is measured as any other numbers: its error would pass for that of real rows.
    """
    task = _task(model, fitted, chosen.task)
    return "regression" if chosen.generated and task == "reconstruction" else task


def _task(model: ModelFacts, fitted: Fit, stated: str | None) -> str:
    if fitted.task != "unlabelled":
        return fitted.task
    if stated:
        return stated
    if model.task:
        return model.task
    return {"softmax": "classification", "sigmoid": "multi-label"}.get(
        model.output_activation or "", "regression"
    )


def create_experiment(
    store: Store,
    *,
    name: str,
    model_row: StoredFile,
    data_row: StoredFile,
    settings: DataSettings,
    own_parts: Mapping[str, StoredFile] | None = None,
    limits: Mapping[str, float] | None = None,
    threads: int = 1,
    owner: str | None = None,
) -> int:
    """Record an experiment of inspected files; own_parts: separate files for "evaluation" or "calibration".

    limits: what its runs must keep to, see metrics.limits.
    threads: with how many latencies are measured. Raises ModelRefused or DataRefused, UserMistake for a limit or a
    number of threads that cannot be. owner: who makes it, where people sign in; where `store` is bound to a visitor
    (storage.visitors) and nothing is said, that visitor.
    """
    if not 1 <= threads <= MAX_THREADS:
        raise UserMistake(f"threads must be 1 to {MAX_THREADS}; received {threads}")
    refuse_drop(settings.to_dict(), limits)
    return experiments.add_experiment(
        store.database,
        limits=None if limits is None else checked_limits(limits),
        **_identifying(store, name, model_row, data_row, settings, own_parts, threads, owner),
    )


def same_experiment(
    store: Store,
    *,
    name: str,
    model_row: StoredFile,
    data_row: StoredFile,
    settings: DataSettings,
    own_parts: Mapping[str, StoredFile] | None = None,
    threads: int = 1,
) -> StoredExperiment | None:
    """The experiment that `create_experiment` would add to; None if it would make a new one. Raises as it does."""
    given = _identifying(store, name, model_row, data_row, settings, own_parts, threads, None)
    return experiments.same_experiment(store.database, **given)


def _identifying(
    store: Store,
    name: str,
    model_row: StoredFile,
    data_row: StoredFile,
    settings: DataSettings,
    own_parts: Mapping[str, NamedFile] | None,
    threads: int,
    owner: str | None,
) -> dict[str, Any]:
    """Arguments of `experiments.add_experiment` by which an experiment is recognised."""
    model = model_facts(model_row)
    fitted = fit(model, data_facts(data_row), settings)
    return {
        "name": name.strip() or Path(model_row.name).stem,
        "model": model_row,
        "data": data_row,
        "settings": settings.to_dict(),
        "task": task_to_measure(model, fitted, settings),
        "seed": settings.seed,
        "own_parts": own_parts,
        "threads": threads,
        "code": None if model.code is None else NamedFile(model.code.sha256, model.code.name),
        "owner": owner or visitor_of(store.database).email,
    }


def set_limits(store: Store, experiment_id: int, limits: Mapping[str, float | None]) -> None:
    """Replaces an experiment's limits; None is no limit. Raises UserMistake for a limit that cannot be."""
    refuse_drop(_settings_of(store, experiment_id), limits)
    annotations.set_limits(store.database, experiment_id, checked_limits(limits))


def submit_runs(
    store: Store, experiment_id: int, recipes: Sequence[str | Recipe], owner: str | None = None
) -> tuple[int, list[int]]:
    """Queue a run for every recipe, and the baseline if the experiment has none; owner: as above.

    Returns the baseline's run and the runs in the order of `recipes`. Raises RecipeError, or NotAllowed for
    another user's experiment, before anything is queued.
    """
    parsed = [r if isinstance(r, Recipe) else parse_recipe(r) for r in recipes]
    refuse_training(_settings_of(store, experiment_id), parsed)
    owner = owner or visitor_of(store.database).email
    while True:
        try:
            return _queue(store, experiment_id, parsed, owner)
        except (
            runs.BaselineExists
        ):  # another process may have queued it since the look-up; a failed one is no baseline
            continue


def _settings_of(store: Store, experiment_id: int) -> Mapping[str, Any]:
    """The settings of an experiment's data; empty where there is no such experiment."""
    found = experiments.get_experiment(store.database, experiment_id)
    return {} if found is None else found.settings


def _queue(
    store: Store, experiment_id: int, parsed: Sequence[Recipe], owner: str | None
) -> tuple[int, list[int]]:
    texts = [str(recipe) for recipe in parsed]
    known = baseline_run(store.database, experiment_id)
    add_baseline = known is None and BASELINE not in texts
    entries = [(BASELINE, True, False)] if add_baseline else []
    # Runs that take seconds come before those that train, so that the chart fills early.
    order = sorted(range(len(parsed)), key=lambda i: (texts[i] != BASELINE, parsed[i].is_trained))
    for i in order:
        is_baseline = texts[i] == BASELINE and known is None and not any(e[1] for e in entries)
        entries.append((texts[i], is_baseline, parsed[i].is_trained))
    ids = runs.add_runs(store.database, experiment_id, entries, uuid.uuid4().hex, owner)
    CHANGED.set()
    first = next((i for i, entry in zip(ids, entries, strict=True) if entry[1]), known)
    if first is None:
        raise RuntimeError("an experiment without a baseline")
    of_recipe = dict(zip(order, ids[1:] if add_baseline else ids, strict=True))
    return first, [of_recipe[i] for i in range(len(parsed))]


def known_experiment(store: Store, name: str | int) -> int:
    """The experiment with this number, or the newest with this name; of a text of digits, a name comes first.

    Raises NotFound, with what there is.
    """
    found = experiments.find_experiments(store.database, str(name))
    if isinstance(name, str) and found:
        return found[0]
    if str(name).isdigit() and experiments.get_experiment(store.database, int(name)) is not None:
        return int(name)
    known = ", ".join(experiments.experiment_names(store.database, 20)) or "none"
    raise NotFound(f"there is no experiment {name!r} (there are: {known})")


def submit_file(
    store: Store, experiment_id: int, row: StoredFile, owner: str | None = None
) -> tuple[int, int]:
    """Queue a run for an inspected .tflite from somewhere else, and the baseline if the experiment has none.

    Returns the baseline's run and the file's. Raises ModelRefused with the inspection's message, DataRefused where its
    inputs and outputs are not the model's, NotAllowed for another user's experiment.
    """
    if row.error:
        raise ModelRefused(row.error)
    experiment = experiments.get_experiment(store.database, experiment_id)
    if experiment is None:
        raise UserMistake(f"there is no experiment {experiment_id}")
    check_ports(row.found_facts(), ModelFacts.from_dict(dict(experiment.model_facts)))
    baseline, _ = submit_runs(store, experiment_id, [], owner)
    owner = owner or visitor_of(store.database).email
    run = add_file_run(store.database, experiment_id, row.name, row.sha256, uuid.uuid4().hex, owner)
    CHANGED.set()
    return baseline, run


def start_search(
    store: Store,
    experiment_id: int,
    *,
    goal: str,
    budget: int,
    formats: Collection[str] | None = None,
    techniques: Collection[str] | None = None,
    sampler: str = DEFAULT_SAMPLER,
    seed: int = 0,
    limits: Mapping[str, float] | None = None,
    stops_early: bool = True,
) -> int:
    """Start a search that chooses the recipes of the experiment's next `budget` runs; return the search.

    goal: one of search.space.GOALS, or the column of a target; formats: number formats as in recipes, by default the
    goal's; techniques: training techniques that may be used, by default all that can change the goal and can
    treat this model. Targets that the goal or a limit needs are switched on for the experiment.
    stops_early: stop runs whose training loses more accuracy than their limit and later steps allow.
    The experiment's limits at the time of each choice count; `limits` while it has none. Raises UserMistake,
    SearchRefused while the experiment has a running search, NotAllowed for another user's experiment.
    """
    experiment = experiments.get_experiment(store.database, experiment_id)
    if experiment is None:
        raise UserMistake(f"there is no experiment {experiment_id}")
    refuse_search(experiment.settings)
    aim = goal_of(goal)
    if sampler not in SAMPLERS:
        raise UserMistake(f"a search chooses by one of {', '.join(SAMPLERS)}; received {sampler!r}")
    if not 1 <= budget <= MAX_SEARCH_RUNS:
        raise UserMistake(f"a search starts 1 to {MAX_SEARCH_RUNS} runs; received {budget}")
    model = ModelFacts.from_dict(dict(experiment.model_facts))
    if formats is None:
        formats = aim.formats
    if techniques is None:
        techniques = usable_techniques(model, goal, formats)
    for name in techniques:
        if name in TECHNIQUES and (reason := obstacle(model, name, TECHNIQUES[name].STAGE)):
            raise UserMistake(f"not possible with this model: {reason}")
    space = make_space(
        formats,
        techniques,
        storage=aim.storage_with(formats),
        is_always_stored=aim.is_always_stored,
    )
    switch_on_targets(store, experiment_id, [goal, *limits_of_search({"limits": limits}, experiment.limits)])
    return searches.add_search(
        store.database,
        experiment_id,
        goal=goal,
        budget=budget,
        settings={
            "space": space.to_dict(),
            "sampler": sampler,
            "seed": seed,
            "limits": checked_limits(limits or {}),
            "stops_early": stops_early,
        },
    )


def usable_techniques(model: ModelFacts, goal: str, formats: Collection[str]) -> list[str]:
    """The techniques that can change a search's goal in these formats and can treat this model."""
    names = goal_of(goal).techniques_with(formats)
    return [name for name in names if obstacle(model, name, TECHNIQUES[name].STAGE) is None]


def start_analysis(store: Store, run_id: int, kind: str) -> int:
    """Queue an analysis of a finished run, see `storage.analyses`; return the existing one unless it has
    failed.

    Raises NotAnalysable, NotAllowed for another user's run, UserMistake for the sensitivity on generated rows.
    """
    run = run_rows.get_run(store.database, run_id)
    if kind == SENSITIVITY and run is not None:
        refuse_sensitivity(_settings_of(store, run.experiment_id))
    analysis = add_analysis(store.database, run_id, kind)
    CHANGED.set()
    return analysis


def measure_on_target(store: Store, run_id: int, target: str) -> int:
    """Queue the run of a finished run's file on one target; return the existing analysis unless it has failed.

    Raises UserMistake for an unknown target, NotAnalysable, or NotAllowed for another user's run.
    """
    _check_targets([target])
    return start_analysis(store, run_id, target_kind(target))


def choose_targets(store: Store, experiment_id: int, targets: Collection[str]) -> int:
    """Measure an experiment's runs on these targets besides the usual ones, from now on; return how many were queued.

    The newest MAX_MEASURED_AGAIN runs that were measured before are measured on them too. Raises UserMistake for an
    unknown target, NotAllowed for another user's experiment.
    """
    _check_targets(targets)
    wanted = [name for name in TARGETS if name in targets and name not in USUAL]
    return _measure_also(store, experiment_id, wanted)


def switch_on_targets(store: Store, experiment_id: int, keys: Collection[str]) -> None:
    """Measure the experiment's runs on every target that one of these goals and limits is of, besides those chosen before.

    The NPU of the experiment's metrics stays the same. Devices are not chosen for experiments; they have to exist.
    Raises UserMistake for a device that does not exist, or a target whose library is missing on this host.
    """
    needed = targets_of(keys)
    known = {device.target for device in devices(store.database)}
    for name in needed:
        if name.startswith(DEVICE_PREFIX) and name not in known:
            raise UserMistake(
                f"there is no device {name.removeprefix(DEVICE_PREFIX)}: add it on the System page, or by "
                "lwdash device add NAME"
            )
    before = chosen_targets(store.database, experiment_id)
    new = [name for name in needed if name in TARGETS and name not in (*USUAL, *before)]
    versions = target_versions()
    for name in new:
        if versions[name] is None:
            raise UserMistake(
                f"{TARGETS[name].LABEL} is not installed on this host: pip install {TARGETS[name].PACKAGE}"
            )
    if new:
        npu = npu_of(before)
        _measure_also(store, experiment_id, [*([] if npu in before else [npu]), *before, *new])


def queue_target_limits(store: Store, run_ids: Sequence[int], limits: Collection[str]) -> list[int]:
    """Queue what these limits need of targets with times, for runs that have succeeded; return the analyses."""
    names = [name for name in targets_of(limits) if name in TIMED]
    done = [i for i in run_ids if (row := run_rows.get_run(store.database, i)) and row.has_succeeded]
    return [measure_on_target(store, run_id, name) for run_id in done for name in names]


def _measure_also(store: Store, experiment_id: int, wanted: Sequence[str]) -> int:
    set_targets(store.database, experiment_id, wanted)
    queued = 0
    for name in wanted:
        for run_id in runs_without(store.database, experiment_id, name, MAX_MEASURED_AGAIN):
            measure_on_target(store, run_id, name)
            queued += 1
    CHANGED.set()
    return queued


def _check_targets(targets: Collection[str]) -> None:
    for name in targets:
        if name not in TARGETS:
            raise UserMistake(f"there is no target {name!r} (there are: {', '.join(TARGETS)})")
