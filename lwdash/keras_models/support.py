"""The layers that pruning, clustering and QAT can treat, by their classes and their place in the graph.

Pure functions of LayerFacts. The tables follow TFMOT 0.8's registries (contract tests compare them with the
real ones) and lwdash's additions: Conv1D is quantized through Conv2D(1, k), nested models are flattened
first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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

QUANTIZED = names(
    """
    Conv2D DepthwiseConv2D Conv2DTranspose Dense Add Concatenate ReLU LeakyReLU Softmax Activation
    UpSampling2D AveragePooling1D AveragePooling2D GlobalAveragePooling1D GlobalAveragePooling2D
    GlobalAveragePooling3D
    """
)
PASSED_THROUGH = names(
    """
    Cropping1D Cropping2D Cropping3D ZeroPadding1D ZeroPadding2D ActivityRegularization Dropout Flatten
    Permute Reshape SpatialDropout1D SpatialDropout2D SpatialDropout3D GlobalMaxPooling1D
    GlobalMaxPooling2D GlobalMaxPooling3D MaxPooling2D
    """
)
"""Layers that pass the integers of their input on, so that they have no quantization to learn."""

QUANTIZED_ACTIVATIONS = names("linear relu softmax sigmoid tanh swish silu gelu")
REWRITTEN = names("Conv1D DepthwiseConv1D MaxPooling1D UpSampling1D")
"""1-D layers that TFMOT does not know, but whose 2-D form it knows."""
FOLDING = SEPARABLE | DEPTHWISE | {"Conv1D", "Conv2D", "Dense"}
"""Layers into which a following batch normalization is folded."""


def support(layers: Sequence[LayerFacts]) -> dict[str, tuple[Support, ...]]:
    """Supported layers of each technique, and the reason for each unsupported one.

    "prune" and "cluster" list the layers that have weights, "qat" every layer except the inputs.
    """
    by_path = {layer.path: layer for layer in layers}
    consumers = _consumers(layers)
    weighted = [layer for layer in layers if layer.parameters]
    return {
        "prune": tuple(_prune(layer) for layer in weighted),
        "cluster": tuple(_cluster(layer) for layer in weighted),
        "qat": tuple(_qat(layer, by_path, consumers) for layer in layers if layer.class_name != "InputLayer"),
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


def _consumers(layers: Sequence[LayerFacts]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for layer in layers:
        for source in layer.sources:
            counts[source] = counts.get(source, 0) + 1
    return counts


def _qat(layer: LayerFacts, by_path: Mapping[str, LayerFacts], consumers: Mapping[str, int]) -> Support:
    name = layer.class_name
    if name in ("BatchNormalization", "SyncBatchNormalization"):
        return _qat_batch_normalization(layer, by_path, consumers)
    if name in PASSED_THROUGH:
        return Support(layer.path, True, "passes its input's integers on")
    if name not in QUANTIZED | SEPARABLE | REWRITTEN:
        return Support(layer.path, False, _not_quantized(name))
    if layer.activation is not None and not _activation_allowed(layer):
        return Support(layer.path, False, f"TFMOT does not quantize the activation '{layer.activation}'")
    if name in REWRITTEN:
        twin = name.replace("1D", "2D")
        return Support(layer.path, True, f"rewritten as {twin}(1, k), since TFMOT does not know {name}")
    if name in SEPARABLE:
        return Support(layer.path, True, "split into its depthwise and its pointwise convolution")
    return Support(layer.path, True)


def _activation_allowed(layer: LayerFacts) -> bool:
    # ReLU layers are quantized for any maximum value; relu6 is unknown only as an argument of a layer.
    if layer.class_name in ("ReLU", "LeakyReLU", "Softmax"):
        return True
    if layer.class_name == "Activation" and layer.activation == "relu6":
        return True
    return layer.activation in QUANTIZED_ACTIVATIONS


def _qat_batch_normalization(
    layer: LayerFacts, by_path: Mapping[str, LayerFacts], consumers: Mapping[str, int]
) -> Support:
    source = by_path.get(layer.sources[0]) if len(layer.sources) == 1 else None
    for _ in by_path:  # no more steps than layers: they may be called in a circle
        if source is None or source.class_name != "InputLayer" or len(source.sources) != 1:
            break
        source = by_path.get(source.sources[0])  # the input of a nested model, which flattening removes
    if source is None or source.class_name not in FOLDING:
        after = source.class_name if source else "several layers"
        return Support(
            layer.path, False, f"it comes after {after}, not right after a convolution or a dense layer"
        )
    if source.activation not in (None, "linear"):
        return Support(
            layer.path, False, f"'{source.name}' before it has the activation '{source.activation}'"
        )
    if consumers.get(source.path, 0) > 1:
        return Support(layer.path, False, f"the output of '{source.name}' before it is also used elsewhere")
    return Support(layer.path, True, f"folded into '{source.name}'")


def _not_quantized(class_name: str) -> str:
    if class_name in RECURRENT | {"Bidirectional"}:
        return "TFMOT does not quantize recurrent layers"
    if class_name.startswith("ops.") or class_name in ("TFOpLambda", "SlicingOpLambda"):
        return "it is an operation, not a layer"
    if class_name in ("Rescaling", "Normalization"):
        return "preprocessing inside the model stays in float"
    return f"TFMOT does not quantize {class_name}"
