"""The formats of layers under a limit: optimal by the model, and corrected by files that differ from it."""

import itertools
from collections.abc import Mapping

import numpy as np
import pytest

from lwdash.quantize.bit_allocation import Attempt, FormatChoice, allocate, most_exact_within, smallest_within

FORMATS = {"int8x4": 4, "int8": 8, "int16x8": 9, "float32": 32}
OVERHEAD = 3000


def network(layers: int, seed: int = 0) -> dict[str, list[FormatChoice]]:
    generator = np.random.default_rng(seed)
    found = {}
    for i in range(layers):
        values, noise = generator.integers(100, 5000), generator.lognormal()
        found[f"layer_{i}"] = [
            FormatChoice(name, float(values) * bits / 8, 0.0 if bits == 32 else noise * 4.0**-bits)
            for name, bits in FORMATS.items()
        ]
    return found


def total(choices: Mapping[str, list[FormatChoice]], formats: Mapping[str, str], what: str) -> float:
    return sum(
        getattr(c, what) for layer, options in choices.items() for c in options if c.format == formats[layer]
    )


def making(choices: Mapping[str, list[FormatChoice]], made: list[Attempt]):
    """Files that take more bytes than the model says, and change rows by their noise."""

    def make(formats: Mapping[str, str]) -> Attempt:
        switches = len(set(formats.values())) - 1
        size = int(total(choices, formats, "size_bytes")) + OVERHEAD + 250 * switches
        noise = total(choices, formats, "noise")
        sqnr = None if noise == 0 else -10 * np.log10(noise)
        made.append(Attempt(dict(formats), size, sqnr, min(1.0, 10 * noise), str(formats)))
        return made[-1]

    return make


def test_the_allocation_is_the_best_of_all() -> None:
    choices = network(5)
    budget = 1.3 * total(choices, dict.fromkeys(choices, "int8x4"), "size_bytes")
    found = allocate(choices, budget)
    every = [dict(zip(choices, names, strict=True)) for names in itertools.product(FORMATS, repeat=5)]
    possible = [f for f in every if total(choices, f, "size_bytes") <= budget]
    least = min(total(choices, f, "noise") for f in possible)
    assert total(choices, found, "size_bytes") <= budget
    assert total(choices, found, "noise") == pytest.approx(least)


def test_a_budget_below_the_smallest_gives_the_smallest() -> None:
    assert set(allocate(network(4), 1.0).values()) == {"int8x4"}


@pytest.mark.parametrize("layers", [3, 12, 60])
def test_the_most_exact_file_keeps_the_measured_size(layers: int) -> None:
    choices, made = network(layers, layers), []
    make = making(choices, made)
    whole = [make(dict.fromkeys(choices, name)) for name in ("int8x4", "int8")]
    limit = (whole[0].size_bytes + whole[1].size_bytes) // 2
    found = most_exact_within(choices, make, whole, limit)
    assert found is not None
    assert found.size_bytes <= limit
    assert (found.sqnr_db or 0) > (whole[0].sqnr_db or 0)
    assert len(made) <= 10
    assert most_exact_within(choices, make, whole, whole[0].size_bytes - 1000) is None


@pytest.mark.parametrize("layers", [3, 12, 60])
def test_the_smallest_file_keeps_the_measured_loss(layers: int) -> None:
    choices, made = network(layers, layers), []
    make = making(choices, made)
    whole = [make(dict.fromkeys(choices, name)) for name in ("int8x4", "int8", "float32")]
    limit = (whole[0].changed * whole[1].changed) ** 0.5
    found = smallest_within(choices, make, whole, limit)
    assert found is not None
    assert found.changed <= limit
    assert whole[0].size_bytes < found.size_bytes < whole[1].size_bytes
    assert len(made) <= 12


def test_a_loss_that_only_floats_keep_gives_floats() -> None:
    choices, made = network(4), []
    make = making(choices, made)
    whole = [make(dict.fromkeys(choices, name)) for name in ("int8x4", "int8", "float32")]
    found = smallest_within(choices, make, whole, 0.0)
    assert found is not None
    assert set(found.formats.values()) == {"float32"}
