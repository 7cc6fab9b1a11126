"""Which rows go into which input of a .tflite, and which of its outputs is judged: for who runs it without lwdash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lwdash.measure.runner import match_inputs
from lwdash.measure.tflite_file import TfliteFacts


def input_order(facts: TfliteFacts, inputs: Mapping[str, np.ndarray]) -> list[int]:
    """For each input of the file, in its order, the number of the entry of `inputs` that feeds it."""
    found, names = match_inputs(facts, inputs), list(inputs)
    return [names.index(found[port.name]) for port in facts.inputs]


def judged_output(facts: TfliteFacts, baseline: TfliteFacts) -> int:
    """The output of the file that stands for the baseline's first one: by name where the names agree, else the first."""
    ours, theirs = [port.name for port in facts.outputs], [port.name for port in baseline.outputs]
    return ours.index(theirs[0]) if set(ours) == set(theirs) else 0


def ports_plan(run: TfliteFacts, baseline: TfliteFacts, inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The above for both files, JSON-able."""
    return {
        "order": input_order(run, inputs),
        "output": judged_output(run, baseline),
        "baseline_order": input_order(baseline, inputs),
        "baseline_output": 0,
    }
