"""All measurements of one run as tables: one JSON text, or a zip with a CSV for each."""

import csv
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from lwdash.report.csv_cells import neutralised

Records = Sequence[Mapping[str, Any]]


def run_tables(
    run: Mapping[str, Any],
    compressed: Mapping[str, Any],
    measured: Mapping[str, Any],
    sensitivity: Mapping[str, Any] | None = None,
) -> dict[str, Records]:
    """The non-empty tables of a run's page, in stored units (see the column names): bytes, ms, dB, shares of
    1.

    run: from `run_row`, metrics spread; compressed, measured: from `get_detail`; sensitivity: result of that
    analysis, if it was run.
    """
    packed = measured.get("deep_compression") or {}
    tables: dict[str, Records] = {
        "figures": [run],
        "layers": measured.get("layers") or (),
        "bytes": [{"part": part, "bytes": size} for part, size in (measured.get("ledger") or {}).items()],
        "waterfall": measured.get("waterfall") or (),
        "deep_compression": packed.get("kernels") or (),
        "deep_compression_total": [packed["total"]] if packed.get("total") else (),
        "confusion": _pairs(measured, "confusion"),
        "baseline_confusion": _pairs(measured, "baseline_confusion"),
        "changed_rows": measured.get("flips") or (),
        "stages": compressed.get("stages") or (),
        "left_as_they_are": compressed.get("skipped") or (),
        "sensitivity": (sensitivity or {}).get("layers") or (),
        "sensitivity_kept": (sensitivity or {}).get("kept") or (),
    }
    return {name: rows for name, rows in tables.items() if rows}


def to_json(tables: Mapping[str, Records]) -> str:
    """An object with a list of objects for each table; null where nothing was measured."""
    return json.dumps(tables, ensure_ascii=False, indent=1, default=str)


def to_zip(tables: Mapping[str, Records]) -> io.BytesIO:
    """`layers.csv` and so on. A nested field has both names, a list is JSON, a missing value is empty."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, rows in tables.items():
            archive.writestr(f"{name}.csv", _csv([_flat(row) for row in rows]))
    packed.seek(0)
    return packed


def _pairs(measured: Mapping[str, Any], key: str) -> Records:
    """A matrix of counts as one row per pair of classes."""
    matrix = measured.get(key) or ()
    names = measured.get("classes") or range(len(matrix))
    return [
        {"class": true, "given": given, "rows": count}
        for true, counts in zip(names, matrix, strict=False)
        for given, count in zip(names, counts, strict=False)
    ]


def _flat(row: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{before}{key}.")
        else:
            flat[before + key] = (
                json.dumps(value, ensure_ascii=False) if isinstance(value, (list, tuple)) else value
            )
    return flat


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO(newline="")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180; a cell with either character is quoted
    writer.writerow(map(neutralised, columns))
    writer.writerows([neutralised(row.get(column, "")) for column in columns] for row in rows)
    return text.getvalue()
