"""Mixed precision chosen by measurement: the format of each layer under a limit on size or on loss."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from lwdash.contract import Convert, Packed, Rows, Skipped
from lwdash.errors import ConversionFailed
from lwdash.export.unrolled_loops import LOOPS
from lwdash.parameters import Choice, Integer, Number, Size, parameter, write_params
from lwdash.quantize.bit_allocation import Attempt, most_exact_within, smallest_within
from lwdash.quantize.input_rounding import loses_inputs
from lwdash.quantize.layer_choices import FAMILIES, LayerChoices
from lwdash.quantize.number_formats import FLOAT32
from lwdash.quantize.output_error import JUDGEMENTS, OutputError
from lwdash.quantize.quantizers.litert_quantizer import some_rows
from lwdash.quantize.read_back import computed
from lwdash.techniques import int8, int16x8, mixed

NAME = "auto"
LABEL = "Automatic precision"
SUMMARY = "4, 8, 16 bits or floats for each layer: the smallest file within a loss, or the most exact one within a size."
TRAP = (
    "The limit on the loss is checked on calibration rows without their labels, as changed results. "
    "A hundred rows cannot show a change below one percent. 16-bit layers are slow in LiteRT, which has no fast kernels for "
    "them."
)
STAGE = "tflite"
NEEDS_ROWS = True

NO_LIMIT = 0.0
WITH_LOOPS: tuple[tuple[ModuleType, Mapping[str, Any], tuple[str, ...]], ...] = (
    (int8, {}, ("int8", "uint8", FLOAT32)),
    (int8, {"bits": "4"}, ("int8", "uint8", FLOAT32)),
    (int16x8, {}, ("int16", FLOAT32)),
)
"""Techniques whose files have recurrent layers in integers, their parameters, and the formats of their inputs."""
NOT_SMALLER = (
    "no choice of formats for single layers makes a smaller file within the limit, so this one is not smaller than the "
    "float file. Try dynamic, which also treats recurrent layers, or allow more"
)


@dataclass(frozen=True)
class Params:
    max_size: float = parameter(
        NO_LIMIT,
        Size(
            "Maximum size",
            "The size of the .tflite, at most; the most exact file of this size is made. 0: the smallest file within "
            "the maximum drop.",
            0.0,
            1e6,
            "kB",
            step=1.0,
        ),
    )
    max_drop: float = parameter(
        1.0,
        Number(
            "Maximum drop",
            "Percentage points of calibration rows with another result than the float file, at most; the accuracy "
            "cannot drop more on them. Counts without a maximum size.",
            0.0,
            100.0,
            "points",
            step=0.1,
        ),
    )
    compute: str = parameter(
        "integer",
        Choice(
            "Computation",
            "The family of formats to choose from. Floats are tried too where integers give no smaller file.",
            {
                "integer": "8-bit activations with 4-bit or 8-bit weights, 16-bit activations, floats",
                "float": "float activations; weights in 4, 8, 16 or 32 bits",
            },
        ),
    )
    judged: str = parameter(
        "default", Choice("Result of a row", "What counts as another result.", JUDGEMENTS)
    )
    io: str = parameter("default", mixed.IO)
    rows: int = parameter(
        256,
        Integer("Calibration rows", "Maximum number of calibration rows that are used.", 1, 100_000, "rows"),
    )


def apply(data: bytes, params: Params, rows: Rows | None, convert: Convert | None = None) -> Packed:
    """The file of the chosen recipe, which `facts` has with every file that was tried: `mixed`, or for networks with
    recurrent layers, which `mixed` leaves in floats, also `int8` and `int16x8`.

    With `io=default` its inputs and outputs stay in float where 8-bit inputs alone would make the file wrong.
    Where the integer formats give no smaller file, the float formats are tried too.
    Raises ConversionFailed where no file keeps the limit; the message has the nearest file.
    """
    some = some_rows(rows, params.rows)
    if not some:
        raise ConversionFailed("auto needs calibration rows, and there are none")
    error = OutputError(data, some, params.judged)
    if params.io == "default" and params.compute == "integer" and loses_inputs(data, error.rows):
        params = replace(params, io=FLOAT32)
    layers = LayerChoices(data, some, FAMILIES[params.compute], error)
    made: dict[str, tuple[Attempt, Packed]] = {}

    def make(formats: Mapping[str, str]) -> Attempt:
        recipe = _recipe(layers, formats, params)
        text = f"{mixed.NAME}({write_params(recipe)})"
        if text not in made:
            packed = mixed.apply(data, recipe, some, convert)
            sqnr, changed = error.measured(packed.data)
            made[text] = (Attempt(formats, len(packed.data), sqnr, changed, text), packed)
        return made[text][0]

    whole = [make(formats) for formats in layers.whole()]
    if params.max_size:
        chosen = most_exact_within(layers.choices, make, whole, int(params.max_size * 1000))
    else:
        chosen = smallest_within(layers.choices, make, whole, params.max_drop / 100)
    for text, packed in _with_integer_loops(data, params, some, convert):
        sqnr, changed = error.measured(packed.data)
        made[text] = (Attempt({}, len(packed.data), sqnr, changed, text), packed)
    attempts = [attempt for attempt, _ in made.values()]
    chosen = _best_within([*([chosen] if chosen else []), *(a for a in attempts if not a.formats)], params)
    if chosen is None:
        raise ConversionFailed(_nearest(attempts, params))
    packed = made[chosen.recipe][1]
    skipped = packed.skipped
    is_smaller = len(packed.data) < len(data)
    if not is_smaller and params.compute == "integer" and params.io in ("default", FLOAT32):
        return apply(data, replace(params, compute="float", io="default"), rows, convert)
    if not is_smaller:
        skipped = (*skipped, Skipped("", NOT_SMALLER))
    facts = {
        "recipe": chosen.recipe,
        "changed_rows": round(chosen.changed, 6),
        "judged": error.judged,
        "attempts": [
            {
                "recipe": a.recipe,
                "size_bytes": a.size_bytes,
                "sqnr_db": a.sqnr_db,
                "changed": round(a.changed, 6),
            }
            for a in sorted(attempts, key=lambda a: a.size_bytes)
        ],
    }
    return replace(packed, skipped=skipped, facts={**packed.facts, "auto": facts})


def _with_integer_loops(
    data: bytes, params: Params, rows: Rows, convert: Convert | None
) -> Iterator[tuple[str, Packed]]:
    """The recipe and the file of each technique that makes recurrent layers integer; nothing for other networks."""
    if params.compute != "integer" or not any(operator.kind in LOOPS for operator in computed(data)):
        return
    for technique, given, ports in WITH_LOOPS:
        if params.io not in ("default", *ports):
            continue
        io = {} if params.io == "default" else {"io": params.io}
        chosen = technique.Params(**given, **io, rows=params.rows)
        written = write_params(chosen)
        for make in technique.other_ways(data, chosen).values():
            with contextlib.suppress(ConversionFailed):
                yield (
                    f"{technique.NAME}({written})" if written else technique.NAME,
                    make(data, chosen, rows, convert),
                )


def _best_within(attempts: list[Attempt], params: Params) -> Attempt | None:
    """The best file within the limit; None if there is none."""
    if params.max_size:
        fitting = [a for a in attempts if a.size_bytes <= params.max_size * 1000]
        return max(fitting, key=lambda a: (a.exactness, -a.size_bytes), default=None)
    kept = [a for a in attempts if a.changed <= params.max_drop / 100]
    return min(kept, key=lambda a: a.size_bytes, default=None)


def _recipe(layers: LayerChoices, formats: Mapping[str, str], params: Params) -> mixed.Params:
    default = layers.default_of(formats)
    overrides = tuple(
        (layer, format) for layer, format in formats.items() if not layers.follows(layer, format, default)
    )
    io = params.io
    return mixed.Params(default=default, overrides=overrides, io=io, rows=params.rows)


def _nearest(attempts: list[Attempt], params: Params) -> str:
    if params.max_size:
        smallest = min(a.size_bytes for a in attempts)
        return (
            f"auto: no format of the layers makes a file of at most {params.max_size:g} kB; the smallest has "
            f"{smallest / 1000:.1f} kB. Allow more, or make the network smaller first, with channels or low_rank"
        )
    least = min(a.changed for a in attempts)
    return (
        f"auto: no file changes the results of at most {params.max_drop:g} % of the calibration rows; the most exact one "
        f"changes {100 * least:.2f} %. Allow more"
    )
