"""Operators that litert-quantizer does not know become integers, with outputs near those of the float file."""

from typing import Any

import numpy as np
import pytest
from support.measure_models import Model

from lwdash.measure.accuracy import sqnr_db
from lwdash.measure.runner import Runner, check_kernels
from lwdash.quantize.number_formats import FORMATS, QuantizationPlan, can_have
from lwdash.quantize.quantizers.litert_quantizer import quantize, quantized_throughout
from lwdash.quantize.read_back import computed, float_operators
from lwdash.quantize.stand_ins import STAND_INS
from lwdash.tflite.reader import read_tflite

WIDTH = 8
MOVING = ("BATCH_TO_SPACE_ND", "DEPTH_TO_SPACE", "SPACE_TO_BATCH_ND", "SPLIT_V", "TILE")
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


def moved(kind: str) -> bytes:
    """A dense layer whose outputs are moved to other places, and back into one row."""
    model = Model()
    x, y, z = (model.tensor(name, (1, WIDTH)) for name in ("x", "dense/MatMul", "z"))
    kernel = model.tensor("dense/kernel", (WIDTH, WIDTH), data=np.eye(WIDTH, dtype=np.float32))
    bias = model.tensor("dense/bias", (WIDTH,), data=np.zeros(WIDTH, np.float32))
    model.operator("FULLY_CONNECTED", [x, kernel, bias], [y], table="FullyConnectedOptions")

    def whole(name: str, values: Any) -> int:
        numbers = np.asarray(values, np.int32)
        return model.tensor(name, numbers.shape, dtype="int32", data=numbers)

    if kind == "SPLIT_V":
        parts = [model.tensor("first", (1, 3)), model.tensor("second", (1, WIDTH - 3))]
        sizes = whole("sizes", [3, WIDTH - 3]), whole("axis", 1)
        model.operator(kind, [y, *sizes], parts, table="SplitVOptions", numSplits=2)
        model.operator("CONCATENATION", parts[::-1], [z], table="ConcatenationOptions", axis=1)
        return model.build([x], [z], signature=True)
    shapes = {
        "TILE": ((1, WIDTH), (2, WIDTH)),
        "DEPTH_TO_SPACE": ((1, 1, 1, 8), (1, 2, 2, 2)),
        "SPACE_TO_BATCH_ND": ((1, 1, 2, 4), (2, 1, 1, 4)),
        "BATCH_TO_SPACE_ND": ((2, 1, 1, 4), (1, 1, 2, 4)),
    }
    before, after = (
        model.tensor(name, shape) for name, shape in zip(("before", "after"), shapes[kind], strict=True)
    )
    model.operator("RESHAPE", [y, whole("shape", shapes[kind][0])], [before])
    if kind == "TILE":
        model.operator(kind, [before, whole("times", [2, 1])], [after])
    elif kind == "DEPTH_TO_SPACE":
        model.operator(kind, [before], [after], table="DepthToSpaceOptions", blockSize=2)
    else:
        model.operator(kind, [before, whole("block", [1, 2]), whole("borders", [[0, 0], [0, 0]])], [after])
    flat = model.tensor("flat", (1, int(np.prod(shapes[kind][1]))))
    model.operator("RESHAPE", [after, whole("row", [1, -1])], [flat])
    return model.build([x], [flat], signature=True)


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
    source = moved(kind) if kind in MOVING else network(*(("RELU", "EXP") if kind == "LOG" else ()), kind)
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
