"""Which way to an integer file is taken: the quantizers have different gaps, and neither names its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any

from lwdash.agreement import Rows, check_packed
from lwdash.errors import InternalFault
from lwdash.techniques.contract import Convert, Packed
from lwdash.techniques.loops import LOOPS
from lwdash.techniques.readback import computed, float_operators

WRONG_SQNR_DB = 10.0
"""An integer file below this is not taken where another way gives a better one."""
POOR_SQNR_DB = 20.0
"""Where the first way has gaps and no file is better than this, the slow way is tried as well."""
FIRST = "litert-quantizer"


@dataclass(frozen=True)
class _Found:
    packed: Packed
    sqnr_db: float | None
    way: str

    @property
    def rank(self) -> tuple[bool, int, float]:
        """Smaller is better: agrees with its source, then few operators in float, then small error."""
        sqnr = float("inf") if self.sqnr_db is None else self.sqnr_db
        return sqnr < WRONG_SQNR_DB, len(float_operators(self.packed.data, "")), -sqnr


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

    A technique with `other_ways` is asked for them until one is integer throughout and agrees with the source, and for
    its `last_way` where they agree poorly.
    unroll: gives the float file again, recurrent layers as single steps; None where that is not possible.
    Raises the first way's error when none works.
    """
    if not hasattr(technique, "other_ways"):
        packed = technique.apply(source, params, rows, convert)
        return packed, check_packed(source, packed.data, compared)
    found: list[_Found] = []
    failed: dict[str, InternalFault] = {}

    def try_out(way: str, make: Callable[[], Packed]) -> bool:
        """Whether no other way can be better."""
        try:
            packed = make()
            found.append(_Found(packed, check_packed(source, packed.data, compared), way))
        except InternalFault as error:
            failed[way] = error
            return False
        return found[-1].rank[:2] == (False, 0)

    for way, make in _ways(technique, params, source, rows, convert, unroll):
        if try_out(way, make):
            break
    if all(one.way != FIRST or one.rank[1] for one in found) and all(map(_is_poor, found)):
        for way, make in technique.last_way(source, params).items():
            try_out(way, partial(make, source, params, rows, convert))
    if not found:
        raise next(iter(failed.values()))
    best = min(found, key=lambda one: one.rank)
    facts = dict(best.packed.facts)
    if len(found) + len(failed) > 1:
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
    """(name, what makes the file) of every way, the quickest first."""
    yield FIRST, partial(technique.apply, source, params, rows, convert)
    for name, make in technique.other_ways(source, params).items():
        yield name, partial(make, source, params, rows, convert)
    if not {operator.kind for operator in computed(source)} & LOOPS:
        return
    straight = unroll()
    if straight is not None:
        for name, make in {
            FIRST: technique.apply,
            **technique.other_ways(straight, params),
        }.items():
            yield f"{name}, recurrent layers unrolled", partial(make, straight, params, rows, convert)


def _is_poor(found: _Found) -> bool:
    return found.sqnr_db is not None and found.sqnr_db < POOR_SQNR_DB


def _shortfall(found: _Found) -> str:
    floats = found.rank[1]
    error = f"SQNR {found.sqnr_db:.1f} dB" if _is_poor(found) else ""
    left = f"{floats} operator{'s' * (floats != 1)} in float32" if floats else ""
    return ", ".join(words for words in (error, left) if words) or "it agrees less"
