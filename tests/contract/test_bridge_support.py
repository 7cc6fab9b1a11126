"""The support tables say what TFMOT's own registries say."""

from __future__ import annotations

from typing import Any

import pytest

from lwdash.keras_models import support
from lwdash.keras_models.allowed import LAYERS

CELLS = frozenset({"LSTMCell", "GRUCell", "SimpleRNNCell", "StackedRNNCells"})


def registered(registry: Any) -> dict[str, list[str]]:
    """Class name → weights that the registry treats."""
    return {layer.__name__: list(weights) for layer, weights in registry._LAYERS_WEIGHTS_MAP.items()}


def test_pruned_layers_are_those_that_tfmot_prunes() -> None:
    from tensorflow_model_optimization.python.core.sparsity.keras.prune_registry import PruneRegistry

    theirs = {name for name, weights in registered(PruneRegistry).items() if weights}
    theirs |= {layer.__name__ for layer in PruneRegistry._RNN_LAYERS}
    assert theirs & LAYERS == support.PRUNED


def test_clustered_layers_are_those_that_tfmot_clusters() -> None:
    from tensorflow_model_optimization.python.core.clustering.keras.clustering_registry import (
        ClusteringRegistry,
    )

    theirs = {name for name, weights in registered(ClusteringRegistry).items() if weights}
    theirs |= {layer.__name__ for layer in ClusteringRegistry._SUPPORTED_RNN_LAYERS}
    theirs |= {layer.__name__ for layer in ClusteringRegistry._SUPPORTED_MHA_LAYERS}
    assert theirs & LAYERS == support.CLUSTERED


def test_quantized_layers_are_those_of_tfmot() -> None:
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit.default_8bit_quantize_registry import (
        Default8BitQuantizeRegistry,
    )

    theirs = {layer.__name__ for layer in Default8BitQuantizeRegistry()._layer_quantize_map}
    assert theirs & LAYERS == support.QUANTIZED | support.PASSED_THROUGH


@pytest.mark.parametrize("name", sorted(support.QUANTIZED_ACTIVATIONS - {"silu"}))
def test_quantized_activations_are_those_of_tfmot(name: str) -> None:
    from tensorflow_model_optimization.python.core.quantization.keras.quantize_aware_activation import (
        QuantizeAwareActivation,
    )

    theirs = QuantizeAwareActivation._PRE_QUANT_ACTIVATIONS | QuantizeAwareActivation._POST_QUANT_ACTIVATIONS
    assert name in theirs
