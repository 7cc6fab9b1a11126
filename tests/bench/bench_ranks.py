"""Ranks chosen by the loss on rows against ranks by energy, at equal operations: accuracy after the fine-tuning."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_quality import FOLDER, Piece, measured, points_lost, prepared
from trained_networks import trained_network

from lwdash.contract import Skipped
from lwdash.keras_models.bridge.flatten import flatten_model
from lwdash.techniques import low_rank
from lwdash.training.kernel_macs import macs_by_layer
from lwdash.training.low_rank_factors import macs_of

ROWS, SEEDS, SHARES = 100, (0, 1), (0.6, 0.4)


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


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", ["1-D CNN", "DS-CNN", "residual"])
def test_ranks_by_loss_keep_more_than_ranks_by_energy(name: str, share: float, tmp_path: Path) -> None:
    network = trained_network(name, FOLDER)
    recipes = {
        "energy": f"low_rank(energy={energy_for(network.load(), share):.4f})",
        "loss": f"low_rank(macs={share})",
    }
    lost = {}
    for label, recipe in recipes.items():
        found = []
        for seed in SEEDS:
            folder = tmp_path / f"{label}{seed}"
            folder.mkdir()
            found.append(measured(Piece(recipe, name, ROWS, seed), prepared(network, ROWS, seed, folder)))
        lost[label] = float(np.mean(points_lost(found)))
        print(f"| {name} | {share:.0%} | `{recipe}` | {lost[label]:.2f} |", flush=True)
    assert lost["loss"] < lost["energy"] + 1
