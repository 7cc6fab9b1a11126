"""Records real runs for the replayed search test: `python tests/bench/record_search_runs.py --folder F NETWORK …`.

Each network of `search_networks` is trained. Then all recipes of `recipes()` are made and measured with lwdash's own
code: four number formats after each stack of training steps. Fine-tuning is shortened to `EPOCHS` epochs a step, which
the recorded recipes leave out. A network takes about 2 minutes of one core.

With `--wide`, the recipes are of the space that a search has now, with sparsities by layer, weights below 8 bits, epochs and
learning rates: `DRAWN` stacks as the random sampler draws them, and others, each before all number formats. Epochs
are those of the recipe, on `WIDE_ROWS` rows. They are in `fixtures/search_runs_wide.csv`, with the accuracy and the
seconds of each training step.

The runs are added to `fixtures/search_runs.csv`. A recording goes on where it stopped: `--seconds N` ends it after N
seconds, and `--folder` keeps the stages. A run that failed has no values, but the reason.

The table at hand has the networks dense, convolutional, one_dimensional, residual and table; convolutional and
one_dimensional with `--more`. Of three of them the last recipes with `qat` are missing. What the search expects of the
techniques was settled before residual and table were recorded.
"""

import argparse
import csv
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from search_networks import NETWORKS, SEED

from lwdash.analyses.accuracy_waterfall import OUTPUTS
from lwdash.analyses.stage_losses import read_outputs
from lwdash.compress.workbench import Compressed, Workbench
from lwdash.datasets.dataset import Dataset
from lwdash.errors import LwdashError
from lwdash.examples.train_example import import_keras, train
from lwdash.keras_models.inspection import inspect_model
from lwdash.measure.measure_run import measure
from lwdash.measure.output_cache import OutputCache
from lwdash.recipe import Recipe, Step, make_recipe, parse_recipe
from lwdash.search import space as search_space
from lwdash.search.candidates import Candidates

TABLE = Path(__file__).parents[1] / "fixtures" / "search_runs.csv"
WIDE_TABLE = TABLE.with_name("search_runs_wide.csv")
METRICS = ("size_bytes", "gzip_bytes", "arena_bytes", "macs")
COLUMNS = ("network", "recipe", "accuracy", *METRICS, "error")
STAGE_COLUMNS = ("stage_accuracies", "stage_seconds", "other_seconds")
"""Columns of the wide table: of each training step in order, separated by blanks; and the rest of the compression."""
EPOCHS = 8
ROWS_OF = {"train": 1000, "calibration": 100}
TASK = "classification"

