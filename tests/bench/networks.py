"""Networks of the kinds that people compress, with random weights: MLPerf Tiny's four, LeNet-5, signals, text, decoders.

A builder returns a Keras 3 model. Batch normalizations are off their neutral start, so that folding them changes weights.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Builder = Callable[[], Any]


def built(name: str) -> Any:
    """The network `name` of NETWORKS or LARGE_NETWORKS, the same weights every time."""
    import keras

    keras.utils.set_random_seed(7)
    model = {**NETWORKS, **LARGE_NETWORKS}[name]()
    generator = np.random.default_rng(7)
    for layer in model._flatten_layers():
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights([generator.uniform(0.5, 1.5, value.shape) for value in layer.get_weights()])
    return model


def rows_for(model: Any, count: int) -> dict[str, np.ndarray]:
    """Input name → (count, *shape): standard normal numbers, or indices where the model embeds them."""
    generator = np.random.default_rng(3)
    rows: dict[str, np.ndarray] = {}
    for tensor in model.inputs:
        shape = (count, *tensor.shape[1:])
        is_index = "int" in str(tensor.dtype)
        values = generator.integers(0, 100, shape) if is_index else generator.normal(size=shape)
        rows[tensor.name] = values.astype(tensor.dtype)
    return rows


def _blocks(x: Any, filters: int, **options: Any) -> Any:
    import keras

    layers = keras.layers
    for make in (
        layers.DepthwiseConv2D(3, padding="same", use_bias=False, **options),
        layers.Conv2D(filters, 1, use_bias=False),
    ):
        x = layers.ReLU()(layers.BatchNormalization()(make(x)))
    return x


def ds_cnn() -> Any:
    """Keyword spotting: the DS-CNN of MLPerf Tiny."""
    import keras

    layers = keras.layers
    inputs = keras.Input((49, 10, 1))
    x = layers.Conv2D(64, (10, 4), strides=2, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    for _ in range(4):
        x = _blocks(x, 64)
    x = layers.AveragePooling2D((25, 5))(x)
    return keras.Model(inputs, layers.Dense(12, activation="softmax")(layers.Flatten()(x)))


def resnet_8() -> Any:
    """Image classification: the ResNet-8 of MLPerf Tiny."""
    import keras

    layers = keras.layers

    def normalized(x: Any, filters: int, size: int, strides: int = 1) -> Any:
        return layers.BatchNormalization()(layers.Conv2D(filters, size, strides=strides, padding="same")(x))

    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(normalized(inputs, 16, 3))
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        y = normalized(layers.ReLU()(normalized(x, filters, 3, strides)), filters, 3)
        shortcut = x if strides == 1 else layers.Conv2D(filters, 1, strides=strides)(x)
        x = layers.ReLU()(layers.Add()([shortcut, y]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def mobilenet_025() -> Any:
    """Visual wake words: the MobileNet of MLPerf Tiny, a quarter wide, on 96 × 96."""
    import keras

    layers = keras.layers
    inputs = keras.Input((96, 96, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    for filters, strides in [
        (16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1),
    ]:  # fmt: skip
        x = _blocks(x, filters, strides=strides)
    x = layers.Flatten()(layers.AveragePooling2D(3)(x))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x))


def anomaly_autoencoder() -> Any:
    """Anomaly detection: the dense autoencoder of MLPerf Tiny."""
    import keras

    layers = keras.layers
    x = inputs = keras.Input((640,))
    for width in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(width)(x)))
    return keras.Model(inputs, layers.Dense(640)(x))


def lenet_5() -> Any:
    """Caffe's LeNet-5."""
    import keras

    layers = keras.layers
    return keras.Sequential([
        keras.Input((28, 28, 1)), layers.Conv2D(20, 5), layers.MaxPooling2D(), layers.Conv2D(50, 5),
        layers.MaxPooling2D(), layers.Flatten(), layers.Dense(500, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip


def signal_conv1d() -> Any:
    """A second of an electrocardiogram, 5,000 parameters."""
    import keras

    layers = keras.layers
    x = inputs = keras.Input((500, 1))
    for filters, size in ((12, 9), (20, 7), (24, 5)):
        x = layers.Conv1D(filters, size, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Dense(16, activation="relu")(layers.GlobalAveragePooling1D()(x))
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(x))


def signal_separable() -> Any:
    """Separable one-dimensional convolutions on three channels of motion."""
    import keras

    layers = keras.layers
    x = inputs = keras.Input((256, 3))
    for filters in (32, 64, 96):
        x = layers.SeparableConv1D(filters, 5, padding="same", activation="relu")(x)
        x = layers.MaxPooling1D()(x)
    x = layers.Conv1D(64, 3, padding="causal", dilation_rate=2, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(6, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


def decoder() -> Any:
    """A small U-Net with transposed convolutions."""
    import keras

    layers = keras.layers
    inputs = keras.Input((48, 48, 3))
    a = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
    b = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(a)
    c = layers.Conv2D(64, 3, strides=2, padding="same", activation="relu")(b)
    x = layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu")(c)
    x = layers.Conv2DTranspose(16, 2, strides=2, padding="same", activation="relu")(
        layers.Concatenate()([x, b])
    )
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(layers.Concatenate()([x, a])))


def inverted_residuals() -> Any:
    """Expansion, squeeze and excitation, hard swish: the blocks of MobileNetV3, on 48 × 48."""
    import keras

    layers = keras.layers
    inputs = keras.Input((48, 48, 3))
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="hard_silu")(inputs)
    for filters, strides in ((16, 2), (24, 1), (24, 1), (40, 2), (40, 1)):
        width = x.shape[-1]
        y = layers.Conv2D(4 * width, 1, activation="hard_silu")(x)
        y = layers.DepthwiseConv2D(3, strides=strides, padding="same", activation="hard_silu")(y)
        gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
        gate = layers.Conv2D(width, 1, activation="relu")(gate)
        gate = layers.Conv2D(4 * width, 1, activation="hard_sigmoid")(gate)
        y = layers.Conv2D(filters, 1)(layers.Multiply()([y, gate]))
        x = layers.Add()([x, y]) if x.shape == y.shape else y
    return keras.Model(inputs, layers.Dense(20, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def recurrent() -> Any:
    import keras

    layers = keras.layers
    return keras.Sequential([
        keras.Input((40, 12)), layers.LSTM(32, return_sequences=True), layers.LSTM(24), layers.Dense(6),
    ])  # fmt: skip


def text() -> Any:
    """An embedding, convolutions over it, dense layers."""
    import keras

    layers = keras.layers
    return keras.Sequential([
        keras.Input((64,), dtype="int32"), layers.Embedding(2000, 48), layers.Conv1D(64, 5, activation="relu"),
        layers.GlobalMaxPooling1D(), layers.Dense(64, activation="relu"), layers.Dense(2, activation="softmax"),
    ])  # fmt: skip


def attention() -> Any:
    """Two blocks of a transformer on a window of signals."""
    import keras

    layers = keras.layers
    inputs = keras.Input((32, 24))
    x = layers.Dense(48)(inputs)
    for _ in range(2):
        y = layers.MultiHeadAttention(4, 12)(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, y]))
        y = layers.Dense(48)(layers.Dense(96, activation="relu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(8, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


NETWORKS: dict[str, Builder] = {
    build.__name__: build
    for build in (
        ds_cnn, resnet_8, mobilenet_025, anomaly_autoencoder, lenet_5, signal_conv1d, signal_separable, decoder,
        inverted_residuals, recurrent, text, attention,
    )
}  # fmt: skip


def _applications() -> Iterator[tuple[str, Builder]]:
    for name in (
        "MobileNetV2",
        "MobileNetV3Small",
        "EfficientNetB0",
        "ResNet50",
        "DenseNet121",
        "NASNetMobile",
    ):

        def build(name: str = name) -> Any:
            import keras

            make = getattr(keras.applications, name)
            return make(weights=None, input_shape=(96, 96, 3), classes=20)

        yield name, build


LARGE_NETWORKS: dict[str, Builder] = dict(_applications())
