"""What to try next: optuna learns from the runs that there are, whoever started them."""

import itertools
import math
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lwdash.recipe import Recipe, parse_recipe
from lwdash.search.outcomes import Outcome
from lwdash.search.space import Space

if TYPE_CHECKING:
    import optuna

SAMPLERS = {
    "tpe": "learns from the runs so far (tree-structured Parzen estimator)",
    "random": "any recipe, as the control: what a better sampler has to beat",
}
LEARNT = 1000
"""So many outcomes are learnt from at most, the newest."""
FEWEST = 10
"""With fewer outcomes any recipe is as likely as another."""
IN_VAIN = {"tpe": 100, "random": 1000}
"""After so many draws in a row of what is known already, a sampler has nothing new."""


def propose(
    space: Space,
    found: Sequence[Outcome],
    known: Collection[str],
    count: int,
    *,
    sampler: str = "tpe",
    seed: int = 0,
) -> list[Recipe]:
    """Up to `count` recipes of the space that are not in `known`; fewer where nothing new is drawn.

    found: what was measured so far, and what failed. known: the text of every recipe that was run or waits. seed:
    another one for each call, or the random sampler draws the same again.

    The starting recipes of the space come first. Then quality and cost are both made good (a Pareto search), where
    limits count as constraints: what breaks them is of use only where nothing keeps them yet.
    """
    drawn, proposed = set(known), list[Recipe]()
    for draws, patience in _draws(space, found, sampler, seed):
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
    space: Space, found: Sequence[Outcome], sampler: str, seed: int
) -> Iterator[tuple[Iterator[Recipe], int]]:
    """Where recipes come from, one after the other, and how many draws in vain end it. A sampler is asked as long as it
    says something new, and what it leaves is drawn at random."""
    yield space.starts(), sys.maxsize
    for name in dict.fromkeys((sampler, "random")):
        study = _study(space, found, name, seed)
        yield (space.choose(study.ask()) for _ in itertools.count()), IN_VAIN[name]


def _study(space: Space, found: Sequence[Outcome], sampler: str, seed: int) -> "optuna.Study":
    """A study that knows the outcomes which the space holds."""
    import optuna  # half a second: only who searches has to wait for it

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)  # of `group`
    made = (
        optuna.samplers.RandomSampler(seed=seed)
        if sampler == "random"
        else optuna.samplers.TPESampler(seed=seed, n_startup_trials=FEWEST, multivariate=True, group=True)
    )
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=made)
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
