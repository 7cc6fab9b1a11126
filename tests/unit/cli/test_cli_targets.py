"""`lwdash targets` and `lwdash boards`: the stored results as tables and as JSON, and runs without them."""

import json
from typing import Any

import pytest
from sqlalchemy import select, update
from support.seeding import seed_experiment

from lwdash.cli.target_records import board_lines, boards_record, target_lines, targets_record
from lwdash.errors import NotFound
from lwdash.targets.boards import load_boards
from storage import run_rows
from storage.store import Store
from storage.tables import RunDetail

RUNS = {
    "state": "runs", "reason": None, "remedy": None, "message": None, "version": "0.1", "operators": {"CONV_2D": 3},
    "metrics": {
        "arena_total_bytes": {"label": "Arena", "unit": "bytes", "value": 9232},
        "largest_difference": {"label": "Largest difference", "unit": "", "value": 0.01953125},
        "largest_difference_steps": {"label": "Largest difference", "unit": "steps", "value": None},
    },
}  # fmt: skip
REFUSED = {
    **RUNS, "state": "refused", "metrics": {}, "message": "Hybrid models are not supported",
    "reason": "CONV_2D has int8 weights and float activations", "remedy": "use int8",
}  # fmt: skip
RECORD_KEYS = ["run", "recipe", "state", "targets", "not_measured"]
BOARD_KEYS = [
    "name", "core", "clock_mhz", "flash_kib", "ram_kib", "source", "npu", "note", "runtime", "state", "text",
    "flash_needed_bytes", "flash_spare_bytes", "ram_needed_bytes", "ram_spare_bytes",
]  # fmt: skip


def keep(store: Store, run: int, targets: Any) -> None:
    """As the details of a run store them."""
    with store.database.begin() as connection:
        query = select(RunDetail.measured).where(RunDetail.run_id == run)
        measured = connection.execute(query).scalar_one()
        changed = update(RunDetail).where(RunDetail.run_id == run)
        connection.execute(changed.values(measured={**measured, "targets": targets}))


@pytest.fixture
def seeded(sqlite_store: Store) -> Store:
    seed_experiment(sqlite_store, "beats", 50)
    keep(sqlite_store, 2, {"tflm": RUNS})
    keep(sqlite_store, 3, {"tflm": REFUSED})
    return sqlite_store


def test_a_run_that_was_measured_has_its_targets(seeded: Store) -> None:
    record = targets_record(seeded.database, 2)
    assert list(record) == RECORD_KEYS
    assert json.loads(json.dumps(record))["targets"]["tflm"]["metrics"]["arena_total_bytes"]["value"] == 9232
    text = "\n".join(target_lines(record))
    assert "TensorFlow Lite Micro  runs" in text
    assert "9,232 bytes" in text
    assert "0.0195" in text
    assert "steps" not in text, "a value that was not measured"
    assert "CONV_2D ×3" in text


def test_a_refusal_has_its_reason_and_what_to_do(seeded: Store) -> None:
    text = "\n".join(target_lines(targets_record(seeded.database, 3)))
    assert "refused" in text
    assert "CONV_2D has int8 weights and float activations" in text
    assert "use int8" in text


def test_a_run_of_an_earlier_version_says_not_measured(seeded: Store) -> None:
    record = targets_record(seeded.database, 4)
    assert record["targets"] is None
    assert target_lines(record) == [
        "run 4: not measured: it was measured by an earlier version. Start the run again to measure it"
    ]
    boards = boards_record(seeded.database, load_boards(), 4)
    assert {b["state"] for b in boards["boards"] if b["runtime"] == "tflm"} == {"not measured"}
    assert board_lines(boards)[-1].startswith("run 4: not measured")


def test_boards_say_whether_the_file_fits(seeded: Store) -> None:
    record = boards_record(seeded.database, load_boards(), 2)
    assert list(record["boards"][0]) == BOARD_KEYS
    size = run_rows.get_run(seeded.database, 2).size_bytes
    nano = record["boards"][0]
    assumed = record["assumptions"]
    code = 1024 * (assumed["runtime_flash_kib"] + assumed["kernel_kib"]["CONV_2D"])
    assert (nano["state"], nano["flash_needed_bytes"]) == ("fits", size + code)
    assert nano["ram_needed_bytes"] == 9232 + 1024 * assumed["ram_allowance_kib"]
    lines = board_lines(json.loads(json.dumps(record)))
    assert "KiB of RAM left" in lines[1]
    assert lines[-1].startswith("assumed: 40 KiB of flash")


def test_boards_without_a_run_are_listed(seeded: Store) -> None:
    record = boards_record(seeded.database, load_boards(), None)
    assert list(record["boards"][0]) == BOARD_KEYS[:9]
    assert len(board_lines(record)) == len(record["boards"]) + 2


@pytest.mark.parametrize("run", [50, 9999])
def test_a_run_without_a_file_is_refused(seeded: Store, run: int) -> None:
    with pytest.raises(NotFound, match=str(run)):
        boards_record(seeded.database, load_boards(), run)
