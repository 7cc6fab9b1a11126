"""The formats that each layer of a float .tflite can have, with the bytes and the noise of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from lwdash.contract import Rows
from lwdash.errors import ConversionFailed, ResultRejected
from lwdash.parameters import is_layer_name
from lwdash.quantize.bit_allocation import FormatChoice
from lwdash.quantize.number_formats import (
    BITS,
    FALLBACK,
    FLOAT32,
    FORMATS,
    Format,
    QuantizationPlan,
    can_have,
)
from lwdash.quantize.output_error import OutputError
from lwdash.quantize.quantizers.litert_quantizer import needs_ranges, quantize, quantize_in
from lwdash.quantize.ranges.activation_ranges import Ranges, activation_ranges
from lwdash.quantize.read_back import Computed, computed
from lwdash.quantize.rounding.rounded_file import with_kernels_of, with_rounded_weights

FAMILIES = {
    "integer": ("int8x4", "int8", "int16x8", FLOAT32),
    "float": ("weight_only4", "weight_only", "float16", FLOAT32),
}
"""Formats to choose from, from few bits to many; the second is the default of a file with several."""
MAX_PRODUCTS = 2e10
"""Products of all inferences for this, about 20 s; large networks use fewer rows. Not a time, so that results repeat."""
MAX_ROWS, MIN_ROWS = 64, 8
CONVERSION_BYTES = 300
"""Typical bytes of the conversions around a layer whose activations differ from those of the other layers."""
SCALE_BYTES = 12
"""Bytes of one channel's scale and zero point."""


class LayerChoices:
    """Measures every format of every layer of a float file alone, all other layers in floats.

    choices: by layer, in the order of the file; layers without a kernel, or with a name that no recipe can have, are left
    out and follow the default. Raises ConversionFailed if no layer is left.
    """

    def __init__(self, source: bytes, rows: Rows, formats: Sequence[str], error: OutputError):
        self.source, self.formats, self.error = source, formats, error
        self.layers: dict[str, list[Computed]] = {}
        for operator in computed(source):
            if operator.weights == FLOAT32 and not operator.is_inside and is_layer_name(operator.layer):
                self.layers.setdefault(operator.layer, []).append(operator)
        self.rounded = self._rounded(rows)
        self.ranges: Ranges | None = None
        if any(FORMATS[name].is_static for name in formats):
            self.ranges = activation_ranges(source, rows, "minmax")
        products = sum(o.values * o.positions for found in self.layers.values() for o in found)
        inferences = MAX_PRODUCTS / max(1, products * len(self.layers) * (len(formats) - 1))
        self.rows = int(np.clip(inferences, MIN_ROWS, MAX_ROWS))
        self.choices: Mapping[str, Sequence[FormatChoice]] = {
            layer: found
            for layer in self.layers
            if len(found := [c for name in formats if (c := self._choice(layer, FORMATS[name])) is not None])
            > 1
        }
        if not self.choices:
            raise ConversionFailed("auto: no layer of this file has a choice of formats")

    def whole(self) -> list[dict[str, str]]:
        """The formats of files in one format throughout; a layer without it has the next one that it can have."""
        return [self._throughout(name) for name in (*self.formats[:2], self.formats[-1])]

    def default_of(self, formats: Mapping[str, str]) -> str:
        """The format of all layers without a choice: the commonest of the first two, so that few layers are named."""
        counts = Counter(name for name in formats.values() if name in self.formats[:2])
        if not counts:
            only = set(formats.values())
            return only.pop() if len(only) == 1 else self.formats[1]
        return max(self.formats[:2], key=lambda name: (counts[name], name == self.formats[1]))

    def follows(self, layer: str, format: str, default: str) -> bool:
        """True if a layer gets this format without being named, in a file with this default."""
        is_offered = default in [choice.format for choice in self.choices[layer]]
        return format == (default if is_offered else FALLBACK.get(default))

    def _throughout(self, name: str) -> dict[str, str]:
        found = {}
        for layer, choices in self.choices.items():
            known = [c.format for c in choices]
            later = self.formats[self.formats.index(name) :]
            found[layer] = next((other for other in later if other in known), known[0])
        return found

    def _rounded(self, rows: Rows) -> bytes:
        """The float file with the weights of a file in the first format, rounded by rows."""
        plan = QuantizationPlan()
        plan.add(FORMATS[self.formats[0]])
        return with_rounded_weights(self.source, quantize(self.source, plan, rows), rows, "default")[0]

    def _choice(self, layer: str, format: Format) -> FormatChoice | None:
        operators = self.layers[layer]
        if not all(can_have(operator.kind, format) for operator in operators):
            return None
        kernels = {o.kernel: o for o in operators}.values()
        bits = 32 if format.weights == FLOAT32 else BITS[format.weights]
        scales = SCALE_BYTES * sum(_channels(o) for o in kernels) if format.weights in ("int4", "int8") else 0
        usual = FORMATS[self.formats[1]].activations
        conversions = CONVERSION_BYTES * (format.activations != usual)
        size = sum(o.values for o in kernels) * bits / 8 + scales + conversions
        if format.name == FLOAT32:
            return FormatChoice(format.name, size, 0.0)
        try:
            noise = self.error.noise(self._alone(operators, format), self.rows)
        except (ConversionFailed, ResultRejected):
            return None
        return FormatChoice(format.name, size, noise)

    def _alone(self, operators: Sequence[Computed], format: Format) -> bytes:
        scopes = [o.scope for o in operators]
        source = (
            with_kernels_of(self.source, self.rounded, scopes) if format.name in FALLBACK else self.source
        )
        plan = QuantizationPlan()
        plan.add(FORMATS[FLOAT32])
        plan.add(format, scopes)
        for border in ("INPUT", "OUTPUT"):
            plan.add(FORMATS[FLOAT32], operation=border)
        return quantize_in(source, plan, self.ranges if needs_ranges(source, plan) else None)


def _channels(operator: Computed) -> int:
    shape = operator.kernel_shape
    return shape[-1] if operator.kind == "DEPTHWISE_CONV_2D" else shape[0]
