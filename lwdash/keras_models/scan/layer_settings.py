"""Settings that are read from a serialised layer or call, each with the kind of value that is allowed.

A setting that is not declared here is never read from files. A value of the wrong kind refuses the model by
name. The exception are calls of operations, where the value may also be a tensor; then it is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lwdash.errors import InternalFault, ModelRefused
from lwdash.keras_models.scan.allowed_classes import LAYERS, MODELS
from lwdash.keras_models.scan.value_kinds import (
    Kind,
    Unfit,
    activation,
    borders,
    count,
    dtype,
    flag,
    items,
    length,
    natural,
    number,
    numbers,
    one_of,
    one_or_per_axis,
    optional,
    per_axis,
    shape,
    whole,
    word,
)

KNOWN = LAYERS | MODELS
MAX_SHOWN = 60
"""Characters of a value that an error message repeats."""


@dataclass(frozen=True)
class WrappedLayer:
    """A layer or cell inside another one's config."""

    class_name: str
    config: LayerSettings


class _Stated(Mapping[str, Any]):
    """Checked values by name. Asking for a name without a declared kind is a programming error."""

    def __init__(self, values: dict[str, Any], declared: Mapping[str, Kind], where: str):
        self._values, self._declared, self._where = values, declared, where

    def __getitem__(self, name: str) -> Any:
        if name not in self._declared:
            raise InternalFault(f"lwdash reads '{name}' of {self._where} without a declared kind")
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class LayerSettings(_Stated):
    """The checked settings of one layer, by their names in its config."""


class UnknownConstant(Exception):
    """A constant of a call is a tensor, or not of a known kind."""


_UNKNOWN = object()


class CallOptions(_Stated):
    """The constants of one call of an operation by argument name. Reading one that is a tensor raises UnknownConstant."""

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if value is _UNKNOWN:
            raise UnknownConstant(name)
        return value

    def known(self, name: str) -> Any | None:
        """The constant, or None where it is absent or unknown."""
        value = self._values.get(name)
        return None if value is _UNKNOWN else value

    def with_call(self, call: CallOptions) -> CallOptions:
        """These options, overridden by those of one call."""
        return CallOptions({**self._values, **call._values}, self._declared, self._where)


def layer_settings(class_name: str, config: Mapping[str, Any], where: str) -> LayerSettings:
    """The settings in a layer's `config`. Raises ModelRefused naming `where`, the setting, and the received value.

    A custom layer may use the same names for something else: such values are left out.
    """
    declared = _declared(class_name)
    values = {}
    for name, value in config.items():
        kind = declared.get(name)
        if kind is not None:
            try:
                values[name] = kind(value)
            except Unfit as fault:
                if class_name not in KNOWN:
                    continue
                raise ModelRefused(
                    f"{where} is refused: its {name} has to be {fault}, but the file has {_shown(value)}. "
                    "The file is damaged or forged. Save the model again"
                ) from None
    return LayerSettings(values, declared, class_name)


def call_options(config: Mapping[str, Any]) -> CallOptions:
    """The known constants in the config of an operation, or in the arguments of one call."""
    values: dict[str, Any] = {}
    for name, value in config.items():
        kind = OPTIONS.get(name)
        if kind is not None:
            try:
                values[name] = kind(value)
            except Unfit:
                values[name] = _UNKNOWN
    return CallOptions(values, OPTIONS, "an operation")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _wrapped(value: Any) -> WrappedLayer:
    if not isinstance(value, dict) or not isinstance(value.get("config"), dict):
        raise Unfit("a serialised layer")
    class_name, config = word(value.get("class_name")), value["config"]
    where = f"the wrapped layer '{word(config.get('name', class_name))}' ({class_name})"
    return WrappedLayer(class_name, layer_settings(class_name, config, where))


def _several_wrapped(value: Any) -> tuple[WrappedLayer, ...]:
    found = items(value)
    if not found:
        raise Unfit("a list of serialised layers")
    return tuple(_wrapped(one) for one in found)


def _key(value: Any) -> Any:
    """The key between the brackets of x[key], or the number that an operator takes: a tuple, or a number."""
    if value is None or isinstance(value, dict):
        return (_index(value),)
    found = items(value)
    return number(value) if found is None else tuple(_index(item) for item in found)


