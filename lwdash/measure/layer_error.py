"""Errors of single layers: each operator's weights and output compared with its counterpart in the float
model.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lwdash.measure.accuracy import decibels, sqnr_db
from lwdash.measure.runner import Runner, from_stored, make_interpreter
from lwdash.spread_rows import spread
from lwdash.tflite.reader import Operator, TfliteFacts, read_tflite
from lwdash.tflite.tensor import Tensor
from lwdash.tflite.trained_parameters import kernel_of

_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class LayerError:
    """SQNR in dB of one operator of the main graph; None where it has no counterpart, or nothing differs.

    output_sqnr_db includes the error of earlier operators, which the signal carries along.
    """

    index: int
    reference_index: int | None
    weight_sqnr_db: float | None
    output_sqnr_db: float | None
    is_output_identical: bool


def layer_errors(
    run: bytes,
    reference: bytes,
    inputs: Mapping[str, np.ndarray],
    *,
    rows: int = 64,
    seconds: float = 2.0,
    threads: int = 1,
) -> list[LayerError]:
    """One entry per operator of the run's main graph, measured on `rows` evenly spread rows.

    seconds: limit in CPU time of this process, not wall time. A busy host therefore does not change the
    values of a fast model. A slow model is judged on fewer rows, also evenly spread.
    inputs: name → (rows, *shape), real numbers. Use calibration rows to measure on the data that the
    quantizer saw. Operators are counterparts where their output tensors have the same name, or where both
    files have the same operators in the same order.
    """
    facts, reference_facts = read_tflite(run), read_tflite(reference)
    twins = match_operators(facts, reference_facts)
    ours, theirs = _Watched(run, facts, threads), _Watched(reference, reference_facts, threads)
    signal: dict[int, float] = dict.fromkeys(twins, 0.0)
    noise: dict[int, float] = dict.fromkeys(twins, 0.0)
    seen: set[int] = set()
    began = time.process_time()
    for count, row in enumerate(spread_order(len(next(iter(inputs.values()))), rows)):
        if count and time.process_time() - began > seconds:
            break
        one = {name: values[row : row + 1] for name, values in inputs.items()}
        ours.run(one)
        theirs.run(one)
        for index, twin in twins.items():
            mine, other = ours.output(index), theirs.output(twin)
            if mine is not None and other is not None and mine.shape == other.shape:
                seen.add(index)
                signal[index] += float(np.sum(other.astype(np.float64) ** 2))
                noise[index] += float(np.sum((other.astype(np.float64) - mine) ** 2))
    return [
        LayerError(
            index=operator.index,
            reference_index=twins.get(operator.index),
            weight_sqnr_db=_weight_sqnr(facts, operator, reference_facts, twins.get(operator.index)),
            output_sqnr_db=decibels(signal.get(operator.index, 0.0), noise.get(operator.index, 0.0)),
            is_output_identical=operator.index in seen and noise[operator.index] == 0.0,
        )
        for operator in facts.subgraphs[0].operators
    ]


def spread_order(rows: int, most: int) -> list[int]:
    """At most `most` indices out of `rows`, evenly spread, in an order whose every prefix is evenly spread
    too.

    Files are often sorted by class. Steps of the golden ratio leave no large gap (Weyl sequence).
    """
    chosen = spread(rows, most)
    order = np.argsort(np.arange(len(chosen)) * 0.6180339887498949 % 1, kind="stable")
    return [int(row) for row in chosen[order]]


def match_operators(facts: TfliteFacts, reference: TfliteFacts) -> dict[int, int]:
    """Operator of the run → its counterpart in the reference, both in the main graph, by index."""
    ours, theirs = _computing(facts), _computing(reference)
    by_name = {_output_name(reference, o): o for o in theirs}
    twins = {o.index: by_name[name].index for o in ours if (name := _output_name(facts, o)) in by_name}
    if len(twins) < len(ours) and [o.type for o in ours] == [o.type for o in theirs]:
        return {a.index: b.index for a, b in zip(ours, theirs, strict=True)}
    return twins


class _Watched:
    """An interpreter whose intermediate tensors can be read. It runs without XNNPACK, which hides them."""

    def __init__(self, data: bytes, facts: TfliteFacts, threads: int):
        from ai_edge_litert.interpreter import OpResolverType

        self.facts, self.runner = facts, Runner(data, threads=threads, facts=facts)
        self.runner.interpreter = make_interpreter(
            data,
            threads,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )

    def run(self, row: Mapping[str, np.ndarray]) -> None:
        self.runner.prepare_row(row)
        if self.facts.has_state:
            self.runner.interpreter.reset_all_variables()
        self.runner.interpreter.invoke()

    def output(self, index: int) -> np.ndarray | None:
        """Real numbers output by operator `index`; None where they cannot be read (strings, resources)."""
        operator = self.facts.subgraphs[0].operators[index]
        tensor = self.facts.tensor(operator, operator.outputs[0]) if operator.outputs else None
        if tensor is None or tensor.dtype in ("string", "resource", "variant"):
            return None
        return from_stored(self.runner.interpreter.get_tensor(tensor.index), tensor)


def _computing(facts: TfliteFacts) -> list[Operator]:
    return [o for o in facts.subgraphs[0].operators if o.type not in _CONVERSIONS and o.outputs]


def _output_name(facts: TfliteFacts, operator: Operator) -> str:
    tensor = facts.tensor(operator, operator.outputs[0])
    return "" if tensor is None else tensor.name


def _weight_sqnr(
    facts: TfliteFacts, operator: Operator, reference: TfliteFacts, twin: int | None
) -> float | None:
    if twin is None:
        return None
    ours = _real_kernel(kernel_of(facts, operator))
    theirs = _real_kernel(kernel_of(reference, reference.subgraphs[0].operators[twin]))
    if ours is None or theirs is None or ours.shape != theirs.shape:
        return None
    return sqnr_db(theirs, ours)


def _real_kernel(tensor: Tensor | None) -> np.ndarray | None:
    return None if tensor is None else tensor.real()
