"""Searches replayed from recorded runs: what a recipe measures is looked up instead of trained.

`fixtures/search_runs.csv` holds real runs of small networks, see `bench/record_search_runs.py`. Every sampler chooses
among the recorded recipes. In the place of a start that was not recorded, the nearest recorded recipe is run.
The first table has `low_rank(energy=…)`, which the space does not have any more: `MACS_OF` gives it the place of a similar
strength.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import nan
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lwdash.compress.hopeless import is_hopeless
from lwdash.engine.searching import AT_ONCE, REFILLED_AT
from lwdash.recipe import Recipe, parse_recipe
from lwdash.search.outcomes import FAILED, Outcome, best
from lwdash.search.proposals import Task, propose
from lwdash.search.space import (
    BY_LAYER,
    GOALS,
    SEARCHED,
    TRAINING,
    TUNED,
    choices_of,
    make_space,
)

TABLE = Path(__file__).parents[1] / "fixtures" / "search_runs.csv"
WIDE_TABLE = TABLE.with_name("search_runs_wide.csv")
BASELINE = "float32"
parsed = cache(parse_recipe)
MACS_OF = {"energy=0.94": "macs=0.8", "energy=0.84": "macs=0.6", "energy=0.72": "macs=0.4"}
OTHER_FORMAT = 6.0
OTHER_TECHNIQUE = 3.0
"""Distances between recipes with another number format, and with a technique more or less."""

EVALUATION_ROWS = 800
STAGE_LISTS = ("stage_accuracies", "stage_seconds")


class Stages(NamedTuple):
    """Of a recorded recipe: accuracy after each training step, its seconds, and those of the rest of the compression."""

    accuracies: Sequence[float]
    seconds: Sequence[float]
    other_seconds: float


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
    stages: Mapping[str, Stages]

    def only(self, recipes: Collection[str]) -> World:
        """The same network with these recipes alone."""
        chosen = [number for number, recipe in enumerate(self.recipes) if recipe in recipes]
        return replace(
            self,
            recipes=[self.recipes[number] for number in chosen],
            formats=[self.formats[number] for number in chosen],
            strengths=self.strengths[chosen],
        )

    def stopped_after(self, recipe: str, max_drop: float) -> int | None:
        """Number of training steps after which a search stops a recipe; None if it does not."""
        accuracies = self.stages[recipe].accuracies if recipe in self.stages else ()
        drops = [self.baseline["accuracy"] - accuracy for accuracy in accuracies]
        hopeless = [n for n, drop in enumerate(drops, 1) if is_hopeless(drop, max_drop, EVALUATION_ROWS)]
        return hopeless[0] if hopeless else None

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
    stages: dict[str, dict[str, Stages]] = defaultdict(dict)
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            network, recipe, failed = row.pop("network"), row.pop("recipe"), row.pop("error")
            for energy, macs in MACS_OF.items():
                recipe = recipe.replace(f"low_rank({energy})", f"low_rank(energy=0.95, {macs})")
            lists = [tuple(map(float, (row.pop(name, None) or "").split())) for name in STAGE_LISTS]
            if rest := row.pop("other_seconds", None):
                stages[network][recipe] = Stages(*lists, float(rest))
            measured = {key: float(value) for key, value in row.items() if value}
            recorded[network][recipe] = {} if failed else measured
    return {network: _world(metrics, stages[network]) for network, metrics in recorded.items()}


def _world(metrics: dict[str, Metrics], stages: Mapping[str, Stages]) -> World:
    baseline = metrics.pop(BASELINE)
    recipes = [parse_recipe(text) for text in metrics]
    formats = [str(recipe.tflite_step) for recipe in recipes]
    return World(
        baseline,
        list(metrics),
        formats,
        np.array([strengths(recipe) for recipe in recipes]),
        metrics,
        stages,
    )


def strengths(recipe: Recipe) -> list[float]:
    """How strongly a recipe treats the weights, in units in which 1 is a clear difference."""
    keys = (
        "ratio",
        "macs",
        "sparsity",
        "is_global",
        "is_pruned_by_layer",
        "clusters",
        "bits",
        *TRAINING,
    )
    found = dict.fromkeys((*SEARCHED, *keys), 0.0)
    for step in recipe.keras_steps:
        chosen = choices_of(step.name, step.params)
        assert chosen is not None, f"{step} is not in the space"
        found[step.name] = OTHER_TECHNIQUE
        for key in TRAINING:
            found[key] += 0.3 * TUNED[step.name][key].index(chosen[key])
        match step.name:
            case "channels":
                found["ratio"] = chosen["ratio"] / 0.2
            case "low_rank":
                found["macs"] = (1 - chosen["macs"]) / 0.2
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
    world: World,
    goal: str,
    max_drop: float,
    budget: int,
    *,
    sampler: str,
    seed: int,
    stops_early: bool = True,
) -> list[Outcome]:
    """What a search of `budget` runs finds, in order; its runs end one after the other, as in the engine.

    max_drop: limit on the drop of accuracy, 0–1. stops_early: hopeless runs are stopped, where the table has their steps.
    """
    used = {name for name in SEARCHED for recipe in world.recipes if name in recipe}
    space = make_space(
        list(dict.fromkeys(world.formats)), [name for name in GOALS[goal].techniques if name in used]
    )
    among = tuple(recipe for recipe in world.recipes if space.choices(parsed(recipe)) is not None)
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
        recipe = waiting.pop(0)
        stopped = world.stopped_after(recipe, max_drop) if stops_early else None
        done.append(_outcome(len(done), recipe, world, goal, max_drop, stopped))
    return done


def _outcome(
    number: int, recipe: str, world: World, goal: str, max_drop: float, stopped: int | None
) -> Outcome:
    metrics = world.metrics[recipe]
    if not metrics:
        return Outcome(number, recipe, 0.0, world.baseline[goal], {FAILED: 1.0})
    accuracy = metrics["accuracy"] if stopped is None else world.stages[recipe].accuracies[stopped - 1]
    excess = (world.baseline["accuracy"] - accuracy - max_drop - 1e-9) / max_drop
    if stopped is not None:
        return Outcome(number, recipe, accuracy, nan, {"accuracy_drop": excess})
    return Outcome(number, recipe, metrics["accuracy"], metrics[goal], {"accuracy_drop": excess})


def seconds_of(done: Sequence[Outcome], world: World, max_drop: float, *, stops_early: bool) -> float:
    """Seconds of compressing the recipes of a search, without measuring; steps that recipes share are made once."""
    made, total = set[str](), 0.0
    for outcome in done:
        if outcome.recipe not in world.stages:
            continue
        stages = world.stages[outcome.recipe]
        stopped = world.stopped_after(outcome.recipe, max_drop) if stops_early else None
        steps = [str(step) for step in parse_recipe(outcome.recipe).keras_steps][:stopped]
        for count in range(1, len(steps) + 1):
            if (stack := " + ".join(steps[:count])) not in made:
                made.add(stack)
                total += stages.seconds[count - 1]
        total += stages.other_seconds if stopped is None else 0.0
    return total


def best_cost(done: Sequence[Outcome], world: World, goal: str) -> float:
    """The cost of the best run, or the baseline's where none keeps the limit."""
    found = best(done)
    return world.baseline[goal] if found is None else found.cost
