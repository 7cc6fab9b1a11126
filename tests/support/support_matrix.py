"""Which recipes work on which kind of model: every pair really tried, each model in a process of its own.

Run it as `PYTHONPATH=tests python -m support.support_matrix` with

keras_lstm …         tries these models of the zoo, prints a JSON object a line
--update [MODEL …]   tries them (all without a name) and keeps what was found
--write README.md    puts the table of what was found between the README's marks
"""

import functools
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from lwdash.child.warm_parent import LIBRARIES
from support.fork_server import FOR_TENSORFLOW, ForkServer

TESTS = Path(__file__).parents[1]
RESULTS = TESTS / "contract" / "support_matrix.json"
MARKS = ("<!-- support matrix -->", "<!-- /support matrix -->")

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
SUFFIXES = {"keras": ".keras", "tf_keras": ".h5"}
ROWS = 60
FREE_LENGTH = 20
SECONDS = 900
VARIABLES = {**FOR_TENSORFLOW, "PYTHONFAULTHANDLER": "1"}
ATTEMPTS = 3
SIGNS = {"works": "✓", "partly": "◐", "nothing": "–", "fails": "✗"}


class Memory:
    """A cache that lasts as long as the process."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.facts: dict[str, Any] = {}

    def get(self, key: str) -> tuple[Path, dict[str, Any]] | None:
        return (self.folder / key, self.facts[key]) if key in self.facts else None

    def put(self, key: str, kind: str, data: bytes | Path, facts: Mapping[str, Any], seconds: float) -> None:
        (self.folder / key).write_bytes(data.read_bytes() if isinstance(data, Path) else data)
        self.facts[key] = json.loads(json.dumps(facts))

    def making(self, key: str) -> AbstractContextManager[None]:
        return nullcontext()


def random_dataset(facts: Any, rows: int = ROWS) -> Any:
    """Unlabelled rows for a model: small whole numbers for integer inputs, normal ones otherwise."""
    from lwdash.datasets.dataset import Dataset

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


def workbench(path: Path, folder: Path, rows: int = ROWS) -> Any:
    """A workbench for a model file and random rows."""
    from lwdash.compress.workbench import Workbench
    from lwdash.keras_models.inspection import inspect_model

    facts = inspect_model(path)
    return Workbench(
        model_path=path, model_sha256=path.name, facts=facts, dataset=random_dataset(facts, rows),
        dataset_key="random", task="regression", seed=0, cache=Memory(folder),
    )  # fmt: skip


def try_recipes(path: Path, folder: Path) -> dict[str, Any]:
    """Recipe → what became of it, see `try_recipe`."""
    bench = workbench(path, folder)
    return {name: try_recipe(bench, name) for name in RECIPES}


def try_recipe(bench: Any, name: str) -> dict[str, Any]:
    """`state` works, partly (`floats`: operators left in float), nothing (to treat) or fails (`why`)."""
    from lwdash.errors import LwdashError
    from lwdash.quantize.read_back import computed
    from lwdash.recipe import parse_recipe

    try:
        made = bench.compress(parse_recipe(RECIPES[name]), lambda doing, share: None)
    except LwdashError as error:
        is_empty = "there is no layer to treat" in str(error)
        found = {"state": "nothing" if is_empty else "fails", "why": f"{type(error).__name__}: {error}"}
        print(name, found, file=sys.stderr, flush=True)
        return found
    operators = computed(made.tflite) if name in INTEGER else []
    floats = sorted({operator.kind for operator in operators if operator.activations == "float32"})
    print(name, floats, len(made.tflite), dict(made.stages[-1].facts), file=sys.stderr, flush=True)
    return {"state": "partly", "floats": floats} if floats else {"state": "works"}


def try_model(model: str) -> dict[str, Any]:
    """A model of the zoo (`keras_lstm`, `tf_keras_lstm`), built, saved and tried in this process."""
    from support.zoo import Zoo

    library, name = split_name(model)
    with tempfile.TemporaryDirectory() as scratch:
        path = Zoo(Path(scratch)).file(library, name, SUFFIXES[library])
        return try_recipes(path, Path(scratch))


def split_name(model: str) -> tuple[str, str]:
    """`tf_keras_lstm` → (`tf_keras`, `lstm`)."""
    library = "tf_keras" if model.startswith("tf_keras_") else "keras"
    return library, model.removeprefix(f"{library}_")


@functools.cache
def fork_server() -> ForkServer:
    """A server with the libraries of all recipes imported."""
    return ForkServer("support.support_matrix", ["support.zoo", *LIBRARIES, "keras"], VARIABLES)


def try_apart(model: str) -> dict[str, Any]:
    """`try_model` in a child: what ends the process is a failure of all recipes."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(ATTEMPTS):  # a busy machine's guard may end a large child from outside
        ended = fork_server().call([model], {**environment, **VARIABLES}, SECONDS)
        if ended.code != -signal.SIGTERM:
            break
    if ended.code:
        said = ended.err.partition("Extension modules")[0]
        why = f"the process ended with {ended.code}: {said[-2000:]}"
        return {name: {"state": "fails", "why": why} for name in RECIPES}
    return json.loads(ended.out.splitlines()[-1])[model]


