"""How fast a full queue drains, and that a server which has drained it is no heavier than before.

The steps are simulated children: real processes on the real link that compute nothing.
"""

import gc
import os
import time

import psutil
import pytest
from conftest import poll
from support.engine_site import Site

from storage.frames import count_states

RUNS = 1_000
MIN_RUNS_PER_SECOND = 20


def drain(site: Site, seconds: float = 600) -> float:
    """Runs a second, through both steps, from the first hand-out until none is left."""
    started = time.perf_counter()
    site.start()

    def is_drained() -> bool:
        time.sleep(0.2)
        counts = count_states(site.store.database)
        return not counts["queued"] and not counts["running"]

    poll("the queue is empty", is_drained, seconds)
    return RUNS / (time.perf_counter() - started)


@pytest.mark.parametrize(
    ("submissions", "each"), [(5, 200), (1_000, 1)], ids=["sweeps of 200", "one at a time"]
)
def test_a_thousand_runs_drain(drill: Site, submissions: int, each: int) -> None:
    """What waits in one experiment is the same to the engine however it was entered: nobody waits for a process."""
    ids = []
    for number in range(submissions):
        ids += drill.queue(*["work"] * each, owner=f"submission {number}", is_trained=False)
    speed = drain(drill)
    load = os.getloadavg()[0]
    print(f"{RUNS:,} runs, {submissions:,} submissions: {speed:.0f} a second (load average {load:.1f})")
    states = count_states(drill.store.database)
    assert states["succeeded"] == RUNS
    assert all(drill.did(run).count("measure done") == 1 for run in ids)
    assert speed >= MIN_RUNS_PER_SECOND


def test_a_server_that_has_worked_is_no_heavier(drill: Site) -> None:
    """Memory, file descriptors and threads after a thousand runs, against those after the first hundred."""
    process = psutil.Process()

    def weight() -> tuple[float, int, int]:
        gc.collect()
        return process.memory_info().rss / 1e6, process.num_fds(), process.num_threads()

    drill.start()
    after = []
    for hundreds in (1, 9):
        ids = drill.queue(*["work"] * (100 * hundreds), is_trained=False)
        drill.wait_until_ended(ids, 600)
        poll("idle", drill.is_clean, 10)
        after.append(weight())
    (memory, files, threads), (memory_then, files_then, threads_then) = after
    print(f"after 100 runs: {memory:.0f} MB, {files} file descriptors, {threads} threads")
    print(f"after 1,000 runs: {memory_then:.0f} MB, {files_then} file descriptors, {threads_then} threads")
    assert memory_then - memory < 50
    assert files_then - files <= 5
    assert threads_then - threads <= 5
