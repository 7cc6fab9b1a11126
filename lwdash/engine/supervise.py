"""A step of one run or of a batch of runs, as a dask task: claims, child process, results.

The child asks for the next run when it is free. If it dies, the run it was in has failed, and a new child
goes on with the rest.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lwdash.engine.child_process import NEEDS_TENSORFLOW, Ended, keep_warm, run_child
from lwdash.engine.room import Place, place_for
from lwdash.engine.stage_cache import find_stage, keep_stage
from lwdash.engine.step_journal import step_began, step_ended
from lwdash.engine.supervisor_host import CHANGED, Host, this_host
from lwdash.failure_causes import explain_log
from lwdash.settings import Settings
from storage import experiments, run_rows, runs
from storage.errors import MissingArtifact
from storage.logs import keep_log, log_file
from storage.patience import Unanswered, patiently
from storage.runs import FIRST_STEP, Claim

logger = logging.getLogger(__name__)

HEARTBEAT_S = 2.0
ALONE = "measure"
"""The step that has its host to itself."""

Member = tuple[int, int]
"""(run id, attempt)"""


def run_step(step: str, batch: Sequence[Member], settings: Settings | None = None) -> None:
    """Takes every run of the batch through `step`; each ends in the database, whatever happens.

    settings: given when engine and worker are one process; a worker elsewhere reads its own.
    """
    host = this_host(settings)
    rest = list(batch)
    if host.is_elsewhere and step in NEEDS_TENSORFLOW:
        keep_warm(host.settings)  # more steps are likely to follow
    with place_for(alone=step == ALONE, gives_up=host.stops) as place:
        while rest and place is not None and not host.stops():
            rest = _rest_after_child(host, step, rest, place)


def _rest_after_child(host: Host, step: str, batch: Sequence[Member], place: Place) -> list[Member]:
    """One child's life; returns what it did not take any more."""
    supervision = _Supervision(host, step, batch, place)
    supervision.run()
    if len(supervision.rest) == len(batch) and not host.stops():  # the child died before it took anything
        run_id, attempt = supervision.rest.pop(0)
        words = f"the worker could not start: {supervision.words}"
        runs.fail_waiting(host.store.database, run_id, attempt, words)
    return supervision.rest


PAUSED = "paused: another run is measured"


