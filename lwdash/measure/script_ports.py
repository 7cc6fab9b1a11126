"""The assignment of rows to a .tflite's inputs, and its judged output, for a script without lwdash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lwdash.measure.runner import match_inputs
from lwdash.tflite.reader import TfliteFacts


def input_order(facts: TfliteFacts, inputs: Mapping[str, np.ndarray]) -> list[int]:
    """For each input of the file, in its order, the index of the entry of `inputs` that feeds it."""
    found, names = match_inputs(facts, inputs), list(inputs)
    return [names.index(found[port.name]) for port in facts.inputs]


def judged_output(facts: TfliteFacts, baseline: TfliteFacts, judged: int = 0) -> int:
    """The file's output that corresponds to the baseline's output `judged`: by name where names agree,
    otherwise by position.
    """
    ours, theirs = [port.name for port in facts.outputs], [port.name for port in baseline.outputs]
    return ours.index(theirs[judged]) if set(ours) == set(theirs) else judged


def ports_plan(
    run: TfliteFacts, baseline: TfliteFacts, inputs: Mapping[str, np.ndarray], judged: int = 0
) -> dict[str, Any]:
    """Input order and judged output of both files, JSON-able. judged: index of the baseline's output that the
    labels belong to.
    """
    return {
        "order": input_order(run, inputs),
        "output": judged_output(run, baseline, judged),
        "baseline_order": input_order(baseline, inputs),
        "baseline_output": judged,
    }
