"""Proposes the next recipes of a search from the runs so far, whoever started them."""

import itertools
import math
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lwdash.recipe import Recipe, parse_recipe
from lwdash.search.candidates import Candidates
from lwdash.search.guided import guided
from lwdash.search.outcomes import Outcome
from lwdash.search.space import Space
from lwdash.search.starts import starts

if TYPE_CHECKING:
    import optuna

SAMPLERS = {
    "guided": "begins with few strong recipes, then expects from each technique what is known of it and learns from the "
    "runs (Gaussian processes)",
    "tpe": "begins with few strong recipes, then learns from the runs alone (tree-structured Parzen estimator)",
    "random": "any recipe, as the control: what a better sampler has to beat",
}
DEFAULT_SAMPLER = "guided"
LEARNT = 1000
"""So many outcomes are learnt from at most, the newest."""
FEWEST = 10
"""With fewer outcomes any recipe is as likely as another to the TPE sampler."""
IN_VAIN = 1000
"""After so many draws in a row of what is known already, a sampler has nothing new."""
DRAWN_AT_ONCE = 50


@dataclass(frozen=True)
class Task:
    """What a search is for. goal: the column of the costs, one of `GOALS`. limits: key → largest value allowed, those of
    the outcomes' excesses. budget: how many runs it may start in all. among: the only recipes to choose from; empty stands
    for all of the space."""

    space: Space
    goal: str
    limits: Mapping[str, float]
    budget: int
    among: tuple[str, ...] = ()


def propose(
    task: Task,
    found: Sequence[Outcome],
    known: Collection[str],
    count: int,
    *,
    sampler: str = DEFAULT_SAMPLER,
    seed: int = 0,
) -> list[Recipe]:
    """Up to `count` recipes of the space that are not in `known`; fewer where nothing new is drawn.

    found: what was measured so far, and what failed. known: the text of every recipe that was run or waits. sampler: one
    of `SAMPLERS`. seed: another one for each call, or the random sampler draws the same again.
    """
    drawn, proposed = set(known), list[Recipe]()
    for draws, patience in _draws(task, found, drawn, sampler, seed):
        in_vain = 0
        for recipe in draws:
            if len(proposed) == count:
                return proposed
            in_vain = in_vain + 1 if str(recipe) in drawn else 0
            if in_vain == patience:
                break
            if not in_vain:
                drawn.add(str(recipe))
                proposed.append(recipe)
    return proposed


def _draws(
    task: Task, found: Sequence[Outcome], drawn: Collection[str], sampler: str, seed: int
) -> Iterator[tuple[Iterator[Recipe], int]]:
    """Sources of recipes, one after the other, and how many draws in vain end each. What a sampler leaves is drawn at
    random.

    drawn: as `known` of `propose`, with what is proposed meanwhile.
    """
    candidates, chance = Candidates(task.space, task.among), np.random.default_rng(seed)
    if sampler != "random":
        tried = sum(candidates.encode(recipe) is not None for recipe in drawn)
        planned = starts(task.space, task.budget)
        untried = [recipe for recipe in planned if str(recipe) not in drawn]
        yield iter(untried[: max(0, len(planned) - tried)]), sys.maxsize
    if sampler == "guided":
        draws = guided(candidates, found, drawn, goal=task.goal, limits=task.limits, chance=chance)
        yield draws, sys.maxsize
    if sampler == "tpe":
        study = _study(task.space, found, seed)
        yield (task.space.choose(study.ask()) for _ in itertools.count()), IN_VAIN
    yield _random(candidates, chance), IN_VAIN


def _random(candidates: Candidates, chance: np.random.Generator) -> Iterator[Recipe]:
    while True:
        yield from map(candidates.decode, candidates.draw(DRAWN_AT_ONCE, chance))


def _study(space: Space, found: Sequence[Outcome], seed: int) -> "optuna.Study":
    """A study that knows the outcomes which the space holds."""
    import optuna  # half a second: only who searches has to wait for it

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)  # of `group`
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=FEWEST, multivariate=True, group=True)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for outcome in found[-LEARNT:]:
        choices = space.choices(parse_recipe(outcome.recipe))
        if choices is not None:
            told = _Told(choices)
            space.choose(told)
            study.add_trial(
                optuna.trial.create_trial(
                    params=choices,
                    distributions=told.distributions,
                    values=[outcome.quality, outcome.cost],
                    constraints={
                        key: value for key, value in outcome.excess.items() if not math.isnan(value)
                    },
                )
            )
    return study


class _Told:
    """A chooser that repeats choices, and keeps between what each of them was made."""

    def __init__(self, choices: Mapping[str, Any]):
        self.choices = choices
        self.distributions: dict[str, Any] = {}

    def suggest_int(self, name: str, low: int, high: int) -> int:
        from optuna.distributions import IntDistribution

        self.distributions[name] = IntDistribution(low, high)
        return self.choices[name]

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        from optuna.distributions import CategoricalDistribution

        self.distributions[name] = CategoricalDistribution(choices)
        return self.choices[name]
