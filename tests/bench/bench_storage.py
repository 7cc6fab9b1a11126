"""How long pages wait for the database after a week of use: 10,000 runs in 200 experiments."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from support.seeding import seed_experiment

from storage import frames, queue
from storage.overview import found_experiments
from storage.result_frames import standing
from storage.store import Store, open_store


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("seeded")
    store = open_store(f"sqlite:///{folder / 'lwdash.sqlite'}", str(folder / "artifacts"), folder / "cache")
    seed_experiment(store, "large", 2_000)
    for number in range(199):
        seed_experiment(store, f"experiment {number}", 40)
    return store


READS: dict[str, Callable[[Store], Any]] = {
    "experiments, first page": lambda store: found_experiments(store.database),
    "experiments, counted": lambda store: frames.count_experiments(store.database),
    "states, counted": lambda store: frames.count_states(store.database),
    "2,000 runs of one experiment": lambda store: standing(store.database, 1, has_ended=True),
    "progress of an experiment": lambda store: frames.progress_of(store.database, 1),
    "what waits": lambda store: queue.waiting(store.database),
}


@pytest.mark.parametrize("what", READS)
def test_a_page_reads_fast(seeded: Store, what: str) -> None:
    times = []
    for _ in range(5):
        started = time.perf_counter()
        READS[what](seeded)
        times.append(time.perf_counter() - started)
    print(f"{what}: {sorted(times)[2] * 1000:.0f} ms")
    assert sorted(times)[2] < 0.5
