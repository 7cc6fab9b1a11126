"""The engine: hands queued steps to dask, embedded in this process or a shared scheduler elsewhere.

The database is the truth; dask is only transport and queue. A loop looks for queued steps that the
scheduler does not know and submits them, so that nothing is lost when either side restarts.
"""

import contextlib
import fcntl
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from lwdash.engine import supervise
from lwdash.engine.scratch import sweep
from lwdash.errors import EngineUnavailable
from lwdash.settings import Settings
from storage import runs
from storage.runs import Waiting
from storage.store import Store

logger = logging.getLogger(__name__)

TICK_S = 0.5
RETRY_S = 2.0
STALE_AFTER_S = 60.0
BATCH_LIMIT = 25
"""Runs that share a child at most, so that one result list does not wait for a hundred runs."""


class Engine:
    """Started once a process; `poke` after adding runs makes it look at once.

    Of several processes on one home (server, command line), one embeds the scheduler; the others leave the
    work to it and take over when it ends.
    """

    def __init__(self, settings: Settings, store: Store):
        self.settings, self.store = settings, store
        self._wake, self._stop = threading.Event(), threading.Event()
        self._client: Any = None
        self._cluster: Any = None
        self._lock_file: Any = None
        self._recovered_at = -STALE_AFTER_S
        self.problem: str | None = None
        """Why no steps are handed out at present, in words; None when all is well."""
        self._thread = threading.Thread(target=self._loop, name="lwdash-engine", daemon=True)

    def start(self) -> "Engine":
        supervise.STOPPING.clear()
        self._thread.start()
        return self

    def poke(self) -> None:
        """Looks for queued steps now instead of within half a second."""
        self._wake.set()

    @property
    def state(self) -> str:
        """`embedded`, `cluster`, `elsewhere` (another process on this home runs it) or `down`."""
        if not self._thread.is_alive() or self.problem:
            return "down"
        if self.settings.scheduler:
            return "cluster" if self._client else "down"
        return "embedded" if self._client else "elsewhere"

    def stop(self) -> None:
        """Ends children first (their runs go back to the queue), then the scheduler."""
        self._stop.set()
        self._wake.set()
        if not self.settings.scheduler:
            supervise.STOPPING.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._disconnect()

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                if self._is_connected():
                    self._tick()
                self.problem = None
            except Exception as error:
                if self.problem != (words := f"{type(error).__name__}: {error}"):
                    logger.exception("the engine could not look for work; it tries again")
                self.problem = words
                if self.settings.scheduler or self._client is None:
                    self._disconnect()
                self._stop.wait(RETRY_S)
            self._wake.wait(TICK_S)
            self._wake.clear()

    def _tick(self) -> None:
        if time.monotonic() - self._recovered_at > STALE_AFTER_S:
            self._recovered_at = time.monotonic()
            for run_id in runs.recover(self.store.database, STALE_AFTER_S):
                logger.warning("run %s: its worker vanished", run_id)
        queued = runs.waiting(self.store.database)
        if not queued:
            return
        known = set(self._known_members())
        new = [w for w in queued if (w.step, w.run_id, w.attempt) not in known]
        for batch in batches(new):
            self._submit(batch)

    def _submit(self, batch: Sequence[Waiting]) -> None:
        from distributed import fire_and_forget

        step = batch[0].step
        cpus: float = self.settings.slots if step == "measure" else 1
        if self.settings.scheduler:
            cpus = self._cluster_cpus(step)
        future = self._client.submit(
            supervise.run_step,
            step,
            [(w.run_id, w.attempt) for w in batch],
            None if self.settings.scheduler else self.settings,
            key=batch_key(batch),
            pure=False,
            priority=-batch[0].run_id,
            resources={"cpu": cpus},
            retries=0,
        )
        fire_and_forget(future)

    def _cluster_cpus(self, step: str) -> float:
        """How much of a worker's `cpu` resource a step takes; measuring takes a whole host."""
        offers = [
            w["resources"].get("cpu", 0)
            for w in self._client.scheduler_info(n_workers=-1)["workers"].values()
        ]
        if not any(offers):
            raise EngineUnavailable(
                f"no worker of {self.settings.scheduler} offers the resource cpu; start one with "
                "`dask worker … --resources cpu=N`"
            )
        return min(o for o in offers if o) if step == "measure" else 1

    def _known_members(self) -> Iterator[tuple[str, int, int]]:
        """(step, run, attempt) of every task that the scheduler holds and has not finished."""
        if self._cluster is not None:
            tasks = {str(key): task.state for key, task in list(self._cluster.scheduler.tasks.items())}
        else:
            tasks = self._client.run_on_scheduler(_task_states)
        for key, state in tasks.items():
            if state not in ("erred", "memory", "forgotten", "released"):
                yield from members_of(key)

    def _is_connected(self) -> bool:
        if self._client is not None:
            return True
        import dask

        dask.config.set(logging={"distributed": "warning", "distributed.http.proxy": "error"})
        from distributed import Client, LocalCluster

        if self.settings.scheduler:
            self._client = Client(self.settings.scheduler, timeout="5s", set_as_default=False)
            return True
        if not self._lock_home():
            return False
        self._cluster = LocalCluster(
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            n_workers=1,
            threads_per_worker=self.settings.slots,
            dashboard_address="127.0.0.1:0",
            resources={"cpu": self.settings.slots},
            memory_limit=0,
            local_directory=str(self.settings.scratch),
            silence_logs=logging.ERROR,
        )
        self._client = Client(self._cluster, set_as_default=False)
        sweep(self.settings.scratch)
        self._requeue_abandoned()
        return True

    def _requeue_abandoned(self) -> None:
        """Nobody else runs steps of this home while the lock is ours: what is still running there is dead."""
        if self.store.database.dialect.name == "sqlite":
            runs.recover(self.store.database, stale_after_s=0.0)

    def _lock_home(self) -> bool:
        self.settings.home.mkdir(parents=True, exist_ok=True)
        lock_file = (self.settings.home / "engine.lock").open("w")
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock_file.close()
            return False
        self._lock_file = lock_file
        return True

    def _disconnect(self) -> None:
        client, cluster, lock_file = self._client, self._cluster, self._lock_file
        self._client = self._cluster = self._lock_file = None
        for part in (client, cluster):
            if part is not None:
                with contextlib.suppress(Exception):  # a scheduler that is gone cannot be closed
                    part.close(timeout=5)
        if lock_file is not None:
            lock_file.close()


