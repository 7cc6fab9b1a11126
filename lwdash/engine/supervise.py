"""A step of one run or of a batch of runs, as a dask task: claims, child process, results.

The child asks for the next run when it is free. If it dies, the run it was in has failed, and a new child
goes on with the rest.
"""

import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from lwdash.engine.child import Ended, run_child
from lwdash.explanations import explain_log
from lwdash.settings import Settings, load_settings
from storage import experiments, runs, stages
from storage.errors import MissingArtifact
from storage.runs import Claim
from storage.store import Store, open_store

HEARTBEAT_S = 2.0
STOPPING = threading.Event()
"""Set when this process shuts down: children are ended and their runs go back to the queue."""

Member = tuple[int, int]
"""(run id, attempt)"""


def run_step(step: str, batch: Sequence[Member], settings: Settings | None = None) -> None:
    """Takes every run of the batch through `step`; each ends in the database, whatever happens.

    settings: given when engine and worker are one process; a worker elsewhere reads its own.
    """
    settings = settings or load_settings()
    store = _store(settings.database_url, settings.artifacts, settings.home)
    rest = list(batch)
    while rest and not STOPPING.is_set():
        supervision = _Supervision(store, settings, step, rest)
        supervision.run()
        if len(supervision.rest) == len(rest):  # the child died before it took anything
            run_id, attempt = supervision.rest.pop(0)
            runs.fail_waiting(
                store.database, run_id, attempt, f"the worker could not start: {supervision.words}"
            )
        rest = supervision.rest


@lru_cache(maxsize=4)
def _store(database_url: str, artifacts: str, home: Path) -> Store:
    return open_store(database_url, artifacts, home / "cache", is_upgraded=False)


