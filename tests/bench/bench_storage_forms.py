"""Storage forms against the dense file: bytes, and latency interleaved with it. Kernels are zeroed without training.

`LWDASH_BENCH_NETWORKS` (names, commas between them) takes some networks only.
"""

import os
from collections.abc import Mapping

import numpy as np
import pytest
from interleaved import interleaved_milliseconds
from networks import NETWORKS, built, rows_for
from support.zeroed import with_zeros

from lwdash.compress.storage_stage import store
from lwdash.errors import LwdashError
from lwdash.recipe import parse_recipe
from lwdash.techniques import TECHNIQUES, float32, needs_rows, sparse

FORMATS = ("float32", "float16", "int8", "int16x8", "weight_only")
ZEROS = ((0.5, 1), (0.8, 1), (0.8, 4), (0.9, 1))
"""(share, block along the first axis)"""
MAX_SLOWDOWN = 1.05
"""Of the sparse file against the dense one: what a ratio of medians may be off on a shared machine."""
MAX_TRIES = 3
"""On a busy machine, ratios of files with the same bytes were 0.86 to 1.05; a slower file is slower every time."""
SECONDS = 0.6
CHECKED_ROWS = 4

chosen = os.environ.get("LWDASH_BENCH_NETWORKS")


def in_format(data: bytes, text: str, rows: Mapping[str, np.ndarray]) -> bytes:
    """A float .tflite in a number format."""
    step = parse_recipe(text).tflite_step
    if step is None:
        return data
    some = rows if needs_rows(step.name, step.params) else None
    packed: bytes = TECHNIQUES[step.name].apply(data, step.params, some).data
    return packed


def least_slowdown(dense: bytes, stored: bytes, rows: Mapping[str, np.ndarray]) -> float:
    """Time of the sparse file as a share of the dense one's; a larger share than MAX_SLOWDOWN is measured again."""
    least = np.inf
    for _ in range(MAX_TRIES):
        times = interleaved_milliseconds({"dense": dense, "sparse": stored}, rows, threads=1, seconds=SECONDS)
        least = min(least, times["sparse"] / times["dense"])
        if least <= MAX_SLOWDOWN:
            break
    return float(least)


@pytest.mark.parametrize("name", chosen.split(",") if chosen else list(NETWORKS))
def test_sparse_files_against_dense_ones(name: str) -> None:
    model = built(name)
    rows = rows_for(model, 32)
    source = float32.apply(model, list(rows), [values.shape[1:] for values in rows.values()])
    faults = []
    print(f"\n{name}: float export {len(source):,} B")
    for zeros, block in ZEROS:
        for text in FORMATS:
            blocks = f" in blocks of {block}" if block > 1 else ""
            try:
                dense = in_format(with_zeros(source, zeros, block), text, rows)
                few = {key: values[:CHECKED_ROWS] for key, values in rows.items()}
                stored = store(sparse, sparse.Params(), dense, few).data
            except LwdashError as error:
                print(f"  {zeros:.0%} zeros{blocks}, {text}: no file, {' '.join(str(error).split())[:100]}")
                continue
            slowdown = least_slowdown(dense, stored, rows)
            print(
                f"  {zeros:.0%} zeros{blocks}, {text}: {len(dense):,} → {len(stored):,} B "
                f"({len(stored) / len(dense):.2f}), time {slowdown:.2f}"
            )
            if slowdown > MAX_SLOWDOWN:
                faults.append(f"{zeros:.0%} {text}: {slowdown:.2f} of the dense file's time")
            assert len(stored) <= len(dense)
    assert not faults, "\n".join(faults)