def _task_states(dask_scheduler: Any = None) -> dict[str, str]:
    return {str(key): task.state for key, task in dask_scheduler.tasks.items()}


def batches(queued: Sequence[Waiting]) -> Iterator[list[Waiting]]:
    """Queued steps in groups that share a child: quick runs of one submission, measurements of one experiment."""

    def group(w: Waiting) -> tuple[Any, ...]:
        if w.step == "measure":
            return (w.step, w.experiment_id)
        return (w.step, w.submission, w.run_id if w.is_trained else 0)

    for _, members in groupby(sorted(queued, key=lambda w: (str(group(w)), w.run_id)), key=group):
        together = list(members)
        for start in range(0, len(together), BATCH_LIMIT):
            yield together[start : start + BATCH_LIMIT]


def batch_key(batch: Sequence[Waiting]) -> str:
    """The dask key; it says which attempts of which runs are inside."""
    return f"{batch[0].step}:" + "+".join(f"{w.run_id}.{w.attempt}" for w in batch)


def members_of(key: str) -> Iterator[tuple[str, int, int]]:
    """The reverse of `batch_key`; nothing for keys of others."""
    step, colon, rest = key.partition(":")
    if not colon or step not in ("compress", "measure"):
        return
    for member in rest.split("+"):
        run_id, _, attempt = member.partition(".")
        yield step, int(run_id), int(attempt)
