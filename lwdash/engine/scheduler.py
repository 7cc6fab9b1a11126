"""The engine: submits queued steps to dask, embedded in this process or an external shared scheduler.

The database is the truth; dask is only transport. A loop looks for queued steps and submits as many as can
start now, alternating between the users of the installation. Nothing is lost when either side restarts.
"""

import contextlib
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from lwdash.engine import process_events
from lwdash.engine.home import explain_storage
from lwdash.engine.pool import MEASURE, WORK, Embedded, Pool, Shared, batch_key, lane_of, members_of
from lwdash.engine.quota import Quota
from lwdash.engine.scratch import sweep
from lwdash.engine.searching import advance_searches
from lwdash.engine.silence import Silence
from lwdash.engine.warm_child import KEEPER
from lwdash.engine.workers import Worker
from lwdash.errors import EngineUnavailable
from lwdash.settings import Settings
from storage import lost_workers, queue
from storage.queue import Waiting
from storage.runs import DETAILS
from storage.store import Store

logger = logging.getLogger(__name__)

TICK_S = 0.5
LOOK_S = 2.0
"""Interval at which heartbeats are checked."""
RETRY_S = 2.0
STALE_AFTER_S = 60.0
GONE_AFTER_S = 6.0
"""Maximum silence of a step whose worker has left the cluster: a little more than two heartbeats."""
BATCH_LIMIT = 25
"""Maximum number of runs that share a child, so that one result list does not wait for a hundred runs."""
DETAILS_LIMIT = 10
"""The same for details, which share the rows and the processes of targets; they are shared out to two children."""


class NoSteps(EngineUnavailable):
    """No steps are submitted, for a reason that reconnecting does not fix."""


