"""Files, experiments and runs entered for work: the verbs that pages and the command line share."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from lwdash.datasets.data_facts import DataFacts
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.fit import Fit, fit_to_model
from lwdash.engine.child_process import keep_warm
from lwdash.engine.supervisor_host import CHANGED
from lwdash.errors import DataRefused, ModelRefused, UploadRefused, UserMistake
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.keras_models.obstacles import obstacle
from lwdash.recipe import Recipe, parse_recipe
from lwdash.search.proposals import DEFAULT_SAMPLER, SAMPLERS
from lwdash.search.space import GOALS, make_space
from lwdash.settings import Settings
from lwdash.techniques import TECHNIQUES
from storage import experiments, runs, searches
from storage.analyses import add_analysis
from storage.frames import baseline_run
from storage.store import Store
from storage.visitors import visitor_of

BASELINE = "float32"
LIMITS = ("size_bytes", "accuracy_drop", "latency_ms", "arena_bytes")
MOST_THREADS = 64
MOST_SEARCHED = 500

STANDARD_SWEEP = (
    "float16",
    "dynamic",
    "int8",
    "int8(io=float32)",
    "prune(sparsity=0.5) + int8",
    "prune(sparsity=0.8) + int8",
    "cluster(clusters=16) + int8",
    "prune(sparsity=0.5) + cluster(clusters=16) + int8",
)
"""A good first set: each number format, two sparsities, clusters, and all of it together."""


def expect_runs(settings: Settings) -> None:
    """Prepares this host for runs that somebody is likely to start in the next minutes."""
    if not settings.scheduler:
        keep_warm(settings)


def add_local_file(store: Store, path: Path, kind: str) -> str:
    """Takes a copy of a local file into the store; returns its SHA-256. Raises UploadRefused."""
    if not path.is_file():
        raise UploadRefused(f"there is no file {path}")
    if path.stat().st_size == 0:
        raise UploadRefused(f"{path.name} is empty")
    sha256 = store.artifacts.put(path)
    experiments.add_file(
        store.database, sha256=sha256, kind=kind, name=path.name, size_bytes=path.stat().st_size
    )
    return sha256


def model_facts(row: Mapping[str, Any]) -> ModelFacts:
    """The facts of an inspected model file. Raises ModelRefused with what the inspection said."""
    if row["error"]:
        raise ModelRefused(row["error"])
    return ModelFacts.from_dict(row["facts"])


def data_facts(row: Mapping[str, Any]) -> DataFacts:
    """The facts of an inspected data file. Raises DataRefused with what the inspection said."""
    if row["error"]:
        raise DataRefused(row["error"])
    return DataFacts.from_dict(row["facts"])


def fit(model: ModelFacts, data: DataFacts, settings: DataSettings) -> Fit:
    """How the data feeds the model. Raises DataRefused saying what fits and what was received."""
    inputs, outputs = model.ports
    return fit_to_model(data, settings, inputs, outputs, task=model.task, labelled_task=model.labelled_task)


def task_to_measure(model: ModelFacts, fitted: Fit, stated: str | None = None) -> str:
    """What the outputs mean where the data has no labels: what the user states, the model's own task, or what its last
    layer tells."""
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
    model_row: Mapping[str, Any],
    data_row: Mapping[str, Any],
    settings: DataSettings,
    own_parts: Mapping[str, Mapping[str, Any]] | None = None,
    limits: Mapping[str, float] | None = None,
    threads: int = 1,
    owner: str | None = None,
) -> int:
    """Records an experiment of inspected files; own_parts: files of their own for "evaluation" or "calibration".

    limits: what its runs must keep to ("size_bytes", "accuracy_drop" 0–1, "latency_ms", "arena_bytes").
    threads: with how many latencies are measured. Raises ModelRefused or DataRefused, UserMistake for a limit or a
    number of threads that cannot be. owner: who makes it, where people sign in; where `store` is bound to a visitor
    (storage.visitors) and nothing is said, that visitor.
    """
    if not 1 <= threads <= MOST_THREADS:
        raise UserMistake(f"threads must be 1 to {MOST_THREADS}; received {threads}")
    for key, value in (limits or {}).items():
        if key not in LIMITS or not value > 0:
            raise UserMistake(f"a limit is a positive number for {', '.join(LIMITS)}; received {key}={value}")
    model = model_facts(model_row)
    fitted = fit(model, data_facts(data_row), settings)
    return experiments.add_experiment(
        store.database,
        name=name.strip() or Path(model_row["name"]).stem,
        model=model_row,
        data=data_row,
        settings=settings.to_dict(),
        task=task_to_measure(model, fitted, settings.task),
        seed=settings.seed,
        own_parts=own_parts,
        limits=limits,
        threads=threads,
        owner=owner or visitor_of(store.database).email,
    )


def submit_runs(
    store: Store, experiment_id: int, recipes: Sequence[str | Recipe], owner: str | None = None
) -> tuple[int, list[int]]:
    """Queues a run for every recipe, and the baseline where the experiment has none; owner: as above.

    Returns the baseline's run and the runs in the order of `recipes`. Raises RecipeError, or NotAllowed where the
    experiment is somebody else's, before anything is queued.
    """
    parsed = [r if isinstance(r, Recipe) else parse_recipe(r) for r in recipes]
    owner = owner or visitor_of(store.database).email
    while True:
        try:
            return _queue(store, experiment_id, parsed, owner)
        except (
            runs.BaselineExists
        ):  # somebody else has entered it since it was looked for; one that fails is no baseline
            continue


def _queue(
    store: Store, experiment_id: int, parsed: Sequence[Recipe], owner: str | None
) -> tuple[int, list[int]]:
    texts = [str(recipe) for recipe in parsed]
    known = baseline_run(store.database, experiment_id)
    add_baseline = known is None and BASELINE not in texts
    entries = [(BASELINE, True, False)] if add_baseline else []
    for text, recipe in zip(texts, parsed, strict=True):
        is_baseline = text == BASELINE and known is None and not any(e[1] for e in entries)
        entries.append((text, is_baseline, recipe.is_trained))
    ids = runs.add_runs(store.database, experiment_id, entries, uuid.uuid4().hex, owner)
    CHANGED.set()
    first = next((i for i, entry in zip(ids, entries, strict=True) if entry[1]), known)
    if first is None:
        raise RuntimeError("an experiment without a baseline")
    return first, ids[1:] if add_baseline else ids


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
) -> int:
    """Lets lwdash choose the recipes of the experiment's next `budget` runs; returns the search.

    goal: one of search.space.GOALS; formats: number formats as in recipes, by default the goal's; techniques: those of
    training that may be used, by default all that can change the goal and have something to treat in this model. The
    experiment's limits count as they are when the next runs are chosen. Raises UserMistake, SearchRefused while the
    experiment has a search that runs, NotAllowed where it is somebody else's.
    """
    experiment = experiments.get_experiment(store.database, experiment_id)
    if experiment is None:
        raise UserMistake(f"there is no experiment {experiment_id}")
    if goal not in GOALS:
        raise UserMistake(f"a search is for one of {', '.join(GOALS)}; received {goal!r}")
    if sampler not in SAMPLERS:
        raise UserMistake(f"a search chooses by one of {', '.join(SAMPLERS)}; received {sampler!r}")
    if not 1 <= budget <= MOST_SEARCHED:
        raise UserMistake(f"a search starts 1 to {MOST_SEARCHED} runs; received {budget}")
    model = ModelFacts.from_dict(dict(experiment["model_facts"]))
    if techniques is None:
        techniques = usable_techniques(model, goal)
    for name in techniques:
        if name in TECHNIQUES and (reason := obstacle(model, name, TECHNIQUES[name].STAGE)):
            raise UserMistake(f"not with this model: {reason}")
    space = make_space(GOALS[goal].formats if formats is None else formats, techniques)
    return searches.add_search(
        store.database,
        experiment_id,
        goal=goal,
        budget=budget,
        settings={"space": space.to_dict(), "sampler": sampler, "seed": seed},
    )


def usable_techniques(model: ModelFacts, goal: str) -> list[str]:
    """The techniques that can change a search's goal and have something to treat in this model."""
    return [name for name in GOALS[goal].techniques if obstacle(model, name, TECHNIQUES[name].STAGE) is None]


def start_analysis(store: Store, run_id: int, kind: str) -> int:
    """Queues an analysis of a finished run, see `storage.analyses`; returns the one there is unless it has failed.

    Raises NotAnalysable, or NotAllowed where the run is somebody else's.
    """
    return add_analysis(store.database, run_id, kind)
