"""Tries the quantizers in turn and keeps the best file."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any

from lwdash.compress.agreement import check_packed
from lwdash.contract import Convert, Packed, Rows
from lwdash.errors import InternalFault, LwdashError, RecipeError
from lwdash.export.unrolled_loops import LOOPS
from lwdash.measure.runner import check_kernels
from lwdash.quantize.input_rounding import first_layers, loses_inputs
from lwdash.quantize.input_types import rows_in_file_types
from lwdash.quantize.number_formats import FLOAT32
from lwdash.quantize.quantizers.integer_loops import INTEGER_LOOPS
from lwdash.quantize.read_back import computed, float_operators
from lwdash.recipe import Step
from lwdash.techniques import TECHNIQUES, needs_rows

WRONG_SQNR_DB = 10.0
"""An integer file below this is not used if another quantizer gives a better one."""
POOR_SQNR_DB = 20.0
"""If no file is better than this, the slow quantizer is tried as well."""
FIRST, LAST = "litert-quantizer", "TFLiteConverter"
CONVERTERS_OWN = {"backend": "tflite", "ranges": "minmax", "algorithm": "default"}
"""Parameters that TFLiteConverter supports with only one value."""


@dataclass(frozen=True)
class _Found:
    packed: Packed
    sqnr_db: float | None
    way: str

    @property
    def rank(self) -> tuple[bool, int, float]:
        """Smaller is better: agrees with its source, then few operators in float, then small error.

        Of files that do not agree, the error alone counts.
        """
        sqnr = float("inf") if self.sqnr_db is None else self.sqnr_db
        is_wrong = sqnr < WRONG_SQNR_DB
        return is_wrong, 0 if is_wrong else self.floats, -sqnr

    @property
    def floats(self) -> int:
        """Number of operators in float."""
        return len(float_operators(self.packed.data, ""))


def pack(
    technique: ModuleType,
    params: Any,
    source: bytes,
    rows: Rows | None,
    *,
    compared: Rows,
    convert: Convert,
    unroll: Callable[[], bytes | None],
) -> tuple[Packed, float | None]:
    """A tflite-stage technique's file and its SQNR in dB against `source` on the rows `compared`.

    The quantizers of `other_ways` are tried until one file is integer throughout and agrees with the source.
    If none does, or all agree poorly, TFLiteConverter makes the file from the model, for every technique that
    supports it. Raises an error that names every quantizer when none works.
    unroll: returns the float file with recurrent layers as single steps; None where that is not possible.
    """
    rows = None if rows is None else rows_in_file_types(source, rows)
    found: list[_Found] = []
    failed: dict[str, InternalFault] = {}

    has_ways = hasattr(technique, "other_ways")

    def try_out(way: str, make: Callable[[], Packed]) -> bool:
        """True if no other quantizer can be better."""
        try:
            packed = make()
            check_kernels(packed.data)
            found.append(_Found(packed, check_packed(source, packed.data, compared), way))
        except InternalFault as error:
            failed[way] = error
            return False
        is_poor_loop = _is_poor(found[-1]) and any(o.kind in LOOPS for o in computed(packed.data))
        return not has_ways or (found[-1].rank[:2] == (False, 0) and not is_poor_loop)

    for way, make in _ways(technique, params, source, rows, convert, unroll):
        if way == FIRST and any(one.way == INTEGER_LOOPS and not one.rank[0] for one in found):
            continue  # the same file with its loops in float
        if try_out(way, make):
            break
    if all(one.way != FIRST or one.rank[:2] != (False, 0) for one in found) and all(map(_is_poor, found)):
        for way, make in _last_way(technique, source, params, rows, convert):
            try_out(way, make)
    if not found:
        raise _failure(failed, _input_remedy(technique, params, source, rows, compared))
    best = min(found, key=lambda one: one.rank)
    facts = dict(best.packed.facts)
    if len(found) + len(failed) > 1 or best.way == INTEGER_LOOPS:
        facts["made_by"] = best.way
        facts["not_taken"] = {
            **{one.way: _shortfall(one) for one in found if one is not best},
            **{way: str(error)[:300] for way, error in failed.items()},
        }
    return replace(best.packed, facts=facts), best.sqnr_db


def _ways(
    technique: ModuleType,
    params: Any,
    source: bytes,
    rows: Rows | None,
    convert: Convert,
    unroll: Callable[[], bytes | None],
) -> Iterator[tuple[str, Callable[[], Packed]]]:
    """(name, function that makes the file) of every quantizer: that of loops first, which includes the next one, then the
    quickest.
    """
    if not hasattr(technique, "other_ways"):
        yield FIRST, partial(technique.apply, source, params, rows, convert)
        return
    ways = {FIRST: technique.apply, **technique.other_ways(source, params)}
    for name in sorted(ways, key=lambda name: name != INTEGER_LOOPS):
        yield name, partial(ways[name], source, params, rows, convert)
    if not hasattr(params, "loops") or not {operator.kind for operator in computed(source)} & LOOPS:
        return
    straight = unroll()
    if straight is not None:
        for name, make in {
            FIRST: technique.apply,
            **technique.other_ways(straight, params),
        }.items():
            yield f"{name}, recurrent layers unrolled", partial(make, straight, params, rows, convert)


def _last_way(
    technique: ModuleType, source: bytes, params: Any, rows: Rows | None, convert: Convert
) -> Iterator[tuple[str, Callable[[], Packed]]]:
    """TFLiteConverter on the Keras model, for techniques that support it: slow, and it may crash on loops."""
    if getattr(params, "backend", "") != "litert":
        return
    if needs_rows(technique.NAME, params) and {operator.kind for operator in computed(source)} & LOOPS:
        return
    fields = {name: value for name, value in CONVERTERS_OWN.items() if hasattr(params, name)}
    try:
        asked = replace(params, **fields)
        if hasattr(technique, "check"):
            technique.check(asked)
    except RecipeError:  # TFLiteConverter does not have these parameters
        return
    yield LAST, partial(technique.apply, source, asked, rows, convert)


def _failure(failed: Mapping[str, InternalFault], remedy: str) -> InternalFault:
    """The first quantizer's error, with the results of the others. remedy: replaces its general advice, if known."""
    (_, first), *others = sorted(failed.items(), key=lambda one: one[0] != FIRST)
    message = f"{_first_sentence(first)}. {remedy}" if remedy else str(first)
    if not others and not remedy:
        return first
    tried = "; ".join(f"{way}: {_first_sentence(error)}" for way, error in others)
    return type(first)(f"{message}. Other quantizers failed too: {tried}" if others else message)