class Engine:
    """One per process; `poke` after adding runs makes it look at once.

    Of several processes on one home (server, command line), one embeds the scheduler; the others leave the
    work to it and take over when it ends.
    """

    def __init__(self, settings: Settings, store: Store):
        self.settings, self.store = settings, store
        self._wake, self._stop = process_events.CHANGED, threading.Event()
        self._pool: Pool | None = None
        self._is_elsewhere = False
        self._after_s = 0.0
        self._silence = Silence(STALE_AFTER_S, GONE_AFTER_S)
        self._quota = Quota(settings, store)
        self._looked_at = -LOOK_S
        self._shares: dict[str, str] = {}
        """Owner of each submitted batch, by its key."""
        self._fault: str | None = None
        """Error message of a worker that could not run its batch."""
        self._explained: str | None = None
        self.problem: str | None = None
        """Message on why no steps are submitted at present; None when all is well."""
        self._thread = threading.Thread(target=self._loop, name="lwdash-engine", daemon=True)

    def start(self, after_s: float = 0.0) -> "Engine":
        """after_s: delay before imports and connections, for callers with other work to do first."""
        process_events.STOPPING.clear()
        self._after_s = after_s
        self._thread.start()
        return self

    def poke(self) -> None:
        """Look for queued steps now instead of within half a second."""
        self._wake.set()

    @property
    def state(self) -> str:
        """`starting`, `embedded`, `cluster`, `elsewhere` (another process on this home runs it) or `down`."""
        if not self._thread.is_alive() or self.problem:
            return "down"
        if self._pool is not None:
            return self._pool.kind
        return "elsewhere" if self._is_elsewhere else "starting"

    @property
    def refused(self) -> list[str]:
        """Message on why workers of the cluster get no steps while others do."""
        return sorted(self._pool.refused.values()) if isinstance(self._pool, Shared) else []

    def workers(self) -> list[Worker]:
        """Places where steps run, at the last check; empty while this process submits no steps."""
        pool = self._pool
        return pool.listed() if pool is not None else []

    def stop(self) -> None:
        """End children first (their runs return to the queue), then the scheduler."""
        self._stop.set()
        self._wake.set()
        if not self.settings.scheduler:
            process_events.STOPPING.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._disconnect()
        KEEPER.close()

    def _loop(self) -> None:
        self._stop.wait(self._after_s)
        while not self._stop.is_set():
            try:
                if self._is_connected():
                    self._tick()
                self._report_problem(None)
            except Exception as error:
                is_known = isinstance(error, EngineUnavailable)
                explained = explain_storage(error, self.settings)
                is_known = is_known or explained is not None
                message = explained or (str(error) if is_known else f"{type(error).__name__}: {error}")
                if self.problem != message:
                    logger.log(logging.WARNING if is_known else logging.ERROR, "no steps are submitted: %s", message,
                               exc_info=not is_known)  # fmt: skip
                self._report_problem(message)
                if not isinstance(error, NoSteps):
                    self._disconnect_if_broken()
                self._stop.wait(RETRY_S)
            self._wake.wait(TICK_S)
            self._wake.clear()

    def _tick(self) -> None:
        assert self._pool is not None
        known = self._pool.known()
        if time.monotonic() - self._looked_at > LOOK_S:
            self._looked_at = time.monotonic()
            beats = lost_workers.heartbeats(self.store.database)
            for run_id in lost_workers.recover(
                self.store.database, self._silence.silent(beats, self._pool.workers)
            ):
                logger.warning("run %s: its worker vanished", run_id)
        self._shares = {key: share for key, share in self._shares.items() if key in set(known)}
        advance_searches(self.store)
        queued = queue.waiting(self.store.database)
        if not queued:
            return
        if (problem := self._pool.problem or self._quota.problem()) is not None:
            raise NoSteps(problem)
        if self._fault:
            message, self._fault = self._fault, None
            raise NoSteps(message)
        # a run is measured after its whole batch is compressed, so that one child measures the whole batch;
        # but a baseline is measured at once
        used = {member for key in known for member in members_of(key)}
        under_way = {(run, attempt) for _, run, attempt in used}
        free = [
            w
            for w in queued
            if (w.run_id, w.attempt) not in under_way
            or (w.is_baseline and w.step == MEASURE and (w.step, w.run_id, w.attempt) not in used)
        ]
        self._hand_out(free, known)

    def _hand_out(self, queued: Sequence[Waiting], known: Sequence[str]) -> None:
        """Submit as many batches as can start now; the user with the fewest running steps is next."""
        assert self._pool is not None
        room = self._pool.room(known)
        turn = {w.run_id: number for number, w in enumerate(queued)}
        left = list(batches(queued)) if any(free > 0 for free in room.values()) else []
        active = Counter(self._shares.values())
        while left := [b for b in left if room[lane_of(b[0].step)] > 0]:
            batch = min(left, key=lambda b: (active[b[0].share], turn[b[0].run_id]))
            left.remove(batch)
            room[lane_of(batch[0].step)] -= 1
            active[batch[0].share] += 1
            self._shares[batch_key(batch)] = batch[0].share
            self._pool.submit(batch, self._ended)

    def _ended(self, error: BaseException | None) -> None:
        """A batch has left its worker; called in another thread."""
        if error is not None and not self._stop.is_set():
            self._fault = f"a worker could not take its steps ({type(error).__name__}: {error})"
        self.poke()

    def _is_connected(self) -> bool:
        if self._pool is not None:
            return True
        pool: Pool = Shared(self.settings, self.store) if self.settings.scheduler else Embedded(self.settings)
        try:
            is_open = pool.open()
        except BaseException:
            pool.close()
            raise
        self._is_elsewhere = not is_open
        if not is_open:
            return False
        if isinstance(pool, Embedded):
            sweep(self.settings.scratch)
            self._requeue_abandoned()
        self._pool = pool
        return True

    def _requeue_abandoned(self) -> None:
        """Requeue steps marked as running: only the holder of this lock runs steps of this home, so they are dead."""
        if self.store.database.dialect.name == "sqlite":
            lost_workers.recover(self.store.database, lost_workers.heartbeats(self.store.database))

    def _report_problem(self, message: str | None) -> None:
        """Store the reason why no steps are submitted, and write it on the waiting runs."""
        self.problem = message
        if message is None and self._explained is None:
            return
        with contextlib.suppress(Exception):  # an unavailable database may be the very problem
            queue.explain_wait(self.store.database, message and f"waits: {message}", self._explained)
            self._explained = message and f"waits: {message}"

    def _disconnect_if_broken(self) -> None:
        if self.settings.scheduler or self._pool is None:
            self._disconnect()

    def _disconnect(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()


def batches(queued: Sequence[Waiting]) -> Iterator[list[Waiting]]:
    """Queued steps in groups that share a child, in queue order.

    A group has quick runs and measurements of one experiment, so that model and rows are read once.
    """
    together: dict[tuple[Any, ...], list[Waiting]] = {}
    for w in queued:
        is_alone = w.is_trained and lane_of(w.step) == WORK
        together.setdefault((w.step, w.experiment_id, w.run_id if is_alone else None), []).append(w)
    for members in together.values():
        limit = BATCH_LIMIT
        if members[0].step == DETAILS:
            limit = min(DETAILS_LIMIT, math.ceil(len(members) / 2))
        for start in range(0, len(members), limit):
            yield members[start : start + limit]
