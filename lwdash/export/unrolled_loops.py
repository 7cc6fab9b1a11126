"""Recurrent layers without loops: every time step as separate operators, as quantizers need it."""

from collections.abc import Sequence
from typing import Any

from lwdash.errors import ConversionFailed
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.quantize.read_back import computed
from lwdash.training.model_copies import clone_with

RECURRENT = frozenset(
    {
        "LSTM",
        "GRU",
        "SimpleRNN",
        "RNN",
        "Bidirectional",
        "ConvLSTM1D",
        "ConvLSTM2D",
        "ConvLSTM3D",
        "TimeDistributed",
    }
)
"""Layers that iterate over a sequence: Keras 3 exports them as loops, tf_keras some of them as one operator."""

MAX_TIME_STEPS = 128
"""Longest sequence that is unrolled: each step adds about fifteen operators to the file."""

LOOPS = frozenset({"WHILE", "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN"})
"""Operators that run a whole sequence. TensorFlow's quantizer crashes on them and litert-quantizer skips them."""


def without_loops(model: Any) -> Any:
    """A copy of a tf_keras model, with its weights, whose recurrent layers are exported step by step."""
    copy = clone_with(model, lambda layer: layer)
    for layer in recurrent_layers(copy):
        layer.unroll = True
        if hasattr(layer, "_could_use_gpu_kernel"):
            layer._could_use_gpu_kernel = False  # that implementation contains another loop
    return copy


def recurrent_layers(model: Any) -> list[Any]:
    """The recurrent layers of a live tf_keras model, including those inside wrappers and nested models."""
    import tf_keras

    return [layer for layer in model._flatten_layers() if isinstance(layer, tf_keras.layers.RNN)]


def longest_sequence(facts: ModelFacts, input_shapes: Sequence[Sequence[int]]) -> int:
    """Maximum number of time steps of a recurrent layer, 0 without one.

    input_shapes: without the batch axis, every axis known; used where the file leaves a length open.
    """
    shapes = {layer.path: layer.output_shape for layer in facts.layers}
    given = max((int(shape[0]) for shape in input_shapes if shape), default=1)
    longest = 0
    for layer in facts.layers:
        if layer.class_name in RECURRENT:
            sources = [shapes.get(path) for path in layer.sources] or [None]
            longest = max([longest, *((shape[0] if shape else None) or given for shape in sources)])
    return longest


def refuse_loops(data: bytes) -> None:
    """Raises ConversionFailed for a float .tflite with a loop: TensorFlow's calibration crashes the process on it."""
    loop = next((operator for operator in computed(data) if operator.kind == "WHILE"), None)
    if loop is not None:
        raise ConversionFailed(
            f"TensorFlow's own calibration crashes on the operator WHILE ('{loop.layer}'), the exported "
            "form of recurrent layers. Leave out backend=tflite: int8 then unrolls up to "
            f"{MAX_TIME_STEPS} time steps. Or use dynamic"
        )
