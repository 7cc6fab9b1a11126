"""Output shapes of layers over time or space: convolutions, pools, padding, cropping, resizing.

Shapes have the batch axis first; the layout is the one stated in the config.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from lwdash.keras_models.model_facts import Shape
from lwdash.keras_models.scan.layer_settings import LayerSettings

Rule = Callable[[LayerSettings, list[Shape]], "list[Shape] | None"]


def _channels_first(config: LayerSettings) -> bool:
    return config.get("data_format") == "channels_first"


def _spatial(
    config: LayerSettings, shape: Shape, sizes: list[int | None], channels: int | None
) -> list[Shape]:
    """A shape with new spatial `sizes` and `channels`, in the layout of the config."""
    if _channels_first(config):
        return [(shape[0], channels, *sizes)]
    return [(shape[0], *sizes, channels)]


def _split(config: LayerSettings, shape: Shape) -> tuple[Shape, int | None]:
    """The spatial part of a shape, and its channels."""
    return (shape[2:], shape[1]) if _channels_first(config) else (shape[1:-1], shape[-1])


def _per_axis(value: Any, axes: int) -> list[int]:
    return list(value) if isinstance(value, tuple) else [value] * axes


def _windows(config: Mapping[str, Any], sizes: Shape, kernels: list[int]) -> list[int | None]:
    strides = config.get("strides")
    steps = kernels if strides is None else _per_axis(strides, len(sizes))
    dilations = _per_axis(config.get("dilation_rate", 1), len(sizes))
    result: list[int | None] = []
    for size, kernel, step, dilation in zip(sizes, kernels, steps, dilations, strict=True):
        if size is None:
            result.append(None)
        elif config.get("padding", "valid") == "valid":
            result.append((size - (kernel - 1) * dilation - 1) // step + 1)
        else:
            result.append(math.ceil(size / step))
    return result


def _conv(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    sizes, channels = _split(config, inputs[0])
    outputs = config.get("filters")
    if outputs is None and channels is not None:  # depthwise
        outputs = channels * (config.get("depth_multiplier") or 1)
    return _spatial(
        config, inputs[0], _windows(config, sizes, _per_axis(config["kernel_size"], len(sizes))), outputs
    )


def _transposed(config: LayerSettings, inputs: list[Shape]) -> list[Shape] | None:
    sizes, _ = _split(config, inputs[0])
    axes = len(sizes)
    extra = config.get("output_padding")
    if extra is not None:
        return None
    result: list[int | None] = []
    steps, kernels = _per_axis(config["strides"], axes), _per_axis(config["kernel_size"], axes)
    for size, step, kernel, dilation in zip(
        sizes, steps, kernels, _per_axis(config.get("dilation_rate", 1), axes), strict=True
    ):
        if size is None:
            result.append(None)
        elif config.get("padding") == "same":
            result.append(size * step)
        else:
            result.append(size * step + max((kernel - 1) * dilation + 1 - step, 0))
    return _spatial(config, inputs[0], result, config["filters"])


def _pool(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    sizes, channels = _split(config, inputs[0])
    return _spatial(
        config, inputs[0], _windows(config, sizes, _per_axis(config["pool_size"], len(sizes))), channels
    )


def _global_pool(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    sizes, channels = _split(config, inputs[0])
    if config.get("keepdims"):
        return _spatial(config, inputs[0], [1] * len(sizes), channels)
    return [(inputs[0][0], channels)]


def _adaptive_pool(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    sizes, channels = _split(config, inputs[0])
    wanted = config["output_size"]
    wanted = wanted if isinstance(wanted, tuple) else [wanted] * len(sizes)
    return _spatial(
        config,
        inputs[0],
        [own if size is None else size for size, own in zip(wanted, sizes, strict=True)],
        channels,
    )


def _conv_lstm(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    """Two states, each as large as one step's output."""
    batch, steps, *rest = inputs[0]
    state = _conv(config, [(batch, *rest)])[0]
    output: Shape = (batch, steps, *state[1:]) if config.get("return_sequences") else state
    return [output, *([state] * 2 if config.get("return_state") else [])]


def _short_time_fourier(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    sizes, channels = _split(config, inputs[0])
    length = config["frame_length"]
    step = config.get("frame_step") or length // 2
    frames = _windows({"strides": step, "padding": config.get("padding", "valid")}, sizes, [length])
    bins = (config.get("fft_length") or 2 ** math.ceil(math.log2(length))) // 2 + 1
    bins *= 2 if config.get("mode") == "stft" else 1
    if not config.get("expand_dims"):
        return _spatial(config, inputs[0], frames, None if channels is None else channels * bins)
    return _spatial(config, inputs[0], [*frames, bins], channels)


def _mel(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    """Number of frames as Keras counts them: one more than the strides that fit."""
    batch, size = inputs[0]
    step = config["sequence_stride"]
    return [(batch, config["num_mel_bins"], None if size is None else (size + step + 1) // step)]


def _borders(value: Any, axes: int) -> list[int]:
    """Cells added or removed along each axis: `2`, `[1, 2]` or `[[1, 2], [3, 4]]`."""
    if isinstance(value, int):
        return [2 * value] * axes
    if axes == 1:
        return [sum(value)]
    return [2 * item if isinstance(item, int) else sum(item) for item in value]


def _resized(key: str, change: Callable[[int, int], int]) -> Rule:
    def rule(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
        sizes, channels = _split(config, inputs[0])
        amounts = _per_axis(config[key], len(sizes)) if key == "size" else _borders(config[key], len(sizes))
        changed = [
            None if size is None else change(size, amount)
            for size, amount in zip(sizes, amounts, strict=True)
        ]
        return _spatial(config, inputs[0], changed, channels)

    return rule


def _image(config: LayerSettings, inputs: list[Shape]) -> list[Shape]:
    _, channels = _split(config, inputs[0])
    return _spatial(config, inputs[0], [config["height"], config["width"]], channels)


WINDOW_RULES: dict[str, Rule] = {
    **{f"{kind}{axes}D": _conv for kind in ("Conv", "SeparableConv", "DepthwiseConv") for axes in (1, 2, 3)},
    **{f"LocallyConnected{axes}D": _conv for axes in (1, 2)},
    **{f"Conv{axes}DTranspose": _transposed for axes in (1, 2, 3)},
    **{f"ConvLSTM{axes}D": _conv_lstm for axes in (1, 2, 3)},
    **{f"{kind}Pooling{axes}D": _pool for kind in ("Max", "Average") for axes in (1, 2, 3)},
    **{f"Global{kind}Pooling{axes}D": _global_pool for kind in ("Max", "Average") for axes in (1, 2, 3)},
    **{f"Adaptive{kind}Pooling{axes}D": _adaptive_pool for kind in ("Max", "Average") for axes in (1, 2, 3)},
    **{f"ZeroPadding{axes}D": _resized("padding", lambda size, by: size + by) for axes in (1, 2, 3)},
    **{f"Cropping{axes}D": _resized("cropping", lambda size, by: size - by) for axes in (1, 2, 3)},
    **{f"UpSampling{axes}D": _resized("size", lambda size, by: size * by) for axes in (1, 2, 3)},
    **dict.fromkeys(("Resizing", "CenterCrop", "RandomCrop"), _image),
    "STFTSpectrogram": _short_time_fourier,
    "MelSpectrogram": _mel,
}
