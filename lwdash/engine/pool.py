"""Pools that run steps: a dask scheduler and worker embedded in this process, or a shared scheduler with its workers."""

import contextlib
import fcntl
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

from lwdash.engine import supervise
from lwdash.engine.supervise import MEASURE, Member
from lwdash.engine.workers import Worker, describe, of_cluster, refusal, this_process, versions
from lwdash.errors import EngineUnavailable
from lwdash.settings import Settings
from lwdash.targets import TIMED
from storage.analyses import SENSITIVITY
from storage.installation import mark_installation
from storage.queue import Waiting
from storage.runs import DETAILS, NEXT_STEP
from storage.store import Store
from storage.target_results import target_of

logger = logging.getLogger(__name__)

SHORT = "short"
"""Steps of a few seconds that a page waits for: they do not queue behind trainings."""
WORK = "cpu"
LANES: Mapping[str, str] = {MEASURE: MEASURE, DETAILS: DETAILS, SENSITIVITY: SHORT}
"""Step → its lane; WORK if not listed."""
CONNECT_S = "5s"
STUCK_S = 5.0
ENDED = ("erred", "memory", "forgotten", "released")


class Pool(Protocol):
    """Runs batches. Call `open` first, `close` last. Used by one thread."""

    @property
    def kind(self) -> str: ...

    @property
    def problem(self) -> str | None:
        """Message on why no batch can run at present."""

    @property
    def workers(self) -> Collection[str] | None:
        """Addresses of the available workers; None where the worker is this process."""

    def listed(self) -> list[Worker]:
        """The workers at the last check, for display; callable from any thread."""

    def open(self) -> bool:
        """Connect; False when another process of this home does the work."""

    def known(self) -> list[str]:
        """Keys of the submitted batches that have not ended."""

    def room(self, known: Sequence[str]) -> Counter[str]:
        """Number of further batches that can be submitted, by lane."""

    def submit(self, batch: Sequence[Waiting], ended: Callable[[BaseException | None], None]) -> None:
        """Submit a batch; `ended` is called in another thread."""

    def close(self) -> None: ...


class Embedded:
    """One worker, in threads of this process; only one process per home at a time."""

    kind = "embedded"
    problem: str | None = None
    workers = None

    def __init__(self, settings: Settings):
        self.settings = settings
        self._lock_file: Any = None
        self._cluster: Any = None
        self._client: Any = None

    def listed(self) -> list[Worker]:
        return [this_process(self.settings.slots)]

    def open(self) -> bool:
        if not self._lock_home():
            return False
        _quiet_dask()
        from distributed import Client, LocalCluster

        slots = self.settings.slots
        self._cluster = LocalCluster(
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            n_workers=1,
            threads_per_worker=int(sum(_places(slots).values())),
            dashboard_address="127.0.0.1:0",
            resources=_places(slots),
            memory_limit=0,
            local_directory=str(self.settings.scratch),
            silence_logs=logging.ERROR,
        )
        self._client = Client(self._cluster, set_as_default=False)
        return True

    def known(self) -> list[str]:
        tasks = list(self._cluster.scheduler.tasks.items())
        return [str(key) for key, task in tasks if task.state not in ENDED]

    def room(self, known: Sequence[str]) -> Counter[str]:
        used = _count_by_lane(known)
        slots = _places(self.settings.slots)
        return Counter({name: int(count) - used[name] for name, count in slots.items()})

    def submit(self, batch: Sequence[Waiting], ended: Callable[[BaseException | None], None]) -> None:
        _submit(self._client, batch, self.settings, {lane_of(batch[0].step): 1}, None, ended)

    def close(self) -> None:
        parts, self._client, self._cluster = (self._client, self._cluster), None, None
        _close(*parts)
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    def _lock_home(self) -> bool:
        self.settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.settings.home / "engine.lock").touch(mode=0o600)
        lock_file = (self.settings.home / "engine.lock").open("w")
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock_file.close()
            return False
        self._lock_file = lock_file
        return True