def _index(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get("class_name") == "__ellipsis__":
            return ...
        bounds = value.get("config", value)
        if not isinstance(bounds, dict) or not {"start", "stop", "step"} <= set(bounds):
            raise Unfit("a slice")
        return slice(*(optional(whole)(bounds[end]) for end in ("start", "stop", "step")))
    return None if value is None else whole(value)


SETTINGS: dict[str, Kind] = {
    **dict.fromkeys(("activation", "recurrent_activation"), activation),
    "dtype": dtype,
    "function": word,
    **dict.fromkeys(("batch_shape", "batch_input_shape"), optional(shape)),
    **dict.fromkeys(("units", "input_dim", "output_dim", "num_heads", "key_dim"), count),
    **dict.fromkeys(("filters", "depth_multiplier", "max_tokens", "num_tokens", "num_bins"), optional(count)),
    **dict.fromkeys(("kernel_size", "pool_size", "dilation_rate"), one_or_per_axis(count)),
    "strides": optional(one_or_per_axis(count)),
    "output_padding": optional(one_or_per_axis(natural)),
    "output_size": one_or_per_axis(optional(count)),
    "data_format": optional(one_of("channels_last", "channels_first")),
    "padding": one_of("valid", "same", "causal"),
    "axis": optional(one_or_per_axis(whole)),
    "dims": per_axis(count),
    "target_shape": per_axis(optional(whole)),
    "output_shape": optional(one_or_per_axis(optional(count))),
    "equation": word,
    **dict.fromkeys(("return_sequences", "return_state", "keepdims", "pad_to_max_tokens", "invert"), flag),
    "merge_mode": optional(word),
    "output_mode": optional(word),
    **dict.fromkeys(("vocabulary", "bin_boundaries"), optional(length)),
    "num_oov_indices": natural,
    **dict.fromkeys(("layer", "cell"), _wrapped),
    "backward_layer": optional(_wrapped),
    "cells": _several_wrapped,
    "epsilon": optional(number),
    "max_value": optional(number),
}
"""Settings with the same meaning in every layer that has them."""

IMAGE_SIZE: dict[str, Kind] = dict.fromkeys(("height", "width"), count)
BORDERS: dict[str, Kind] = {"padding": borders}

SETTINGS_OF: dict[str, dict[str, Kind]] = {
    "RepeatVector": {"n": count},
    "Dot": {"axes": one_or_per_axis(whole)},
    "Rescaling": dict.fromkeys(("scale", "offset"), numbers),
    "Normalization": dict.fromkeys(("mean", "variance"), optional(numbers)),
    **{f"UpSampling{axes}D": {"size": one_or_per_axis(count)} for axes in (1, 2, 3)},
    **{f"ZeroPadding{axes}D": BORDERS for axes in (1, 2, 3)},
    **{f"Cropping{axes}D": {"cropping": borders} for axes in (1, 2, 3)},
    **dict.fromkeys(("Resizing", "CenterCrop", "RandomCrop"), IMAGE_SIZE),
    "STFTSpectrogram": {
        "frame_length": count,
        **dict.fromkeys(("frame_step", "fft_length"), optional(count)),
        "mode": word,
        "expand_dims": flag,
    },
    "MelSpectrogram": dict.fromkeys(("sequence_stride", "num_mel_bins"), count),
    "Discretization": {"num_bins": optional(count)},
}
"""Settings of single layers; they override the common ones."""

OPTIONS: dict[str, Kind] = {
    "function": word,
    "axis": optional(one_or_per_axis(whole)),
    "keepdims": flag,
    **dict.fromkeys(("shape", "newshape"), per_axis(optional(whole))),
    **dict.fromkeys(("perm", "axes"), optional(per_axis(whole))),
    **dict.fromkeys(("key", "slice_spec"), _key),
    **dict.fromkeys(("y", "x2"), number),
}
"""Arguments of operations that determine shapes, or that scale values."""


_DECLARED: dict[str, Mapping[str, Kind]] = {
    class_name: {**SETTINGS, **own} for class_name, own in SETTINGS_OF.items()
}


def _declared(class_name: str) -> Mapping[str, Kind]:
    return _DECLARED.get(class_name, SETTINGS)
