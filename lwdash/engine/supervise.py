"""A step of one run or of a batch of runs, as a dask task: claims, child process, results.

The child requests the next run when it is free. If it dies, the run in it has failed, and a new child
continues with the rest.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lwdash.child.job_results import (
    Analysed,
    CompressedFiles,
    Measured,
    Result,
    Stopped,
    read_failure,
    read_result,
)
from lwdash.child.jobs import Compress, Job
from lwdash.child.no_network import NO_NETWORK
from lwdash.child.stage_messages import FoundStage, TrainedStages, read_training_request
from lwdash.child.typed_messages import to_json
from lwdash.engine.child_process import NEEDS_TENSORFLOW, Ended, keep_warm, run_child
from lwdash.engine.gpu_training import TrainingSupervision, train_on_gpu
from lwdash.engine.job_building import step_job
from lwdash.engine.process_events import CHANGED
from lwdash.engine.room import Place, place_for
from lwdash.engine.stage_cache import find_stage, stage_handlers
from lwdash.engine.step_journal import step_began, step_ended
from lwdash.engine.supervisor_host import SupervisorHost, this_host
from lwdash.engine.tensorflow_need import runs_may_need_tensorflow
from lwdash.errors import MessageRefused
from lwdash.failure_causes import explain_log
from lwdash.settings import Settings
from lwdash.targets import TIMED
from storage import experiments, run_rows, runs
from storage.analyses import NotAnalysable, add_analysis
from storage.errors import MissingArtifact
from storage.logs import keep_log, log_file
from storage.patience import DatabaseUnavailable, patiently
from storage.records import StoredExperiment
from storage.runs import FIRST_STEP, Claim
from storage.target_results import target_kind, target_of

logger = logging.getLogger(__name__)

HEARTBEAT_S = 2.0
MEASURE = "measure"
"""The step that measures the headline metrics."""

Member = tuple[int, int]
"""(run id, attempt)"""


def is_alone(step: str) -> bool:
    """True if a step has its host to itself: it measures latencies that are compared."""
    return step == MEASURE or target_of(step) in TIMED


def run_step(step: str, batch: Sequence[Member], settings: Settings | None = None) -> None:
    """Take every run of the batch through `step`; the end of each is recorded in the database in all cases.

    settings: given when engine and worker are one process; an external worker reads its own.
    """
    host = this_host(settings)
    rest = list(batch)
    if host.is_elsewhere and step in NEEDS_TENSORFLOW:
        keep_warm(host.settings)  # more steps are likely to follow
    with place_for(alone=is_alone(step), gives_up=host.stops) as place:
        while rest and place is not None and not host.stops():
            rest = _rest_after_child(host, step, rest, place)


def _rest_after_child(host: SupervisorHost, step: str, batch: Sequence[Member], place: Place) -> list[Member]:
    """Run one child; return the members that it did not process."""
    supervision = _Supervision(host, step, batch, place)
    supervision.run()
    if len(supervision.rest) == len(batch) and not host.stops():  # the child died before its first run
        run_id, attempt = supervision.rest.pop(0)
        message = f"the worker could not start: {supervision.message}"
        runs.fail_waiting(host.store.database, run_id, attempt, message)
    return supervision.rest


PAUSED = "paused: another run is measured"


class _Supervision:
    """One child and its runs."""

    def __init__(self, host: SupervisorHost, step: str, batch: Sequence[Member], place: Place):
        self.host, self.step, self.place = host, step, place
        self.store, self.settings = host.store, host.settings
        self.rest = list(batch)
        self.message = ""
        self._lock = threading.Lock()
        self._claim: Claim | None = None
        self._stored: Claim | None = None
        self._is_stopped = False
        self._experiments: dict[int, StoredExperiment] = {}
        self._claimed_at = self._beat_at = self._away_s = 0.0
        self._log_start = self._memory_mb = 0
        self._gone = threading.Event()
        self._job_now: Job | None = None
        self._last_run = batch[0][0]
        self._doing = self._reported = "starting"
        """Activity reported by the child, and the one last written to the database."""

    def run(self) -> None:
        first = self.rest[0][0]
        ended = run_child(
            [self.step, *([NO_NETWORK] if self._runs_code(first) else [])],
            scratch=self.settings.scratch,
            log=self.log_path(first),
            handlers={
                "next": self._next,
                "progress": self._progress,
                **stage_handlers(self.store, lambda: self._last_run),
                "train": self._train,
                "done": self._done,
                "failed": self._failed,
            },
            watch=self._watch,
            gone=self._gone,
            place=None if is_alone(self.step) else self.place,
            is_background=self.step == FIRST_STEP,
            needs_tensorflow=self._may_need_tensorflow(),
        )
        self.message = ended.message
        with self._ending() as owned:
            if owned is not None:
                patiently(lambda: self._end(owned, ended))

    def _runs_code(self, run_id: int) -> bool:
        """True if a user's code runs in this child: the runs of a batch are those of one experiment."""
        run = run_rows.get_run(self.store.database, run_id) if self.step == FIRST_STEP else None
        return run is not None and self._experiment(run.experiment_id).code is not None

    def _may_need_tensorflow(self) -> bool:
        if self.step not in NEEDS_TENSORFLOW:
            return False
        run_ids = [run_id for run_id, _ in self.rest]
        return patiently(lambda: runs_may_need_tensorflow(self.store, run_ids))

    def _end(self, owned: Claim, ended: Ended) -> None:
        """Record the end of a run whose child did not record it."""
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
        message = f"{ended.message}: {found}" if found else ended.message
        return f"while {self._doing}: {message}. The run's log has the details; the other runs go on."

    def _next(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The next claimable run, as a job for the child; an empty reply ends the child."""
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
                self._doing = self._reported = "starting"
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
            self._job_now = job
            return {"job": to_json(job)}
        return {"job": None}

    def _job(self, run_id: int) -> Job:
        run = run_rows.get_run(self.store.database, run_id)
        if run is None:
            raise MissingArtifact(f"run {run_id} is gone")
        return step_job(
            self.store,
            self.step,
            run,
            self._experiment(run.experiment_id),
            log=self.log_path(run_id),
            seconds=self.settings.job_seconds,
            peers=self._peers(run.files().baseline) if self.step == MEASURE else (),
        )

    def _peers(self, baseline_sha256: str) -> list[str]:
        """Files of the runs that this child measures next: their latencies are measured in one rotation."""
        paths = []
        for run_id, _ in self.rest:
            run = run_rows.get_run(self.store.database, run_id)
            if run and run.tflite_sha256 and run.baseline_sha256 == baseline_sha256:
                with contextlib.suppress(MissingArtifact):  # reported when that run is claimed
                    paths.append(str(self.store.artifacts.local_path(run.tflite_sha256)))
        return paths

    def _experiment(self, experiment_id: int) -> StoredExperiment:
        """Read once per child: a run's inputs do not change."""
        if experiment_id not in self._experiments:
            found = experiments.get_experiment(self.store.database, experiment_id)
            if found is None:
                raise MissingArtifact(f"experiment {experiment_id} is gone")
            self._experiments[experiment_id] = found
        return self._experiments[experiment_id]

    def _progress(self, message: Mapping[str, Any]) -> None:
        with self._lock:
            owned = self._claim
            self._doing = self._reported = message["doing"]
        if owned:
            with contextlib.suppress(*DatabaseUnavailable):
                runs.beat(self.store.database, owned, message["doing"], message["share"])
            self._beat_at = time.monotonic()

    def _train(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Train stages on a GPU, where there is one, while the child waits for this reply."""
        request, job = read_training_request(message["request"]), self._job_now
        stages = None
        if isinstance(job, Compress):
            stages = train_on_gpu(
                self.settings,
                job,
                request.recipe,
                TrainingSupervision(
                    handlers={
                        "progress": self._progress,
                        **stage_handlers(self.store, lambda: self._last_run),
                    },
                    is_stored=lambda: isinstance(find_stage(self.store, request.key), FoundStage),
                    reason_to_stop=self._reason_to_stop_training,
                    gives_up=self._is_over,
                    progress=lambda doing: self._progress({"doing": doing, "share": 0.0}),
                ),
            )
        return {"reply": to_json(TrainedStages(None if stages is None else tuple(stages)))}

    def _is_over(self) -> bool:
        """True if the child that waits for a training is gone, or is about to be ended."""
        return self._is_stopped or self._gone.is_set()

    def _reason_to_stop_training(self, memory_mb: int) -> str | None:
        if self._is_over():
            return "the run was stopped"
        if memory_mb + self._memory_mb > self.settings.job_memory:
            return (
                f"it used {memory_mb + self._memory_mb:,} MB of memory and {self.settings.job_memory:,} MB are "
                "allowed (LWDASH_JOB_MEMORY)"
            )
        return None

    def _done(self, message: Mapping[str, Any]) -> dict[str, Any]:
        result = read_result(message["result"])
        with self._ending() as owned:
            if owned:
                self._keep_result(owned, result)
        return {}

    def _keep_result(self, owned: Claim, result: Result) -> None:
        database = self.store.database
        match result:
            case CompressedFiles():
                put = self.store.artifacts.put
                files = {
                    f"{file}_sha256": put(Path(path))
                    for file in ("tflite", "baseline", "stored")
                    if (path := getattr(result, file)) is not None
                }
                patiently(
                    lambda: runs.finish_compress(database, owned, compressed=result.compressed, **files)
                )
            case Stopped():
                drop, compressed = result.drop, result.compressed
                patiently(lambda: runs.stop(database, owned, result.reason, drop=drop, compressed=compressed))
            case Measured():
                patiently(
                    lambda: runs.finish_measure(
                        database,
                        owned,
                        figures=result.metrics,
                        measured=result.measured,
                        has_details=result.has_details,
                    )
                )
            case Analysed():
                patiently(lambda: runs.finish_analysis(database, owned, measured=result.measured))
                if self.step == runs.DETAILS:
                    self._queue_timed_targets(owned.run_id)
            case _:
                raise MessageRefused(f"'{result.kind}' is no result of the step {self.step}")

    def _queue_timed_targets(self, details: int) -> None:
        """Queue the experiment's targets with times as steps of their own: each has the host to itself."""
        row = run_rows.get_run(self.store.database, details)
        if row is None or row.of_run is None:
            return
        for name in self._experiment(row.experiment_id).targets:
            if name in TIMED:
                with contextlib.suppress(NotAnalysable):
                    add_analysis(self.store.database, row.of_run, target_kind(name))

    def _failed(self, message: Mapping[str, Any]) -> dict[str, Any]:
        failure = read_failure(message["failure"])
        with self._ending() as owned:
            if owned:
                patiently(lambda: runs.fail(self.store.database, owned, failure.error))
        return {}

    @contextlib.contextmanager
    def _ending(self) -> Iterator[Claim | None]:
        """The claim while its result is stored, which may take long: heartbeats continue, cancelling is
        disabled.

        When storing fails, the claim is unchanged, and the run fails with the child.
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
        """Store the step's log where the server finds it. A lost log does not fail the run."""
        if not self.host.is_elsewhere:
            return
        path = self.log_path(owned.run_id)
        try:
            keep_log(self.store.artifacts, owned.run_id, owned.attempt, owned.step, path, self._log_start)
        except Exception:  # any exception of the artifact store's library
            logger.exception("the log of run %s could not be kept", owned.run_id)

    def _watch(self, memory_mb: int) -> str | None:
        """Reason why the child must end, or None. Once there is one, it gets no further run."""
        self._memory_mb = memory_mb
        with self._lock:
            owned = self._claim
        reason = self._reason_to_stop(owned, memory_mb)
        with self._lock:
            if owned is not None and self._claim is not owned:  # it ended during this check: check again
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
        """Send a heartbeat if one is due, or a pause began or ended; return True if the database says that
        the run has to stop.
        """
        doing = PAUSED if self.place.is_away else self._doing
        try:
            if doing == self._reported and time.monotonic() - self._beat_at <= HEARTBEAT_S:
                return runs.should_stop(self.store.database, owned)
            self._beat_at, self._reported = time.monotonic(), doing
            return runs.beat(self.store.database, owned, doing)
        except DatabaseUnavailable:
            logger.warning("run %s continues without the database, which does not respond", owned.run_id)
            return False
