"""Operators that litert-quantizer does not know become integers, with outputs near those of the float file."""

import numpy as np
import pytest
from support.measure_models import Model

from lwdash.measure.accuracy import sqnr_db
from lwdash.measure.runner import Runner, check_kernels
from lwdash.quantize.litert_quantizer import quantize, quantized_throughout
from lwdash.quantize.number_formats import FORMATS, QuantizationPlan, can_have
from lwdash.quantize.read_back import computed, float_operators
from lwdash.quantize.stand_ins import STAND_INS
from lwdash.tflite.reader import read_tflite

WIDTH = 8
COMPARISONS = ("GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")
ROWS = {"x": np.random.default_rng(0).normal(size=(64, WIDTH)).astype(np.float32)}


def network(*kinds: str, bound: float = 0.7, activation: int = 0) -> bytes:
    """A dense layer, then operators of `kinds` one after the other."""
    chance = np.random.default_rng(1)
    model = Model()
    shape = (1, WIDTH)
    x, y = model.tensor("x", shape), model.tensor("dense/MatMul", shape)
    kernel = model.tensor(
        "dense/kernel", (WIDTH, WIDTH), data=chance.normal(0, 0.5, (WIDTH, WIDTH)).astype(np.float32)
    )
    bias = model.tensor("dense/bias", (WIDTH,), data=np.linspace(-0.5, 0.5, WIDTH, dtype=np.float32))
    model.operator(
        "FULLY_CONNECTED",
        [x, kernel, bias],
        [y],
        table="FullyConnectedOptions",
        fusedActivationFunction=activation,
    )
    for number, kind in enumerate(kinds):
        result = model.tensor(f"{kind.lower()}_{number}/output", (1,) if kind == "REDUCE_MAX" else shape)
        if kind == "LEAKY_RELU":
            model.operator(kind, [y], [result], table="LeakyReluOptions", alpha=0.2)
        elif kind == "REDUCE_MAX":
            axis = model.tensor(f"axis_{number}", (1,), dtype="int32", data=np.array([1], np.int32))
            model.operator(kind, [y, axis], [result], table="ReducerOptions")
        elif kind == "PRELU":
            slopes = model.tensor(
                f"slopes_{number}", (WIDTH,), data=np.linspace(-0.1, 0.5, WIDTH, dtype=np.float32)
            )
            model.operator(kind, [y, slopes], [result])
        elif kind in ("MINIMUM", "MAXIMUM"):
            value = bound if kind == "MINIMUM" else -bound
            limit = model.tensor(f"limit_{number}", (), data=np.array(value, np.float32))
            model.operator(kind, [y, limit], [result], table="MaximumMinimumOptions")
        elif kind in COMPARISONS:
            is_chosen = model.tensor(f"chosen_{number}", shape, dtype="bool")
            limit = model.tensor(f"limit_{number}", (), data=np.array(bound, np.float32))
            model.operator(kind, [y, limit], [is_chosen], table=f"{kind.title().replace('_', '')}Options")
            model.operator("SELECT_V2", [is_chosen, y, x], [result], table="SelectV2Options")
        else:
            model.operator(kind, [y], [result])
        y = result
    return model.build([x], [y], signature=True)


def sqnr(source: bytes, quantized: bytes) -> float:
    ours, theirs = (next(iter(Runner(data).run(ROWS).values())) for data in (quantized, source))
    found = sqnr_db(theirs, ours)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("activations", "kind"),
    [(activations, kind) for activations, kinds in STAND_INS.items() for kind in kinds],
)
def test_each_becomes_an_integer_operator_that_runs(activations: str, kind: str) -> None:
    source = network("RELU", "EXP", kind) if kind == "LOG" else network(kind)
    packed = quantized_throughout(source, FORMATS["int8" if activations == "int8" else "int16x8"], ROWS)
    assert (packed.skipped, float_operators(packed.data, "")) == ((), ())
    kinds = {operator.type for operator in read_tflite(packed.data).subgraphs[0].operators}
    assert "DEQUANTIZE" not in kinds
    check_kernels(packed.data)
    floor = 15 if kind in COMPARISONS else 25  # a value near the bound may be on its other side
    assert sqnr(source, packed.data) > floor


