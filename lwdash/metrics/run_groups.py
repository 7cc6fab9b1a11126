"""Groups of runs by one fact: a parameter of their recipes, their tags, or the verdict of a target."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

MAX_GROUPS = 7
"""More distinct numbers than this are grouped into ranges, so that their colours can be told apart."""


@dataclass(frozen=True, eq=False)
class RunGroups:
    """Runs in groups by one fact.

    names: of the groups, in order. places: of each run's group in `names`, by the run's id.
    is_ordered: True if the names are numbers or ranges. has_others: True if the last group has the runs without the fact.
    """

    key: str
    label: str
    names: tuple[str, ...]
    places: pd.Series = field(repr=False)
    is_ordered: bool = False
    has_others: bool = False

    def places_of(self, runs: pd.DataFrame) -> pd.Series:
        """The places of these runs, which are some of the grouped ones."""
        return runs["id"].map(self.places).astype(int)

    def names_of(self, runs: pd.DataFrame) -> pd.Series:
        """The name of each run's group."""
        return self.places_of(runs).map(dict(enumerate(self.names)))


def by_words(key: str, label: str, words: pd.Series, others: str) -> RunGroups:
    """One group for each word, the most frequent first. words: None for runs without the fact; others: their group."""
    counts = words.dropna().value_counts()
    names = sorted(counts.index, key=lambda word: (-counts[word], word))
    return _placed(key, label, words, names, others, is_ordered=False)


def by_numbers(
    key: str, label: str, numbers: pd.Series, texts: pd.Series, others: str, write: Callable[[float], str]
) -> RunGroups:
    """One group for each number, in order, or for each of some ranges with about as many runs.

    numbers: NaN where the value is none, such as `auto`. texts: as written in recipes, None for runs without the parameter.
    """
    values = np.sort(numbers.dropna().unique())
    if len(values) <= MAX_GROUPS:
        named: Mapping[float, str] = {value: write(value) for value in values}
    else:
        named = _ranges(numbers, write)
    words = numbers.map(named).astype(object)
    words = words.where(numbers.notna(), texts)
    names = [*dict.fromkeys(named[value] for value in values), *sorted(set(texts[numbers.isna()].dropna()))]
    return _placed(key, label, words, names, others, is_ordered=True)


def _ranges(numbers: pd.Series, write: Callable[[float], str]) -> dict[float, str]:
    """Number → its range, as the smallest and the largest number in it: `0.5 to 0.62`."""
    known = numbers.dropna()
    bins = pd.qcut(known, MAX_GROUPS - 1, labels=False, duplicates="drop")
    found = {}
    for _, group in known.groupby(bins):
        low, high = group.min(), group.max()
        name = write(low) if low == high else f"{write(low)} to {write(high)}"
        found.update(dict.fromkeys(group.unique(), name))
    return found


def _placed(
    key: str, label: str, words: pd.Series, names: list[str], others: str, *, is_ordered: bool
) -> RunGroups:
    place = {name: i for i, name in enumerate(names)}
    places = words.map(place)
    has_others = bool(places.isna().any())
    places = places.fillna(len(names)).astype(int)
    return RunGroups(key, label, (*names, *([others] if has_others else [])), places, is_ordered, has_others)
