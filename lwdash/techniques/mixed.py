"""Mixed precision: one number format for most layers, others for some layers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from lwdash.contract import Convert, Packed, Rows
from lwdash.errors import RecipeError
from lwdash.parameters import Choice, Overrides, nearest, parameter
from lwdash.quantize.number_formats import FLOAT32, FORMATS, Format, LayerFormats, QuantizationPlan
from lwdash.quantize.quantizers.litert_quantizer import quantized_as, some_rows
from lwdash.quantize.read_back import Computed, computed
from lwdash.quantize.rounding.rounded_file import reads_rows
from lwdash.quantize.shared_parameters import ALGORITHM, PER_CHANNEL, RANGES, ROWS
from lwdash.tflite.rewrites.input_output_types import with_borders

NAME = "mixed"
LABEL = "Mixed precision"
SUMMARY = (
    "One number format for most layers and others for single layers, so that a sensitive layer can stay "
    "in floats."
)
TRAP = (
    "Every change of format between two layers costs a conversion at run time, so use few separate "
    "groups of layers."
)
STAGE = "tflite"
NEEDS_ROWS = True

IO = Choice(
    "Input and output",
    "The number format of the file's inputs and outputs.",
    {
        "default": "the format of all other layers",
        "int8": "8-bit signed",
        "uint8": "8-bit unsigned, for camera pixels",
        "int16": "16-bit signed",
        "float32": "floats, converted inside the file",
    },
)
DESCRIPTIONS = {format.name: format.description for format in FORMATS.values()}


@dataclass(frozen=True)
class Params:
    default: str = parameter(
        "int8", Choice("Everywhere else", "The format of all other layers.", DESCRIPTIONS), always=True
    )
    overrides: tuple[tuple[str, str], ...] = parameter(
        (),
        Overrides(
            "Layers in another format",
            "Layer names or patterns, each with its format, as in conv2d_3=int16x8, dense_*=float32.",
            DESCRIPTIONS,
        ),
    )
    io: str = parameter("default", IO)
    per_channel: bool = parameter(True, PER_CHANNEL)
    rows: int = parameter(256, ROWS)
    ranges: str = parameter("minmax", RANGES)
    algorithm: str = parameter("default", ALGORITHM)


def needs_rows(params: Params) -> bool:
    """True if any activation is an integer with a range known in advance, or if weights are rounded by rows."""
    formats = [FORMATS[name] for name in (params.default, *dict(params.overrides).values())]
    is_static = _border(params).is_static or any(format.is_static for format in formats)
    return is_static or reads_rows(params.algorithm, [format.weights for format in formats])


def trained_formats(params: Params) -> LayerFormats:
    """The formats that a training before this step prepares for; litert-quantizer leaves recurrent layers in floats."""
    return LayerFormats(params.default, params.overrides, params.per_channel, has_float_loops=True)


def apply(data: bytes, params: Params, rows: Rows | None, convert: Convert | None = None) -> Packed:
    """Each operator in the format of its layer; of two overrides the later wins; formats that were not
    possible are listed.

    Raises RecipeError where a name or pattern matches no layer that has operators in the file.
    """
    source = computed(data)
    chosen = _layer_formats(source, params.overrides)
    plan = QuantizationPlan()
    plan.add(FORMATS[params.default], per_channel=params.per_channel)
    for pattern, name in params.overrides:
        meant = _meant(source, pattern)
        scopes = [c.scope for c in source if c.layer in meant and chosen[c.layer] == name]
        if scopes:
            plan.add(FORMATS[name], scopes, per_channel=params.per_channel)
    for border in ("INPUT", "OUTPUT"):
        plan.add(_border(params), operation=border)
    some = some_rows(rows, params.rows) if needs_rows(params) else None
    asked = [FORMATS[chosen.get(c.layer, params.default)] for c in source]
    packed = quantized_as(
        data,
        plan,
        asked,
        some,
        per_channel=params.per_channel,
        ranges=params.ranges,
        algorithm=params.algorithm,
    )
    quantized = packed.data
    if params.io == "uint8":
        quantized = with_borders(quantized, "uint8")
    facts = {"formats": dict(sorted(chosen.items()))}
    rows_used = {"calibration_rows": len(next(iter(some.values())))} if some else {}
    return Packed(quantized, packed.skipped, facts | rows_used)


def _border(params: Params) -> Format:
    """The format that litert-quantizer gets for inputs and outputs: integers, or floats."""
    if params.io == "default":
        return FORMATS[params.default] if FORMATS[params.default].is_static else FORMATS[FLOAT32]
    return FORMATS[{"int8": "int8", "uint8": "int8", "int16": "int16x8", "float32": FLOAT32}[params.io]]


def _meant(source: Sequence[Computed], pattern: str) -> list[str]:
    """The layers that a pattern matches: by their own names, otherwise by layers fused into them, as older recipes did."""
    own = dict.fromkeys(c.layer for c in source if _fits(c.layer, pattern))
    return list(own or dict.fromkeys(c.layer for c in source if _fits(c.fused_as, pattern)))


def _fits(layer: str, pattern: str) -> bool:
    """True if a pattern matches a layer: by its path (`block/conv`) or by its own name; a block matches all its layers."""
    return any(fnmatchcase(name, pattern) for name in _names(layer))


def _names(layer: str) -> list[str]:
    parts = layer.split("/")
    return [*("/".join(parts[: i + 1]) for i in range(len(parts))), parts[-1]]


def _layer_formats(source: Sequence[Computed], overrides: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    """Layer → the format of the last matching override."""
    layers = list(dict.fromkeys(c.layer for c in source))
    chosen: dict[str, str] = {}
    for pattern, name in overrides:
        fitting = _meant(source, pattern)
        if not fitting:
            raise RecipeError(
                f"mixed: no layer of the .tflite matches {pattern!r} (it has: {', '.join(layers)}; a "
                "layer that the export fused into another, such as a batch norm, has no format of its "
                f"own){nearest(pattern, layers)}"
            )
        chosen |= dict.fromkeys(fitting, name)
    return chosen
