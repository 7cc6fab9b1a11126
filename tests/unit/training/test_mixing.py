"""Mixtures of rows that the original model labels."""

import dataclasses
from typing import Any

import numpy as np

from lwdash.contract import Training
from lwdash.training import mixing
from lwdash.training.mixing import MAX_MIXTURES, can_mix, mixtures


def test_each_mixture_lies_between_two_rows_nearer_to_the_first() -> None:
    rows = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], np.float32)
    found = mixtures([rows], 200, seed=1)[0]
    assert found.dtype == np.float32
    distances = np.abs(found[:, None] - rows[None]).sum(axis=2)
    assert (distances.min(axis=1) <= 1.0 + 1e-6).all()
    shares = np.concatenate([1 - found.sum(axis=1, keepdims=True), found], axis=1)
    assert (shares >= -1e-6).all()
    assert (np.sort(shares, axis=1)[:, 0] < 1e-6).all()
    assert len(np.unique(found, axis=0)) > 100


def test_all_inputs_are_mixed_alike() -> None:
    rows = np.random.default_rng(0).normal(size=(9, 4))
    first, second = mixtures([rows, 3 * rows[:, :2, None]], 50, seed=2)
    np.testing.assert_allclose(second[..., 0], 3 * first[:, :2])


def test_mixtures_are_limited_in_number_and_memory(monkeypatch: Any) -> None:
    rows = np.zeros((3, 5), np.float32)
    assert len(mixtures([rows], 10**6, seed=0)[0]) == MAX_MIXTURES
    monkeypatch.setattr(mixing, "MAX_BYTES", 7 * rows[:1].nbytes)
    assert len(mixtures([rows], 10**6, seed=0)[0]) == 7


def test_numbers_of_words_are_not_mixed() -> None:
    given = Training(
        [np.zeros((4, 2), np.int64)], None, [np.zeros((4, 1))], "regression", 0, lambda doing, share: None
    )
    reals = dataclasses.replace(given, inputs=[np.zeros((4, 2), np.float32)])
    assert not can_mix(dataclasses.replace(given, outputs_of=list))
    assert not can_mix(reals)
    assert can_mix(dataclasses.replace(reals, outputs_of=list))
