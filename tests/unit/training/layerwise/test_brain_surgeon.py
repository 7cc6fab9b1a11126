"""The solver against brute force, against pruning by magnitude, and on the structures."""

from itertools import combinations

import numpy as np
import pytest

from lwdash.training.layerwise import brain_surgeon
from lwdash.training.layerwise.brain_surgeon import Units, prune, squared_error


def layer(rows: int = 60, inputs: int = 8, outputs: int = 3, count: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """(weights, moments) of correlated inputs."""
    chance = np.random.default_rng(rows + inputs)
    mixed = chance.normal(size=(count, rows, inputs)) @ chance.normal(size=(count, inputs, inputs))
    return chance.normal(size=(count, inputs, outputs)), mixed.transpose(0, 2, 1) @ mixed / rows


def alone(shape: tuple[int, ...], share: float) -> Units:
    return Units(np.arange(np.prod(shape)).reshape(shape), share)


def by_magnitude(weights: np.ndarray, share: float) -> np.ndarray:
    count = round(share * weights.size)
    pruned = weights.copy()
    pruned.ravel()[np.argsort(np.abs(weights).ravel(), kind="stable")[:count]] = 0
    return pruned


def best_error(weights: np.ndarray, moments: np.ndarray, count: int) -> float:
    """The lowest error of all ways to remove `count` weights of one output and to solve for the others."""
    found = []
    for removed in combinations(range(len(weights)), count):
        gone = np.array(removed)
        inverse = np.linalg.inv(moments)[np.ix_(gone, gone)]
        found.append(weights[gone] @ np.linalg.solve(inverse, weights[gone]))
    return min(found)


def test_one_removed_weight_is_the_best_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brain_surgeon, "DAMPING", 1e-9)
    weights, moments = layer(outputs=1)
    pruned = prune(weights, moments, alone(weights.shape, 1 / 8))
    best = best_error(weights[0, :, 0], moments[0], 1)
    assert squared_error(weights - pruned, moments) == pytest.approx(best, rel=1e-4)


def test_half_of_the_weights_cost_little_more_than_the_best_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brain_surgeon, "DAMPING", 1e-9)
    weights, moments = layer(outputs=1)
    pruned = prune(weights, moments, alone(weights.shape, 0.5))
    best = best_error(weights[0, :, 0], moments[0], 4)
    error = squared_error(weights - pruned, moments)
    assert best * 0.999 <= error <= 1.5 * best
    assert squared_error(weights - by_magnitude(weights, 0.5), moments) > 2 * best


def test_the_kept_weights_are_the_least_squares_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brain_surgeon, "DAMPING", 1e-9)
    rows = np.random.default_rng(3).normal(size=(50, 6)) @ np.random.default_rng(4).normal(size=(6, 6))
    weights = np.random.default_rng(5).normal(size=(1, 6, 2))
    pruned = prune(weights, rows.T[None] @ rows[None] / 50, alone(weights.shape, 0.5))
    for j in range(2):
        kept = pruned[0, :, j] != 0
        solution = np.linalg.lstsq(rows[:, kept], rows @ weights[0, :, j], rcond=None)[0]
        np.testing.assert_allclose(pruned[0, kept, j], solution, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rows", [5, 60])
@pytest.mark.parametrize("is_exact", [True, False])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_the_error_is_never_larger_than_by_magnitude(
    share: float, is_exact: bool, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_exact:
        monkeypatch.setattr(brain_surgeon, "MAX_OPERATIONS", 0)
        monkeypatch.setattr(brain_surgeon, "MAX_EXACT_OPERATIONS", 0)
    weights, moments = layer(rows, inputs=24, outputs=7, count=2)
    pruned = prune(weights, moments, alone(weights.shape, share))
    assert np.count_nonzero(pruned == 0) == round(share * weights.size)
    smallest = squared_error(weights - by_magnitude(weights, share), moments)
    assert squared_error(weights - pruned, moments) <= smallest * (0.9 if is_exact and rows > 24 else 1)


def test_without_any_input_the_smallest_weights_go() -> None:
    weights, moments = layer()
    pruned = prune(weights, np.zeros_like(moments), alone(weights.shape, 0.5))
    np.testing.assert_allclose(pruned, by_magnitude(weights, 0.5))


def test_two_of_four_keeps_two_of_each_group() -> None:
    weights, moments = layer(inputs=10, outputs=5)
    numbers = np.arange(50).reshape(1, 10, 5)
    groups = (np.arange(10)[:, None] // 4 * 5 + np.arange(5))[None]
    pruned = prune(weights, moments, Units(numbers, 0.5, groups))
    for start in (0, 4, 8):
        assert ((pruned[0, start : start + 4] != 0).sum(axis=0) == 2).all()
    ranks = np.zeros(weights.shape, bool)
    for start in (0, 4, 8):
        part = np.abs(weights[0, start : start + 4])
        ranks[0, start : start + 4] = np.argsort(np.argsort(-part, axis=0), axis=0) < 2
    smallest = squared_error(np.where(ranks, 0, weights), moments)
    assert squared_error(weights - pruned, moments) < smallest


def test_blocks_go_whole_and_are_chosen_by_their_common_loss() -> None:
    """4 inputs × 2 outputs; the block that is removed first is the cheapest of all by brute force."""
    weights, moments = layer(inputs=8, outputs=4)
    numbers = (np.arange(8)[:, None] // 4 * 2 + np.arange(4) // 2)[None]
    pruned = prune(weights, moments, Units(numbers, 0.25))
    removed = [unit for unit in range(4) if (pruned[numbers == unit] == 0).all()]
    costs = []
    for unit in range(4):
        kept = moments[0] + 0.01 * np.trace(moments[0]) / 8 * np.eye(8)
        rows = np.flatnonzero((numbers[0] == unit).any(axis=1))
        columns = np.flatnonzero((numbers[0] == unit).any(axis=0))
        part = np.linalg.inv(np.linalg.inv(kept)[np.ix_(rows, rows)])
        costs.append(sum(weights[0, rows, j] @ part @ weights[0, rows, j] for j in columns))
    assert removed == [int(np.argmin(costs))]
    assert np.count_nonzero(pruned) == 24


def test_the_weights_that_remain_without_some_inputs_are_those_of_least_squares(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(brain_surgeon, "DAMPING", 1e-9)
    chance = np.random.default_rng(8)
    inputs = chance.normal(size=(500, 6)) @ chance.normal(size=(6, 6))
    weights, kept = chance.normal(size=(1, 6, 3)), np.array([1, 0, 1, 1, 0, 1], bool)
    found = brain_surgeon.without_inputs(weights, (inputs.T @ inputs / 500)[None], kept)[0]
    exact = np.linalg.lstsq(inputs[:, kept], inputs @ weights[0], rcond=None)[0]
    assert (found[~kept] == 0).all()
    np.testing.assert_allclose(found[kept], exact, atol=1e-4)
