"""The architectures of the zoo: a builder gets the library (`keras` or `tf_keras`) and returns a built model."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

Builder = Callable[[ModuleType], Any]
SMALL: dict[str, Builder] = {}
LARGE: dict[str, Builder] = {}
KERAS_3_ONLY: dict[str, Builder] = {}


def small(build: Builder) -> Builder:
    SMALL[build.__name__] = build
    return build


def large(build: Builder) -> Builder:
    LARGE[build.__name__] = build
    return build


def keras_3_only(build: Builder) -> Builder:
    KERAS_3_ONLY[build.__name__] = build
    return build


@small
def sequential_cnn(keras: ModuleType) -> Any:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, activation="relu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(10),
            layers.Softmax(),
        ]
    )
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@small
def sequential_without_input(keras: ModuleType) -> Any:
    layers = keras.layers
    model = keras.Sequential(
        [layers.Conv2D(8, 3, activation="relu"), layers.Flatten(), layers.Dense(10, activation="softmax")]
    )
    model.build((None, 16, 16, 3))
    return model


@small
def residual(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((32, 32, 3))
    x = layers.ZeroPadding2D(((1, 2), (1, 2)))(inputs)
    x = layers.Activation("relu")(
        layers.BatchNormalization()(layers.Conv2D(16, 3, strides=2, use_bias=False)(x))
    )
    for filters, strides in ((16, 1), (32, 2)):
        shortcut = layers.Conv2D(filters, 1, strides=strides)(x)
        y = layers.Conv2D(filters, 3, strides=strides, padding="same")(x)
        y = layers.Activation("relu")(layers.BatchNormalization()(y))
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(y))
        x = layers.Activation("relu")(layers.Add()([shortcut, y]))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


@small
def depthwise_separable(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same")(inputs)
    x = layers.ReLU(6.0)(
        layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x))
    )
    x = layers.SeparableConv2D(16, 3, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(8, 3, strides=2, padding="same")(x)
    x = layers.AveragePooling2D(2)(layers.UpSampling2D()(x))
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalMaxPooling2D()(x)))


@small
def heartbeat(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = x = keras.Input((187, 1))
    for filters in (16, 32):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv1D(filters, 5, padding="same")(x)))
        x = layers.MaxPooling1D(2)(x)
    x = layers.SeparableConv1D(32, 3, padding="same")(x)
    x = layers.Conv1D(16, 3, padding="causal", dilation_rate=2)(x)
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


@small
def autoencoder(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((24,))
    code = layers.Dense(6, activation="relu")(layers.Dense(12, activation="relu")(inputs))
    model = keras.Model(inputs, layers.Dense(24)(layers.Dense(12, activation="relu")(code)))
    model.compile("adam", loss="mse")
    return model


@small
def lstm(keras: ModuleType) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((20, 6)), layers.LSTM(16, return_sequences=True), layers.LSTM(8), layers.Dense(3)]
    )


@small
def gru(keras: ModuleType) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((None, 6)),
            layers.GRU(16, return_sequences=True),
            layers.GRU(8, reset_after=False),
            layers.Dense(3),
        ]
    )


@small
def bidirectional(keras: ModuleType) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((20, 6)),
            layers.Bidirectional(layers.LSTM(8, return_sequences=True)),
            layers.Bidirectional(layers.GRU(8), merge_mode="sum"),
            layers.Dense(3),
        ]
    )


@small
def recurrent_cells(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((20, 6))
    x = layers.RNN([layers.LSTMCell(8), layers.GRUCell(8)], return_sequences=True)(inputs)
    return keras.Model(inputs, layers.SimpleRNN(4)(x))


@small
def recurrent_state(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((20, 6))
    output, hidden, carry = layers.LSTM(8, return_state=True)(inputs)
    decoded = layers.LSTM(8, return_sequences=True)(inputs, initial_state=[hidden, carry])
    return keras.Model(inputs, [output, decoded])


@small
def time_distributed(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((6, 12, 12, 3))
    x = layers.TimeDistributed(layers.Flatten())(layers.TimeDistributed(layers.Conv2D(4, 3))(inputs))
    return keras.Model(inputs, layers.LSTM(8)(x))


@small
def embedding(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((20,), dtype="int32")
    x = layers.Dense(8, activation="relu")(layers.Embedding(50, 8)(inputs))
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


@small
def masked_embedding(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((20,), dtype="int32")
    x = layers.Bidirectional(layers.LSTM(8))(layers.Embedding(50, 8, mask_zero=True)(inputs))
    return keras.Model(inputs, layers.Dense(2)(x))


@small
def two_inputs_two_outputs(keras: ModuleType) -> Any:
    layers = keras.layers
    image, facts = keras.Input((16, 16, 3), name="image"), keras.Input((4,), name="facts")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(image))
    x = layers.Concatenate()([x, layers.Dense(8, activation="tanh")(facts)])
    kind = layers.Dense(3, name="kind", activation="softmax")(x)
    return keras.Model([image, facts], [kind, layers.Dense(1, name="amount")(x)])


@small
def dictionary_inputs(keras: ModuleType) -> Any:
    layers = keras.layers
    # Names out of alphabetical order: Keras sorts the keys of a dict.
    zebra, ant = keras.Input((8,), name="zebra"), keras.Input((4,), name="ant")
    x = layers.Concatenate()([zebra, ant])
    outputs = {"second": layers.Dense(3, name="second")(x), "first": layers.Dense(1, name="first")(x)}
    return keras.Model({"zebra": zebra, "ant": ant}, outputs)


@small
def nested(keras: ModuleType) -> Any:
    layers = keras.layers
    inner = keras.Input((32, 32, 3))
    x = layers.GlobalAveragePooling2D()(layers.BatchNormalization()(layers.Conv2D(8, 3)(inner)))
    backbone = keras.Model(inner, x, name="backbone")
    head = keras.Sequential(
        [keras.Input((8,)), layers.Dense(8, activation="relu"), layers.Dense(3, activation="sigmoid")],
        name="head",
    )
    inputs = keras.Input((32, 32, 3))
    return keras.Model(inputs, head(backbone(inputs)))


@small
def nested_twice(keras: ModuleType) -> Any:
    layers = keras.layers
    block = keras.Sequential([keras.Input((6,)), layers.Dense(6, name="mix"), layers.ReLU()], name="block")
    middle_input = keras.Input((6,))
    middle = keras.Model(middle_input, layers.Dense(4, name="narrow")(block(middle_input)), name="middle")
    return keras.Sequential([keras.Input((6,)), middle, layers.Dense(2, name="last")])


@small
def shared_layers(keras: ModuleType) -> Any:
    layers = keras.layers
    left, right = keras.Input((8,)), keras.Input((8,))
    shared = layers.Dense(6, activation="relu", name="shared")
    encoder = keras.Sequential([keras.Input((6,)), layers.Dense(4)], name="encoder")
    difference = layers.Subtract()([encoder(shared(left)), encoder(shared(right))])
    return keras.Model([left, right], layers.Dense(1)(difference))


@small
def attention(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((16, 24))
    x = layers.LayerNormalization(epsilon=1e-6)(inputs)
    x = layers.Add()([inputs, layers.MultiHeadAttention(4, 6, dropout=0.1)(x, x)])
    y = layers.Dense(24)(layers.Dense(48, activation="gelu")(layers.LayerNormalization()(x)))
    x = layers.Add()([x, y])
    x = layers.MultiHeadAttention(2, 8)(x, x, use_causal_mask=True)
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


@small
def activations(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((8,))
    names = (
        "relu elu selu gelu silu swish softplus softsign tanh sigmoid hard_sigmoid exponential leaky_relu relu6 mish "
        "softmax log_softmax linear"
    )
    outputs = [layers.Dense(4, activation=name)(inputs) for name in names.split()]
    for layer in (
        layers.ReLU(6.0, negative_slope=0.1, threshold=0.2),
        layers.LeakyReLU(0.15),
        layers.ELU(0.7),
        layers.PReLU(),
        layers.Softmax(),
    ):
        outputs.append(layer(inputs))
    return keras.Model(inputs, layers.Concatenate()(outputs))


@small
def preprocessing(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((6,))
    adapted = layers.Normalization()
    adapted.adapt(np.random.default_rng(0).normal(3, 2, (100, 6)).astype("float32"))
    given = layers.Normalization(mean=[1.0] * 6, variance=[4.0] * 6)
    return keras.Model(inputs, layers.Dense(3)(given(layers.Rescaling(2.0, offset=0.5)(adapted(inputs)))))


@small
def image_preprocessing(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((40, 40, 3))
    x = layers.CenterCrop(28, 28)(layers.Resizing(32, 32)(inputs))
    x = layers.RandomRotation(0.1)(layers.RandomFlip("horizontal")(x))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


@small
def rarer_layers(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((16, 16, 4))
    x = layers.GroupNormalization(2)(layers.Cropping2D(1)(inputs))
    x = layers.GaussianNoise(0.1)(layers.SpatialDropout2D(0.1)(x))
    x = layers.Permute((2, 1))(layers.Reshape((49, 16))(x))
    x = layers.Average()([layers.Multiply()([layers.Maximum()([x, x]), x]), x])
    return keras.Model(inputs, layers.Flatten()(layers.Dot(2)([x, x])))


@small
def volume(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((8, 8, 8, 1))
    x = layers.MaxPooling3D()(layers.Conv3D(4, 3)(inputs))
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))


@small
def mixed_precision(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, dtype="mixed_float16")(inputs)
    x = layers.GlobalAveragePooling2D(dtype="mixed_float16")(
        layers.BatchNormalization(dtype="mixed_float16")(x)
    )
    return keras.Model(inputs, layers.Dense(3, dtype="float32")(x))


@small
def operators(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((8,))
    x = layers.Dense(8)(inputs)
    return keras.Model(inputs, layers.Dense(2)(x * 2.0 + inputs - 1.0))


@small
def slicing(keras: ModuleType) -> Any:
    inputs = keras.Input((8, 4))
    return keras.Model(inputs, keras.layers.Dense(2)(inputs[:, -1, :]))


@small
def functions(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((8, 4))
    x = layers.Dense(4)(inputs)
    if hasattr(keras, "ops"):
        y = keras.ops.reshape(keras.ops.mean(keras.ops.relu(x), axis=1), (-1, 2, 2))
        y = keras.ops.concatenate([y, y], axis=-1)
    else:
        import tensorflow as tf

        y = tf.reshape(tf.reduce_mean(tf.nn.relu(x), axis=1), (-1, 2, 2))
        y = tf.concat([y, y], -1)
    return keras.Model(inputs, layers.Flatten()(y))


@small
def automatic_names(keras: ModuleType) -> Any:
    """Layers named as TFMOT would name those that it makes from the SeparableConv2D."""
    layers = keras.layers
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(4, 3, name="conv2d")(inputs)
    x = layers.DepthwiseConv2D(3, name="depthwise_conv2d")(x)
    x = layers.SeparableConv2D(6, 3, name="separable_conv2d")(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


@keras_3_only
def borrowed_activations(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((8,))
    names = "hard_silu celu log_sigmoid squareplus soft_shrink tanh_shrink sparsemax hard_tanh"
    return keras.Model(
        inputs, layers.Concatenate()([layers.Dense(4, activation=name)(inputs) for name in names.split()])
    )


@keras_3_only
def odd_names(keras: ModuleType) -> Any:
    layers = keras.layers
    inputs = keras.Input((8,), name="the input")
    return keras.Model(
        inputs, layers.Dense(2, name="_last layer")(layers.Dense(4, name="first layer")(inputs))
    )


@large
def mobilenet_v2(keras: ModuleType) -> Any:
    return keras.applications.MobileNetV2(weights=None, alpha=0.35, input_shape=(96, 96, 3), classes=10)


@large
def mobilenet_v3(keras: ModuleType) -> Any:
    return keras.applications.MobileNetV3Small(weights=None, input_shape=(96, 96, 3), classes=10)


@large
def efficientnet(keras: ModuleType) -> Any:
    return keras.applications.EfficientNetB0(weights=None, input_shape=(96, 96, 3), classes=10)


@large
def resnet50(keras: ModuleType) -> Any:
    return keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3), classes=10)


@large
def transfer_learning(keras: ModuleType) -> Any:
    layers = keras.layers
    base = keras.applications.MobileNetV2(
        weights=None, alpha=0.35, input_shape=(96, 96, 3), include_top=False
    )
    return keras.Sequential(
        [
            keras.Input((96, 96, 3)),
            base,
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, activation="softmax"),
        ]
    )