def try_all(models: Sequence[str], at_once: int = 2) -> Iterator[tuple[str, dict[str, Any]]]:
    """(model, what was found) of each, in order."""
    fork_server()  # before two threads start one each
    with ThreadPoolExecutor(at_once) as pool:
        yield from zip(models, pool.map(try_apart, models), strict=True)


def all_models() -> list[str]:
    from support.zoo_models import SMALL

    return [f"{library}_{name}" for library in SUFFIXES for name in SMALL]


def kept_results() -> dict[str, dict[str, dict[str, Any]]]:
    """What was found the last time, by model and recipe."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def table(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """The README's section: a row a kind of model, a column a recipe; Keras 3 before Keras 2 where they differ."""
    kinds = dict.fromkeys(split_name(model)[1] for model in results)
    lines = [
        "✓ works; ◐ works, with the operators listed below in float; – there is nothing in it that the technique treats; "
        "✗ does not work. Two signs: Keras 3 (`.keras`), then Keras 2 (`.h5`). "
        "`prune` and `cluster` are followed by `int8`.",
        "",
        f"| Model | {' | '.join(RECIPES)} |",
        f"|---|{':-:|' * len(RECIPES)}",
    ]
    for kind in sorted(kinds):
        cells = [_signs(results, kind, recipe) for recipe in RECIPES]
        lines.append(f"| {kind.replace('_', ' ')} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_left_in_float(results), *_failures(results)])


def _signs(results: Mapping[str, Any], kind: str, recipe: str) -> str:
    models = [f"{library}_{kind}" for library in SUFFIXES if f"{library}_{kind}" in results]
    signs = [SIGNS[results[model][recipe]["state"]] for model in models]
    return signs[0] if len(set(signs)) == 1 else " ".join(signs)


def _left_in_float(results: Mapping[str, Any]) -> list[str]:
    """One line for each kind of model, and one more for a recipe that leaves other operators than `int8` alone."""
    lines = []
    for kind in sorted({split_name(model)[1] for model in results}):
        models = [model for model in results if split_name(model)[1] == kind]
        left = {
            recipe: sorted({o for m in models for o in results[m][recipe].get("floats", [])})
            for recipe in INTEGER
        }
        for recipe, operators in left.items():
            if operators and (recipe == "int8" or operators != left["int8"]):
                after = "" if recipe == "int8" else f" after {recipe}"
                lines.append(f"- {kind.replace('_', ' ')}{after}: {', '.join(operators)}")
    return ["In float after `int8`:", "", *lines] if lines else []


def _failures(results: Mapping[str, Any]) -> list[str]:
    """One line for each model and reason, with the recipes that it ends."""
    ended: dict[tuple[str, str], list[str]] = {}
    for model, recipes in results.items():
        for recipe, found in recipes.items():
            if found["state"] == "fails":
                why = " ".join(found["why"].split()).partition(": ")[2] or found["why"]
                ended.setdefault((model, why), []).append(recipe)
    lines = [
        f"- {model.replace('_', ' ')}, {'every recipe' if set(failed) == set(RECIPES) else ', '.join(failed)}: {why}"
        for (model, why), failed in ended.items()
    ]
    return ["", "Does not work:", "", *lines] if lines else []


def write_table(readme: Path) -> None:
    """Replaces what is between the marks. Raises ValueError where they are missing."""
    text = readme.read_text()
    before, first, rest = text.partition(MARKS[0])
    _, last, after = rest.partition(MARKS[1])
    if not first or not last:
        raise ValueError(f"{readme} does not have both marks {MARKS[0]} and {MARKS[1]}")
    readme.write_text(f"{before}{MARKS[0]}\n{table(kept_results())}\n{MARKS[1]}{after}")


def update(models: Iterable[str], at_once: int = 2) -> None:
    """Tries models and keeps what was found, after each one."""
    for model, found in try_all(list(models), at_once):
        states = " ".join(f"{name} {entry['state']}" for name, entry in found.items())
        print(model, states, file=sys.stderr, flush=True)
        results = {**kept_results(), model: found}
        ordered = {model: results[model] for model in all_models() if model in results}
        RESULTS.write_text(json.dumps(ordered, indent=1) + "\n")


def main(arguments: Sequence[str]) -> None:
    if arguments[:1] == ["--write"]:
        write_table(Path(arguments[1]))
    elif arguments[:1] == ["--update"]:
        update(arguments[1:] or all_models(), int(os.environ.get("AT_ONCE", 2)))
    else:
        for model in arguments:
            print(json.dumps({model: try_model(model)}))


if __name__ == "__main__":
    main(sys.argv[1:])
