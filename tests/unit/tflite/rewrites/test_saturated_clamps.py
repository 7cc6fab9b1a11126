"""A RELU of integers becomes part of the operator before it only where that operator's kernel computes one."""

import pytest
from support.measure_models import Model

from lwdash.measure.runner import check_kernels
from lwdash.tflite.flatbuffer import read_model, write_model
from lwdash.tflite.operator_codes import kind_of
from lwdash.tflite.rewrites.saturated_clamps import drop_saturated_clamps


def clamped(kind: str) -> bytes:
    """A RELU of 16-bit integers, whose range also has negative numbers, after an operator of this kind."""
    model = Model()
    x, z = (model.tensor(name, (1, 4), dtype="int16", scale=0.01) for name in "xz")
    width = 8 if kind == "CONCATENATION" else 4
    y, result = (model.tensor(name, (1, width), dtype="int16", scale=0.01) for name in ("y", "result"))
    options = {"axis": 1} if kind == "CONCATENATION" else {}
    model.operator(kind, [x, z], [y], table=f"{kind.capitalize()}Options", **options)
    model.operator("RELU", [y], [result])
    return model.build([x, z], [result])


@pytest.mark.parametrize(("kind", "left"), [("ADD", ["ADD"]), ("CONCATENATION", ["CONCATENATION", "RELU"])])
def test_a_clamp_is_fused_where_the_kernel_has_it(kind: str, left: list[str]) -> None:
    model = read_model(clamped(kind))
    assert drop_saturated_clamps(model) == 2 - len(left)
    written = write_model(model)
    assert [kind_of(model, operator) for operator in model.subgraphs[0].operators] == left
    check_kernels(written)
