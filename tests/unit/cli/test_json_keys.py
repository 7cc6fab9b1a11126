"""Keys of the JSON that programs read: typed records inside of lwdash must not rename them."""

import json

from support.seeding import seed_experiment, seed_search

from lwdash.cli.run_records import METRICS, run_record
from lwdash.cli.search_records import search_record
from lwdash.report import run_tables
from lwdash.targets.result_columns import COLUMNS
from storage import frames, run_rows
from storage.store import Store

RUN_KEYS = [
    "id", "recipe", "state", "error", "artifact", *METRICS, *COLUMNS, "target_metrics", "skipped", "findings",
    "stages", "seconds", "rows", "verdict_text", "host", "xnnpack", "trained_on",
]  # fmt: skip
LAYER_KEYS = ["layers", "layer_bytes", "overhead_bytes", "bytes_by_kind"]
SEARCH_KEYS = [
    "experiment", "search", "goal", "state", "words", "limits", "baseline", "runs", "front", "best", "luck",
    "limits_not_measured",
]  # fmt: skip
EXPORTED_COLUMNS = [
    "id", "experiment_id", "recipe", "is_baseline", "state", "step", "doing", "progress", "error", "attempt",
    "created_at", "started_at", "finished_at", "size_bytes", "gzip_bytes", "accuracy", "agreement", "latency_ms_p50",
    "speedup", "sparsity", "tflite_sha256",
]  # fmt: skip


def test_a_run_has_its_keys_whether_it_was_measured_or_not(sqlite_store: Store) -> None:
    seed_experiment(sqlite_store, "beats", 50)
    for number in (1, 2, 50):
        record = run_record(sqlite_store.database, number, with_layers=True)
        assert list(record) == [*RUN_KEYS, *LAYER_KEYS]
    measured, failed = (json.loads(json.dumps(run_record(sqlite_store.database, i))) for i in (2, 50))
    assert (measured["id"], measured["recipe"], measured["state"], measured["seconds"]) == (
        2, "float16", "succeeded", 9.0,
    )  # fmt: skip
    assert measured["artifact"]
    assert measured["size_bytes"] > 0
    assert (failed["state"], failed["artifact"], failed["size_bytes"]) == ("failed", None, None)


def test_a_search_has_its_keys(sqlite_store: Store) -> None:
    experiment = seed_experiment(sqlite_store, "beats", 40)
    record = search_record(sqlite_store.database, seed_search(sqlite_store, experiment, 20))
    assert list(record) == SEARCH_KEYS
    written = json.loads(json.dumps(record))
    assert (written["goal"], written["state"], written["words"]) == (
        "size_bytes",
        "ended",
        "all 9 runs were made",
    )
    assert list(written["baseline"]) == RUN_KEYS


def test_the_export_of_a_run_has_its_columns_and_its_metrics(sqlite_store: Store) -> None:
    seed_experiment(sqlite_store, "beats", 50)
    for number in (2, 50):
        details = run_rows.get_detail(sqlite_store.database, number)
        row = frames.run_row(sqlite_store.database, number)
        written = json.loads(
            run_tables.to_json(run_tables.run_tables(row, details.compressed, details.measured))
        )
        [figures] = written["figures"]
        metrics = run_rows.get_run(sqlite_store.database, number).metrics
        assert set(figures) == {*EXPORTED_COLUMNS, *metrics}
        assert written["stages"][0]["name"] == "float32"
