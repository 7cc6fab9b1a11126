"""Configs of Keras 3 layers that keep what `adapt()` learnt, so that a copy of such a layer computes the same."""

from __future__ import annotations

from typing import Any

import numpy as np


def learnt_config(layer: Any) -> dict[str, Any]:
    """`layer.get_config()`, with what was learnt from data in the place of the arguments that say it.

    Keras leaves it out of the config, and out of the layer that weights are set on: a copy by config and weights
    would normalize by 0 and 1, or look up an empty vocabulary.
    """
    config = dict(layer.get_config())
    kind = type(layer).__name__
    if kind == "Normalization" and layer.built and layer.input_mean is None:
        config["mean"] = np.asarray(layer.adapt_mean).tolist()
        config["variance"] = np.asarray(layer.adapt_variance).tolist()
    elif kind == "Discretization" and layer.bin_boundaries is not None:
        config["bin_boundaries"], config["num_bins"] = [float(edge) for edge in layer.bin_boundaries], None
    elif kind == "IntegerLookup":
        config["vocabulary"] = [int(word) for word in layer.get_vocabulary(include_special_tokens=False)]
        config.pop("vocabulary_size", None)  # that of a vocabulary which is still to be loaded
    return config
