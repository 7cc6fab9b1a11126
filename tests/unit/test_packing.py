"""Of several ways to an integer file the one is taken that agrees and leaves the least in float, and it is said."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lwdash import packing
from lwdash.errors import ConversionFailed, ResultRejected
from lwdash.techniques.contract import Packed

ROWS = {"input": np.zeros((1, 1), np.float32)}
SOURCE, STRAIGHT = b"source", b"source without loops"


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, tuple[list[str], float]]:
    """File → (operators in float, SQNR in dB against the source); a negative SQNR is refused."""
    known: dict[bytes, tuple[list[str], float]] = {SOURCE: (["CONV_2D"], 99.0)}

    def check(source: bytes, packed: bytes, rows: Any) -> float:
        if known[packed][1] < 0:
            raise ResultRejected("its error is larger than its signal")
        return known[packed][1]

    monkeypatch.setattr(packing, "check_packed", check)
    monkeypatch.setattr(packing, "float_operators", lambda data, reason: known[data][0])
    monkeypatch.setattr(
        packing, "computed", lambda data: [SimpleNamespace(kind=kind) for kind in known[data][0]]
    )
    return known


def technique(
    first: bytes | Exception,
    others: Mapping[str, bytes | Exception] | None = None,
    last: bytes | Exception | None = None,
) -> Any:
    """Gives these files; without `others` there is one way only."""

    def giving(made: bytes | Exception) -> Any:
        def apply(data: bytes, params: Any, rows: Any, convert: Any) -> Packed:
            if isinstance(made, Exception):
                raise made
            return Packed(made + (b" straight" if data == STRAIGHT else b""))

        return apply

    one = SimpleNamespace(apply=giving(first))
    if others is not None:
        one.other_ways = lambda data, params: {name: giving(made) for name, made in others.items()}
        one.last_way = lambda data, params: {"slow": giving(last)} if last else {}
    return one


def pack(one: Any, straight: bytes | None = None) -> tuple[Packed, float | None]:
    return packing.pack(
        one, None, SOURCE, ROWS, compared=ROWS, convert=lambda configure, rows: b"", unroll=lambda: straight
    )


def test_a_file_that_is_integer_throughout_is_taken_at_once(files: Any) -> None:
    files[b"a"] = ([], 30.0)
    packed, sqnr = pack(technique(b"a", {"other": AssertionError("must not be asked")}))
    assert (packed.data, sqnr) == (b"a", 30.0)
    assert "made_by" not in packed.facts


def test_fewer_operators_in_float_win_and_the_run_says_who_made_it(files: Any) -> None:
    files[b"a"], files[b"b"] = (["ELU", "EXP"], 40.0), (["ELU"], 30.0)
    packed, sqnr = pack(technique(b"a", {"other": b"b"}))
    assert (packed.data, sqnr) == (b"b", 30.0)
    assert packed.facts["made_by"] == "other"
    assert packed.facts["not_taken"] == {"litert-quantizer": "2 operators in float32"}


def test_an_integer_file_that_disagrees_does_not_win(files: Any) -> None:
    files[b"a"], files[b"b"] = (["ELU"], 40.0), ([], 3.0)
    packed, _ = pack(technique(b"a", {"other": b"b"}))
    assert packed.data == b"a"
    assert packed.facts["not_taken"] == {"other": "SQNR 3.0 dB"}


def test_a_way_that_fails_is_told_and_the_other_taken(files: Any) -> None:
    files[b"b"] = ([], 30.0)
    packed, _ = pack(technique(ConversionFailed("no such operator"), {"other": b"b"}))
    assert packed.data == b"b"
    assert packed.facts["not_taken"] == {"litert-quantizer": "no such operator"}


def test_the_first_ways_error_is_raised_when_none_works(files: Any) -> None:
    files[b"b"] = ([], -1.0)
    with pytest.raises(ConversionFailed, match="no such operator"):
        pack(technique(ConversionFailed("no such operator"), {"other": b"b"}))


def test_the_slow_way_is_for_poor_files_of_graphs_that_the_first_cannot_quantize(files: Any) -> None:
    files[b"a"], files[b"b"], files[b"c"] = (["DIV"], 13.0), ([], 13.0), ([], 30.0)
    packed, sqnr = pack(technique(b"a", {"other": b"b"}, b"c"))
    assert (packed.data, sqnr, packed.facts["made_by"]) == (b"c", 30.0, "slow")
    assert packed.facts["not_taken"]["other"] == "SQNR 13.0 dB"
    no = AssertionError("must not be asked")
    files[b"b"] = ([], 25.0)
    assert pack(technique(b"a", {"other": b"b"}, no))[0].data == b"b"
    files[b"b"] = (["ELU"], 25.0)
    assert pack(technique(b"a", {"other": b"b"}, no))[0].data == b"b"
    files[b"a"] = ([], 13.0)
    assert pack(technique(b"a", {"other": no}, no))[0].data == b"a"


def test_loops_are_unrolled_only_where_there_are_some(files: Any) -> None:
    files[b"a"], files[b"a straight"] = (["WHILE", "ADD"], 40.0), ([], 35.0)
    assert pack(technique(b"a", {}), STRAIGHT)[0].data == b"a"
    files[SOURCE], files[STRAIGHT] = (["WHILE"], 99.0), (["ADD"], 99.0)
    packed, _ = pack(technique(b"a", {}), STRAIGHT)
    assert packed.data == b"a straight"
    assert packed.facts["made_by"] == "litert-quantizer, recurrent layers unrolled"
    assert pack(technique(b"a", {}), None)[0].data == b"a"


def test_a_technique_with_one_way_is_checked_all_the_same(files: Any) -> None:
    files[b"a"] = (["ELU"], 20.0)
    assert pack(technique(b"a"))[1] == 20.0
    files[b"a"] = (["ELU"], -2.0)
    with pytest.raises(ResultRejected):
        pack(technique(b"a"))
