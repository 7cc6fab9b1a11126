"""All techniques, one module each; a technique exists by being listed here.

A technique's module has:
  NAME, LABEL, SUMMARY, TRAP   its word in recipes, its title, one sentence, and what people get wrong about it
  STAGE                        "keras" (model → model), "export" (model → .tflite), "tflite" (a number format: .tflite →
                               .tflite) or "storage" (.tflite → a smaller file of the same network)
  Params                       a frozen dataclass of described parameters (lwdash.parameters)
  apply(…)                     the work; see `contract` for what each stage receives and returns
and may have `check_after(params, earlier)`, which refuses parameters that do not go with earlier steps. A keras-stage
technique that trains for a number format has FORMAT, which follows it where a recipe names none, and FORMATS_AFTER, all that
may follow. Its `apply` also receives the formats of the layers, from `trained_formats(params)` of the format's technique.
A tflite-stage technique has NEEDS_ROWS, whether calibration rows are set aside for it; where that depends on its
parameters, `needs_rows(params)` says so. It may have `check(params)`, which refuses parameters that exclude one another.
A storage-stage technique has RUNTIME, what runs its files: "litert", "micro" (TensorFlow Lite Micro) or None where they are
unpacked first. Only files for LiteRT are measured themselves; of the others the file before is. It may have STORES, the
number formats whose files it stores; without it, all.
"""

from types import ModuleType
from typing import Any

from lwdash.techniques import (
    auto,
    channels,
    cluster,
    coded,
    dynamic,
    float16,
    float32,
    int8,
    int16x8,
    low_rank,
    lowbit,
    lut,
    mixed,
    prune,
    qat,
    sparse,
    weight_only,
)

TECHNIQUES: dict[str, ModuleType] = {
    module.NAME: module
    for module in (
        *(channels, low_rank, prune, cluster, lowbit, qat),
        float32,
        *(float16, weight_only, dynamic, int8, int16x8, mixed, auto),
        *(sparse, lut, coded),
    )
}

ORDER = ("channels", "low_rank", "prune", "cluster", "lowbit", "qat")
"""Keras-stage techniques in the order in which none undoes an earlier one."""


def needs_rows(name: str, params: Any) -> bool:
    """True if a tflite-stage technique with these parameters reads calibration rows."""
    technique = TECHNIQUES[name]
    return technique.needs_rows(params) if hasattr(technique, "needs_rows") else technique.NEEDS_ROWS
