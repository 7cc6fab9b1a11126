"""The number format of each layer of a file under a limit: measured noise of each choice, and an integer program.

The noise of a file is taken as the sum of its layers' noises, each measured with only that layer quantized. Every choice is
then made as a file and measured, and the budget of bytes is corrected by what the file really takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lwdash.training.least_noise import least_noise

MAX_ROUNDS = 7
"""Files that are made to meet one limit."""
CLOSE_SHARE = 0.01
"""A file within this share of the limit, or of the next smaller file that failed, ends the rounds."""


@dataclass(frozen=True)
class FormatChoice:
    """One format of one layer. size_bytes: of its weights. noise: power of the error, as a share of the outputs'."""

    format: str
    size_bytes: float
    noise: float


@dataclass(frozen=True)
class Attempt:
    """A file that was made. formats: by layer. changed: 0–1, the share of rows with another result.

    sqnr_db: of the outputs against the float file's, None without any error. recipe: what makes the file.
    """

    formats: Mapping[str, str]
    size_bytes: int
    sqnr_db: float | None
    changed: float
    recipe: str = ""

    @property
    def exactness(self) -> tuple[float, float]:
        """Larger is better: few changed rows, then little noise."""
        return -self.changed, float("inf") if self.sqnr_db is None else self.sqnr_db


Make = Callable[[Mapping[str, str]], Attempt]
"""Makes and measures the file with these formats by layer."""


def allocate(choices: Mapping[str, Sequence[FormatChoice]], budget: float) -> dict[str, str]:
    """The formats with the least sum of noises whose weights take at most `budget` bytes.

    choices: by layer, at least one each. Where nothing is that small, the smallest formats.
    """
    layers = list(choices)
    chosen = least_noise(
        [[c.size_bytes for c in choices[layer]] for layer in layers],
        [[c.noise for c in choices[layer]] for layer in layers],
        budget,
    )
    return {layer: choices[layer][i].format for layer, i in zip(layers, chosen, strict=True)}


def most_exact_within(
    choices: Mapping[str, Sequence[FormatChoice]], make: Make, whole: Sequence[Attempt], max_bytes: int
) -> Attempt | None:
    """The most exact file of at most `max_bytes`; None if no file is that small.

    whole: files that were made in one format throughout; the best of these that fits is the result to beat.
    """
    attempts = list(whole)
    offset = _offset(choices, whole)
    budget = max_bytes - offset
    seen: set[tuple[str, ...]] = set()
    for _ in range(MAX_ROUNDS):
        formats = allocate(choices, budget)
        key = tuple(formats.values())
        if key in seen:
            break
        seen.add(key)
        made = make(formats)
        attempts.append(made)
        room = max_bytes - made.size_bytes
        if 0 <= room <= CLOSE_SHARE * max_bytes:
            break
        budget = _bytes_of(choices, formats) + room if room < 0 else budget + room
    fitting = [a for a in attempts if a.size_bytes <= max_bytes]
    return max(fitting, key=lambda a: (a.exactness, -a.size_bytes), default=None)


def smallest_within(
    choices: Mapping[str, Sequence[FormatChoice]], make: Make, whole: Sequence[Attempt], max_changed: float
) -> Attempt | None:
    """The smallest file that changes at most the share `max_changed` of the rows; None if none does.

    whole: files that were made in one format throughout, among them the most exact one.
    """

    def is_kept(attempt: Attempt) -> bool:
        return attempt.changed <= max_changed

    attempts = [*whole, make(allocate(choices, 0.0))]
    kept = [a for a in attempts if is_kept(a)]
    if not kept:
        return None
    if is_kept(attempts[-1]):
        return min(kept, key=lambda a: a.size_bytes)
    low = _bytes_of(choices, attempts[-1].formats)
    best = min(kept, key=lambda a: a.size_bytes)
    high = _bytes_of(choices, best.formats)
    seen = {tuple(a.formats.items()) for a in attempts}
    for _ in range(MAX_ROUNDS):
        if high - low <= CLOSE_SHARE * high:
            break
        middle = (low + high) / 2
        formats = allocate(choices, middle)
        if tuple(formats.items()) in seen:
            low = middle
            continue
        seen.add(tuple(formats.items()))
        attempts.append(make(formats))
        if is_kept(attempts[-1]):
            high = min(middle, _bytes_of(choices, formats))
        else:
            low = middle
    return min(filter(is_kept, attempts), key=lambda a: a.size_bytes)


def _bytes_of(choices: Mapping[str, Sequence[FormatChoice]], formats: Mapping[str, str]) -> float:
    return sum(
        c.size_bytes for layer, options in choices.items() for c in options if c.format == formats[layer]
    )


def _offset(choices: Mapping[str, Sequence[FormatChoice]], whole: Sequence[Attempt]) -> float:
    """Bytes of a file besides the weights, from the smallest of the files that were made."""
    first = min(whole, key=lambda a: a.size_bytes)
    return first.size_bytes - _bytes_of(choices, first.formats)
