"""Measures a file on the computer of the agent: outputs, memory, latency. Part of the agent's file.

The standard library, numpy and ai-edge-litert only. Everything that runs the file is in a forked process.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lwdash.measure.timing.forked_session import Invoke, Session, fork_session, in_fork
from lwdash.measure.timing.host_facts import this_host
from lwdash.measure.timing.rotation import BASELINE, Latency, Rotation
from lwdash.process_lifetime import die_with_parent

FLOAT_TOLERANCE = 1e-5
"""Share of an output's largest value up to which floats count as equal: sums in another order differ by so much."""
FILE = "file"
PARTS = {FILE: "file", BASELINE: "baseline"}
"""Key of a file in the rotation → its name in the task's folder and in the package of rows."""

Inputs = Mapping[int, np.ndarray]
"""Tensor index → (steps, batch, *shape) in the type of the file."""


class FileEnded(Exception):
    """The file ended the process that ran it, or the interpreter refused it. part: which file; doing: when."""

    def __init__(self, part: str, doing: str, message: str, *, is_crash: bool):
        super().__init__(message)
        self.part, self.doing, self.is_crash = part, doing, is_crash


def measure_folder(folder: Path) -> None:
    """Measure the task of a folder (task.json, rows.npz, file.tflite, baseline.tflite); write report.json."""
    die_with_parent()
    task = json.loads((folder / "task.json").read_text())

    def tell(doing: str) -> None:
        _write(folder / "doing.json", {"doing": doing})

    try:
        report: dict[str, Any] = {
            "state": "runs",
            **measure_files(folder, task["threads"], task["seconds"], tell),
        }
    except FileEnded as ended:
        report = {
            "state": "refused",
            "part": ended.part,
            "doing": ended.doing,
            "message": str(ended)[:500],
            "is_crash": ended.is_crash,
        }
    _write(folder / "report.json", {**report, "host": this_host(task["threads"]).to_dict()})


