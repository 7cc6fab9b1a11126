"""Candidate recipes of a search space as rows of integers, so that thousands can be predicted at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations, product
from typing import Any

import numpy as np

from lwdash.recipe import Recipe, parse_recipe
from lwdash.search.space import TRAINING, TUNED, Space, excludes, goes_with

ABSENT = -1
GRID_STRENGTHS = (0.5, 0.25, 0.75)
"""Shares of the list of values of each technique's first parameter that a grid has."""
MAX_NEIGHBOUR_STEP = 3
"""Maximum change of a parameter between neighbours, in list positions."""


@dataclass(frozen=True)
class Candidates:
    """The recipes of `space` as rows: index of the format, then one column per technique and per parameter.

    among: texts of the only recipes that may be drawn; empty means the whole space.
    A technique's column is 1 if the recipe has it, else 0. A parameter's column is the position of its value
    in `TUNED`, or ABSENT if the technique is absent.
    """

    space: Space
    among: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> dict[str, int]:
        """Name → column: `format`, `prune`, `prune.sparsity`."""
        names = ["format"]
        for technique in self.space.techniques:
            names += [technique, *(f"{technique}.{key}" for key in TUNED[technique])]
        return {name: column for column, name in enumerate(names)}

    @cached_property
    def _listed(self) -> np.ndarray:
        rows = [row for text in self.among if (row := self.encode(text)) is not None]
        return np.array(rows, int).reshape(len(rows), len(self.columns))

    @cached_property
    def _allowed(self) -> np.ndarray:
        """(formats, techniques): True if the two can be combined."""
        pairs = [[goes_with(name, text) for name in self.space.techniques] for text in self.space.formats]
        return np.array(pairs, bool).reshape(len(self.space.formats), len(self.space.techniques))

    def encode(self, recipe: str) -> np.ndarray | None:
        """The row of a recipe's text, or None if the space does not contain it."""
        return _encoded(self, recipe)

    def decode(self, row: np.ndarray) -> Recipe:
        """The recipe of a row."""
        return self.space.choose(_Row(self, row))

    def draw(self, count: int, chance: np.random.Generator) -> np.ndarray:
        """`count` random rows, from recipes of one step to recipes with every technique; with `among`, all of
        it, shuffled.
        """
        if self.among:
            return chance.permutation(self._listed)
        rows = np.full((count, len(self.columns)), ABSENT)
        rows[:, 0] = chance.integers(len(self.space.formats), size=count)
        eagerness = chance.random((count, 1))
        is_on = chance.random((count, len(self.space.techniques))) < eagerness
        for number, name in enumerate(self.space.techniques):
            rows[:, self.columns[name]] = is_on[:, number]
            for key, values in TUNED[name].items():
                rows[:, self.columns[f"{name}.{key}"]] = chance.integers(len(values), size=count)
        return self.settled(rows)

    def grid(self) -> Iterator[np.ndarray]:
        """Every combination of formats and techniques at `GRID_STRENGTHS`, the fewest techniques first; with `among`, all
        of it in this order.
        """
        if self.among:
            techniques = [self.columns[name] for name in self.space.techniques]
            yield from self._listed[np.argsort(self._listed[:, techniques].sum(axis=1), kind="stable")]
            return
        names = self.space.techniques
        for count in range(len(names) + 1):
            for chosen in combinations(names, count):
                options = [[(name, strength) for strength in self._strengths(name)] for name in chosen]
                for strengths, number in product(product(*options), range(len(self.space.formats))):
                    row = np.full(len(self.columns), ABSENT)
                    row[[self.columns[name] for name in names]] = 0
                    row[0] = number
                    for name, values in strengths:
                        row[self.columns[name]] = 1
                        for key, value in values.items():
                            row[self.columns[f"{name}.{key}"]] = value
                    if (self.settled(row[None].copy())[0] == row).all():
                        yield row

    def _strengths(self, name: str) -> list[dict[str, int]]:
        """The choices of a technique on the grid, as list positions: the first parameter varies, others are the default."""
        others = dict.fromkeys(TUNED[name], 0)
        first = next(key for key in TUNED[name])
        if first in TRAINING:
            return [others]
        last = len(TUNED[name][first]) - 1
        return [{**others, first: round(share * last)} for share in GRID_STRENGTHS]

    def neighbours(self, row: np.ndarray) -> np.ndarray:
        """Rows that differ from `row` in the format, in one technique, or slightly in one parameter; only
        `row` if `among` is set.
        """
        if self.among:
            return row[None]
        changes: list[dict[str, int]] = [{"format": number} for number in range(len(self.space.formats))]
        for name in self.space.techniques:
            values = {f"{name}.{key}": len(values) for key, values in TUNED[name].items()}
            if not row[self.columns[name]]:
                others = {other: 0 for other in self.space.techniques if excludes(other, name)}
                for divisor in (2, 4):
                    strength = {
                        key: 0 if key.partition(".")[2] in TRAINING else (count - 1) // divisor
                        for key, count in values.items()
                    }
                    changes.append({name: 1, **others, **strength})
                continue
            changes.append({name: 0})
            for key, count in values.items():
                at = row[self.columns[key]]
                near = range(max(0, at - MAX_NEIGHBOUR_STEP), min(count, at + MAX_NEIGHBOUR_STEP + 1))
                changes += [{key: value} for value in near if value != at]
        rows = np.repeat(row[None], len(changes), axis=0)
        for number, change in enumerate(changes):
            for name, value in change.items():
                rows[number, self.columns[name]] = value
        return self.settled(rows)

    def settled(self, rows: np.ndarray) -> np.ndarray:
        """Remove techniques that the format of a row or an earlier technique excludes. Changes `rows` in place."""
        for number, name in enumerate(self.space.techniques):
            column = self.columns[name]
            is_on = (rows[:, column] == 1) & self._allowed[rows[:, 0], number]
            for earlier in self.space.techniques[:number]:
                if excludes(earlier, name):
                    is_on &= rows[:, self.columns[earlier]] == 0
            rows[:, column] = is_on
            for key in TUNED[name]:
                rows[rows[:, column] == 0, self.columns[f"{name}.{key}"]] = ABSENT
        return rows


@lru_cache(maxsize=2000)
def _encoded(candidates: Candidates, recipe: str) -> np.ndarray | None:
    """Cached form of `Candidates.encode`: a search encodes the same recipes repeatedly."""
    choices = candidates.space.choices(parse_recipe(recipe))
    if choices is None:
        return None
    row = np.full(len(candidates.columns), ABSENT)
    row[[candidates.columns[name] for name in candidates.space.techniques]] = 0
    for name, value in choices.items():
        number = candidates.space.formats.index(value) if name == "format" else int(value)
        row[candidates.columns[name]] = number
    row.setflags(write=False)
    return row


@dataclass(frozen=True)
class _Row:
    """Replays the choices stored in a row."""

    candidates: Candidates
    row: np.ndarray

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return int(self.row[self.candidates.columns[name]])

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return choices[int(self.row[self.candidates.columns[name]])]
