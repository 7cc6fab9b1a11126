"""The Keras 2 twin of a model, which TFMOT works on: with how far the two agree, or with why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lwdash.errors import BridgeRefused
from lwdash.keras_models.bridge.model import to_tf_keras


@dataclass(frozen=True)
class Twin:
    """model: the tf_keras model, None where the bridge refuses; refusal: why, in words for people.

    facts: what a run shows of it, JSON-able; empty for a model that was tf_keras from the start.
    """

    model: Any | None
    refusal: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def find_twin(original: Any, rows: Sequence[np.ndarray]) -> Twin:
    """The twin of a live model of either library.

    rows: one array (n, *input shape) per input, in the model's order, on which the outputs are compared.
    """
    try:
        bridged = to_tf_keras(original, rows=rows)
    except BridgeRefused as refused:
        words = str(refused)
        return Twin(None, words, {"keras_2_twin": f"none, worked on the Keras 3 model itself: {words}"})
    if bridged.model is original:
        return Twin(original)
    return Twin(
        bridged.model,
        None,
        {
            "keras_2_twin": {
                "largest_difference": bridged.largest_difference,
                "largest_output": bridged.scale,
                "compared_on": bridged.compared_on,
            }
        },
    )
