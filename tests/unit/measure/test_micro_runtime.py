"""Files that TensorFlow Lite Micro refuses have no arena, and do not keep a limit on it."""

import numpy as np
import pandas as pd
import pytest
from support.measure_models import Model

from lwdash.measure.micro_runtime import why_not_on_micro
from lwdash.metrics.limits import excess, limits_met, meets_all_limits
from lwdash.tflite.reader import read_tflite

KERNEL = np.arange(8, dtype=np.int8).reshape(2, 4)


def dense(activations: str, weights: str, scales: int = 1) -> bytes:
    model = Model()
    scale = 0.1 if activations == "int8" else None
    x, y = (model.tensor(name, (1, width), activations, scale=scale) for name, width in (("x", 4), ("y", 2)))
    kernel = KERNEL.astype(weights)
    w = model.tensor("w", (2, 4), weights, kernel, scale=[0.1] * scales if weights == "int8" else None)
    model.operator("FULLY_CONNECTED", [x, w], [y])
    return model.build([x], [y])


def unpacked(dtype: str, scales: int) -> bytes:
    model = Model()
    x, y, w = (model.tensor(n, s) for n, s in (("x", (1, 4)), ("y", (1, 2)), ("w", (2, 4))))
    packed = model.tensor("p", (2, 4), dtype, KERNEL.astype(dtype), scale=[0.1] * scales or None)
    model.operator("DEQUANTIZE", [packed], [w])
    model.operator("FULLY_CONNECTED", [x, w], [y])
    return model.build([x], [y])


def unknown() -> bytes:
    model = Model()
    x, y = model.tensor("x", (1, 4)), model.tensor("y", (1, 4))
    model.operator("GELU", [x], [y])
    return model.build([x], [y])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (dense("float32", "float32"), None),
        (dense("int8", "int8", 2), None),
        (dense("float32", "int8"), "refuses such hybrid operators"),
        (unpacked("float16", 0), "does not unpack float16"),
        (unpacked("int8", 1), None),
        (unpacked("int8", 2), "one scale per channel"),
        (unknown(), "no kernel for GELU"),
    ],
)
def test_refusals_have_a_reason(data: bytes, reason: str | None) -> None:
    found = why_not_on_micro(read_tflite(data))
    assert (reason is None and found is None) or (
        reason is not None and found is not None and reason in found
    )


def test_a_file_that_does_not_run_breaks_every_limit_on_the_arena() -> None:
    runs = pd.DataFrame(
        {"arena_bytes": [100.0, None, None], "arena_reason": [None, "It does not run this file.", None]}
    )
    limits = {"arena_bytes": 1e6}
    table = limits_met(runs, limits)["arena_bytes"]
    assert table[:2].tolist() == [1.0, 0.0]
    assert np.isnan(table[2]), "never measured"
    assert excess(runs, limits)["arena_bytes"][1] > 1
    assert meets_all_limits(runs, limits).tolist() == [True, False, False]
