"""A run's accuracy waterfall: from the stored outputs of its Keras stages to the partial steps of its file."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lwdash.analyses.stage_losses import (
    ACTIVATIONS,
    BORDERS,
    WEIGHTS,
    StageOutputs,
    formats_of,
    read_outputs,
    waterfall,
    with_weights_of,
)
from lwdash.measure.output_cache import OutputCache
from lwdash.measure.script_ports import judged_output
from lwdash.spread_rows import spread
from lwdash.tflite.reader import read_tflite
from lwdash.tflite.rewrites.input_output_types import with_borders

FLOAT_FILE = "float .tflite"
OUTPUTS, FILE = "outputs", "tflite"
"""Kinds of entries in a trail: a Keras model's outputs, or a float .tflite."""


def measure_waterfall(
    trail: Sequence[tuple[str, str, bytes]],
    tflite: bytes,
    cache: OutputCache,
    labels: np.ndarray | None,
    *,
    task: str,
    judged: int = 0,
    is_logit: bool | None = None,
) -> list[dict[str, Any]]:
    """The stages of a run, JSON-able, as `lwdash.analyses.stage_losses.Stage`.

    trail: (stage, OUTPUTS or FILE, content) of the stages before `tflite`, the Keras model first, the float
    .tflite last.
    cache, labels: of all evaluation rows. The trail's outputs are of the rows from `compared_rows`, and so is
    every stage.
    judged: index of the output that the labels belong to; the trail holds this output. is_logit: as for
    `measure`.
    """
    kept = [(stage, read_outputs(data)) for stage, kind, data in trail if kind == OUTPUTS]
    chosen = spread(len(next(iter(cache.inputs.values()))), len(kept[0][1]))
    files = [(stage, data) for stage, kind, data in trail if kind == FILE]
    source = read_tflite(files[-1][1])

    def stage_outputs(data: bytes) -> np.ndarray:
        return [*cache.on(data, chosen).values()][judged_output(read_tflite(data), source, judged)]

    stages = [
        *(StageOutputs(stage, outputs) for stage, outputs in kept),
        *(
            StageOutputs(stage, stage_outputs(data))
            for stage, data in [*files, *_partial_files(files[-1][1], tflite)]
        ),
    ]
    rows = {name: values[chosen] for name, values in cache.inputs.items()}
    picked = None if labels is None else labels[chosen]
    return [stage.to_dict() for stage in waterfall(stages, picked, rows, task=task, is_logit=is_logit)]


def _partial_files(source: bytes, tflite: bytes) -> list[tuple[str, bytes]]:
    """The files between the float .tflite and the run's: only its weights, also its activations, also its
    inputs and outputs.
    """
    if source == tflite:
        return []
    formats = formats_of(read_tflite(tflite))
    weights = f"{WEIGHTS}: {', '.join(formats.kernels)}"
    activations = f"{ACTIVATIONS}: {', '.join(formats.activations)}"
    if formats.is_hybrid:
        activations = f"{ACTIVATIONS}: int8, at run time"
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
