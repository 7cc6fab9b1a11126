"""TensorFlow Lite Micro as a target: runs a file as the library does on a microcontroller, and compares it with LiteRT."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from lwdash.measure.arena import plan_arena
from lwdash.measure.micro_runtime import refusal_on_micro
from lwdash.measure.runner import Runner
from lwdash.targets.device.measuring import FLOAT_TOLERANCE
from lwdash.targets.micro import INSTALL, MicroRun, is_installed, run_on_micro
from lwdash.targets.target_result import TargetMetric, TargetResult, installed_version
from lwdash.tflite.reader import Port, TfliteFacts, read_tflite
from lwdash.tflite.tensor import is_integer

NAME = "tflm"
PACKAGE = "tflite-micro"
LABEL = "TensorFlow Lite Micro"
SUMMARY = "The runtime of microcontrollers, run on this computer with the same memory plan; its time says nothing here."

MAX_SECONDS, TIMEOUT_SECONDS = 5.0, 30.0
"""Time after which no further row starts, and the limit for all together."""
TRY_ANOTHER = "use int8, or report the message below to the authors of the runtime"
UNROLL = "unroll the recurrent layer (unroll=True in Keras), so that the file has no loop"


def run(tflite: bytes, rows: Mapping[str, np.ndarray], *, litert: bytes | None = None) -> TargetResult:
    """Runs `tflite` on `rows`, name → (rows, *shape) of real numbers, and compares the outputs with LiteRT's.

    litert: the same network for LiteRT, where `tflite` is in a storage form that LiteRT does not run.
    """
    if not is_installed():
        return TargetResult("unavailable", "tflite-micro is not installed on this host", INSTALL)
    facts = read_tflite(tflite)
    ended = run_on_micro(tflite, rows, seconds=MAX_SECONDS, timeout_seconds=TIMEOUT_SECONDS)
    operators = dict(sorted(Counter(operator.type for operator in facts.operators).items()))
    if ended.refusal is not None:
        reason, remedy = _why(facts, ended)
        return TargetResult(
            "refused", reason, remedy, ended.refusal, operators=operators, version=installed_version(PACKAGE)
        )
    return TargetResult(
        "runs",
        metrics=(*_memory(facts, ended), *_differences(facts, litert or tflite, rows, ended)),
        operators=operators,
        version=installed_version(PACKAGE),
    )


def _why(facts: TfliteFacts, ended: MicroRun) -> tuple[str, str]:
    known = refusal_on_micro(facts)
    if known is not None:
        return known.reason, known.remedy
    if ended.is_timeout:
        loops = [o.type for o in facts.operators if o.type == "WHILE"]
        if loops:
            return f"its WHILE loop did not end within {TIMEOUT_SECONDS:.0f} s", UNROLL
        return f"it gave no output within {TIMEOUT_SECONDS:.0f} s", "use a smaller network"
    return "its interpreter reports an error that no rule of lwdash explains", TRY_ANOTHER


def _memory(facts: TfliteFacts, ended: MicroRun) -> list[TargetMetric]:
    """The arena that the interpreter took, and the plan that lwdash computes from the file alone."""
    taken = ended.arena
    total, head, tail = (taken.total_bytes, taken.head_bytes, taken.tail_bytes) if taken else (None,) * 3
    return [
        TargetMetric("file_bytes", "File", "bytes", len(facts.data)),
        TargetMetric("arena_total_bytes", "Arena", "bytes", total),
        TargetMetric("arena_head_bytes", "Arena head", "bytes", head),
        TargetMetric("arena_tail_bytes", "Arena tail", "bytes", tail),
        TargetMetric("planned_head_bytes", "Planned head", "bytes", plan_arena(facts).arena_bytes),
    ]


def _differences(
    facts: TfliteFacts, litert: bytes, rows: Mapping[str, np.ndarray], ended: MicroRun
) -> list[TargetMetric]:
    """Rows whose outputs differ from LiteRT's, and the largest difference, also in steps of an integer output."""
    count = min(len(values) for values in ended.outputs.values())
    expected = Runner(litert).run({name: values[:count] for name, values in rows.items()})
    differing = np.zeros(count, bool)
    largest, steps = 0.0, None
    for port in facts.outputs:
        reference = expected[port.name].reshape(count, -1)
        distance = np.abs(ended.outputs[port.name].reshape(count, -1) - reference)
        if not distance.size:
            continue
        step = _step(facts, port)
        if step is None:
            differing |= distance.max(axis=1) > FLOAT_TOLERANCE * max(float(np.abs(reference).max()), 1e-30)
        else:
            differing |= distance.max(axis=1) > step / 2
            steps = max(steps or 0, round(float(distance.max()) / step))
        largest = max(largest, float(distance.max()))
    return [
        TargetMetric("compared_rows", "Compared rows", "rows", count),
        TargetMetric("rows_differing", "Rows with other outputs than LiteRT", "rows", int(differing.sum())),
        TargetMetric("largest_difference", "Largest difference", "", largest),
        TargetMetric("largest_difference_steps", "Largest difference", "steps", steps),
    ]


def _step(facts: TfliteFacts, port: Port) -> float | None:
    """The value of one step of an integer output; None for floats."""
    tensor = facts.subgraphs[0].tensors[port.tensor]
    if not is_integer(tensor.dtype):
        return None
    return 1.0 if tensor.quantization is None else float(tensor.quantization.scale[0])
