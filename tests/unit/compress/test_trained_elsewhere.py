"""Keras stages that another process trains: asked for once, reported as there, and trained here without a result."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lwdash.compress.cached_stages import StageProduct, Stages
from lwdash.compress.keras_stages import KerasStages
from lwdash.compress.stage_keys import StageKeys
from lwdash.recipe import parse_recipe

STEPS = parse_recipe("channels(ratio=0.5) + prune(sparsity=0.5)").keras_steps
KEYS = StageKeys("a" * 64, [(4,)], "rows", "classification", 0)


class Folder:
    """A cache in a folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def get(self, key: str) -> tuple[Path, dict[str, Any]] | None:
        return (self.folder / key, {}) if (self.folder / key).exists() else None

    def put(self, key: str, kind: str, data: bytes, facts: Any, seconds: float) -> None:
        (self.folder / key).write_bytes(data)

    def making(self, key: str) -> AbstractContextManager[None]:
        return nullcontext()


def report(name: str, seconds: float) -> dict[str, Any]:
    return {
        "name": name,
        "seconds": seconds,
        "cached": False,
        "peak_memory_mb": 1,
        "facts": {"gpu": "T4"},
        "skipped": [],
    }


class Bench(KerasStages):
    """Keras stages whose own training only notes that it was asked for."""

    def __init__(self, folder: Path, works: bool):
        self.cache, self.asked, self.works, self.trained = Folder(folder), list[str](), works, list[str]()
        models = SimpleNamespace(is_function_only=False, read_stored=lambda data: data.decode())
        super().__init__(models, Stages(self.cache), KEYS, lambda doing, share: None, self.elsewhere_)  # type: ignore[arg-type]

    def elsewhere_(self, recipe: str, key: str) -> Sequence[dict[str, Any]] | None:
        self.asked.append(recipe)
        time.sleep(0.2)
        if not self.works:
            return None
        self.cache.put(key, "keras", b"from the GPU", {}, 0)
        return [report(str(step), 0.05) for step in STEPS]

    def _apply_last(self, steps: Sequence[Any]) -> StageProduct:
        if len(steps) > 1:
            self.model_after(steps[:-1])
        self.trained.append(str(steps[-1]))
        return StageProduct(b"from the CPU", {})


def test_the_whole_recipe_is_asked_for_once_and_its_reports_are_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path, works=True)
    export = bench.stages.make(
        "export", "export", "e", lambda: StageProduct(bench.model_after(STEPS).encode(), {})
    )
    assert export.data == b"from the GPU"
    assert bench.asked == [" + ".join(map(str, STEPS))]
    assert bench.trained == []
    reports = {one.name: one for one in bench.stages.reports}
    assert [reports[str(step)].facts["gpu"] for step in STEPS] == ["T4", "T4"]
    assert reports["export"].seconds == pytest.approx(0, abs=0.05), "waiting belongs to no stage"


def test_without_a_result_this_process_trains_and_asks_no_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path, works=False)
    assert bench.model_after(STEPS) == "from the CPU"
    assert len(bench.asked) == 1
    assert bench.trained == list(map(str, STEPS))
    bench.forget()
    assert bench.model_after(STEPS) == "from the CPU"
    assert len(bench.asked) == 1, "a stored stage needs no training"
