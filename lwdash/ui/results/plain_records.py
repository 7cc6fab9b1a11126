"""All data of some runs as plain records, in stored units: for CSV, JSON and the report."""

import json
from typing import Any

import pandas as pd

from lwdash.metrics.run_metrics import INTERVALS, MEASURES
from lwdash.report.csv_cells import neutralised

PLAIN = ("id", "recipe", "title", "tags", "note", "state", "error", "is_baseline", "attempt")
METRICS = (
    "rows", "verdict", "verdict_text", "arena_reason", "baseline_accuracy", "baseline_size_bytes", "host_name",
)  # fmt: skip


def export_frame(runs: pd.DataFrame) -> pd.DataFrame:
    """All data of these runs in stored units (see the column names): bytes, ms, shares of 1."""
    columns = [*PLAIN, *MEASURES, *INTERVALS.values(), *METRICS, "created_at", "started_at", "finished_at"]
    table = runs[[column for column in columns if column in runs]].copy()
    return table.rename(columns={"host_name": "host", "accuracy_change": "accuracy_change_share"})


def to_csv(runs: pd.DataFrame) -> str:
    """The table as CSV: a list as its parts joined by a semicolon, an empty field where nothing was measured.

    Text that a spreadsheet would compute has an apostrophe before it.
    """
    table = export_frame(runs)
    for column in ("tags", *INTERVALS.values()):
        if column in table:
            table[column] = table[column].map(
                lambda v: ";".join(map(str, v)) if isinstance(v, (list, tuple)) else ""
            )
    table = table.map(neutralised).rename(columns=neutralised)
    return table.to_csv(index=False, lineterminator="\r\n")


def records_of(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """`export_frame` as objects of JSON, None where nothing was measured."""
    records = export_frame(runs).to_dict("records")
    return [{str(key): _json(value) for key, value in record.items()} for record in records]


def to_json(runs: pd.DataFrame) -> str:
    """The table as a JSON list of objects; null where nothing was measured."""
    return json.dumps(records_of(runs), ensure_ascii=False, indent=1)


def _json(value: Any) -> Any:
    if value is None or isinstance(value, (list, tuple, str, bool)):
        return value
    if isinstance(value, float):
        return None if value != value else value
    return value.item() if hasattr(value, "item") else value