FORMATS = ("int8", "float16", "dynamic(bits=4)", "int16x8")
STACKS = (
    "",
    "channels(ratio=0.3)",
    "channels(ratio=0.3) + prune(sparsity=0.8, scope=global)",
    "channels(ratio=0.3) + prune(sparsity=0.8, scope=global) + cluster(clusters=16)",
    "channels(ratio=0.3) + cluster(clusters=6)",
    "prune(sparsity=0.75)",
    "prune(sparsity=0.75) + cluster(clusters=12)",
    *(f"prune(sparsity={sparsity}, scope=global)" for sparsity in (0.85, 0.95)),
    *(f"prune(sparsity={sparsity}, scope=global) + cluster(clusters=16)" for sparsity in (0.85, 0.95)),
    *(f"cluster(clusters={clusters})" for clusters in (8, 16)),
    "channels(ratio=0.5)",
    "channels(ratio=0.5) + prune(sparsity=0.8)",
    "channels(ratio=0.5) + prune(sparsity=0.8) + cluster(clusters=8)",
    "channels(ratio=0.5) + cluster(clusters=16)",
    "channels(ratio=0.7)",
    "low_rank(energy=0.84)",
    "low_rank(energy=0.84) + prune(sparsity=0.8)",
    "low_rank(energy=0.84) + prune(sparsity=0.8) + cluster(clusters=8)",
    "low_rank(energy=0.84) + cluster(clusters=16)",
    "low_rank(energy=0.72)",
    "channels(ratio=0.3) + low_rank(energy=0.84)",
    "channels(ratio=0.3) + low_rank(energy=0.84) + prune(sparsity=0.6)",
    "channels(ratio=0.3) + low_rank(energy=0.84) + prune(sparsity=0.6) + cluster(clusters=16)",
    "channels(ratio=0.3) + low_rank(energy=0.84) + cluster(clusters=16)",
)
"""Training steps before quantizing: every combination of techniques, with strengths over the whole of the search space.
Stacks share their first steps, which are trained once."""
MORE_STACKS = (
    "channels(ratio=0.15)",
    "low_rank(energy=0.94)",
    *(f"prune(sparsity={sparsity})" for sparsity in (0.6, 0.85, 0.95)),
    "prune(sparsity=0.75, scope=global)",
    *(f"cluster(clusters={clusters})" for clusters in (4, 32)),
    "channels(ratio=0.5) + low_rank(energy=0.84)",
    "prune(sparsity=0.6) + cluster(clusters=16)",
    "prune(sparsity=0.75) + cluster(clusters=6)",
    "prune(sparsity=0.85) + cluster(clusters=24)",
    "prune(sparsity=0.75, scope=global) + cluster(clusters=24)",
    "prune(sparsity=0.85, scope=global) + cluster(clusters=8)",
    "channels(ratio=0.15) + prune(sparsity=0.5)",
    "channels(ratio=0.15) + cluster(clusters=16)",
    "channels(ratio=0.15) + prune(sparsity=0.5) + cluster(clusters=16)",
    "low_rank(energy=0.84) + prune(sparsity=0.5)",
    "low_rank(energy=0.72) + cluster(clusters=16)",
    "low_rank(energy=0.84) + prune(sparsity=0.5) + cluster(clusters=16)",
)
"""Stacks that `--more` adds."""
WIDE_ROWS = 300
"""Rows to train on; the network itself is trained on all."""
DRAWN = 40
DRAWN_FORMATS = ("int8", "float16", "dynamic(bits=4)", "auto")
"""Formats with which stacks are drawn; each is recorded with all formats of a search that go with it."""
STRONG_STACKS = (
    "channels(ratio=0.7)",
    "channels(ratio=0.7) + lowbit(bits=3)",
    "channels(ratio=0.7) + cluster(clusters=8)",
    "channels(ratio=0.6)",
    "channels(ratio=0.6) + lowbit(bits=3)",
    "channels(ratio=0.6) + lowbit(bits=2)",
    "channels(ratio=0.6) + prune(sparsity=auto, mean_sparsity=0.6)",
    "channels(ratio=0.6) + prune(sparsity=auto, mean_sparsity=0.6) + cluster(clusters=6)",
    "channels(ratio=0.6) + prune(sparsity=auto, mean_sparsity=0.6) + lowbit(bits=3)",
    "channels(ratio=0.5) + lowbit(bits=2)",
    "channels(ratio=0.5) + cluster(clusters=6)",
    "channels(ratio=0.5) + prune(sparsity=auto, mean_sparsity=0.75) + cluster(clusters=6)",
    "channels(ratio=0.5) + prune(sparsity=auto, mean_sparsity=0.75) + lowbit(bits=3)",
    "channels(ratio=0.5) + prune(sparsity=0.8) + cluster(clusters=8)",
    "channels(ratio=0.5) + low_rank(macs=0.6)",
    "channels(ratio=0.5) + low_rank(macs=0.6) + lowbit(bits=3)",
    "prune(sparsity=auto, mean_sparsity=0.95) + cluster(clusters=8)",
    "prune(sparsity=auto, mean_sparsity=0.95) + lowbit(bits=2)",
    "prune(sparsity=0.95) + cluster(clusters=8)",
    "channels(ratio=0.7, epochs=100)",
    "channels(ratio=0.7, learning_rate=0.006)",
    "channels(ratio=0.3) + prune(sparsity=auto, mean_sparsity=0.85) + cluster(clusters=6)",
    "channels(ratio=0.3) + prune(sparsity=auto, mean_sparsity=0.85) + lowbit(bits=2)",
    "channels(ratio=0.7) + prune(sparsity=auto, mean_sparsity=0.6) + lowbit(bits=2)",
)
"""Stacks of `--wide` near the limit, recorded first."""
WIDE_STACKS = (
    "",
    "channels(ratio=0.3)",
    "channels(ratio=0.5)",
    "channels(ratio=0.5, epochs=100)",
    *(f"prune(sparsity=auto, mean_sparsity={share})" for share in (0.75, 0.85)),
    "prune(sparsity=0.85)",
    "prune(sparsity=0.9, scope=global)",
    "prune(sparsity=auto, mean_sparsity=0.85, epochs=30)",
    *(f"cluster(clusters={count})" for count in (6, 12)),
    *(f"lowbit(bits={bits})" for bits in (2, 3)),
    "lowbit(bits=3, epochs=30)",
    *(
        f"prune(sparsity=auto, mean_sparsity={share}) + cluster(clusters={count})"
        for share, count in ((0.75, 12), (0.85, 8), (0.95, 8))
    ),
    "prune(sparsity=0.85) + cluster(clusters=8)",
    "prune(sparsity=auto, mean_sparsity=0.75) + lowbit(bits=3)",
    "prune(sparsity=auto, mean_sparsity=0.85) + lowbit(bits=3)",
    "prune(sparsity=auto, mean_sparsity=0.85, epochs=100) + lowbit(bits=3, epochs=100)",
    "channels(ratio=0.3) + prune(sparsity=auto, mean_sparsity=0.75)",
    "channels(ratio=0.3) + prune(sparsity=auto, mean_sparsity=0.75) + cluster(clusters=8)",
    "channels(ratio=0.3) + prune(sparsity=auto, mean_sparsity=0.75) + lowbit(bits=3)",
    "channels(ratio=0.3) + cluster(clusters=8)",
    "channels(ratio=0.3) + lowbit(bits=3)",
    "channels(ratio=0.5) + prune(sparsity=auto, mean_sparsity=0.6) + cluster(clusters=8)",
    "channels(ratio=0.5) + lowbit(bits=3)",
    "low_rank(macs=0.6)",
    "low_rank(macs=0.6) + prune(sparsity=auto, mean_sparsity=0.75) + cluster(clusters=8)",
    "low_rank(macs=0.6) + lowbit(bits=3)",
    "cluster(clusters=12) + qat",
    "prune(sparsity=auto, mean_sparsity=0.75) + cluster(clusters=8) + qat",
)
"""Other stacks of `--wide`, beside those drawn."""
STACKS_BEFORE_QAT = (
    "",
    "channels(ratio=0.3)",
    "channels(ratio=0.5)",
    "low_rank(energy=0.84)",
    "prune(sparsity=0.85, scope=global)",
    "cluster(clusters=16)",
    "prune(sparsity=0.75) + cluster(clusters=12)",
    "channels(ratio=0.3) + prune(sparsity=0.8, scope=global)",
    "channels(ratio=0.3) + prune(sparsity=0.8, scope=global) + cluster(clusters=16)",
)


