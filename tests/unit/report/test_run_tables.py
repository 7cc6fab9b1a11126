"""All tables of a run as JSON and as CSVs, read back."""

import csv
import io
import json
import zipfile

import numpy as np
from support.measure_models import dense_model

from lwdash.measure.layers import layer_table
from lwdash.report.run_tables import run_tables, to_json, to_zip
from lwdash.tflite.reader import read_tflite

TABLE = layer_table(read_tflite(dense_model(np.ones((3, 8), np.float32), np.zeros(3, np.float32))), ["dense"])
RUN = {"id": 7, "recipe": "int8", "accuracy": 0.9, "accuracy_ci": [0.8, 0.95], "rmse": None}
MEASURED = {
    "layers": list(TABLE.rows),
    "ledger": dict(TABLE.ledger.by_category),
    "classes": ["N", "V"],
    "confusion": [[9, 1], [0, 5]],
    "flips": [],
}
COMPRESSED = {"stages": [{"name": "float32", "seconds": 1.5, "facts": {"sqnr_db": 21.0}, "skipped": []}]}


def read(packed: io.BytesIO) -> dict[str, list[dict[str, str]]]:
    with zipfile.ZipFile(packed) as archive:
        return {
            name: list(csv.DictReader(io.StringIO(archive.read(name).decode())))
            for name in archive.namelist()
        }


def test_every_table_with_rows_is_there_once_in_both_forms() -> None:
    tables = run_tables(
        RUN, COMPRESSED, MEASURED, {"layers": [{"layer": "dense", "alone": {"sqnr_db": 30.0, "value": None}}]}
    )
    assert list(tables) == ["figures", "layers", "bytes", "confusion", "stages", "sensitivity"]
    whole = json.loads(to_json(tables))
    assert whole["layers"] == json.loads(json.dumps(list(TABLE.rows)))
    assert whole["figures"][0]["rmse"] is None
    files = read(to_zip(tables))
    assert list(files) == [f"{name}.csv" for name in tables]
    assert sum(int(row["bytes"]) for row in files["bytes.csv"]) == TABLE.ledger.file_bytes
    assert [tuple(row.values()) for row in files["confusion.csv"]] == [
        ("N", "N", "9"), ("N", "V", "1"), ("V", "N", "0"), ("V", "V", "5"),
    ]  # fmt: skip
    assert files["figures.csv"][0]["rmse"] == ""
    assert json.loads(files["figures.csv"][0]["accuracy_ci"]) == [0.8, 0.95]
    assert files["stages.csv"][0]["facts.sqnr_db"] == "21.0"
    assert files["sensitivity.csv"][0]["alone.sqnr_db"] == "30.0"


def test_a_run_that_measured_nothing_has_its_own_row() -> None:
    assert list(run_tables(RUN, {}, {})) == ["figures"]
