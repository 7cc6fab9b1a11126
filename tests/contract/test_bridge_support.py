"""The support tables say what TFMOT's own registries say, and TFMOT does what they say."""

# ruff: noqa: F811 - pytest takes a fixture by the name of a parameter, here the imported `zoo`

from __future__ import annotations

from typing import Any

import pytest
from support.zoo import Zoo, zoo  # noqa: F401

from lwdash.keras_models import support
from lwdash.keras_models.bridge.model import to_tf_keras
from lwdash.keras_models.bridge.twin_layers import augments
from lwdash.keras_models.inspection import inspect_model
from lwdash.keras_models.obstacles import WITHOUT_TWIN
from lwdash.keras_models.scan.allowed_classes import LAYERS

pytestmark = pytest.mark.tensorflow


def registered(registry: Any) -> dict[str, list[str]]:
    """Class name → weights that the registry treats."""
    return {layer.__name__: list(weights) for layer, weights in registry._LAYERS_WEIGHTS_MAP.items()}


def test_layers_without_a_twin_are_those_that_keras_2_does_not_have() -> None:
    import keras
    import tf_keras

    missing = {n for n in LAYERS if hasattr(keras.layers, n) and not hasattr(tf_keras.layers, n)}
    assert {n for n in missing if not augments(n)} == WITHOUT_TWIN


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


@pytest.mark.parametrize(
    "name", ["heartbeat", "depthwise_separable", "residual", "attention", "embedding", "gru"]
)
def test_tfmot_really_wraps_what_is_said_to_be_pruned(zoo: Zoo, name: str) -> None:
    import tensorflow_model_optimization as tfmot
    import tf_keras

    treated = {
        entry.path for entry in inspect_model(zoo.file("keras", name)).support["prune"] if entry.treated
    }
    twin = to_tf_keras(zoo.model("keras", name)).model
    wrap = tfmot.sparsity.keras.prune_low_magnitude
    wrapped = tf_keras.models.clone_model(
        twin,
        clone_function=lambda layer: (
            wrap(layer) if layer.name in treated else type(layer).from_config(layer.get_config())
        ),
    )
    masks = {layer.layer.name for layer in wrapped.layers if getattr(layer, "pruning_vars", None)}
    assert masks == treated != set()


@pytest.mark.parametrize("name", ["heartbeat", "depthwise_separable", "residual", "embedding"])
def test_tfmot_really_wraps_what_is_said_to_be_clustered(zoo: Zoo, name: str) -> None:
    import tensorflow_model_optimization as tfmot
    import tf_keras

    treated = {
        entry.path for entry in inspect_model(zoo.file("keras", name)).support["cluster"] if entry.treated
    }
    # Wrapping changes the layers that it is given, so the twin is one of this test's own.
    twin = to_tf_keras(zoo.model("keras", name)).model
    start = tfmot.clustering.keras.CentroidInitialization.LINEAR
    wrap = tfmot.clustering.keras.cluster_weights
    wrapped = tf_keras.models.clone_model(
        twin,
        clone_function=lambda layer: (
            wrap(layer, number_of_clusters=4, cluster_centroids_init=start)
            if layer.name in treated
            else type(layer).from_config(layer.get_config())
        ),
    )
    clustered = {layer.layer.name for layer in wrapped.layers if getattr(layer, "layer", None) is not None}
    assert clustered == treated != set()
