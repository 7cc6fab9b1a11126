"""Accuracy that recipes keep on four networks, with 100, 300 and 3,000 rows, against plain references.

Each (recipe, network, rows, seed) is a piece of its own, appended to a file of JSON lines; a call continues where the last
one ended. Recipes run as in the product; all rows serve as train and as calibration rows. The networks are in
`trained_networks`, the references in `plain_references`.

    PYTHONPATH=. python tests/bench/bench_quality.py --minutes 8        # measure, cheap pieces first
    PYTHONPATH=. python tests/bench/bench_quality.py --table            # Markdown of what is measured
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_techniques import Memory
from plain_references import REFERENCES
from trained_networks import NETWORKS, TrainedNetwork, trained_network

from lwdash.compress.workbench import Compressed, Workbench
from lwdash.datasets.dataset import Dataset
from lwdash.errors import LwdashError
from lwdash.keras_models.inspection import inspect_model
from lwdash.measure.accuracy import sqnr_db
from lwdash.measure.runner import Runner
from lwdash.recipe import parse_recipe
from lwdash.tflite.reader import read_tflite

FOLDER = Path(".lwdash/bench_quality")
ROWS, SEEDS = (100, 300, 3000), (0, 1, 2)
GROUPS: dict[str, tuple[str, ...]] = {
    "formats": (
        "int8",
        "int8(per_channel=false)",
        "int8(bits=4)",
        "auto",
        "auto(max_drop=0.5)",
        "TFLiteConverter, int8",
        "TFLiteConverter, int8, one scale",
    ),
    "smaller networks": (
        "prune(sparsity=0.5)",
        "prune(sparsity=0.8)",
        "prune(sparsity=auto, mean_sparsity=0.8)",
        "channels(ratio=0.3)",
        "cluster(clusters=16)",
        "low_rank(macs=0.5)",
        "TFMOT, 50 % zeros",
        "TFMOT, 80 % zeros",
        "TFMOT, 16 clusters",
    ),
    "few bits": (
        "lowbit(bits=3) + int8 + coded",
        "lowbit(bits=2) + int8 + coded",
        "qat + int8(bits=4)",
        "TFMOT, 8 clusters",
        "TFMOT, 4 clusters",
        "TFMOT, trained for int8",
    ),
    "variants": (
        "weight_only(bits=4)",
        "int8(bits=4, per_channel=false)",
        "qat + int8",
        "prune(sparsity=0.5, teacher=0, validate=false)",
        "prune(sparsity=0.8, teacher=0, validate=false)",
        "prune(sparsity=0.8, scope=global)",
        "channels(ratio=0.3, teacher=0, validate=false)",
        "cluster(clusters=8) + int8 + coded",
        "cluster(clusters=4) + int8 + coded",
        "lowbit(bits=4) + int8 + coded",
        "lowbit(bits=1) + int8 + coded",
        "lowbit(bits=3, spacing=powers) + int8 + coded",
        "lowbit(bits=2, spacing=sums) + int8 + coded",
    ),
}
"""Recipes and references; the last group compares other settings than the defaults."""
TABLES = ("formats", "smaller networks", "few bits")
"""Groups that are measured if none is chosen."""
GOALS = {
    "prune(sparsity=0.5)": 1.0,
    "channels(ratio=0.3)": 3.0,
    "cluster(clusters=16)": 0.5,
    "int8(bits=4)": 1.0,
}
"""Points below the float network that a recipe may lose, mean of the seeds."""
PER_CHANNEL, PER_TENSOR = "int8", "int8(per_channel=false)"
MAX_BELOW_PER_CHANNEL = 0.2
"""Points that one scale a kernel may lose against one a channel."""


@dataclass(frozen=True)
class Piece:
    """One measurement: a recipe, or the name of a plain reference."""

    recipe: str
    network: str
    rows: int
    seed: int


@dataclass(frozen=True)
class Prepared:
    """A network with the rows of one seed, ready for recipes."""

    network: TrainedNetwork
    rows: np.ndarray
    labels: np.ndarray
    workbench: Workbench

    def compress(self, recipe: str) -> Compressed:
        return self.workbench.compress(parse_recipe(recipe), lambda doing, share: None)


def prepared(network: TrainedNetwork, count: int, seed: int, folder: Path) -> Prepared:
    """folder: an empty one for the cached stages."""
    rows, labels = network.rows(count, seed)
    facts = inspect_model(network.path)
    inputs, classes = network.source.evaluated
    given = np.arange(count)
    parts = {"train": given, "calibration": given, "evaluation": count + np.arange(len(inputs))}
    values = {facts.inputs[0].name: np.concatenate([rows, inputs])}
    workbench = Workbench(
        model_path=network.path,
        model_sha256="",
        facts=facts,
        dataset=Dataset(values, np.concatenate([labels, classes]), None, parts, (), task="classification"),
        dataset_key="",
        task="classification",
        seed=seed,
        cache=Memory(folder),
    )
    return Prepared(network, rows, labels, workbench)


def outputs_of(made: Any, rows: np.ndarray) -> np.ndarray:
    """Outputs of a Keras model or of the bytes of a .tflite, (rows, classes)."""
    if not isinstance(made, bytes):
        return np.asarray(made.predict(rows, batch_size=256, verbose=0))
    (port,) = read_tflite(made).inputs
    (outputs,) = Runner(made).run({port.name: rows}).values()
    return np.asarray(outputs)


def measured(piece: Piece, given: Prepared) -> dict[str, Any]:
    """Accuracy, bytes and CPU seconds of a piece, or the error that it ended with."""
    started = time.process_time()
    result: dict[str, Any] = asdict(piece)
    try:
        if piece.recipe in REFERENCES:
            made = REFERENCES[piece.recipe][1](given.network.load(), given.rows, given.labels)
        else:
            done = given.compress(piece.recipe)
            made = done.tflite
            result |= {"bytes": len(made), "stored_bytes": len(done.stored or made)} | _facts(done)
    except LwdashError as error:
        return {**result, "error": str(error)[:300]}
    except (ValueError, RuntimeError, AttributeError) as error:
        if piece.recipe not in REFERENCES:
            raise
        return {**result, "error": str(error)[:300]}  # TFMOT and the converter do not treat every layer
    result["cpu_seconds"] = round(time.process_time() - started, 2)
    rows, labels = given.network.source.evaluated
    outputs, reference = outputs_of(made, rows), _float_outputs(given)
    sqnr = sqnr_db(reference, outputs)
    return {
        **result,
        "float": float(np.mean(reference.argmax(axis=1) == labels)),
        "accuracy": float(np.mean(outputs.argmax(axis=1) == labels)),
        "sqnr_db": None if sqnr is None else round(sqnr, 2),
    }


_FLOAT_OUTPUTS: dict[str, np.ndarray] = {}


def _float_outputs(given: Prepared) -> np.ndarray:
    name = given.network.name
    if name not in _FLOAT_OUTPUTS:
        _FLOAT_OUTPUTS[name] = outputs_of(given.network.load(), given.network.source.evaluated[0])
    return _FLOAT_OUTPUTS[name]


def _facts(done: Compressed) -> dict[str, Any]:
    """Whether a fine-tuning was kept, what it learnt from, and what auto chose."""
    wanted = ("kept_epoch", "epochs", "learnt_from", "mixed_rows")
    found: dict[str, Any] = {}
    for stage in done.stages:
        found |= {name: stage.facts[name] for name in wanted if name in stage.facts}
        if "auto" in stage.facts:
            found["chosen"] = stage.facts["auto"]["recipe"]
    return found


def pieces(
    recipes: Sequence[str],
    networks: Sequence[str] = tuple(NETWORKS),
    rows: Sequence[int] = ROWS,
    seeds: Sequence[int] = SEEDS,
) -> Iterator[Piece]:
    """All pieces; those of one seed first, so that an early end leaves whole lines."""
    for seed, count, network, recipe in itertools.product(seeds, rows, networks, recipes):
        yield Piece(recipe, network, count, seed)


def read(results: Path) -> dict[Piece, dict[str, Any]]:
    lines = results.read_text().splitlines() if results.exists() else []
    found = map(json.loads, lines)
    return {Piece(f["recipe"], f["network"], f["rows"], f["seed"]): f for f in found}


def measure(wanted: Sequence[Piece], results: Path, seconds: float) -> None:
    """Measure the pieces that `results` does not have, until `seconds` have passed."""
    end = time.monotonic() + seconds
    missing = [piece for piece in wanted if piece not in read(results)]
    results.parent.mkdir(parents=True, exist_ok=True)
    groups = itertools.groupby(missing, key=lambda piece: (piece.network, piece.rows, piece.seed))
    for (name, rows, seed), group in groups:
        with tempfile.TemporaryDirectory() as folder, open(results, "a") as file:
            given = prepared(trained_network(name, FOLDER), rows, seed, Path(folder))
            for piece in group:
                if time.monotonic() > end:
                    return
                found = measured(piece, given)
                file.write(json.dumps(found) + "\n")
                file.flush()
                print(_line(found), flush=True)


def _line(found: dict[str, Any]) -> str:
    start = f"{found['network']:8} {found['rows']:5} {found['seed']} {found['recipe']:40}"
    if "error" in found:
        return f"{start} {found['error']}"
    lost = 100 * (found["float"] - found["accuracy"])
    rest = {k: v for k, v in found.items() if k in ("bytes", "stored_bytes", "kept_epoch", "sqnr_db")}
    return f"{start} lost {lost:5.2f} of {100 * found['float']:.2f}, {found['cpu_seconds']:.1f} s {rest}"


def points_lost(found: Sequence[dict[str, Any]]) -> list[float]:
    return [100 * (f["float"] - f["accuracy"]) for f in found if "error" not in f]


def table(results: Path) -> str:
    """Markdown of each group: points lost by recipe and network with 100, 300 and 3,000 rows, mean of the seeds, and kB."""
    found: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for piece, result in read(results).items():
        found.setdefault((piece.recipe, piece.network, piece.rows), []).append(result)
    lines: list[str] = []
    for group, recipes in GROUPS.items():
        lines += [
            f"\n{group}\n",
            f"| recipe | {' | '.join(NETWORKS)} | kB |",
            f"|---|{'---|' * (len(NETWORKS) + 1)}",
        ]
        for recipe in recipes:
            by_network = [[found.get((recipe, name, rows), []) for rows in ROWS] for name in NETWORKS]
            losses = ["; ".join(map(_mean_loss, by_rows)) for by_rows in by_network]
            sizes = [_mean_size([one for some in by_rows for one in some]) for by_rows in by_network]
            lines.append(f"| `{recipe}` | {' | '.join(losses)} | {', '.join(sizes)} |")
    return "\n".join(lines)


def _mean_loss(results: Sequence[dict[str, Any]]) -> str:
    lost = points_lost(results)
    return f"{np.mean(lost) + 0.0:.2f}".replace("-", "−") if lost else "–"


def _mean_size(results: Sequence[dict[str, Any]]) -> str:
    sizes = [result["stored_bytes"] for result in results if "stored_bytes" in result]
    return f"{np.mean(sizes) / 1000:.1f}" if sizes else "–"


@pytest.mark.parametrize("name", NETWORKS)
def test_goals_with_100_rows(name: str, tmp_path: Path) -> None:
    """One seed. The fine-tuning is either kept and better on held-out rows, or taken back."""
    recipes = [*GOALS, PER_CHANNEL, PER_TENSOR]
    results = tmp_path / "results.jsonl"
    measure(list(pieces(recipes, [name], [100], [0])), results, 600)
    lost = {piece.recipe: points_lost([result])[0] for piece, result in read(results).items()}
    assert {recipe: loss for recipe, loss in lost.items() if loss > GOALS.get(recipe, 100)} == {}
    assert lost[PER_TENSOR] <= lost[PER_CHANNEL] + MAX_BELOW_PER_CHANNEL


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--results", type=Path, default=FOLDER / "results.jsonl")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--group", action="append", choices=GROUPS)
    parser.add_argument(
        "--recipe", action="append", help="a recipe or a reference; default: those of the groups"
    )
    parser.add_argument("--network", action="append", choices=NETWORKS)
    parser.add_argument("--rows", action="append", type=int)
    parser.add_argument("--seed", action="append", type=int)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args(arguments)
    if options.table:
        print(table(options.results))
        return
    wanted = pieces(
        options.recipe or [recipe for group in options.group or TABLES for recipe in GROUPS[group]],
        options.network or tuple(NETWORKS),
        options.rows or ROWS,
        options.seed or SEEDS,
    )
    measure(list(wanted), options.results, 60 * options.minutes)


if __name__ == "__main__":
    main(sys.argv[1:])