class _Supervision:
    """One child and the runs it takes."""

    def __init__(self, store: Store, settings: Settings, step: str, batch: Sequence[Member]):
        self.store, self.settings, self.step = store, settings, step
        self.rest = list(batch)
        self.words = ""
        self._lock = threading.Lock()
        self._claim: Claim | None = None
        self._claimed_at = self._beat_at = 0.0
        self._last_run = batch[0][0]

    def run(self) -> None:
        first = self.rest[0][0]
        ended = run_child(
            [self.step],
            scratch=self.settings.scratch,
            log=self.log_path(first),
            handlers={
                "next": self._next,
                "progress": self._progress,
                "stage": self._stage,
                "store": self._store_stage,
                "done": self._done,
                "failed": self._failed,
            },
            watch=self._watch,
        )
        self.words = ended.words
        with self._lock:
            owned, self._claim = self._claim, None
        if owned is None:
            return
        if ended.reason == "cancelled":
            runs.end_cancelled(self.store.database, owned)
        elif ended.reason == "shutdown":
            runs.give_back(self.store.database, owned)
        else:
            runs.fail(self.store.database, owned, self._explain(ended))

    def log_path(self, run_id: int) -> Path:
        return self.settings.logs / f"run-{run_id}.log"

    def _explain(self, ended: Ended) -> str:
        doing = (runs.get_run(self.store.database, self._last_run) or {}).get("doing") or self.step
        found = None if ended.reason else explain_log(self.log_path(self._last_run))
        words = f"{ended.words}: {found}" if found else ended.words
        return f"while {doing}: {words}. The run's log has the details; the other runs go on."

    def _next(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The next run that can be claimed, as a job for the child; an empty answer ends the child."""
        while self.rest and not STOPPING.is_set():
            run_id, attempt = self.rest.pop(0)
            worker = f"{socket.gethostname()}:{os.getpid()}"
            owned = runs.claim(self.store.database, run_id, self.step, attempt, worker)
            if owned is None:
                continue
            try:
                job = self._job(run_id)
            except MissingArtifact as error:
                runs.fail(self.store.database, owned, f"{error}; upload the file again")
                continue
            with self._lock:
                self._claim, self._last_run = owned, run_id
                self._claimed_at = time.monotonic()
            return {"job": job}
        return {"job": None}

    def _job(self, run_id: int) -> dict[str, Any]:
        run = runs.get_run(self.store.database, run_id)
        if run is None:
            raise MissingArtifact(f"run {run_id} is gone")
        experiment = experiments.get_experiment(self.store.database, run["experiment_id"])
        if experiment is None:
            raise MissingArtifact(f"experiment {run['experiment_id']} is gone")
        path = self.store.artifacts.local_path
        job = {
            "run": run_id,
            "recipe": run["recipe"],
            "log": str(self.log_path(run_id)),
            "model": {
                "path": str(path(experiment["model_sha256"])),
                "sha256": experiment["model_sha256"],
                "name": experiment["model_name"],
            },
            "model_facts": experiment["model_facts"],
            "data": {
                "path": str(path(experiment["data_sha256"])),
                "sha256": experiment["data_sha256"],
                "name": experiment["data_name"],
            },
            "parts": {
                part: {"path": str(path(file["sha256"])), **file}
                for part, file in experiment["own_parts"].items()
            },
            "settings": experiment["settings"],
            "task": experiment["task"],
            "seed": experiment["seed"],
            "limits": {"seconds": self.settings.job_seconds},
        }
        if self.step == "measure":
            job["tflite"] = str(path(run["tflite_sha256"]))
            job["baseline"] = str(path(run["baseline_sha256"]))
        return job

    def _progress(self, message: Mapping[str, Any]) -> None:
        if self._claim:
            runs.beat(self.store.database, self._claim, message["doing"], message["share"])
            self._beat_at = time.monotonic()

    def _stage(self, message: Mapping[str, Any]) -> dict[str, Any]:
        found = stages.get_stage(self.store.database, message["key"])
        if found is None:
            return {"path": None}
        try:
            path = self.store.artifacts.local_path(found["sha256"])
        except MissingArtifact:
            stages.forget_stage(self.store.database, message["key"])
            return {"path": None}
        return {"path": str(path), "facts": found["facts"], "seconds": found["seconds"]}

    def _store_stage(self, message: Mapping[str, Any]) -> dict[str, Any]:
        sha256 = self.store.artifacts.put(Path(message["path"]))
        stages.put_stage(
            self.store.database,
            message["key"],
            kind=message["kind"],
            sha256=sha256,
            facts=message["facts"],
            seconds=message["seconds"],
        )
        return {"sha256": sha256}

    def _done(self, message: Mapping[str, Any]) -> dict[str, Any]:
        owned = self._release()
        if owned and self.step == "compress":
            runs.finish_compress(
                self.store.database,
                owned,
                tflite_sha256=self.store.artifacts.put(Path(message["tflite"])),
                baseline_sha256=self.store.artifacts.put(Path(message["baseline"])),
                compressed=message["compressed"],
            )
        elif owned:
            runs.finish_measure(
                self.store.database, owned, figures=message["figures"], measured=message["measured"]
            )
        return {}

    def _failed(self, message: Mapping[str, Any]) -> dict[str, Any]:
        owned = self._release()
        if owned:
            runs.fail(self.store.database, owned, message["error"])
        return {}

    def _release(self) -> Claim | None:
        with self._lock:
            owned, self._claim = self._claim, None
        return owned

    def _watch(self, memory_mb: int) -> str | None:
        if STOPPING.is_set():
            return "shutdown"
        with self._lock:
            owned = self._claim
        if memory_mb > self.settings.job_memory:
            return (
                f"it used {memory_mb:,} MB of memory and {self.settings.job_memory:,} MB are allowed "
                "(LWDASH_JOB_MEMORY)"
            )
        if owned is None:
            return None
        if time.monotonic() - self._claimed_at > self.settings.job_seconds:
            return f"it took longer than {self.settings.job_seconds:,} s (LWDASH_JOB_SECONDS)"
        if time.monotonic() - self._beat_at > HEARTBEAT_S:
            self._beat_at = time.monotonic()
            return "cancelled" if runs.beat(self.store.database, owned) else None
        return "cancelled" if runs.should_stop(self.store.database, owned) else None
