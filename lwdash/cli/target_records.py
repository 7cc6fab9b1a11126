"""Targets of a run, and boards, as records of the command line."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Engine

from lwdash.errors import NotFound
from lwdash.targets import TARGETS
from lwdash.targets.boards import BoardTable, fits, measured_facts
from storage import run_rows
from storage.analyses import analysis_of
from storage.records import StoredRun
from storage.runs import DETAILS

NOT_MEASURED = "not measured"
FIRST_STEPS = "it has not succeeded"
PENDING = "its details are still being measured"
EARLIER_VERSION = "it was measured by an earlier version. Start the run again to measure it"


def targets_record(engine: Engine, run_id: int) -> dict[str, Any]:
    """The stored results of a run by target; `targets` is null where they were not measured. Raises NotFound."""
    run = _run(engine, run_id)
    found = run_rows.get_detail(engine, run_id).measured.get("targets")
    return {
        "run": run_id,
        "recipe": run.recipe,
        "state": run.state,
        "targets": found,
        "not_measured": None if found else _why_not(engine, run),
    }


def boards_record(engine: Engine, table: BoardTable, run_id: int | None) -> dict[str, Any]:
    """The boards; with a run, each with whether its file fits. Raises NotFound."""
    if run_id is None:
        boards = [vars(board) for board in table.boards]
        return {"run": None, "boards": boards, "assumptions": _assumptions(table), "not_measured": None}
    run = _run(engine, run_id)
    if run.size_bytes is None:
        raise NotFound(f"run {run_id} has no measured file: it is {run.state}")
    found = run_rows.get_detail(engine, run_id).measured.get("targets")
    return {
        "run": run_id,
        "boards": [fit.to_dict() for fit in fits(table, measured_facts(run.size_bytes, found))],
        "assumptions": _assumptions(table),
        "not_measured": None if found else _why_not(engine, run),
    }


def target_lines(record: Mapping[str, Any]) -> list[str]:
    """The targets of a run for a terminal."""
    if record["targets"] is None:
        return [f"run {record['run']}: {NOT_MEASURED}: {record['not_measured']}"]
    rows = [("target", "state", "what", "value")]
    for name, found in record["targets"].items():
        label = TARGETS[name].LABEL if name in TARGETS else found.get("label", name)
        rows.append((label, found["state"], "version", found["version"] or "–"))
        for key, word in (("reason", "reason"), ("remedy", "what to do"), ("message", "its message")):
            rows += [("", "", word, found[key])] if found[key] else []
        for metric in found["metrics"].values():
            rows += [("", "", metric["label"], _value(metric))] if metric["value"] is not None else []
        stays = [layer["name"] for layer in found.get("layers") or [] if layer["unit"] == "CPU"]
        rows += [("", "", "stays on the CPU", ", ".join(stays))] if stays else []
        needed = ", ".join(f"{kind} ×{count}" for kind, count in found["operators"].items())
        rows.append(("", "", "operators", needed or "–"))
    return _table(rows)


def board_lines(record: Mapping[str, Any]) -> list[str]:
    """The boards for a terminal, and below them the assumptions."""
    with_fit = record["run"] is not None
    head = (
        "board",
        "core",
        "MHz",
        "flash KiB",
        "RAM KiB",
        "NPU",
        *(("state", "how much") if with_fit else ()),
    )
    rows = [head]
    for board in record["boards"]:
        flash = "SD card" if board["flash_kib"] is None else f"{board['flash_kib']:,}"
        cells = (
            board["name"],
            board["core"],
            f"{board['clock_mhz']:g}",
            flash,
            f"{board['ram_kib']:,}",
            board["npu"] or "–",
        )
        rows.append((*cells, *((board["state"], board["text"]) if with_fit else ())))
    assumed = record["assumptions"]
    lines = [
        *_table(rows),
        f"assumed: {assumed['runtime_flash_kib']:g} KiB of flash for the runtime and 1 to 24 KiB for each type of operator, "
        f"{assumed['ram_allowance_kib']:g} KiB of RAM for stack and static data; 1 KiB is 1,024 bytes",
    ]
    if record["not_measured"]:
        lines.append(f"run {record['run']}: {NOT_MEASURED}: {record['not_measured']}")
    return lines


def _why_not(engine: Engine, run: StoredRun) -> str:
    if not run.has_succeeded:
        return FIRST_STEPS
    details = analysis_of(engine, run.id, DETAILS)
    if details is not None and not details.has_ended:
        return PENDING
    return (
        EARLIER_VERSION if details is None or details.has_succeeded else details.error or "it was cancelled"
    )


def _run(engine: Engine, run_id: int) -> StoredRun:
    run = run_rows.get_run(engine, run_id)
    if run is None:
        raise NotFound(f"there is no run {run_id}")
    return run


def _assumptions(table: BoardTable) -> dict[str, Any]:
    return {**vars(table.assumptions), "kernel_kib": dict(table.assumptions.kernel_kib)}


def _value(metric: Mapping[str, Any]) -> str:
    value = metric["value"]
    text = f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
    return f"{text} {metric['unit']}".rstrip()


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
