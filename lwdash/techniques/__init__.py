"""All techniques, one module each; a technique exists by being listed here.

A technique's module has:
  NAME, LABEL, SUMMARY, TRAP   its word in recipes, its title, one sentence, and what people get wrong about it
  STAGE                        "keras" (model → model), "export" (model → .tflite) or "tflite" (bytes → bytes)
  Params                       a frozen dataclass of described parameters (lwdash.parameters)
  apply(…)                     the work; see `contract` for what each stage receives and returns
and may have `check_after(params, earlier)`, which refuses parameters that do not go with earlier steps, and FORMAT, the
number format that a keras-stage technique trains for and that follows it where a recipe names none.
A tflite-stage technique has NEEDS_ROWS, whether calibration rows are set aside for it; where that depends on its
parameters, `needs_rows(params)` says so. It may have `check(params)`, which refuses parameters that exclude one another.
"""

from types import ModuleType
from typing import Any

from lwdash.techniques import (
    channels,
    cluster,
    dynamic,
    float16,
    float32,
    int8,
    int16x8,
    low_rank,
    mixed,
    prune,
    qat,
    weight_only,
)

TECHNIQUES: dict[str, ModuleType] = {
    module.NAME: module
    for module in (
        *(channels, low_rank, prune, cluster, qat),
        float32,
        *(float16, weight_only, dynamic, int8, int16x8, mixed),
    )
}

ORDER = ("channels", "low_rank", "prune", "cluster", "qat")
"""Keras-stage techniques in the order in which none undoes an earlier one."""


def needs_rows(name: str, params: Any) -> bool:
    """Whether a tflite-stage technique with these parameters reads calibration rows."""
    technique = TECHNIQUES[name]
    return technique.needs_rows(params) if hasattr(technique, "needs_rows") else technique.NEEDS_ROWS
