"""Analyses of runs as records of the command line."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine

from lwdash.errors import NotFound
from storage.analyses import analysis_of


def analysis_record(engine: Engine, run_id: int, kind: str) -> dict[str, Any]:
    """One flat record of an analysis: its run, state, error, and results. Raises NotFound."""
    row = analysis_of(engine, run_id, kind)
    if row is None:
        raise NotFound(f"run {run_id} has no {kind} analysis")
    return {
        "id": row.id,
        "run": run_id,
        "recipe": row.recipe,
        "state": row.state,
        "error": row.error,
        "job_seconds": row.seconds,
        **row.measured,
    }


def sensitivity_lines(record: Mapping[str, Any]) -> list[str]:
    """A sensitivity analysis for a terminal: one line per layer, files that keep the worst layers, and the advice."""
    if record["state"] != "succeeded":
        return [f"run {record['run']}: {record['state']}: {record['error'] or ''}"]
    everything = record["everything"]
    head = ("layer", "operators", "weights", "alone", "all but it", "gain")
    rows = [head, *(_cells(layer) for layer in record["layers"])]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = [
        f"SQNR in dB against the float file on {record['rows']} calibration rows, ranges from {record['range_rows']}",
        f"everything in {record['format']}: {_decibels(everything['sqnr_db'])}{_share(record, everything)}",
        *("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows),
    ]
    lines += [f"not quantized: {row['layer']}: {row['reason']}" for row in record["layers"] if row["reason"]]
    for kept in record["kept"]:
        figure = kept["figure"]
        scores = f"{_decibels(figure['sqnr_db'])}{_share(record, figure)}, {kept['size_bytes']:,} bytes"
        lines.append(f"{kept['recipe']}: {scores}")
    advice = record["advice"] or "keep all layers in one format: the loss is spread over the layers"
    return [*lines, f"advice: {advice}"]


def _cells(layer: Mapping[str, Any]) -> tuple[str, ...]:
    figures = (layer["alone"], layer["without"])
    gain = "–" if layer["gain_db"] is None else f"{layer['gain_db']:+.1f}"
    return (
        layer["layer"],
        ", ".join(layer["operators"]),
        f"{layer['parameters']:,}",
        *("–" if f is None else _decibels(f["sqnr_db"]) for f in figures),
        gain,
    )


def _decibels(value: float | None) -> str:
    return "identical outputs" if value is None else f"{value:.1f} dB"


def _share(record: Mapping[str, Any], figure: Mapping[str, Any]) -> str:
    return "" if figure["value"] is None else f", {record['measure']} {figure['value']:.2%}"