class DiskCache:
    """Keeps stages in a folder, so that a recording can go on in another process."""

    def __init__(self, folder: Path):
        self.folder = folder

    def get(self, key: str) -> tuple[Path, dict[str, Any]] | None:
        facts = self.folder / f"{key}.json"
        return (self.folder / key, json.loads(facts.read_text())) if facts.exists() else None

    def put(self, key: str, kind: str, data: bytes | Path, facts: Mapping[str, Any], seconds: float) -> None:
        (self.folder / key).write_bytes(data.read_bytes() if isinstance(data, Path) else data)
        (self.folder / f"{key}.json").write_text(json.dumps(facts))

    def making(self, key: str) -> AbstractContextManager[None]:
        return nullcontext()


def recipes(*, is_more: bool, is_wide: bool) -> Iterator[Recipe]:
    """The recorded recipes: four number formats after each stack, then those with quantization-aware training."""
    yield parse_recipe("float32")
    if is_wide:
        yield from wide_recipes()
        return
    for stack in (*STACKS, *(MORE_STACKS if is_more else ())):
        for number_format in FORMATS:
            yield parse_recipe(f"{stack} + {number_format}" if stack else number_format)
    for stack in STACKS_BEFORE_QAT:
        yield parse_recipe(f"{stack} + qat + int8" if stack else "qat + int8")


def drawn_stacks() -> list[tuple[Step, ...]]:
    """`DRAWN` stacks of training steps as the random sampler draws them, each once."""
    candidates = Candidates(search_space.make_space(DRAWN_FORMATS, search_space.SEARCHED))
    rows = candidates.draw(DRAWN, np.random.default_rng(SEED))
    return list(dict.fromkeys(candidates.decode(row).keras_steps for row in rows))


def wide_recipes() -> Iterator[Recipe]:
    """The recipes of `--wide`: the stacks of `STRONG_STACKS`, those drawn, and `WIDE_STACKS`, in all number formats."""
    space = search_space.make_space(search_space.FORMATS, search_space.SEARCHED)
    strong, others = (
        [parse_recipe(stack).keras_steps if stack else () for stack in stacks]
        for stacks in (STRONG_STACKS, WIDE_STACKS)
    )
    stacks = dict.fromkeys([*strong, *drawn_stacks(), *others])
    yield from filter(None, (space.joined(stack, text) for stack in stacks for text in space.formats))


def shortened(recipe: Recipe) -> Recipe:
    """The recipe with `EPOCHS` epochs for each training step."""
    steps = [replace(s, params=replace(s.params, epochs=EPOCHS)) for s in recipe.keras_steps]
    return make_recipe(*steps, *(s for s in recipe.steps if s.stage != "keras"))


