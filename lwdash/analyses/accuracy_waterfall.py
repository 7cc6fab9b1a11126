"""A run's accuracy waterfall: from the kept answers of its Keras stages to its file, taken apart again."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lwdash.analyses.stage_losses import (
    ACTIVATIONS,
    BORDERS,
    WEIGHTS,
    Answered,
    formats_of,
    read_outputs,
    spread,
    waterfall,
    with_weights_of,
)
from lwdash.measure.output_cache import Answers
from lwdash.measure.script_ports import judged_output
from lwdash.tflite.reader import read_tflite
from lwdash.tflite.rewrites.input_output_types import with_borders

FLOAT_FILE = "float .tflite"
OUTPUTS, FILE = "outputs", "tflite"
"""What an entry of a trail keeps: a Keras model's answers, or a float .tflite."""


def measure_waterfall(
    trail: Sequence[tuple[str, str, bytes]],
    tflite: bytes,
    answers: Answers,
    labels: np.ndarray | None,
    *,
    task: str,
    judged: int = 0,
    is_logit: bool | None = None,
) -> list[dict[str, Any]]:
    """The stages of a run, JSON-able, as `lwdash.analyses.stage_losses.Stage` has them.

    trail: (stage, OUTPUTS or FILE, content) of what came before `tflite`, the Keras model first, the float .tflite last.
    answers, labels: of all evaluation rows; the trail's outputs are of `rows_to_answer` of them, and so is every stage.
    judged: the number of the output that the labels are for, which the trail's outputs are. is_logit: as for `measure`.
    """
    kept = [(stage, read_outputs(data)) for stage, kind, data in trail if kind == OUTPUTS]
    chosen = spread(len(next(iter(answers.inputs.values()))), len(kept[0][1]))
    files = [(stage, data) for stage, kind, data in trail if kind == FILE]
    source = read_tflite(files[-1][1])

    def answered(data: bytes) -> np.ndarray:
        return [*answers.on(data, chosen).values()][judged_output(read_tflite(data), source, judged)]

    stages = [
        *(Answered(stage, outputs) for stage, outputs in kept),
        *(Answered(stage, answered(data)) for stage, data in [*files, *_taken_apart(files[-1][1], tflite)]),
    ]
    rows = {name: values[chosen] for name, values in answers.inputs.items()}
    picked = None if labels is None else labels[chosen]
    return [stage.to_dict() for stage in waterfall(stages, picked, rows, task=task, is_logit=is_logit)]


def _taken_apart(source: bytes, tflite: bytes) -> list[tuple[str, bytes]]:
    """The files between the float .tflite and the run's: its weights alone, its activations too, its borders too."""
    if source == tflite:
        return []
    formats = formats_of(read_tflite(tflite))
    weights = f"{WEIGHTS}: {', '.join(formats.kernels)}"
    activations = f"{ACTIVATIONS}: {', '.join(formats.activations)}"
    if formats.is_hybrid:
        activations = f"{ACTIVATIONS}: int8, while running"
    if not formats.activations and not formats.is_hybrid:
        return [(weights if formats.kernels else "final .tflite", tflite)]
    alone = with_weights_of(source, tflite) if formats.kernels else None
    files = [] if alone is None else [(weights, alone)]
    if alone is None and formats.kernels:
        activations = f"{weights}; {activations}"
    if not formats.borders:
        return [*files, (activations, tflite)]
    borders = f"{BORDERS}: {', '.join(formats.borders)}"
    return [*files, (activations, with_borders(tflite, "float32")), (borders, tflite)]
