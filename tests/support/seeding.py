"""Fills a database with ended runs, to see pages as they look after a week of use. The figures are made up."""

import dataclasses
import random
import uuid
from typing import Any

from sqlalchemy import insert, update

from lwdash.keras_models.model_facts import LayerFacts, ModelFacts, TensorFacts
from lwdash.search.space import FORMATS
from storage import experiments, searches
from storage.records import StoredRun
from storage.store import Store
from storage.tables import RECIPE, Run, RunDetail, State

RECIPES = ("int8", "float16", "dynamic", "prune(sparsity=0.5) + int8", "cluster(clusters=16) + int8")


def seed_experiment(
    store: Store, name: str, runs: int, *, seed: int = 0, generated: str | None = None
) -> int:
    """An experiment with a baseline and `runs` − 1 other runs, one in fifty failed; returns its id.

    generated: how its rows were generated from the model; then no accuracy was measured.
    """
    chance = random.Random(seed)
    rows = {}
    for kind in ("model", "data"):
        sha256 = store.artifacts.put_bytes(f"{name} {kind}".encode())
        experiments.add_file(store.database, sha256=sha256, kind=kind, name=f"{name}.{kind}", size_bytes=10)
        rows[kind] = experiments.get_file(store.database, sha256, kind)
    facts = ModelFacts(
        format="keras", keras_version="3.0", library="keras", name=name, class_name="Functional",
        inputs=(TensorFacts("x", (8,), "float32"),), outputs=(TensorFacts("y", (3,), "float32"),),
        parameters=27, layers=(LayerFacts("y", "Dense", 27, (3,), "y"),),
    )  # fmt: skip
    experiment = experiments.add_experiment(
        store.database,
        name=name,
        model=dataclasses.replace(rows["model"], facts=facts.to_dict()),
        data=rows["data"],
        settings={} if generated is None else {"generated": generated},
        task="classification",
        seed=0,
    )
    tflite = store.artifacts.put_bytes(b"not a model, but a file to download")
    values, details = [], []
    first = _next_id(store)
    for i in range(runs):
        has_failed = i % 50 == 49
        size = 100_000 if i == 0 else chance.randint(20_000, 90_000)
        accuracy = 0.95 if i == 0 else chance.uniform(0.80, 0.96)
        figures = {
            "size_bytes": size, "gzip_bytes": size // 2, "huffman_bytes": size // 3, "accuracy": accuracy,
            "accuracy_ci": [accuracy - 0.03, accuracy + 0.03], "baseline_accuracy": 0.95, "agreement": 0.97,
            "latency_ms_p50": chance.uniform(0.01, 0.05), "speedup": chance.uniform(0.5, 2.0), "sparsity": 0.1,
            "baseline_size_bytes": 100_000, "verdict": "cannot tell", "verdict_text": "Cannot tell.", "rows": 200,
            "speedup_ci": [0.9, 1.1], "host": {"cpu": "none", "cores": 1, "threads": 1, "litert": "0"},
        }  # fmt: skip
        if generated is not None:
            accuracies = [key for key in figures if "accuracy" in key]
            figures |= dict.fromkeys([*accuracies, "agreement", "verdict", "verdict_text"])
            figures |= {"agreement_generated": 0.97, "sqnr_generated_db": 31.5, "generated_rows": 256}
        columns = (
            "size_bytes",
            "gzip_bytes",
            "accuracy",
            "agreement",
            "latency_ms_p50",
            "speedup",
            "sparsity",
        )
        values.append(
            {
                "id": first + i, "experiment_id": experiment, "recipe": "float32" if i == 0 else RECIPES[i % 5],
                "is_baseline": i == 0, "is_trained": False, "submission": uuid.uuid4().hex, "step": "measure",
                "state": State.FAILED if has_failed else State.SUCCEEDED, "attempt": 1, "cancel_requested": False,
                "error": "it failed <b>on purpose</b> *here*" if has_failed else None, "progress": 1.0,
                "created_at": 1.7e9 + i, "started_at": 1.7e9 + i, "finished_at": 1.7e9 + i + 9,
                "tflite_sha256": tflite, "baseline_sha256": tflite, "figures": None if has_failed else figures,
                **{c: None if has_failed else figures[c] for c in columns},
            }
        )  # fmt: skip
        layer = {
            "index": 0,
            "name": "y/MatMul",
            "type": "FULLY_CONNECTED",
            "layer": "y",
            "parameters": 27,
            "bytes": 99,
            "weight_bytes": 27,
            "huffman_bytes": 20,
            "bits_per_weight": 8.0,
            "sparsity": 0.1,
            "distinct_values": 9,
        }
        details.append(
            {
                "run_id": first + i,
                "compressed": {
                    "stages": [
                        {"name": "float32", "seconds": 1.0, "cached": False, "peak_memory_mb": 9, "facts": {}}
                    ],
                    "skipped": [{"layer": "y", "reason": "it is small"}],
                },
                "measured": None
                if has_failed
                else {"layers": [layer], "turned": _turned(0.95 - accuracy, i)},
            }
        )
    with store.database.begin() as connection:
        for start in range(0, runs, 1000):
            connection.execute(insert(Run), values[start : start + 1000])
            connection.execute(insert(RunDetail), details[start : start + 1000])
    return experiment


def made_up_run(**values: Any) -> StoredRun:
    """A run with these columns and metrics, which is in no database; all other columns have their defaults."""
    empty: dict[str, Any] = {
        "id": 1, "recipe": "int8", "state": State.SUCCEEDED, "doing": None, "progress": 1.0, "error": None,
        "experiment_id": 1, "is_baseline": False, "is_trained": False, "submission": "", "kind": RECIPE, "tags": (),
        "note": "", "step": "measure", "attempt": 1, "vanished": 0, "cancel_requested": False, "created_at": 0.0,
    }  # fmt: skip
    columns = {field.name for field in dataclasses.fields(StoredRun)} - {"metrics"}
    given = {key: value for key, value in values.items() if key in columns}
    return StoredRun(**{**dict.fromkeys(columns), **empty, **given, "metrics": values})


def _turned(drop: float, seed: int, rows: int = 200) -> dict[str, list[int]]:
    """Rows that a run with this drop of accuracy may have lost and gained."""
    few = 3
    changed = random.Random(seed).sample(range(rows), round(abs(drop) * rows) + 2 * few)
    more, fewer = changed[few:], changed[:few]
    return {"lost": more, "gained": fewer} if drop > 0 else {"lost": fewer, "gained": more}


def _next_id(store: Store) -> int:
    from storage.frames import newest_run

    return (newest_run(store.database) or 0) + 1


def seed_search(store: Store, experiment: int, after: int) -> int:
    """An ended search of the experiment, to which its runs above the id `after` belong; returns its id."""
    settings = {"space": {"formats": list(FORMATS), "techniques": []}, "sampler": "tpe", "seed": 0}
    search = searches.add_search(store.database, experiment, goal="size_bytes", budget=9, settings=settings)
    row = searches.get_search(store.database, search)
    assert row is not None
    own = update(Run).where(Run.experiment_id == experiment, Run.id > after)
    with store.database.begin() as connection:
        connection.execute(own.values(submission=row.submission))
    searches.end_search(store.database, search, "all 9 runs were made")
    return search
