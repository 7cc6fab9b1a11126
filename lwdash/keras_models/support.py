"""The layers that pruning, clustering and QAT can treat, by their classes and their place in the graph.

Pure functions of LayerFacts. For pruning and clustering, the tables follow TFMOT 0.8's registries (contract tests compare
them with the real ones) and lwdash's additions.
"""

from __future__ import annotations

from collections.abc import Sequence

from lwdash.keras_models.model_facts import LayerFacts, Support
from lwdash.keras_models.scan.allowed_classes import names

CONVOLUTIONS = names("Conv1D Conv2D Conv2DTranspose Conv3D Conv3DTranspose")
SEPARABLE = frozenset({"SeparableConv1D", "SeparableConv2D"})
DEPTHWISE = frozenset({"DepthwiseConv1D", "DepthwiseConv2D"})
RECURRENT = frozenset({"LSTM", "GRU", "SimpleRNN", "RNN"})
KERNELS = CONVOLUTIONS | RECURRENT | names("Dense Embedding LocallyConnected1D LocallyConnected2D")

PRUNED = KERNELS | SEPARABLE | {"MultiHeadAttention"}
CLUSTERED = PRUNED | {"Conv1DTranspose", "Bidirectional"}
MASKED = names(
    """
    Bidirectional TimeDistributed Conv1DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D EinsumDense GroupQueryAttention
    """
)
"""Layers with kernels that TFMOT does not know, fully or partly. lwdash's own masks and shared values treat them."""

NORMALIZATIONS = names(
    """
    BatchNormalization SyncBatchNormalization LayerNormalization GroupNormalization UnitNormalization
    RMSNormalization SpectralNormalization
    """
)


def support(layers: Sequence[LayerFacts]) -> dict[str, tuple[Support, ...]]:
    """Supported layers of each technique, and the reason for each unsupported one.

    Only layers that have weights are listed.
    """
    weighted = [layer for layer in layers if layer.parameters]
    return {
        "prune": tuple(_prune(layer) for layer in weighted),
        "cluster": tuple(_cluster(layer) for layer in weighted),
        "qat": tuple(_qat(layer) for layer in weighted),
    }


def _prune(layer: LayerFacts) -> Support:
    if layer.class_name in PRUNED | MASKED:
        return Support(layer.path, True, _partly(layer.class_name))
    return Support(layer.path, False, _no_kernel(layer.class_name, "prune"))


def _cluster(layer: LayerFacts) -> Support:
    if layer.class_name in CLUSTERED | MASKED:
        return Support(layer.path, True, _partly(layer.class_name))
    return Support(layer.path, False, _no_kernel(layer.class_name, "cluster"))


def _partly(class_name: str) -> str | None:
    if class_name in SEPARABLE:
        return "the pointwise kernel only; the depthwise kernel too with depthwise=true"
    if class_name in RECURRENT or class_name == "Bidirectional" or class_name.startswith("ConvLSTM"):
        return "kernel and recurrent kernel"
    if class_name == "TimeDistributed":
        return "the kernels of the layer in it"
    if class_name == "MultiHeadAttention":
        return "the four projection kernels"
    return None


def _no_kernel(class_name: str, verb: str) -> str:
    if class_name in NORMALIZATIONS or class_name == "Normalization":
        return "a normalization has no kernel, only one or two values per channel"
    if class_name in DEPTHWISE:
        return "a depthwise kernel has few weights per channel; depthwise=true treats it too"
    if class_name == "PReLU":
        return "it has slopes, no kernel"
    if class_name.startswith("ops.") or class_name in ("TFOpLambda", "SlicingOpLambda"):
        return "it is an operation, not a layer"
    return f"{class_name} has no kernel that lwdash can {verb}"


def _qat(layer: LayerFacts) -> Support:
    name = layer.class_name
    if name in PRUNED | CLUSTERED | MASKED | DEPTHWISE:
        is_recurrent = name in RECURRENT | {"Bidirectional"} or name.startswith("ConvLSTM")
        within = (
            "all kernels, its inputs and outputs; values inside of it stay in float" if is_recurrent else None
        )
        return Support(layer.path, True, within)
    return Support(layer.path, False, "it has no kernel that lwdash knows; its outputs are rounded")
