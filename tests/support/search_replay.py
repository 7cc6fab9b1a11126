"""Searches replayed from recorded runs: what a recipe measures is looked up instead of trained.

`fixtures/search_runs.csv` holds real runs of small networks, see `bench/record_search_runs.py`. Every sampler chooses
among the recorded recipes. In the place of a start that was not recorded, the nearest recorded recipe is run.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lwdash.engine.searching import AT_ONCE, REFILLED_AT
from lwdash.recipe import Recipe, parse_recipe
from lwdash.search.outcomes import FAILED, Outcome, best
from lwdash.search.proposals import Task, propose
from lwdash.search.space import BY_LAYER, GOALS, SEARCHED, choices_of, make_space

TABLE = Path(__file__).parents[1] / "fixtures" / "search_runs.csv"
BASELINE = "float32"
OTHER_FORMAT = 6.0
OTHER_TECHNIQUE = 3.0
"""Distances between recipes with another number format, and with a technique more or less."""

Metrics = Mapping[str, float]
"""Column → value; empty for a run that failed."""


@dataclass(frozen=True)
class World:
    """The recorded runs of a network: recipes, their formats, their strengths (runs, coordinates) and their metrics."""

    baseline: Metrics
    recipes: Sequence[str]
    formats: Sequence[str]
    strengths: np.ndarray
    metrics: Mapping[str, Metrics]

    def nearest(self, recipe: Recipe, able: np.ndarray) -> int:
        """The number of the recorded recipe nearest to `recipe` among those that `able` (runs,) marks."""
        distances = np.abs(self.strengths - strengths(recipe)).sum(axis=1)
        distances += OTHER_FORMAT * (np.array(self.formats) != str(recipe.tflite_step))
        return int(np.where(able, distances, np.inf).argmin())

    def costs(self, goal: str, max_drop: float) -> dict[str, float]:
        """Recipe → cost of those that keep the limit."""
        return {
            recipe: metrics[goal]
            for recipe, metrics in self.metrics.items()
            if metrics and self.baseline["accuracy"] - metrics["accuracy"] <= max_drop + 1e-9
        }


def load_worlds(table: Path = TABLE) -> dict[str, World]:
    """Network → its recorded runs."""
    recorded: dict[str, dict[str, Metrics]] = defaultdict(dict)
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            network, recipe, failed = row.pop("network"), row.pop("recipe"), row.pop("error")
            recorded[network][recipe] = {} if failed else {key: float(value) for key, value in row.items()}
    return {network: _world(metrics) for network, metrics in recorded.items()}


def _world(metrics: dict[str, Metrics]) -> World:
    baseline = metrics.pop(BASELINE)
    recipes = [parse_recipe(text) for text in metrics]
    formats = [str(recipe.tflite_step) for recipe in recipes]
    return World(
        baseline, list(metrics), formats, np.array([strengths(recipe) for recipe in recipes]), metrics
    )


def strengths(recipe: Recipe) -> list[float]:
    """How strongly a recipe treats the weights, in units in which 1 is a clear difference."""
    keys = (
        "ratio",
        "energy",
        "sparsity",
        "is_global",
        "is_pruned_by_layer",
        "clusters",
        "bits",
    )
    found = dict.fromkeys((*SEARCHED, *keys), 0.0)
    for step in recipe.keras_steps:
        chosen = choices_of(step.name, step.params)
        assert chosen is not None, f"{step} is not in the space"
        found[step.name] = OTHER_TECHNIQUE
        match step.name:
            case "channels":
                found["ratio"] = chosen["ratio"] / 0.2
            case "low_rank":
                found["energy"] = (1 - chosen["energy"]) / 0.1
            case "prune":
                found["sparsity"] = -2 * float(np.log(1 - chosen["sparsity"]))
                found["is_global"] = 0.5 * (chosen["scope"] == "global")
                found["is_pruned_by_layer"] = 0.5 * (chosen["scope"] == BY_LAYER)
            case "cluster":
                found["clusters"] = 6 - float(np.log2(chosen["clusters"]))
            case "lowbit":
                found["bits"] = 4.0 - chosen["bits"]
    return list(found.values())


def replay(
    world: World, goal: str, max_drop: float, budget: int, *, sampler: str, seed: int
) -> list[Outcome]:
    """What a search of `budget` runs finds, in order; its runs end one after the other, as in the engine.

    max_drop: limit on the drop of accuracy, 0–1.
    """
    used = {name for name in SEARCHED for recipe in world.recipes if name in recipe}
    space = make_space(
        list(dict.fromkeys(world.formats)), [name for name in GOALS[goal].techniques if name in used]
    )
    among = tuple(recipe for recipe in world.recipes if space.choices(parse_recipe(recipe)) is not None)
    task = Task(space, goal, {"accuracy_drop": max_drop}, budget, among)
    able = np.isin(world.recipes, among)
    done: list[Outcome] = []
    waiting: list[str] = []
    known: list[str] = []
    while len(done) < budget and (waiting or able.any()):
        if len(waiting) <= REFILLED_AT and len(known) < budget:
            count = min(AT_ONCE - len(waiting), budget - len(known), int(able.sum()))
            for recipe in propose(task, done, known, count, sampler=sampler, seed=1000 * seed + len(known)):
                number = world.nearest(recipe, able)
                able[number] = False
                waiting.append(world.recipes[number])
                known.append(world.recipes[number])
        done.append(_outcome(len(done), waiting.pop(0), world, goal, max_drop))
    return done


def _outcome(number: int, recipe: str, world: World, goal: str, max_drop: float) -> Outcome:
    metrics = world.metrics[recipe]
    if not metrics:
        return Outcome(number, recipe, 0.0, world.baseline[goal], {FAILED: 1.0})
    excess = (world.baseline["accuracy"] - metrics["accuracy"] - max_drop - 1e-9) / max_drop
    return Outcome(number, recipe, metrics["accuracy"], metrics[goal], {"accuracy_drop": excess})


def best_cost(done: Sequence[Outcome], world: World, goal: str) -> float:
    """The cost of the best run, or the baseline's where none keeps the limit."""
    found = best(done)
    return world.baseline[goal] if found is None else found.cost
