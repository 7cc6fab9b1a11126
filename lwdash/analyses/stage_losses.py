"""The loss of each stage of a run, from the Keras model to the file, on the same evaluation rows."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lwdash.measure.accuracy import (
    Quality,
    agreement,
    judge,
    looks_like_logits,
    predicted_classes,
    sqnr_db,
)
from lwdash.measure.layer_error import match_operators
from lwdash.measure.verdict import Verdict, compare_errors, compare_right_rows, same_file
from lwdash.spread_rows import spread
from lwdash.tflite.reader import Operator, TfliteFacts, read_tflite
from lwdash.tflite.tensor import Tensor, is_float, is_integer
from lwdash.tflite.trained_parameters import BIAS, role_of

MAX_ROWS = 1000
MAX_VALUES = 16 << 20
"""Maximum number of stored outputs of one stage: 64 MB of float32."""

WEIGHTS, ACTIVATIONS, BORDERS = "weights", "activations", "input and output"


@dataclass(frozen=True)
class StageOutputs:
    """Outputs of a stage on the rows: its first output, float32 (rows, *shape)."""

    stage: str
    outputs: np.ndarray


@dataclass(frozen=True)
class StageLoss:
    """One bar. `value` is the value of the metric `measure`; `change` is relative to the previous stage, with
    its 95 % interval.

    agreement, sqnr_db: relative to the first stage, the Keras model; sqnr_db is None where nothing differs.
    lost: rows that were right before and are wrong now; gained: the reverse. is_identical: every output
    equals that of the previous stage.
    """

    stage: str
    measure: str
    value: float | None
    change: float | None
    change_ci: tuple[float, float] | None
    verdict: str | None
    lost: int | None
    gained: int | None
    agreement: float | None
    sqnr_db: float | None
    is_identical: bool
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        values = asdict(self)
        return {**values, "change_ci": None if self.change_ci is None else list(self.change_ci)}


def compared_rows(rows: int, values_a_row: int) -> np.ndarray:
    """The evaluation rows on which the stages are compared: all of `rows`, or an evenly spaced sample."""
    most = max(1, min(MAX_ROWS, MAX_VALUES // max(1, values_a_row)))
    return spread(rows, most)


def write_outputs(outputs: np.ndarray) -> bytes:
    """The .npy bytes of a stage's outputs, for passing between processes."""
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(outputs, np.float32), allow_pickle=False)
    return stream.getvalue()


def read_outputs(data: bytes) -> np.ndarray:
    return np.load(io.BytesIO(data), allow_pickle=False)


def waterfall(
    stages: Sequence[StageOutputs],
    labels: np.ndarray | None,
    inputs: Mapping[str, np.ndarray],
    *,
    task: str,
    is_logit: bool | None = None,
) -> list[StageLoss]:
    """The stages in order; the first is the reference. labels, inputs: of the compared rows only.

    measure: "accuracy", "rmse" or "reconstruction_error" according to the task; without labels "agreement"
    with the first stage; for tasks without classes only "sqnr_db", and `value` is None then.
    """
    reference = stages[0].outputs
    is_logit = looks_like_logits(task, reference) if is_logit is None else is_logit
    found: list[StageLoss] = []
    before: tuple[Quality, np.ndarray] | None = None
    for stage_outputs in stages:
        outputs = stage_outputs.outputs.reshape(reference.shape)
        is_identical = before is not None and np.array_equal(before[1], outputs)
        quality = judge(task, outputs, labels, inputs, is_logit=is_logit)
        agreed = None
        if task in ("classification", "binary", "multi-label"):
            ours, theirs = (predicted_classes(task, o, is_logit=is_logit) for o in (outputs, reference))
            agreed = agreement(ours, theirs)
        measure, value = _metric(quality, agreed)
        compared = None if before is None else _compared(measure, before[0], quality, is_identical)
        last = found[-1].value if found else None
        found.append(
            StageLoss(
                stage=stage_outputs.stage,
                measure=measure,
                value=value,
                change=None if value is None or last is None else value - last,
                change_ci=None if compared is None else compared.interval,
                verdict=None if compared is None else compared.verdict,
                lost=None if compared is None else compared.lost,
                gained=None if compared is None else compared.gained,
                agreement=agreed,
                sqnr_db=sqnr_db(reference, outputs),
                is_identical=is_identical,
                rows=len(outputs),
            )
        )
        before = quality, outputs
    return found


def _metric(quality: Quality, agreed: float | None) -> tuple[str, float | None]:
    for measure in ("accuracy", "reconstruction_error", "rmse"):
        value = getattr(quality, measure)
        if value is not None:
            return measure, value
    return ("agreement", agreed) if agreed is not None else ("sqnr_db", None)


