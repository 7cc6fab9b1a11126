"""Sparsities chosen by layer against the same for all layers, at the same mean, with few rows.

Accuracy on unseen rows, and the bytes of the coded int8 file, on the networks of `bench_few_rows`. All recipes of a line use
the same rows and, by default, fine-tune as many steps.
"""

import time

import numpy as np
import pytest
from bench_few_rows import NETWORKS, SEEDS
from bench_lowbit import stored_bytes, treated

SPARSITIES = (0.7, 0.8, 0.9)
WAYS = {
    **{
        f"zeros {share:.0%}": (
            f"prune(sparsity={share})",
            f"prune(sparsity={share}, scope=global)",
            f"prune(sparsity=auto, mean_sparsity={share})",
        )
        for share in SPARSITIES
    },
    "zeros, limit": ("prune(sparsity=auto)",),
}
"""Name of the comparison → recipes; the last is chosen by layer."""
MAX_LOSS = 1.0
"""Points that a choice by layer may lose against the first recipe, mean of the seeds: chance."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NETWORKS)
def test_by_layer(name: str, way: str) -> None:
    network = NETWORKS[name]()
    before = network.accuracy(network.model)
    drops = []
    for recipe in WAYS[way]:
        start = time.perf_counter()
        models = [treated(network, recipe, seed) for seed in SEEDS[:2]]
        seconds = (time.perf_counter() - start) / len(models)
        found = [100 * (before - network.accuracy(model)) for model in models]
        size = np.mean([stored_bytes(network, model)[2] for model in models])
        drops.append(float(np.mean(found)))
        print(
            f"\n| {name} | {way} | `{recipe}` | {drops[-1]:.2f} ({min(found):.1f} … {max(found):.1f}) | {size:,.0f} | "
            f"{seconds:.0f} s |",
            flush=True,
        )
    assert drops[-1] <= drops[0] + MAX_LOSS or len(drops) == 1
