"""Latencies of files in LiteRT on this host, in rotation with one baseline."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lwdash.errors import ConversionFailed, LwdashError
from lwdash.measure.runner import Runner
from lwdash.measure.timing.forked_session import Invoke, Session, fork_session
from lwdash.measure.timing.rotation import BASELINE, Latency, Rotation
from lwdash.tflite.reader import TfliteFacts, read_tflite

MAX_ROTATION_BYTES = 256 << 20
"""Total size of the files in one rotation: all of them are loaded at once."""
MAX_ROTATION_FILES = 16


def compare_latency(
    run: bytes, baseline: bytes, inputs: Mapping[str, np.ndarray], *, threads: int = 1, seconds: float = 2.0
) -> Latency:
    """Latency of `run` against `baseline`. Raises LwdashError where LiteRT cannot run it."""
    (found,) = measure_latencies([run], baseline, inputs, threads=threads, seconds=seconds).values()
    if isinstance(found, LwdashError):
        raise found
    return found


def measure_latencies(
    files: Sequence[bytes],
    baseline: bytes,
    inputs: Mapping[str, np.ndarray],
    *,
    threads: int = 1,
    seconds: float = 2.0,
    progress: Callable[[float], None] = lambda share: None,
) -> dict[str, Latency | LwdashError]:
    """Latencies of `files` on the first row of `inputs`, by `digest`, all against the same `baseline`.

    The memory addresses of an interpreter change its time by several percent, and a new process changes them
    again. So each session is a separate process that runs baseline and files interleaved (A B C A B C …). The
    intervals are computed over the sessions. Stops when each interval is narrower than ±3 %, after at least
    eight sessions, or after `seconds` per file; at least one session is run.
    A file that LiteRT cannot run, or that ends its process, has its error instead of a latency.
    """
    _warm_up(baseline, inputs, threads)
    found: dict[str, Latency | LwdashError] = {}
    others = {digest(data): data for data in files if data != baseline}
    groups = _groups(others, MAX_ROTATION_BYTES - len(baseline))
    for number, group in enumerate(groups):
        rotation = _rotate(
            baseline,
            group,
            inputs,
            threads,
            seconds * max(1, len(group)),
            lambda share, number=number: progress((number + share) / len(groups)),  # type: ignore[misc]
        )
        found |= rotation.latencies()  # type: ignore[arg-type]
    same = {digest(data) for data in files} - found.keys()
    if same and not groups:
        rotation = _rotate(baseline, {}, inputs, threads, seconds, progress)
        found |= dict.fromkeys(same, rotation.of_baseline())
    elif same:
        found |= dict.fromkeys(same, rotation.of_baseline())
    return {digest(data): found[digest(data)] for data in files}


def digest(data: bytes) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(data).hexdigest()


def _groups(files: Mapping[str, bytes], room_bytes: int) -> list[dict[str, bytes]]:
    """Groups of files that fit into one rotation, in their order."""
    groups: list[dict[str, bytes]] = []
    used = 0
    for key, data in files.items():
        if not groups or len(groups[-1]) == MAX_ROTATION_FILES or used + len(data) > room_bytes:
            groups.append({})
            used = 0
        groups[-1][key] = data
        used += len(data)
    return groups


def _rotate(
    baseline: bytes,
    files: Mapping[str, bytes],
    inputs: Mapping[str, np.ndarray],
    threads: int,
    seconds: float,
    progress: Callable[[float], None],
) -> Rotation:
    """A finished rotation of the baseline with `files`."""
    data = {BASELINE: baseline, **files}
    facts = {key: read_tflite(file) for key, file in data.items()}

    def session_of(order: Sequence[str], until: float) -> Session:
        loaders = {key: _loader(data[key], facts[key], inputs, threads) for key in order}
        session = fork_session(loaders, until=until, is_alone=threads == 1)
        errors: dict[str, Exception] = {key: _as_ours(error) for key, error in session.errors.items()}
        for key, how in session.ended.items():
            message = f"the process that measures the latency ended {how} while it ran this .tflite"
            errors[key] = ConversionFailed(message)
        return Session(session.times, session.left_out, session.starts_ms, errors)

    rotation = Rotation(files)
    rotation.run(session_of, seconds, progress)
    return rotation


def _loader(
    data: bytes, facts: TfliteFacts, inputs: Mapping[str, np.ndarray], threads: int
) -> Callable[[], Invoke]:
    def load() -> Invoke:
        runner = Runner(data, threads=threads, facts=facts)
        runner.prepare_row(inputs)
        return runner.interpreter.invoke  # type: ignore[no-any-return]

    return load


def _as_ours(error: Exception) -> LwdashError:
    """An error of a file as one of lwdash's. Raises errors that are not of the file."""
    if isinstance(error, LwdashError):
        return error
    if isinstance(error, (RuntimeError, ValueError)):
        return ConversionFailed(f"LiteRT failed at the first inference: {error}")
    raise error


def _warm_up(data: bytes, inputs: Mapping[str, np.ndarray], threads: int) -> None:
    """Run a file once in this process: LiteRT's one-time set-up is then inherited by the forked processes."""
    _loader(data, read_tflite(data), inputs, threads)()()
