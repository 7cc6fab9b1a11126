"""The Keras 2 twin of a model: with the difference of their outputs, or the reason for a missing twin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lwdash.errors import BridgeRefused
from lwdash.keras_models.bridge.model import to_tf_keras


@dataclass(frozen=True)
class Twin:
    """The tf_keras twin of a model, or the reason why there is none.

    model: the tf_keras model, None where the bridge refuses; refusal: the reason, as a message for users.

    facts: what a run displays about it, JSON-able; empty for a model that was tf_keras from the start.
    """

    model: Any | None
    refusal: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def find_twin(original: Any, rows: Sequence[np.ndarray]) -> Twin:
    """The twin of a live model of either library.

    rows: one array (n, *input shape) per input, in the model's order, for the comparison of outputs.
    """
    try:
        bridged = to_tf_keras(original, rows=rows)
    except BridgeRefused as refused:
        message = str(refused)
        return Twin(None, message, {"keras_2_twin": f"none, worked on the Keras 3 model itself: {message}"})
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
