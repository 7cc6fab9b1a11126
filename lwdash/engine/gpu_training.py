"""Training of Keras steps in a child that sees a GPU, for a child that waits and never sees it.

The GPU's child only fills the cache of stages. Whatever goes wrong in it, the waiting child finds no stage, and trains
on the CPU as without a GPU. So conversion, checks and measurements never run on a GPU, and its memory is free when the
training ends.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lwdash.child.job_results import Checked, Failure, StagesTrained, read_failure, read_result
from lwdash.child.jobs import Check, Compress, TrainStages
from lwdash.child.no_network import NO_NETWORK
from lwdash.child.typed_messages import to_json
from lwdash.engine.child_process import Handler, run_child
from lwdash.engine.gpus import Gpu, gpus_of_host, one_gpu, variables_for
from lwdash.engine.input_files.file_inspection import ask_child
from lwdash.engine.room import place_for
from lwdash.engine.scratch import private
from lwdash.settings import Settings

logger = logging.getLogger(__name__)

NO_GPU = "TensorFlow finds no GPU"
"""Beginning of the error of a child that sees the GPU, but whose TensorFlow does not."""

_unusable: dict[str, str] = {}
"""GPU → why TensorFlow does not use it: found by the first training, and true until the libraries change."""


@dataclass(frozen=True)
class TrainingSupervision:
    """The supervising side of a training: messages of its child, and reasons to end it.

    handlers: for progress and stages. is_stored: True if another training has stored the stage meanwhile.
    reason_to_stop(memory_mb): of the child, as for `run_child`. gives_up: ends the wait for a GPU.
    """

    handlers: Mapping[str, Handler]
    is_stored: Callable[[], bool]
    reason_to_stop: Callable[[int], str | None]
    gives_up: Callable[[], bool]
    progress: Callable[[str], None]


def train_on_gpu(
    settings: Settings, waiting: Compress, recipe: str, supervision: TrainingSupervision
) -> Sequence[Mapping[str, Any]] | None:
    """Reports of the stages of `recipe`, trained on a GPU of this host and stored; None: the caller has to train.

    waiting: the job of the child that waits. A failure is a line in its log.
    """
    gpus = [gpu for gpu in gpus_of_host(settings.gpu).usable if gpu.visible_as not in _unusable]
    if not gpus:
        return None
    with one_gpu(
        gpus, gives_up=supervision.gives_up, waits=lambda: supervision.progress("waiting for a GPU")
    ) as gpu:
        if gpu is None:
            return None
        if supervision.is_stored():
            return ()
        supervision.progress(f"starting to train on {gpu.name}")
        started = time.monotonic()
        log = Path(waiting.log) if waiting.log else settings.logs / "gpu.log"
        trained = _train(settings, gpu, waiting, recipe, log, supervision)
        if isinstance(trained, str):
            if trained.startswith(NO_GPU):
                _unusable[gpu.visible_as] = trained
            _write_line(log, f"training on {gpu.name} failed: {trained}. The training continues on the CPU")
            return None
        _write_line(log, f"trained on {gpu.name} in {time.monotonic() - started:.1f} s")
        return trained


def _train(
    settings: Settings,
    gpu: Gpu,
    waiting: Compress,
    recipe: str,
    log: Path,
    supervision: TrainingSupervision,
) -> Sequence[Mapping[str, Any]] | str:
    """The reports of the stages, or a message on why there are none."""
    shared = {field.name for field in fields(waiting)} & {field.name for field in fields(TrainStages)}
    given = {name: getattr(waiting, name) for name in shared} | {"recipe": recipe}
    job = TrainStages(**given, gpu=gpu.name)
    queue, ends = [to_json(job)], list[Sequence[Mapping[str, Any]] | str]()

    def keep_result(message: dict[str, Any]) -> dict[str, Any]:
        result = read_result(message["result"])
        assert isinstance(result, StagesTrained)
        ends.append(result.stages)
        return {}

    def keep_failure(message: dict[str, Any]) -> dict[str, Any]:
        ends.append(read_failure(message["failure"]).error.rstrip("."))
        return {}

    try:
        with place_for(alone=False, gives_up=supervision.gives_up) as place:
            if place is None:
                return "the run was stopped"
            ended = run_child(
                [job.kind, *([NO_NETWORK] if waiting.code else [])],
                scratch=settings.scratch,
                log=log,
                handlers={
                    **supervision.handlers,
                    "next": lambda _: {"job": queue.pop() if queue else None},
                    "done": keep_result,
                    "failed": keep_failure,
                },
                watch=supervision.reason_to_stop,
                place=place,
                variables=variables_for(gpu),
                is_background=True,
            )
    except Exception as error:  # a full disk, a reply that cannot be read: the CPU does the same work
        logger.exception("the training on %s failed", gpu.name)
        return f"its process could not be supervised ({error})"
    return ends[0] if ends else ended.message


def gpu_state(settings: Settings) -> str:
    """The GPUs that trainings use, or why they use none, in words for users. Starts no training."""
    found = gpus_of_host(settings.gpu)
    used = [gpu.name for gpu in found.usable if gpu.visible_as not in _unusable]
    reasons = [
        *([found.problem] if found.problem else []),
        *(f"{gpu.name}: {_unusable[gpu.visible_as]}" for gpu in found.usable if gpu.visible_as in _unusable),
    ]
    if used:
        return "; ".join([f"{', '.join(used)} for training", *reasons])
    return f"none: {'; '.join(reasons)}" if reasons else "none found"


def tested_gpus(settings: Settings) -> dict[str, str]:
    """Name of each usable GPU → whether TensorFlow computes on it, tested in a child process."""
    tested = {}
    for gpu in gpus_of_host(settings.gpu).usable:
        result = ask_child(settings, Check(uses_gpu=True), Checked, variables=variables_for(gpu))
        if isinstance(result, Failure):
            tested[f"{gpu.number} {gpu.name}"] = f"TensorFlow fails on it: {result.error}"
        else:
            tested[f"{gpu.number} {gpu.name}"] = f"works, as {result.gpu}" if result.gpu else NO_GPU
    return tested


def _write_line(log: Path, text: str) -> None:
    with contextlib.suppress(OSError), open(log, "a", opener=private) as file:
        print(text, file=file)