def _compared(measure: str, before: Quality, now: Quality, is_identical: bool) -> Verdict | None:
    """The paired comparison of a stage with the previous one; None if the task has no suitable comparison."""
    if before.row_scores is None or now.row_scores is None or measure == "rmse":
        return None
    if is_identical:
        return same_file()
    if measure == "accuracy" and np.isin([*before.row_scores, *now.row_scores], (0, 1)).all():
        return compare_right_rows(now.row_scores == 1, before.row_scores == 1)
    if measure == "reconstruction_error":
        return compare_errors(now.row_scores, before.row_scores, metric="reconstruction error")
    return None


@dataclass(frozen=True)
class Formats:
    """Number formats in a file: of its kernels, of its activations, and of its inputs and outputs.

    kernels: types of stored kernels that are not float32. activations: integer types of computed tensors;
    is_hybrid: some operator quantizes its activations at run time. borders: integer types of inputs and
    outputs that stand for real numbers.
    """

    kernels: tuple[str, ...]
    activations: tuple[str, ...]
    is_hybrid: bool
    borders: tuple[str, ...]


def formats_of(facts: TfliteFacts) -> Formats:
    """The number formats of a .tflite, from its tensors."""
    kernels: set[str] = set()
    activations: set[str] = set()
    is_hybrid = False
    for operator in facts.operators:
        if facts.unpacks_a_constant(operator) or operator.type in ("QUANTIZE", "DEQUANTIZE"):
            continue
        computed = [tensor for i in operator.outputs if (tensor := facts.tensor(operator, i)) is not None]
        activations |= {t.dtype for t in computed if is_integer(t.dtype) and t.quantization is not None}
        for position, index in enumerate(operator.inputs):
            tensor = facts.tensor(operator, index)
            stored = facts.stored(tensor)
            if stored is None or stored.dtype == "float32" or not _is_weight(operator, position, stored):
                continue
            kernels.add(stored.dtype)
            is_direct = tensor is stored and is_integer(stored.dtype)
            is_hybrid |= is_direct and any(is_float(t.dtype) for t in computed)
    graph = facts.subgraphs[0]
    borders = [graph.tensors[i] for i in (*graph.inputs, *graph.outputs)]
    return Formats(
        kernels=tuple(sorted(kernels)),
        activations=tuple(sorted(activations)),
        is_hybrid=is_hybrid,
        borders=tuple(sorted({t.dtype for t in borders if is_integer(t.dtype) and t.quantization})),
    )


def with_weights_of(source: bytes, packed: bytes) -> bytes | None:
    """The float file `source` with the weights of `packed`, as real numbers; everything else stays the same.

    None where a kernel of `packed` has no counterpart of the same shape in `source`, or `packed` stores no
    kernel in another format.
    """
    facts, packed_facts = read_tflite(source), read_tflite(packed)
    twins = match_operators(packed_facts, facts)
    # Weights are views of the bytes that were read, which may belong to another file with the same content.
    start = np.frombuffer(facts.data, np.uint8).__array_interface__["data"][0]
    result = bytearray(facts.data)
    patched: set[tuple[int, int]] = set()
    for operator in packed_facts.operators:
        if packed_facts.unpacks_a_constant(operator):
            continue
        for position, index in enumerate(operator.inputs):
            stored = packed_facts.stored(packed_facts.tensor(operator, index))
            if stored is None or stored.dtype == "float32" or not _is_weight(operator, position, stored):
                continue
            twin = None if operator.subgraph else twins.get(operator.index)
            theirs = None if twin is None else facts.subgraphs[0].operators[twin]
            inputs = () if theirs is None else theirs.inputs
            place = facts.tensor(theirs, inputs[position]) if theirs and position < len(inputs) else None
            if place is None or place.data is None or place.dtype != "float32":
                return None
            real = stored.real()
            if real is None or real.shape != place.shape:
                return None
            offset = place.data.__array_interface__["data"][0] - start
            result[offset : offset + real.nbytes] = np.ascontiguousarray(real, "<f4").tobytes()
            patched.add((operator.index, position))
    return bytes(result) if patched else None


def _is_weight(operator: Operator, position: int, tensor: Tensor) -> bool:
    """Kernels and the constants of sums and products. Biases are rounded to the activations' grid, so they
    belong to the activations.
    """
    role = role_of(operator, position, tensor)
    holds_numbers = is_float(tensor.dtype) or is_integer(tensor.dtype)
    return holds_numbers and role != BIAS and math.prod(tensor.shape) > 1
