"""The last stage of a recipe: the finished .tflite in a form that takes fewer bytes, with the same outputs."""

import hashlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from lwdash.compress.cached_stages import StageProduct, Stages, skipped_facts
from lwdash.compress.live_models import LiveModels
from lwdash.compress.stage_keys import StageKeys
from lwdash.contract import Accepts, Packed, Progress, Rows
from lwdash.errors import InternalFault, ResultRejected
from lwdash.measure.micro_runtime import refusal_on_micro
from lwdash.measure.runner import Runner, check_kernels
from lwdash.packing.coded_file import CodedDamaged, decode
from lwdash.recipe import Recipe
from lwdash.targets.micro import run_on_micro
from lwdash.techniques import TECHNIQUES
from lwdash.tflite.reader import read_tflite

MAX_REASON_LETTERS = 160


class StorageStage:
    """Files of one model in storage forms, each a cached stage."""

    def __init__(self, models: LiveModels, stages: Stages, keys: StageKeys, progress: Progress):
        self.models, self.stages, self.keys, self.progress = models, stages, keys, progress

    def stored_file(self, source: bytes, recipe: Recipe) -> StageProduct:
        """The file that the storage step of `recipe` makes of `source`, what its other steps made."""
        step = recipe.storage_step
        assert step is not None
        technique = TECHNIQUES[step.name]

        def make() -> StageProduct:
            self.progress(technique.LABEL.lower(), 0.0)
            stored = store(technique, step.params, source, self.models.sample_rows())
            return StageProduct(stored.data, {**stored.facts, "skipped": skipped_facts(stored.skipped)})

        return self.stages.make(str(step), "storage", self.keys.stored_file(recipe), make)


def store(technique: ModuleType, params: Any, source: bytes, rows: Rows) -> Packed:
    """The file of a storage-stage technique, checked on `rows`: its outputs are those of `source`, bit by bit.

    Raises ResultRejected where they are not, or where the file became larger.
    """
    check = CHECKS[technique.RUNTIME](source, rows)
    accepts = _each_file_once(check.accepts)
    packed = technique.apply(source, params, accepts)
    if len(packed.data) > len(source):
        raise ResultRejected(
            f"{technique.NAME} made the file larger: {len(source):,} → {len(packed.data):,} bytes"
        )
    if packed.data != source and (reason := accepts(packed.data)):
        raise ResultRejected(
            f"the file stored by {technique.NAME} does not give the outputs that it had: {reason}"
        )
    facts = {**packed.facts, **check.facts(packed.data), "checked_rows": len(next(iter(rows.values())))}
    return Packed(packed.data, packed.skipped, facts)


def _each_file_once(accepts: Accepts) -> Accepts:
    """`accepts` with its results kept by content: a technique has often tried the file that it returns."""
    known: dict[bytes, str | None] = {}

    def remembered(data: bytes) -> str | None:
        key = hashlib.sha256(data).digest()
        if key not in known:
            known[key] = accepts(data)
        return known[key]

    return remembered


class _InLiteRT:
    """Holds files against `source` in LiteRT, with XNNPACK and without."""

    def __init__(self, source: bytes, rows: Rows):
        self.rows, self.expected = rows, Runner(source).run(rows)

    def accepts(self, data: bytes) -> str | None:
        try:
            check_kernels(data)
            return _difference(self.expected, Runner(data).run(self.rows))
        except InternalFault as error:
            return " ".join(str(error).split())[:MAX_REASON_LETTERS]

    def facts(self, data: bytes) -> dict[str, Any]:
        return {}


class _InMicro:
    """Holds files against `source` in TensorFlow Lite Micro. Raises ResultRejected where it does not run the source."""

    def __init__(self, source: bytes, rows: Rows):
        self.rows, self.expected = rows, run_on_micro(source, rows)
        if self.expected.refusal:
            known = refusal_on_micro(read_tflite(source))
            reason = known.reason if known else self.expected.refusal.rstrip(".")
            remedy = f"{known.remedy}, or leave lut out" if known else "leave lut out"
            raise ResultRejected(
                f"TensorFlow Lite Micro does not run the file before its storage form: {reason}. What to do: {remedy}"
            )

    def accepts(self, data: bytes) -> str | None:
        found = run_on_micro(data, self.rows)
        return found.refusal or _difference(self.expected.outputs, found.outputs)

    def facts(self, data: bytes) -> dict[str, Any]:
        """Arena before and after, in bytes: unpacked kernels need RAM."""
        after = run_on_micro(data, {name: values[:1] for name, values in self.rows.items()}).arena
        before = self.expected.arena
        if before is None or after is None:
            return {}
        return {"micro_arena_bytes": after.total_bytes, "micro_arena_bytes_before": before.total_bytes}


class _Decoded:
    """Decodes files and compares them with `source`."""

    def __init__(self, source: bytes, rows: Rows):
        self.source = source

    def accepts(self, data: bytes) -> str | None:
        try:
            decoded = decode(data)
        except CodedDamaged as error:
            return str(error)
        return None if decoded == self.source else "the decoded file is another one"

    def facts(self, data: bytes) -> dict[str, Any]:
        return {}


def _difference(expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> str | None:
    """The first output that differs, as a clause."""
    for name, values in expected.items():
        if not np.array_equal(values, found[name]):
            return f"output '{name}' differs by up to {float(np.abs(values - found[name]).max()):.3g}"
    return None


CHECKS: Mapping[str | None, Callable[[bytes, Rows], _InLiteRT | _InMicro | _Decoded]] = {
    "litert": _InLiteRT,
    "micro": _InMicro,
    None: _Decoded,
}
"""Checks of a storage form's outputs against those of its source, by the runtime of its files."""
