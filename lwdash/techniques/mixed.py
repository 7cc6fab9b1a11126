"""Mixed precision: a number format for the whole, others for some layers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from lwdash.contract import Convert, Packed, Rows
from lwdash.errors import RecipeError
from lwdash.parameters import Choice, Overrides, nearest, parameter
from lwdash.quantize.litert_quantizer import quantized_as, some_rows
from lwdash.quantize.number_formats import FLOAT32, FORMATS, Format, Plan
from lwdash.quantize.read_back import Computed, computed
from lwdash.quantize.shared_parameters import PER_CHANNEL, RANGES, ROWS
from lwdash.tflite.rewrites.input_output_types import with_borders

NAME = "mixed"
LABEL = "Mixed precision"
SUMMARY = "A number format for the whole and others for single layers, so that the one layer that suffers keeps its floats."
TRAP = "Every change of format between two layers costs a conversion while running, so few islands beat many."
STAGE = "tflite"
NEEDS_ROWS = True

WORDS = {format.name: format.words for format in FORMATS.values()}


@dataclass(frozen=True)
class Params:
    default: str = parameter(
        "int8", Choice("Everywhere else", "The format of all other layers.", WORDS), always=True
    )
    overrides: tuple[tuple[str, str], ...] = parameter(
        (),
        Overrides(
            "Layers in another format",
            "Layer names or patterns, each with its format, as in conv2d_3=int16x8, dense_*=float32.",
            WORDS,
        ),
    )
    io: str = parameter(
        "default",
        Choice(
            "Input and output",
            "The number format at the file's borders.",
            {
                "default": "as the format of all other layers computes",
                "int8": "8-bit signed",
                "uint8": "8-bit unsigned, for camera pixels",
                "int16": "16-bit signed",
                "float32": "floats, converted inside the file",
            },
        ),
    )
    per_channel: bool = parameter(True, PER_CHANNEL)
    rows: int = parameter(256, ROWS)
    ranges: str = parameter("minmax", RANGES)


def needs_rows(params: Params) -> bool:
    """Where any activation becomes an integer before it runs."""
    return _border(params).is_static or any(
        FORMATS[name].is_static for name in (params.default, *dict(params.overrides).values())
    )


def apply(data: bytes, params: Params, rows: Rows | None, convert: Convert | None = None) -> Packed:
    """Each operator in the format of its layer; the later of two overrides wins; what could not be had is listed.

    Raises RecipeError where a name or pattern fits no layer that has operators in the file.
    """
    source = computed(data)
    chosen = _layer_formats(source, params.overrides)
    plan = Plan()
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
    packed = quantized_as(data, plan, asked, some, per_channel=params.per_channel, ranges=params.ranges)
    quantized = packed.data
    if params.io == "uint8":
        quantized = with_borders(quantized, "uint8")
    facts = {"formats": dict(sorted(chosen.items()))}
    rows_used = {"calibration_rows": len(next(iter(some.values())))} if some else {}
    return Packed(quantized, packed.skipped, facts | rows_used)


def _border(params: Params) -> Format:
    """The format that litert-quantizer is asked for at the borders: integers in and out, or floats."""
    if params.io == "default":
        return FORMATS[params.default] if FORMATS[params.default].is_static else FORMATS[FLOAT32]
    return FORMATS[{"int8": "int8", "uint8": "int8", "int16": "int16x8", "float32": FLOAT32}[params.io]]


def _meant(source: Sequence[Computed], pattern: str) -> list[str]:
    """The layers that a pattern means: by their own names, else by what was fused into them, as recipes once had to."""
    own = dict.fromkeys(c.layer for c in source if _fits(c.layer, pattern))
    return list(own or dict.fromkeys(c.layer for c in source if _fits(c.fused_as, pattern)))


def _fits(layer: str, pattern: str) -> bool:
    """A pattern means a layer by its path (`block/conv`) or by its own name; a block means all its layers."""
    return any(fnmatchcase(name, pattern) for name in _names(layer))


def _names(layer: str) -> list[str]:
    parts = layer.split("/")
    return [*("/".join(parts[: i + 1]) for i in range(len(parts))), parts[-1]]


def _layer_formats(source: Sequence[Computed], overrides: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    """Layer → the format that the last fitting override gives it."""
    layers = list(dict.fromkeys(c.layer for c in source))
    chosen: dict[str, str] = {}
    for pattern, name in overrides:
        fitting = _meant(source, pattern)
        if not fitting:
            raise RecipeError(
                f"mixed: no layer of the .tflite fits {pattern!r} (it has: {', '.join(layers)}; a layer that the "
                f"export fused into another, such as a batch norm, has no format of its own){nearest(pattern, layers)}"
            )
        chosen |= dict.fromkeys(fitting, name)
    return chosen
