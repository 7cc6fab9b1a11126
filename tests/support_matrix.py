"""Which recipes work on which kind of model: every pair really tried, each model in a process of its own.

`python tests/support_matrix.py FILE` prints one JSON object: recipe → null where it worked, else the reason.
"""

import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lwdash.datasets.dataset import Dataset
from lwdash.errors import LwdashError
from lwdash.keras_models.facts import ModelFacts
from lwdash.keras_models.inspect import inspect_model
from lwdash.pipeline import Workbench
from lwdash.recipe import parse_recipe
from lwdash.techniques.readback import computed

RECIPES = {
    "float32": "float32",
    "float16": "float16",
    "dynamic": "dynamic",
    "int8": "int8",
    "prune": "prune(sparsity=0.5, epochs=1) + int8",
    "cluster": "cluster(clusters=8, epochs=1) + int8",
}
INTEGER = ("int8", "prune", "cluster")
"""Recipes whose file should compute in integers throughout."""
ROWS = 60
FREE_LENGTH = 20


class Memory:
    """A cache that lasts as long as the process."""

    def __init__(self, folder: Path):
        self.folder, self.facts = folder, {}  # type: ignore[var-annotated]

    def get(self, key: str) -> tuple[Path, dict[str, Any]] | None:
        return (self.folder / key, self.facts[key]) if key in self.facts else None

    def put(self, key: str, kind: str, data: bytes | Path, facts: Mapping[str, Any], seconds: float) -> None:
        (self.folder / key).write_bytes(data.read_bytes() if isinstance(data, Path) else data)
        self.facts[key] = json.loads(json.dumps(facts))


def random_dataset(facts: ModelFacts, rows: int = ROWS) -> Dataset:
    """Unlabelled rows for a model: small whole numbers for integer inputs, normal ones otherwise."""
    chance = np.random.default_rng(0)
    inputs = {}
    for port in facts.inputs:
        shape = (rows, *(n or FREE_LENGTH for n in port.shape or ()))
        is_whole = "int" in port.dtype
        values = chance.integers(0, 10, shape) if is_whole else chance.normal(0, 1, shape)
        inputs[port.name] = values.astype(port.dtype if is_whole else "float32")
    thirds = np.array_split(np.arange(rows), 3)
    parts = dict(zip(("train", "calibration", "evaluation"), thirds, strict=True))
    return Dataset(inputs=inputs, labels=None, classes=None, parts=parts, warnings=())


def workbench(path: Path, folder: Path) -> Workbench:
    """A workbench for a model file and random rows."""
    facts = inspect_model(path)
    return Workbench(
        model_path=path, model_sha256=path.name, facts=facts, dataset=random_dataset(facts), dataset_key="random",
        task="regression", seed=0, cache=Memory(folder),
    )  # fmt: skip


def try_recipes(path: Path, folder: Path) -> dict[str, Any]:
    """Recipe → null, or why it did not work."""
    bench = workbench(path, folder)
    found: dict[str, Any] = {}
    for name, text in RECIPES.items():
        try:
            made = bench.compress(parse_recipe(text), lambda doing, share: None)
            facts = made.stages[-1].facts
            found[name] = {"bytes": len(made.tflite), "facts": facts}
            if name in INTEGER:
                floats = Counter(o.kind for o in computed(made.tflite) if o.activations == "float32")
                found[name]["float_left"] = dict(floats)
        except LwdashError as error:
            found[name] = {"error": f"{type(error).__name__}: {error}"}
        print(name, found[name], file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(try_recipes(Path(sys.argv[1]), Path(scratch))))