def prepare(name: str, folder: Path, *, is_wide: bool) -> Workbench:
    """A trained network of `search_networks` with its rows."""
    network, path = NETWORKS[name], folder / "model.keras"
    inputs, labels = network.rows()
    chance = np.random.default_rng(SEED)
    order = chance.permutation(len(labels))
    ends = np.cumsum(list(ROWS_OF.values()))
    parts = dict(zip((*ROWS_OF, "evaluation"), map(np.sort, np.split(order, ends)), strict=True))
    keras = import_keras(seed=SEED)
    if not path.exists():
        model, chosen = network.build(keras), parts["train"]
        train(
            model,
            inputs[chosen],
            labels[chosen],
            epochs=network.epochs,
            batch_size=32,
            learning_rate=network.learning_rate,
        )
        model.save(path)
    facts = inspect_model(path)
    if is_wide:
        parts["train"] = np.sort(chance.permutation(parts["train"])[:WIDE_ROWS])
    return Workbench(
        model_path=path,
        model_sha256=name,
        facts=facts,
        dataset=Dataset({facts.inputs[0].name: inputs}, labels, None, parts, (), task=TASK),
        dataset_key=name,
        task=TASK,
        seed=0,
        cache=DiskCache(folder),
    )


def stage_columns(bench: Workbench, made: Compressed, labels: np.ndarray) -> dict[str, Any]:
    """The columns `STAGE_COLUMNS` of a recipe that was made."""
    accuracies, seconds = [], []
    reports = {stage.name: stage for stage in made.stages}
    for entry in [entry for entry in made.trail if entry["kind"] == OUTPUTS][1:]:
        outputs, _ = bench.stages.cache.get(entry["key"])
        accuracies.append(np.mean(read_outputs(outputs.read_bytes()).argmax(axis=1) == labels))
        known, report = outputs.with_suffix(".seconds"), reports.pop(entry["stage"], None)
        if report is not None and not report.cached:
            known.write_text(str(report.seconds))
        seconds.append(float(known.read_text()))
    return {
        "stage_accuracies": " ".join(f"{value:.5f}" for value in accuracies),
        "stage_seconds": " ".join(f"{value:.2f}" for value in seconds),
        "other_seconds": round(sum(report.seconds for report in reports.values()), 2),
    }


def record(
    name: str, folder: Path, wanted: Iterable[Recipe], known: set[str], until: float, *, is_wide: bool
) -> Iterator[dict[str, Any]]:
    """Makes and measures the wanted recipes that are not known, until the time is up; a row of the table each."""
    folder.mkdir(parents=True, exist_ok=True)
    bench = prepare(name, folder, is_wide=is_wide)
    inputs, labels = bench.dataset.part("evaluation")
    cache = OutputCache(inputs, threads=1)
    for recipe in wanted:
        if time.monotonic() > until:
            return
        if str(recipe) in known:
            continue
        row: dict[str, Any] = {"network": name, "recipe": str(recipe)}
        try:
            made = bench.compress(recipe if is_wide else shortened(recipe), lambda doing, share: None)
            found = measure(
                made.tflite, made.baseline, inputs, labels, task=TASK, cache=cache, latency_seconds=0
            ).to_dict()
            row |= {column: found[column] for column in METRICS} | {"accuracy": round(found["accuracy"], 5)}
            if is_wide:
                row |= stage_columns(bench, made, labels)
        except LwdashError as error:
            row["error"] = " ".join(str(error).split())[:80]
        yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="+", choices=list(NETWORKS))
    parser.add_argument("--folder", type=Path, required=True, help="keeps the stages")
    parser.add_argument("--more", action="store_true", help="also after the stacks of MORE_STACKS")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument(
        "--wide", action="store_true", help="recipes of the whole search space, in a table of their own"
    )
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    options.table = options.table or (WIDE_TABLE if options.wide else TABLE)
    until = time.monotonic() + options.seconds
    columns = (*COLUMNS, *STAGE_COLUMNS) if options.wide else COLUMNS
    if not options.table.exists():
        options.table.write_text(",".join(columns) + "\n", encoding="utf-8")
    for name in options.networks:
        with options.table.open(encoding="utf-8", newline="") as table:
            known = {row["recipe"] for row in csv.DictReader(table) if row["network"] == name}
        with options.table.open("a", encoding="utf-8", newline="") as table:
            writer = csv.DictWriter(table, columns, lineterminator="\n")
            wanted = recipes(is_more=options.more, is_wide=options.wide)
            for row in record(name, options.folder / name, wanted, known, until, is_wide=options.wide):
                writer.writerow(row)
                table.flush()
        print(f"{name}: {'to be continued' if time.monotonic() > until else 'done'}")


if __name__ == "__main__":
    main()
