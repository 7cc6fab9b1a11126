"""Runs a .tflite in TensorFlow Lite Micro, in a process of its own: some of its refusals end the interpreter."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lwdash.errors import InternalFault
from lwdash.measure.runner import from_stored, match_inputs, to_stored
from lwdash.targets.target_programs import MICRO, PROGRAMS
from lwdash.tflite.reader import TfliteFacts, read_tflite

TIMEOUT_SECONDS = 120
INSTALL = "pip install tflite-micro"


class MicroUnavailable(InternalFault):
    """TensorFlow Lite Micro is not installed on this host."""


@dataclass(frozen=True)
class Arena:
    """RAM that the interpreter took, in bytes. head: activations and scratch; tail: what stays for the model's life."""

    total_bytes: int
    head_bytes: int
    tail_bytes: int


@dataclass(frozen=True, eq=False)
class MicroRun:
    """One file in TensorFlow Lite Micro.

    refusal: why it does not run, in the interpreter's words; None where it runs. outputs: by name, (rows, *shape), real
    numbers as float32; empty where it does not run. is_timeout: it gave no answer in time.
    """

    refusal: str | None
    arena: Arena | None
    outputs: Mapping[str, np.ndarray]
    is_timeout: bool = False


def is_installed() -> bool:
    return importlib.util.find_spec("tflite_micro") is not None


def run_on_micro(
    data: bytes,
    rows: Mapping[str, np.ndarray],
    *,
    seconds: float | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> MicroRun:
    """Runs `data` on `rows`, name → (rows, *shape) of real numbers; one inference a row.

    seconds: no further row starts after so long; the outputs are then those of the first rows, at least one.
    timeout_seconds: limit for the whole process.
    Raises MicroUnavailable where the wheel is missing.
    """
    if not is_installed():
        raise MicroUnavailable(f"TensorFlow Lite Micro is not installed: {INSTALL}")
    facts = read_tflite(data)
    with tempfile.TemporaryDirectory() as folder:
        model, arrays, result = (Path(folder) / name for name in ("model.tflite", "rows.npz", "result.npz"))
        model.write_bytes(data)
        columns = {f"input{i}": values for i, values in enumerate(_stored_inputs(facts, rows))}
        np.savez(arrays, **columns)  # type: ignore[arg-type]
        arguments = [str(model), str(arrays), str(result)]
        if seconds is not None:
            arguments.append(str(seconds))
        try:
            ended = PROGRAMS.run(MICRO, arguments, folder=folder, timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            return MicroRun(f"no answer within {timeout_seconds:g} s", None, {}, is_timeout=True)
        lines = [line for line in ended.stdout.splitlines() if line.startswith("{")]
        if ended.returncode or not lines:
            return MicroRun(
                _first_error(ended.stderr) or f"its process ended with {ended.returncode}", None, {}
            )
        answer = json.loads(lines[-1])
        if answer["error"]:
            return MicroRun(_first_error(ended.stderr) or answer["error"], None, {})
        tensors = facts.subgraphs[0].tensors
        with np.load(result) as arrays_out:
            outputs = {
                port.name: from_stored(arrays_out[f"output{i}"], tensors[port.tensor])
                for i, port in enumerate(facts.outputs)
            }
    return MicroRun(None, _arena(ended.stderr), outputs)


def _stored_inputs(facts: TfliteFacts, rows: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The rows of each input in the type and scale that the file takes, in its order."""
    found = match_inputs(facts, rows)
    tensors = facts.subgraphs[0].tensors
    return [
        to_stored(np.asarray(rows[found[port.name]]), tensors[port.tensor], port.name)
        for port in facts.inputs
    ]


def _arena(printed: str) -> Arena | None:
    found = dict(re.findall(r"Arena allocation (total|head|tail) (\d+) bytes", printed))
    if set(found) != {"total", "head", "tail"}:
        return None
    return Arena(int(found["total"]), int(found["head"]), int(found["tail"]))


def _first_error(printed: str) -> str:
    """The first line of the interpreter's own, without its allocations and Python's traceback."""
    lines = [line.strip() for line in printed.splitlines()]
    noise = ("[RecordingMicroAllocator]", "Traceback", "File ", "WARNING", "INFO")
    own = [line for line in lines if line and not line.startswith(noise)]
    return own[0][:200] if own else ""