def measure_files(
    folder: Path, threads: int, seconds: float, tell: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Outputs, memory and latency of a task's file. Raises FileEnded."""
    import ai_edge_litert.interpreter  # noqa: F401  (loaded once here, and inherited by the forked processes)

    with np.load(folder / "rows.npz") as stored:
        rows = {name: stored[name] for name in stored.files}
    inputs = {key: numbered(rows, f"{name}_in_") for key, name in PARTS.items()}
    data = {key: (folder / f"{name}.tflite").read_bytes() for key, name in PARTS.items()}
    tell("comparing outputs")
    outputs = _forked(FILE, "its outputs were computed", lambda: run_rows(data[FILE], inputs[FILE]))
    compared = compare_outputs(outputs, rows)
    tell("measuring memory")
    memory = {
        key: _forked(key, "its memory was measured", partial(_memory, folder, key, inputs[key]))
        for key in PARTS
    }
    tell("measuring latency")
    latency = _latency(data, inputs, threads, seconds, lambda share: tell(f"measuring latency, {share:.0%}"))
    return {
        "outputs": compared,
        "memory": {
            "peak_memory_bytes": memory[FILE][0],
            "added_memory_bytes": memory[FILE][1],
            "baseline_peak_memory_bytes": memory[BASELINE][0],
            "baseline_added_memory_bytes": memory[BASELINE][1],
        },
        "latency": latency.to_dict(),
    }


def load_interpreter(
    data: bytes | None, inputs: Inputs, threads: int = 1, path: Path | None = None, **options: Any
) -> Any:
    """An interpreter whose inputs are filled with the first step of `inputs`. options: of LiteRT's interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(
        model_path=path and str(path), model_content=data, num_threads=threads, **options
    )
    shapes = {details["index"]: tuple(details["shape"]) for details in interpreter.get_input_details()}
    for tensor, steps in inputs.items():
        if shapes.get(tensor) != steps.shape[1:]:
            interpreter.resize_tensor_input(tensor, steps.shape[1:])
    interpreter.allocate_tensors()
    for tensor, steps in inputs.items():
        interpreter.set_tensor(tensor, steps[0])
    return interpreter


def run_rows(data: bytes, inputs: Inputs, **options: Any) -> dict[int, np.ndarray]:
    """Tensor index of each output → (steps, *shape), in the type of the file. options: as for load_interpreter."""
    interpreter = load_interpreter(data, inputs, **options)
    tensors = [details["index"] for details in interpreter.get_output_details()]
    found: dict[int, list[np.ndarray]] = {tensor: [] for tensor in tensors}
    for step in range(len(next(iter(inputs.values())))):
        interpreter.reset_all_variables()
        for tensor, steps in inputs.items():
            interpreter.set_tensor(tensor, steps[step])
        interpreter.invoke()
        for tensor in tensors:
            found[tensor].append(interpreter.get_tensor(tensor).copy())
    return {tensor: np.stack(parts) for tensor, parts in found.items()}


def compare_outputs(found: Mapping[int, np.ndarray], rows: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Rows whose outputs differ from those in the package of rows, and the largest difference.

    not_finite: rows with an output that is NaN or infinite. steps: of an integer output; None for floats.
    """
    count, batch = int(rows["rows"]), int(rows["batch"])
    differing, not_finite = np.zeros(count, bool), np.zeros(count, bool)
    largest, steps = 0.0, None
    for tensor, expected in numbered(rows, "file_out_").items():
        ours = _by_row(found[tensor], count, batch)
        reference = _by_row(expected, count, batch)
        scale = float(rows[f"scale_{tensor}"])
        distance = np.abs(ours.astype(np.float64) - reference.astype(np.float64))
        if not distance.size:
            continue
        is_bad = ~np.isfinite(distance)
        not_finite |= is_bad.any(axis=1)
        distance[is_bad] = 0.0
        if scale:
            differing |= distance.max(axis=1) > 0
            steps = max(steps or 0, int(distance.max()))
            distance *= scale
        else:
            tolerance = FLOAT_TOLERANCE * max(float(np.abs(reference.astype(np.float64)).max()), 1e-30)
            differing |= distance.max(axis=1) > tolerance
        largest = max(largest, float(distance.max()))
    return {
        "rows": count,
        "differing": int((differing | not_finite).sum()),
        "not_finite": int(not_finite.sum()),
        "largest": largest,
        "steps": steps,
    }


def _latency(
    data: Mapping[str, bytes],
    inputs: Mapping[str, Inputs],
    threads: int,
    seconds: float,
    progress: Callable[[float], None],
) -> Latency:
    """The file's latency in rotation with the baseline's, in fresh processes."""
    _forked(BASELINE, "it was loaded", lambda: len(run_rows(data[BASELINE], inputs[BASELINE])))
    load_interpreter(data[BASELINE], inputs[BASELINE], threads).invoke()  # LiteRT's one-time set-up

    def loader(key: str) -> Callable[[], Invoke]:
        def load() -> Invoke:
            return load_interpreter(data[key], inputs[key], threads).invoke  # type: ignore[no-any-return]

        return load

    def session_of(order: Sequence[str], until: float) -> Session:
        session = fork_session({key: loader(key) for key in order}, until=until, is_alone=threads == 1)
        for key, how in session.ended.items():
            raise FileEnded(PARTS[key], "its latency was measured", f"the process ended {how}", is_crash=True)
        for key, error in session.errors.items():
            raise FileEnded(PARTS[key], "its latency was measured", _first_line(error), is_crash=False)
        return session

    is_baseline = data[FILE] == data[BASELINE]
    rotation = Rotation([] if is_baseline else [FILE])
    rotation.run(session_of, seconds, progress)
    found = rotation.of_baseline() if is_baseline else rotation.latencies()[FILE]
    assert isinstance(found, Latency)
    return found


def _memory(folder: Path, key: str, inputs: Inputs) -> tuple[int, int]:
    """Peak of the resident memory of this process while it runs the file, and the part that the file added, in bytes."""
    before = _resident("VmRSS")
    load_interpreter(None, inputs, path=folder / f"{PARTS[key]}.tflite").invoke()
    peak = _resident("VmHWM")
    return peak, max(0, peak - before)


def _resident(name: str) -> int:
    """Resident memory of this process now (VmRSS), or its peak (VmHWM), in bytes; elsewhere than on Linux the peak."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(rf"^{name}:\s+(\d+) kB$", status.read_text(), re.MULTILINE)):
        return 1024 * int(found.group(1))
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _forked(part: str, doing: str, work: Callable[[], Any]) -> Any:
    """The result of `work` in a forked process. Raises FileEnded."""

    def body(send: Callable[[Any], None]) -> tuple[Any, str | None]:
        try:
            return work(), None
        except (RuntimeError, ValueError) as error:
            return None, _first_line(error)

    result, how = in_fork(body)
    if how is not None:
        raise FileEnded(PARTS[part], doing, f"the process ended {how}", is_crash=True)
    found, refusal = result
    if refusal is not None:
        raise FileEnded(PARTS[part], doing, refusal, is_crash=False)
    return found


def numbered(rows: Mapping[str, np.ndarray], prefix: str) -> dict[int, np.ndarray]:
    """Tensor index → array, of the package's arrays whose names begin with `prefix`."""
    return {int(name.removeprefix(prefix)): rows[name] for name in rows if name.startswith(prefix)}


def _by_row(values: np.ndarray, count: int, batch: int) -> np.ndarray:
    """(rows, values of one row): steps of a batch in one piece, and without the rows that fill up the last one."""
    if batch > 1 and values.ndim > 1 and values.shape[1] == batch:
        return values.reshape(len(values) * batch, -1)[:count]
    return np.repeat(values.reshape(len(values), -1), batch, axis=0)[:count]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _write(path: Path, document: Mapping[str, Any]) -> None:
    """Replace a JSON file as a whole."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(document))
    os.replace(part, path)
