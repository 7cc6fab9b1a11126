"""Post-training quantization of a float .tflite by litert-quantizer."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any

from lwdash.contract import Packed, Rows, Skipped
from lwdash.errors import ConversionFailed
from lwdash.quantize.fast_kernels import MIN_VALUES, fitted, reported
from lwdash.quantize.number_formats import (
    FLOAT32,
    FORMATS,
    WEIGHT_OPERATORS,
    Format,
    QuantizationPlan,
    can_have,
)
from lwdash.quantize.quantizers.embedding_tables import quantize_tables
from lwdash.quantize.quantizers.library_scales import scale_freely
from lwdash.quantize.quantizers.lstm_weights import WEIGHT_INPUTS, quantize_lstm_weights
from lwdash.quantize.quantizers.pointwise_convolutions import write_as_fully_connected
from lwdash.quantize.ranges.activation_ranges import Ranges, activation_ranges
from lwdash.quantize.read_back import Computed, computed, inner_scopes, left_undone
from lwdash.quantize.rounding.rounded_file import OWN_ALGORITHMS, reads_rows, with_rounded_weights
from lwdash.quantize.stand_ins import disguise, restore, with_fixed_outputs
from lwdash.spread_rows import spread
from lwdash.tflite.flatbuffer import read_model, write_model
from lwdash.tflite.operator_codes import kind_of
from lwdash.tflite.rewrites.bias_range import fit_biases
from lwdash.tflite.rewrites.integer_shapes import read_shapes_of_integers
from lwdash.tflite.rewrites.padding_constants import with_small_masks
from lwdash.tflite.rewrites.saturated_clamps import drop_saturated_clamps
from lwdash.tflite.rewrites.unreachable_clamps import drop_unreachable_clamps
from lwdash.tflite.rewrites.unused_outputs import complete_outputs


def quantize(data: bytes, plan: QuantizationPlan, rows: Rows | None, ranges: str = "minmax") -> bytes:
    """`data` quantized as planned; `rows` set the ranges of activations where the plan needs them.

    ranges: method, as in `lwdash.quantize.ranges.activation_ranges.HOW`. The library's own calibration is a moving
    average over the rows' ranges, which clips and forgets: on three small models it cost 3 to 18 dB of SQNR.
    Raises ConversionFailed with the library's reason.
    """
    seen = None
    if needs_ranges(data, plan):
        if not rows:
            raise ConversionFailed("this quantization needs calibration rows, and there are none")
        seen = activation_ranges(data, rows, ranges)
    return quantize_in(data, plan, seen)


def needs_ranges(data: bytes, plan: QuantizationPlan) -> bool:
    """True if `plan` makes activations integers in `data`; operators inside loops stay in float then."""
    if plan.is_static and (inner := _read(data).inner_scopes):
        plan.add(FORMATS[FLOAT32], inner)
    return plan.needs_ranges


def quantize_in(data: bytes, plan: QuantizationPlan, seen: Ranges | None) -> bytes:
    """`data` quantized as planned with known ranges; call `needs_ranges` first."""
    scale_freely()
    read = _read(data)
    source = read.disguised(frozenset(plan.activations)) if plan.is_static else data
    if seen is not None and "int8" in plan.activations:
        seen = with_fixed_outputs(read.static_model, seen)
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            quantized = _library_quantizer()(bytearray(source), plan.recipe).quantize(seen).quantized_model
        except Exception as error:  # it raises bare ValueErrors, and runtime errors of the interpreter
            raise ConversionFailed(
                f"litert-quantizer could not quantize this file: {str(error)[:500]}"
            ) from error
    model = read_model(bytes(quantized))
    if plan.is_static:
        restore(model, read.static_model)
    fit_biases(model, read.static_model if plan.is_static else read_model(source))
    complete_outputs(model)
    drop_unreachable_clamps(model)
    drop_saturated_clamps(model)
    read_shapes_of_integers(model)
    return write_model(model)


@lru_cache(maxsize=1)
def _library_quantizer() -> Any:
    from litert_quantizer import quantizer

    class KnownRanges(quantizer.Quantizer):
        def _ensure_model_qsv_sufficient(self, calibration_result: Any) -> None:
            """The library would load the file in LiteRT, which cannot prepare every stand-in."""

    return KnownRanges


class _Read:
    """Facts of a float file that every quantization needs; cached, because reading takes longer than using them."""

    def __init__(self, data: bytes):
        self.data = data
        self.known: dict[frozenset[str], bytes] = {}

    @cached_property
    def inner_scopes(self) -> list[str]:
        return inner_scopes(self.data)

    @cached_property
    def static(self) -> bytes:
        return with_small_masks(self.data)

    def disguised(self, activations: frozenset[str]) -> bytes:
        """`static` with the stand-ins of its operators, for a plan with these types of activations."""
        if activations not in self.known:
            model = read_model(self.static)
            self.known[activations] = write_model(model) if disguise(model, activations) else self.static
        return self.known[activations]

    @cached_property
    def static_model(self) -> Any:
        return read_model(self.static)


@lru_cache(maxsize=2)
def _read(data: bytes) -> _Read:
    return _Read(data)


def quantized_throughout(
    data: bytes,
    format: Format,
    rows: Rows | None,
    *,
    per_channel: bool = True,
    ranges: str = "minmax",
    algorithm: str = "minmax",
) -> Packed:
    """Every operator in one format. Operators with another format, and weights with another rounding, are
    listed as skipped.
    """
    plan = QuantizationPlan()
    plan.add(format, per_channel=per_channel)
    asked = [format] * len(computed(data))
    return quantized_as(data, plan, asked, rows, per_channel=per_channel, ranges=ranges, algorithm=algorithm)


def quantized_as(
    data: bytes,
    plan: QuantizationPlan,
    asked: Sequence[Format],
    rows: Rows | None,
    *,
    per_channel: bool = True,
    ranges: str = "minmax",
    algorithm: str = "minmax",
) -> Packed:
    """`data` as planned, but each operator with the storage from `fast_kernels.fitted`.

    asked: the format of every operator by its place in `computed(data)`; `plan` already contains it.
    """
    source, operators, formats, reported = _fitted(data, asked)
    add_changed(plan, operators, asked, formats, per_channel=per_channel)
    formats = [_own_form(o, wanted) or got for o, wanted, got in zip(operators, asked, formats, strict=True)]
    otherwise = _round_by(plan, algorithm, operators, formats)
    quantized = quantize(source, plan, rows, ranges)
    if algorithm in OWN_ALGORITHMS:
        rounded, otherwise = with_rounded_weights(source, quantized, rows, algorithm)
        quantized = quantized if rounded == source else quantize(rounded, plan, rows, ranges)
    own = [o.scope for o, wanted in zip(operators, asked, strict=True) if _own_form(o, wanted)]
    if own:
        model = read_model(quantized)
        quantize_tables(model, own)
        quantize_lstm_weights(model, own)
        quantized = write_model(model)
    undone = left_undone(source, quantized, formats)
    has_read = plan.needs_ranges or reads_rows(algorithm, [format.weights for format in formats])
    facts = {"calibration_rows": len(next(iter(rows.values())))} if rows and has_read else {}
    return Packed(quantized, (*reported, *undone, *otherwise), facts)


def add_changed(
    plan: QuantizationPlan,
    operators: Sequence[Computed],
    asked: Sequence[Format],
    formats: Sequence[Format],
    *,
    per_channel: bool,
) -> None:
    """Add `formats` to the plan for the operators whose format differs from `asked`."""
    for name in dict.fromkeys(format.name for format in formats):
        changed = [
            operator.scope
            for operator, got, wanted in zip(operators, formats, asked, strict=True)
            if got is not wanted and got.name == name
        ]
        if changed:
            plan.add(FORMATS[name], changed, per_channel=per_channel)


def _fitted(
    data: bytes, asked: Sequence[Format]
) -> tuple[bytes, list[Computed], list[Format], tuple[Skipped, ...]]:
    """(the float file to quantize, its operators, the storage of each, the operators with another format than
    requested)
    """
    operators = computed(data)
    stored = fitted(operators, asked, len(data))
    products = [o.scope for o, one in zip(operators, stored, strict=True) if one.as_product]
    source = write_as_fully_connected(data, products)
    found = operators if source == data else computed(source)
    return source, found, [one.format for one in stored], reported(operators, stored)


def _own_form(operator: Computed, asked: Format) -> Format | None:
    """Operators stored by lwdash and not by the library: 8-bit embedding tables, and fused LSTMs of dynamic files."""
    is_hybrid = asked.weights in ("int8", "int4") and not asked.is_static
    if not is_hybrid or operator.is_inside or operator.weights != FLOAT32:
        return None
    if operator.kind == "GATHER" and operator.values >= MIN_VALUES:
        return FORMATS["weight_only"]
    if operator.kind in WEIGHT_INPUTS and not asked.is_stored_only:
        return FORMATS["dynamic"]
    return None


def some_rows(rows: Rows | None, count: int) -> Rows | None:
    """At most `count` evenly spaced calibration rows: the first ones may be of one class only."""
    return None if rows is None else {n: values[spread(len(values), count)] for n, values in rows.items()}


def _round_by(
    plan: QuantizationPlan, algorithm: str, operators: Sequence[Computed], formats: Sequence[Format]
) -> tuple[Skipped, ...]:
    """Request one of the library's algorithms wherever the library has it; return the operators that keep min-max."""
    otherwise: list[Skipped] = []
    if algorithm == "minmax" or algorithm in OWN_ALGORITHMS:
        return ()
    groups: dict[tuple[str, str], list[Computed]] = {}
    for operator, format in zip(operators, formats, strict=True):
        is_chosen = operator.kind in WEIGHT_OPERATORS and operator.weights is not None
        if is_chosen and format.weights in ("int8", "int4") and can_have(operator.kind, format):
            groups.setdefault((operator.kind, format.name), []).append(operator)
    for (kind, name), chosen in groups.items():
        if can_have(kind, FORMATS[name], algorithm=algorithm):
            plan.round_by(algorithm, FORMATS[name], [c.scope for c in chosen], kind)
        else:
            reason = f"{kind} weights are rounded by min-max: litert-quantizer has no {algorithm} for it"
            otherwise += [Skipped(c.layer, reason) for c in chosen]
    return tuple(otherwise)


def operators(model: Any) -> Iterator[tuple[str, list[Any], list[Any]]]:
    """(operator type, input tensors, output tensors) of every operator of a `ModelT`."""
    for graph in model.subgraphs:
        for operator in graph.operators:
            yield (
                kind_of(model, operator),
                [graph.tensors[i] for i in operator.inputs if i >= 0],
                [graph.tensors[i] for i in operator.outputs if i >= 0],
            )