@pytest.mark.parametrize("kind", ["CEIL", "SIN"])
def test_an_operator_without_integer_kernel_stays_in_float(kind: str) -> None:
    packed = quantized_throughout(network(kind), FORMATS["int8"], ROWS)
    assert [skipped.reason.split()[0] for skipped in packed.skipped] == [kind]
    assert not can_have(kind, FORMATS["int8"])


def test_a_comparison_of_floats_is_reported_though_its_result_is_none() -> None:
    packed = quantized_throughout(network("GREATER"), FORMATS["int16x8"], ROWS)
    assert [skipped.reason.split()[0] for skipped in packed.skipped] == ["GREATER"]
    assert len(float_operators(packed.data, "")) == 1


def test_one_without_a_16_bit_kernel_stays_in_float_only_there() -> None:
    assert can_have("ELU", FORMATS["int8"])
    assert not can_have("ELU", FORMATS["int16x8"])
    plan = QuantizationPlan()
    plan.add(FORMATS["int8"])
    plan.add(FORMATS["int16x8"], ["elu_0/output;"])
    data = quantize(network("ELU"), plan, ROWS)
    assert {o.kind: o.activations for o in computed(data)}["ELU"] == "float32"
    assert sqnr(network("ELU"), data) > 30


@pytest.mark.parametrize("format", ["int8", "int16x8"])
@pytest.mark.parametrize(
    "kinds",
    [("MINIMUM",), ("MINIMUM", "RELU"), ("RELU", "MINIMUM"), ("MINIMUM", "MAXIMUM"), ("MAXIMUM", "MINIMUM")],
)
def test_clamps_become_the_range_of_the_layer(kinds: tuple[str, ...], format: str) -> None:
    source = network(*kinds, bound=0.5)
    packed = quantized_throughout(source, FORMATS[format], ROWS)
    assert packed.skipped == ()
    kept = [operator.kind for operator in computed(packed.data)]
    is_one_sided_16 = format == "int16x8" and len(kinds) == 1  # 16-bit ranges are symmetric
    assert kept == (["FULLY_CONNECTED", "MINIMUM"] if is_one_sided_16 else ["FULLY_CONNECTED"])
    assert sqnr(source, packed.data) > 35
    facts = read_tflite(packed.data)
    step = facts.subgraphs[0].tensors[facts.outputs[0].tensor].quantization.scale[0]
    outputs = next(iter(Runner(packed.data).run({"x": 100 * ROWS["x"]}).values()))
    assert outputs.max() == pytest.approx(0.5, abs=0.51 * step)
    if len(kinds) == 2:
        assert outputs.min() == pytest.approx(0.0 if "RELU" in kinds else -0.5, abs=1.01 * step)


def test_a_value_that_others_read_too_keeps_its_range() -> None:
    model = Model()
    x, y = model.tensor("x", (1, WIDTH)), model.tensor("dense/MatMul", (1, WIDTH))
    kernel = model.tensor("dense/kernel", (WIDTH, WIDTH), data=np.eye(WIDTH, dtype=np.float32))
    bias = model.tensor("dense/bias", (WIDTH,), data=np.zeros(WIDTH, np.float32))
    model.operator("FULLY_CONNECTED", [x, kernel, bias], [y], table="FullyConnectedOptions")
    limit = model.tensor("limit", (), data=np.array(0.5, np.float32))
    clipped, total = model.tensor("clip/output", (1, WIDTH)), model.tensor("sum/output", (1, WIDTH))
    model.operator("MINIMUM", [y, limit], [clipped], table="MaximumMinimumOptions")
    model.operator("ADD", [y, clipped], [total], table="AddOptions")
    source = model.build([x], [total], signature=True)
    packed = quantized_throughout(source, FORMATS["int8"], ROWS)
    assert packed.skipped == ()
    assert sqnr(source, packed.data) > 30
    assert next(iter(Runner(packed.data).run(ROWS).values())).max() > 2.5
