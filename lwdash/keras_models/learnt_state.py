"""Configs of Keras 3 layers with the state learnt by `adapt()`, so that a copy of such a layer computes the same."""

from __future__ import annotations

from typing import Any

import numpy as np


def learnt_config(layer: Any) -> dict[str, Any]:
    """`layer.get_config()`, with the learnt values in the corresponding arguments.

    Keras omits them from the config and from the weights. A copy by config and weights would normalize with
    mean 0 and variance 1, or use an empty vocabulary.
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
        config.pop("vocabulary_size", None)  # the config of a vocabulary that is not loaded yet
    return config