def _first_sentence(error: InternalFault) -> str:
    """An error without its advice, of at most some 300 characters, cut between words."""
    sentence = str(error).partition(". ")[0]
    return sentence if len(sentence) <= 300 else sentence[:300].rpartition(" ")[0] + " …"


def _input_remedy(
    technique: ModuleType, params: Any, source: bytes, rows: Rows | None, compared: Rows
) -> str:
    """A recipe that keeps the inputs and the first layers in float, where their rounding to 8 bits makes the file wrong.

    Empty where that is not the cause, or where the recipe's file is wrong too.
    """
    if rows is None or technique.NAME not in ("int8", "mixed"):
        return ""
    mixed = TECHNIQUES["mixed"]
    try:
        if not loses_inputs(source, rows):
            return ""
        layers = first_layers(source)
        chosen = mixed.Params(
            default="int8",
            overrides=tuple((layer, FLOAT32) for layer in layers),
            io=FLOAT32,
            per_channel=params.per_channel,
            rows=params.rows,
        )
        sqnr = check_packed(source, mixed.apply(source, chosen, rows).data, compared)
    except LwdashError:
        return ""
    if sqnr is not None and sqnr < WRONG_SQNR_DB:
        return ""
    return (
        "Rounding the input to 8 bits alone loses the result: columns of small values share one scale with much "
        f"larger ones. Keep the input and {', '.join(layers)} in float: {Step(mixed.NAME, chosen)}"
    )


def _is_poor(found: _Found) -> bool:
    return found.sqnr_db is not None and found.sqnr_db < POOR_SQNR_DB


def _shortfall(found: _Found) -> str:
    floats = found.floats
    error = f"SQNR {found.sqnr_db:.1f} dB" if _is_poor(found) else ""
    left = f"{floats} operator{'s' * (floats != 1)} in float32" if floats else ""
    return ", ".join(message for message in (error, left) if message) or "it agrees less"