class _Supervision:
    """One child and the runs it takes."""

    def __init__(self, host: Host, step: str, batch: Sequence[Member], place: Place):
        self.host, self.step, self.place = host, step, place
        self.store, self.settings = host.store, host.settings
        self.rest = list(batch)
        self.words = ""
        self._lock = threading.Lock()
        self._claim: Claim | None = None
        self._stored: Claim | None = None
        self._is_stopped = False
        self._experiments: dict[int, Mapping[str, Any]] = {}
        self._claimed_at = self._beat_at = self._away_s = 0.0
        self._log_start = 0
        self._last_run = batch[0][0]
        self._doing = self._said = "starting"
        """What the child does by its own words, and what the database was last told."""

    def run(self) -> None:
        first = self.rest[0][0]
        ended = run_child(
            [self.step],
            scratch=self.settings.scratch,
            log=self.log_path(first),
            handlers={
                "next": self._next,
                "progress": self._progress,
                "stage": lambda message: find_stage(self.store, message),
                "store": lambda message: keep_stage(self.store, message),
                "done": self._done,
                "failed": self._failed,
            },
            watch=self._watch,
            place=None if self.step == ALONE else self.place,
            is_background=self.step == FIRST_STEP,
        )
        self.words = ended.words
        with self._ending() as owned:
            if owned is not None:
                patiently(lambda: self._end(owned, ended))

    def _end(self, owned: Claim, ended: Ended) -> None:
        """Records how a run ended that its child did not end itself."""
        if ended.reason == "cancelled":
            runs.end_cancelled(self.store.database, owned)
        elif ended.reason == "shutdown":
            runs.give_back(self.store.database, owned)
        else:
            runs.fail(self.store.database, owned, self._explain(ended))

    def log_path(self, run_id: int) -> Path:
        return log_file(self.settings.logs, run_id)

    def _explain(self, ended: Ended) -> str:
        found = None if ended.reason else explain_log(self.log_path(self._last_run))
        words = f"{ended.words}: {found}" if found else ended.words
        return f"while {self._doing}: {words}. The run's log has the details; the other runs go on."

    def _next(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The next run that can be claimed, as a job for the child; an empty answer ends the child."""
        while self.rest and not self.host.stops():
            run_id, attempt = self.rest.pop(0)
            owned = runs.claim(self.store.database, run_id, self.step, attempt, self.host.name)
            if owned is None:
                continue
            with self._lock:
                if self._is_stopped:
                    runs.give_back(self.store.database, owned)
                    break
                self._claim, self._last_run = owned, run_id
                self._doing = self._said = "starting"
                log = self.log_path(run_id)
                self._log_start = log.stat().st_size if log.exists() else 0
                self._claimed_at, self._away_s = time.monotonic(), self.place.away_s
            try:
                job = self._job(run_id)
            except MissingArtifact as error:
                with self._ending():
                    patiently(partial(runs.fail, self.store.database, owned, str(error)))
                continue
            step_began(owned)
            return {"job": job}
        return {"job": None}

    def _job(self, run_id: int) -> dict[str, Any]:
        run = run_rows.get_run(self.store.database, run_id)
        if run is None:
            raise MissingArtifact(f"run {run_id} is gone")
        experiment = self._experiment(run["experiment_id"])

        def path(sha256: str, remedy: str = "upload the file again") -> Path:
            try:
                return self.store.artifacts.local_path(sha256)
            except MissingArtifact as error:
                raise MissingArtifact(f"{error}; {remedy}") from error

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
        if self.step != "compress":
            job["tflite"] = str(path(run["tflite_sha256"], "start the run again"))
            job["baseline"] = str(path(run["baseline_sha256"], "start the run again"))
            job["threads"] = experiment["threads"]
            compressed = run_rows.get_detail(self.store.database, run["of_run"] or run_id)["compressed"] or {}
            job["trail"] = compressed.get("trail", [])
        if self.step == ALONE:
            job["peers"] = self._peers(run["baseline_sha256"])
        return job

    def _peers(self, baseline_sha256: str) -> list[str]:
        """Files of the runs that this child measures next: their latencies are measured in one rotation."""
        paths = []
        for run_id, _ in self.rest:
            run = run_rows.get_run(self.store.database, run_id)
            if run and run["tflite_sha256"] and run["baseline_sha256"] == baseline_sha256:
                with contextlib.suppress(MissingArtifact):  # said when that run is claimed
                    paths.append(str(self.store.artifacts.local_path(run["tflite_sha256"])))
        return paths

    def _experiment(self, experiment_id: int) -> Mapping[str, Any]:
        """Read once a child: what runs depend on does not change."""
        if experiment_id not in self._experiments:
            found = experiments.get_experiment(self.store.database, experiment_id)
            if found is None:
                raise MissingArtifact(f"experiment {experiment_id} is gone")
            self._experiments[experiment_id] = found
        return self._experiments[experiment_id]

    def _progress(self, message: Mapping[str, Any]) -> None:
        with self._lock:
            owned = self._claim
            self._doing = self._said = message["doing"]
        if owned:
            with contextlib.suppress(*Unanswered):
                runs.beat(self.store.database, owned, message["doing"], message["share"])
            self._beat_at = time.monotonic()

    def _done(self, message: Mapping[str, Any]) -> dict[str, Any]:
        with self._ending() as owned:
            if owned and self.step == "compress":
                put = self.store.artifacts.put
                files = {f"{file}_sha256": put(Path(message[file])) for file in ("tflite", "baseline")}
                patiently(
                    lambda: runs.finish_compress(
                        self.store.database, owned, compressed=message["compressed"], **files
                    )
                )
            elif owned and self.step == "measure":
                patiently(
                    lambda: runs.finish_measure(
                        self.store.database,
                        owned,
                        figures=message["figures"],
                        measured=message["measured"],
                        has_details=message.get("has_details", False),
                    )
                )
            elif owned:
                patiently(
                    lambda: runs.finish_analysis(self.store.database, owned, measured=message["measured"])
                )
        return {}

    def _failed(self, message: Mapping[str, Any]) -> dict[str, Any]:
        with self._ending() as owned:
            if owned:
                patiently(lambda: runs.fail(self.store.database, owned, message["error"]))
        return {}

    @contextlib.contextmanager
    def _ending(self) -> Iterator[Claim | None]:
        """The claim while its result is stored, which may take long: heartbeats go on, cancelling is over.

        When storing fails, the claim is as it was, and the run fails with the child.
        """
        with self._lock:
            owned, self._claim, self._stored = self._claim, None, self._claim
        try:
            if owned:
                self._keep_log(owned)
            yield owned
            if owned:
                step_ended(owned, time.monotonic() - self._claimed_at)
                CHANGED.set()
        except BaseException:
            with self._lock:
                self._claim = owned
            raise
        finally:
            self._stored = None

    def _keep_log(self, owned: Claim) -> None:
        """Leaves the step's log where the server finds it; a log that is lost loses no run."""
        if not self.host.is_elsewhere:
            return
        path = self.log_path(owned.run_id)
        try:
            keep_log(self.store.artifacts, owned.run_id, owned.attempt, owned.step, path, self._log_start)
        except Exception:  # whatever the artifact store's library raises
            logger.exception("the log of run %s could not be kept", owned.run_id)

    def _watch(self, memory_mb: int) -> str | None:
        """Why the child must end, or None. Once it is to end, it gets no other run that would end with it."""
        with self._lock:
            owned = self._claim
        reason = self._reason_to_stop(owned, memory_mb)
        with self._lock:
            if owned is not None and self._claim is not owned:  # it ended while we looked: look again
                return None
            self._is_stopped = reason is not None
        return reason

    def _reason_to_stop(self, owned: Claim | None, memory_mb: int) -> str | None:
        if self.host.stops():
            return "shutdown"
        if memory_mb > self.settings.job_memory:
            return (
                f"it used {memory_mb:,} MB of memory and {self.settings.job_memory:,} MB are allowed "
                "(LWDASH_JOB_MEMORY)"
            )
        if owned is None:
            if self._stored:
                self._beat(self._stored)
            return None
        away_s = self.place.away_s - self._away_s
        if time.monotonic() - self._claimed_at - away_s > self.settings.job_seconds:
            return f"it took longer than {self.settings.job_seconds:,} s (LWDASH_JOB_SECONDS)"
        return "cancelled" if self._beat(owned) else None

    def _beat(self, owned: Claim) -> bool:
        """A heartbeat if one is due, or a pause began or ended; returns whether the run has to stop, as far as the
        database says it."""
        doing = PAUSED if self.place.is_away else self._doing
        try:
            if doing == self._said and time.monotonic() - self._beat_at <= HEARTBEAT_S:
                return runs.should_stop(self.store.database, owned)
            self._beat_at, self._said = time.monotonic(), doing
            return runs.beat(self.store.database, owned, doing)
        except Unanswered:
            logger.warning("run %s goes on without the database, which does not answer", owned.run_id)
            return False
