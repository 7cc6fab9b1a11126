"""Ranks chosen by the loss on rows against ranks by energy, at equal operations: accuracy after the fine-tuning."""

from typing import Any

import numpy as np
import pytest
from bench_few_rows import NETWORKS

from lwdash.contract import Skipped
from lwdash.keras_models.bridge.flatten import flatten_model
from lwdash.techniques import low_rank
from lwdash.training.kernel_macs import macs_by_layer
from lwdash.training.low_rank_factors import macs_of

ROWS, SEEDS, SHARES = 120, (0, 1), (0.6, 0.4)


def left_by_energy(model: Any, energy: float) -> float:
    """Share of a network's operations that is left by `low_rank(energy=…)`."""
    flat = flatten_model(model)
    macs = macs_by_layer(flat)
    assert macs is not None
    left = dict(macs)
    for name in macs:
        layer = flat.get_layer(name)
        found = low_rank.factorized(layer, energy)
        if not isinstance(found, Skipped):
            stride = int(np.prod(getattr(layer, "strides", (1,))))
            left[name] = round(macs[name] * macs_of(found, stride) / layer.get_weights()[0].size)
    return sum(left.values()) / sum(macs.values())


def energy_for(model: Any, share: float) -> float:
    """The largest energy that leaves at most `share` of the operations."""
    low, high = 0.02, 0.999
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if left_by_energy(model, middle) <= share else (low, middle)
    return low


@pytest.mark.parametrize("name", ["digits, residual", "digits, separable", "heartbeats"])
def test_ranks_by_loss_keep_more_than_ranks_by_energy(name: str) -> None:
    network = NETWORKS[name]()
    print(f"\n{name}: {network.accuracy(network.model):.1%}")
    for share in SHARES:
        energy = energy_for(network.model, share)
        found: dict[str, float] = {}
        for label, params in {
            "energy": low_rank.Params(energy=energy),
            "loss": low_rank.Params(macs=share),
        }.items():
            done = [low_rank.apply(network.model, params, network.training(ROWS, seed)) for seed in SEEDS]
            found[label] = float(np.mean([network.accuracy(one.model) for one in done]))
            left = np.mean([one.facts["macs_after"] / one.facts["macs_before"] for one in done])
            print(f"| {name} | {share:.0%} | {label} | {left:.1%} | {found[label]:.1%} |", flush=True)
        assert found["loss"] > found["energy"] - 0.01