class Shared:
    """Workers of an external scheduler: those with the same versions, database and artifact store."""

    kind = "cluster"

    def __init__(self, settings: Settings, store: Store):
        self.settings, self.store = settings, store
        self.problem: str | None = None
        self.refused: dict[str, str] = {}
        """Reason why a worker gets no steps, by its address."""
        self.workers: Collection[str] = ()
        self._cpus: dict[str, float] = {}
        self._asked: set[str] = set()
        self._handed: dict[str, tuple[Any, float]] = {}
        """Unfinished batches of this server: the future, and the time of submission."""
        self._client: Any = None
        self._info: dict[str, Any] = {}

    def listed(self) -> list[Worker]:
        return of_cluster(self._info, self.refused)

    def open(self) -> bool:
        _quiet_dask()
        from distributed import Client

        address = self.settings.scheduler
        try:
            self._client = Client(address, timeout=CONNECT_S, set_as_default=False)
        except (
            OSError,
            TimeoutError,
            TypeError,
            ValueError,
        ) as error:  # the last two are configuration errors
            raise EngineUnavailable(f"the scheduler {address} does not answer ({error})") from error
        self._mark = mark_installation(self.store)
        return True

    def known(self) -> list[str]:
        """Includes those of other servers on this scheduler. Raises EngineUnavailable if the scheduler is gone."""
        try:
            self._look_at_workers()
            processing = {str(key) for keys in self._client.processing().values() for key in keys}
        except OSError as error:  # a closed connection and a timeout are subclasses of it
            raise EngineUnavailable(
                f"the scheduler {self.settings.scheduler} does not answer ({error})"
            ) from error
        self._drop_stuck(processing)
        return sorted(processing | self._handed.keys())

    def room(self, known: Sequence[str]) -> Counter[str]:
        used = _count_by_lane(known)
        free = int(sum(self._cpus.values())) - used.total() + used[SHORT]
        return Counter(
            {
                MEASURE: len(self._cpus) - used[MEASURE],
                # Beyond the workers' capacity, submit one batch at a time; it runs next when all their
                # threads are busy.
                SHORT: bool(self._cpus) - used[SHORT],
                DETAILS: free,
                WORK: free,
            }
        )

    def submit(self, batch: Sequence[Waiting], ended: Callable[[BaseException | None], None]) -> None:
        key = batch_key(batch)

        def forget(error: BaseException | None) -> None:
            self._handed.pop(key, None)
            ended(error)

        resources: dict[str, float] = {} if lane_of(batch[0].step) == SHORT else {WORK: 1}
        future = _submit(self._client, batch, None, resources, sorted(self._cpus), forget)
        if not future.done():
            self._handed[key] = (future, time.monotonic())

    def _drop_stuck(self, processing: Collection[str]) -> None:
        """Take back batches that wait for workers that have left, so that they are submitted again."""
        for key, (future, since) in list(self._handed.items()):
            if future.done():
                self._handed.pop(key, None)
            elif key not in processing and time.monotonic() - since > STUCK_S:
                self._handed.pop(key, None)
                self._client.cancel([future], force=True)

    def close(self) -> None:
        client, self._client = self._client, None
        _close(client)

    def _look_at_workers(self) -> None:
        """Check new workers, and keep those that match."""
        if self._client.status != "running":
            raise EngineUnavailable(f"the scheduler {self.settings.scheduler} does not answer")
        info = self._client.scheduler_info(n_workers=-1)["workers"]
        self._info, self.workers = dict(info), set(info)
        offered = {address: worker["resources"].get("cpu", 0) for address, worker in info.items()}
        new = [address for address in info if offered[address] and address not in self._asked]
        if new:
            answers = self._client.run(describe, self._mark, workers=new, on_error="return")
            for address, reply in answers.items():
                if (message := refusal(address, reply, versions())) is not None:
                    logger.warning("%s", message)
                    self.refused[address] = message
        self._asked = set(info) & (self._asked | set(new))
        self.refused = {address: message for address, message in self.refused.items() if address in info}
        self._cpus = {a: cpus for a, cpus in offered.items() if cpus and a not in self.refused}
        self.problem = None if self._cpus else self._why_none()

    def _why_none(self) -> str:
        if self.refused:
            return "; ".join(self.refused.values())
        workers = f"none of the {len(self.workers)} workers" if self.workers else "no worker"
        return (
            f"{workers} of {self.settings.scheduler} offers the resource cpu; start one with "
            "`dask worker … --resources cpu=N`"
        )


def lane_of(step: str) -> str:
    """The lane in which a step runs; each lane has its own capacity."""
    target = target_of(step)
    if target is not None:
        return MEASURE if target in TIMED else DETAILS
    return LANES.get(step, WORK)


def _count_by_lane(known: Sequence[str]) -> Counter[str]:
    return Counter(lane_of(key.partition(":")[0]) for key in known if next(members_of(key), None))


def _places(slots: int) -> dict[str, float]:
    """Number of batches that run at once on a host, by lane."""
    return {MEASURE: 1, SHORT: 1, DETAILS: min(2, slots), WORK: slots}


def _submit(
    client: Any,
    batch: Sequence[Waiting],
    settings: Settings | None,
    resources: dict[str, float],
    workers: list[str] | None,
    ended: Callable[[BaseException | None], None],
) -> Any:
    from distributed import fire_and_forget

    members: list[Member] = [(w.run_id, w.attempt) for w in batch]
    future = client.submit(
        supervise.run_step,
        batch[0].step,
        members,
        settings,
        key=batch_key(batch),
        pure=False,
        priority={MEASURE: 1, SHORT: 2}.get(lane_of(batch[0].step), 0),
        resources=resources,
        workers=workers,
        retries=0,
    )
    fire_and_forget(future)
    future.add_done_callback(
        lambda done: ended(done.exception(timeout=5) if done.status == "error" else None)
    )
    return future


def _close(*parts: Any) -> None:
    for part in parts:
        if part is not None:
            with contextlib.suppress(Exception):  # a scheduler that is gone cannot be closed
                part.close(timeout=5)


def _quiet_dask() -> None:
    import dask

    dask.config.set(logging={"distributed": "warning", "distributed.http.proxy": "error"})


def batch_key(batch: Sequence[Waiting]) -> str:
    """The dask key; it contains the runs and their attempts."""
    return f"{batch[0].step}:" + "+".join(f"{w.run_id}.{w.attempt}" for w in batch)


def members_of(key: str) -> Iterator[tuple[str, int, int]]:
    """The reverse of `batch_key`; empty for other keys."""
    step, colon, rest = key.partition(":")
    if not colon or (step not in NEXT_STEP and target_of(step) is None):
        return
    for member in rest.split("+"):
        run_id, _, attempt = member.partition(".")
        yield step, int(run_id), int(attempt)
