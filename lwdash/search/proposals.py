"""Proposes the next recipes of a search from all runs of the experiment so far."""

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
from lwdash.search.nsga2 import nsga2
from lwdash.search.outcomes import Outcome
from lwdash.search.space import Space
from lwdash.search.starts import starts

if TYPE_CHECKING:
    import optuna

SAMPLERS = {
    "guided": "starts with a few strong recipes, then combines prior knowledge of each technique with "
    "the measured runs (Gaussian processes)",
    "tpe": (
        "starts with a few strong recipes, then learns from the measured runs only (tree-structured "
        "Parzen estimator)"
    ),
    "gp": "as guided, without prior knowledge: learns from the measured runs only (Gaussian processes)",
    "nsga2": (
        "starts with a few strong recipes, then crosses and changes the best runs (NSGA-II, a genetic algorithm)"
    ),
    "grid": "tries all combinations of a few strengths in order, those with the fewest techniques first",
    "random": "draws any recipe; a control that a better sampler has to beat",
}
WITHOUT_STARTS = ("grid", "random")
"""Samplers that do not begin with `starts`."""
DEFAULT_SAMPLER = "guided"
MAX_LEARNT = 1000
"""Maximum number of outcomes used for learning: the newest."""
MIN_TPE_OUTCOMES = 10
"""With fewer outcomes the TPE sampler draws at random."""
MAX_USELESS_DRAWS = 1000
"""After this many consecutive draws of known recipes, a sampler is exhausted."""
DRAWN_AT_ONCE = 50


@dataclass(frozen=True)
class Task:
    """Goal and limits of a search. goal: the column of the costs, one of `GOALS`. limits: key → largest
    allowed value, as for the outcomes' excesses. budget: maximum number of runs it may start. among: the only
    recipes to choose from; empty means the whole space.
    """

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
    """Up to `count` recipes of the space that are not in `known`; fewer if the samplers are exhausted.

    found: the measured and the failed runs so far. known: the text of every recipe that was run or waits.
    sampler: one of `SAMPLERS`. seed: use a different one per call, otherwise the random sampler draws the
    same again.
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
    """Sources of recipes in order, each with the number of useless draws that ends it. The last source draws
    at random.

    drawn: as `known` of `propose`, extended by the proposals so far.
    """
    candidates, chance = Candidates(task.space, task.among), np.random.default_rng(seed)
    if sampler not in WITHOUT_STARTS:
        tried = sum(candidates.encode(recipe) is not None for recipe in drawn)
        planned = starts(task.space, task.budget)
        untried = [recipe for recipe in planned if str(recipe) not in drawn]
        yield iter(untried[: max(0, len(planned) - tried)]), sys.maxsize
    if sampler in ("guided", "gp"):
        draws = guided(
            candidates,
            found,
            drawn,
            goal=task.goal,
            limits=task.limits,
            chance=chance,
            is_informed=sampler == "guided",
        )
        yield draws, sys.maxsize
    if sampler == "nsga2":
        yield nsga2(candidates, found[-MAX_LEARNT:], chance), MAX_USELESS_DRAWS
    if sampler == "grid":
        yield map(candidates.decode, candidates.grid()), sys.maxsize
    if sampler == "tpe":
        study = _study(task.space, found, seed)
        yield (task.space.choose(study.ask()) for _ in itertools.count()), MAX_USELESS_DRAWS
    yield _random(candidates, chance), MAX_USELESS_DRAWS


def _random(candidates: Candidates, chance: np.random.Generator) -> Iterator[Recipe]:
    while True:
        yield from map(candidates.decode, candidates.draw(DRAWN_AT_ONCE, chance))


def _study(space: Space, found: Sequence[Outcome], seed: int) -> "optuna.Study":
    """A study with the outcomes that the space contains."""
    import optuna  # takes half a second; only a search has to wait for it

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)  # of `group`
    sampler = optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=MIN_TPE_OUTCOMES, multivariate=True, group=True
    )
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    worst = max((outcome.cost for outcome in found if not math.isnan(outcome.cost)), default=0.0)
    for outcome in found[-MAX_LEARNT:]:
        choices = space.choices(parse_recipe(outcome.recipe))
        if choices is not None:
            replay = _Replay(choices)
            space.choose(replay)
            study.add_trial(
                optuna.trial.create_trial(
                    params=choices,
                    distributions=replay.distributions,
                    values=[outcome.quality, worst if math.isnan(outcome.cost) else outcome.cost],
                    constraints={
                        key: value for key, value in outcome.excess.items() if not math.isnan(value)
                    },
                )
            )
    return study


class _Replay:
    """Replays known choices and records the distribution of each."""

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
