"""Of several ways to an integer file the one is taken that agrees and leaves the least in float, and it is said."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lwdash.compress import quantizer_choice
from lwdash.contract import Packed
from lwdash.errors import ConversionFailed, RecipeError, ResultRejected

ROWS = {"input": np.zeros((1, 1), np.float32)}
SOURCE, STRAIGHT = b"source", b"source without loops"


@dataclass(frozen=True)
class Params:
    backend: str = "litert"
    ranges: str = "mse"
    loops: str = "kept"


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, tuple[list[str], float]]:
    """File → (operators in float, SQNR in dB against the source); a negative SQNR is refused."""
    known: dict[bytes, tuple[list[str], float]] = {SOURCE: (["CONV_2D"], 99.0)}

    def check(source: bytes, packed: bytes, rows: Any) -> float:
        if known[packed][1] < 0:
            raise ResultRejected("its error is larger than its signal")
        return known[packed][1]

    monkeypatch.setattr(quantizer_choice, "check_packed", check)
    monkeypatch.setattr(quantizer_choice, "check_kernels", lambda data: None)
    monkeypatch.setattr(quantizer_choice, "rows_in_file_types", lambda data, rows: rows)
    monkeypatch.setattr(quantizer_choice, "float_operators", lambda data, reason: known[data][0])
    monkeypatch.setattr(
        quantizer_choice, "computed", lambda data: [SimpleNamespace(kind=kind) for kind in known[data][0]]
    )
    return known


def technique(
    first: bytes | Exception,
    others: Mapping[str, bytes | Exception] | None = None,
    last: bytes | Exception | None = None,
) -> Any:
    """Gives these files; without `others` there is one way only, without `last` TFLiteConverter cannot be asked."""

    def giving(made: bytes | Exception) -> Any:
        def apply(data: bytes, params: Any, rows: Any, convert: Any) -> Packed:
            if isinstance(made, Exception):
                raise made
            return Packed(made + (b" straight" if data == STRAIGHT else b""))

        return apply

    def apply(data: bytes, params: Params, rows: Any, convert: Any) -> Packed:
        assert params.backend == "litert" or params.ranges == "minmax"
        return giving(last if last and params.backend == "tflite" else first)(data, params, rows, convert)

    def check(params: Params) -> None:
        if not last and params.backend == "tflite":
            raise RecipeError("TFLiteConverter has no such parameter")

    one = SimpleNamespace(NAME="float16", apply=apply, check=check)
    if others is not None:
        one.other_ways = lambda data, params: {name: giving(made) for name, made in others.items()}
    return one


def pack(one: Any, straight: bytes | None = None) -> tuple[Packed, float | None]:
    return quantizer_choice.pack(
        one,
        Params(),
        SOURCE,
        ROWS,
        compared=ROWS,
        convert=lambda configure, rows: b"",
        unroll=lambda: straight,
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


def test_every_way_is_tried_before_a_run_fails(files: Any) -> None:
    files[b"b"], files[b"c"] = ([], -1.0), ([], 36.0)
    refused = ConversionFailed("no_integer_overflow_from_quantization was not true")
    packed, sqnr = pack(technique(refused, {"other": b"b"}, b"c"))
    assert (packed.data, sqnr, packed.facts["made_by"]) == (b"c", 36.0, "TFLiteConverter")
    assert set(packed.facts["not_taken"]) == {"litert-quantizer", "other"}
    assert pack(technique(refused, None, b"c"))[0].data == b"c", "formats with one way of their own too"
    with pytest.raises(ConversionFailed, match=r"no_integer.*TFLiteConverter: it crashed"):
        pack(technique(refused, {"other": b"b"}, ConversionFailed("it crashed")))


def test_a_file_that_the_builtin_kernels_refuse_is_not_taken(
    files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(data: bytes) -> None:
        if data == b"a":
            raise ConversionFailed("LiteRT's own kernels refuse the file")

    monkeypatch.setattr(quantizer_choice, "check_kernels", check)
    files[b"a"], files[b"b"] = ([], 40.0), ([], 30.0)
    assert pack(technique(b"a", {"other": b"b"}))[0].data == b"b"


def test_the_slow_way_is_for_poor_files_of_graphs_that_the_first_cannot_quantize(files: Any) -> None:
    files[b"a"], files[b"b"], files[b"c"] = (["DIV"], 13.0), ([], 13.0), ([], 30.0)
    packed, sqnr = pack(technique(b"a", {"other": b"b"}, b"c"))
    assert (packed.data, sqnr, packed.facts["made_by"]) == (b"c", 30.0, "TFLiteConverter")
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


def test_a_file_with_loops_is_quantized_outside_of_them_only_once(files: Any) -> None:
    """The way of loops includes litert-quantizer's, which is tried only where that way fails or is wrong."""
    files[b"a"], files[b"b"] = (["WHILE", "ADD"], 40.0), ([], 35.0)
    no = AssertionError("must not be asked")
    packed, _ = pack(technique(no, {quantizer_choice.INTEGER_LOOPS: b"b"}))
    assert (packed.data, packed.facts["made_by"]) == (b"b", "loops with integer bodies")
    assert packed.facts["not_taken"] == {}
    files[b"b"] = (["SIN"], 35.0)
    assert pack(technique(no, {quantizer_choice.INTEGER_LOOPS: b"b"}))[0].data == b"b"
    files[b"b"] = ([], 4.0)
    assert pack(technique(b"a", {quantizer_choice.INTEGER_LOOPS: b"b"}))[0].data == b"a"
    failing = ConversionFailed("a branch in it")
    assert pack(technique(b"a", {quantizer_choice.INTEGER_LOOPS: failing}))[0].data == b"a"
    with pytest.raises(
        ConversionFailed, match=r"^no such operator.*loops with integer bodies: a branch in it"
    ):
        pack(technique(ConversionFailed("no such operator"), {quantizer_choice.INTEGER_LOOPS: failing}))


def test_a_technique_with_one_way_is_checked_all_the_same(files: Any) -> None:
    files[b"a"] = (["ELU"], 20.0)
    assert pack(technique(b"a"))[1] == 20.0
    files[b"a"] = (["ELU"], -2.0)
    with pytest.raises(ResultRejected):
        pack(technique(b"a"))
