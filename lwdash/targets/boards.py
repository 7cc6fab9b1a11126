"""Boards and modules with their memory, and whether a measured file fits on them, under stated assumptions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal

from lwdash.errors import UserMistake

TABLE = Path(__file__).with_name("boards.yaml")
KIB = 1024
RUNTIMES = ("tflm", "litert")

FitState = Literal["fits", "does not fit", "refused", "not measured"]


@dataclass(frozen=True)
class Board:
    """One board. flash_kib: None for an SD card. runtime: TARGETS' "tflm", or "litert" on Linux."""

    name: str
    core: str
    clock_mhz: float
    flash_kib: float | None
    ram_kib: float
    source: str
    npu: str | None = None
    note: str | None = None
    runtime: str = "tflm"

    @property
    def key(self) -> str:
        """The name in addresses: `raspberry-pi-pico-2`."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class Assumptions:
    """Memory that a program needs besides its model, in KiB."""

    runtime_flash_kib: float
    ram_allowance_kib: float
    litert_ram_kib: float
    other_kernel_kib: float
    kernel_kib: Mapping[str, float]


@dataclass(frozen=True)
class BoardTable:
    boards: tuple[Board, ...]
    assumptions: Assumptions

    def find(self, name: str) -> Board:
        """The board with this name, in any case, or with this key. Raises UserMistake with similar names."""
        wanted = name.strip().lower()
        for board in self.boards:
            if wanted in (board.name.lower(), board.key):
                return board
        near = get_close_matches(name, [board.name for board in self.boards], n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(near)}?" if near else "`lwdash boards` lists them."
        raise UserMistake(f"there is no board {name!r}. {hint}")


@dataclass(frozen=True)
class RunNeeds:
    """The facts of a run that decide where it fits.

    tflm_state: of the target "tflm", None where it was not run. tflm_bytes, arena_bytes, operators: the file that ran there,
    the RAM that it took and its types of operators.
    """

    file_bytes: int
    tflm_state: str | None = None
    tflm_reason: str | None = None
    tflm_bytes: int | None = None
    arena_bytes: int | None = None
    operators: tuple[str, ...] = ()


@dataclass(frozen=True)
class BoardFit:
    """One file on one board, in bytes. The spare values are negative for what is missing; None: unknown, or no limit.

    reason: of a refusal, also part of the text.
    """

    board: Board
    state: FitState
    text: str
    flash_needed_bytes: int | None = None
    flash_spare_bytes: int | None = None
    ram_needed_bytes: int | None = None
    ram_spare_bytes: int | None = None
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            **asdict(self.board),
            **{k: v for k, v in asdict(self).items() if k not in ("board", "reason")},
        }


def load_boards(own: Path | None = None) -> BoardTable:
    """The table of lwdash, followed by the boards of the user's file. Raises UserMistake for a file that cannot be read.

    A board of the user replaces one of the same name. The file has the rows under `boards`, as in boards.yaml.
    """
    table = _own_table()
    return table if own is None else with_own_boards(table, _boards(_read(own), str(own)))


def with_own_boards(table: BoardTable, added: Sequence[Board]) -> BoardTable:
    """The table with `added` in front; a board replaces another one of the same key."""
    keys = {board.key for board in added}
    kept = (board for board in table.boards if board.key not in keys)
    return BoardTable((*added, *kept), table.assumptions)


def boards_from_rows(rows: Sequence[Any], source: str) -> tuple[Board, ...]:
    """Boards from rows as in boards.yaml. source: names them in messages. Raises UserMistake for an invalid row."""
    return _boards({"boards": rows}, source)


def measured_facts(file_bytes: int, targets: Mapping[str, Any] | None) -> RunNeeds:
    """The memory that a run needs on a board, measured where TensorFlow Lite Micro ran it.

    targets: the stored results of a run's targets by name; None where none were run.

    file_bytes: of the .tflite for LiteRT. The file that TensorFlow Lite Micro ran may be in another storage form.
    """
    found = (targets or {}).get("tflm")
    if found is None:
        return RunNeeds(file_bytes)
    values = {name: metric["value"] for name, metric in found["metrics"].items()}
    return RunNeeds(
        file_bytes,
        found["state"],
        found["reason"],
        values.get("file_bytes"),
        values.get("arena_total_bytes"),
        tuple(found["operators"]),
    )


def fits(table: BoardTable, measured: RunNeeds) -> list[BoardFit]:
    """The file on each board, in the table's order."""
    return [fit(board, table.assumptions, measured) for board in table.boards]


def fit(board: Board, assumptions: Assumptions, measured: RunNeeds) -> BoardFit:
    """Flash: file, runtime and the code of its kernels. RAM: arena and an allowance for stack and static data."""
    if board.runtime == "litert":
        return _judged(
            board, measured.file_bytes, round(assumptions.litert_ram_kib * KIB) + 2 * measured.file_bytes
        )
    if measured.tflm_state == "refused":
        text = f"TensorFlow Lite Micro refuses the file: {measured.tflm_reason}"
        return BoardFit(board, "refused", text, reason=measured.tflm_reason)
    if measured.tflm_state != "runs" or measured.arena_bytes is None:
        return BoardFit(board, "not measured", "the arena was not measured")
    return _judged(
        board,
        micro_flash_bytes(assumptions, measured),
        measured.arena_bytes + round(assumptions.ram_allowance_kib * KIB),
    )


def micro_flash_bytes(assumptions: Assumptions, measured: RunNeeds) -> int:
    """Flash that a file takes with TensorFlow Lite Micro: file, runtime, and the assumed code of its kernels."""
    code_kib = assumptions.runtime_flash_kib + sum(
        assumptions.kernel_kib.get(kind, assumptions.other_kernel_kib) for kind in set(measured.operators)
    )
    return (measured.tflm_bytes or measured.file_bytes) + round(code_kib * KIB)


def _judged(board: Board, flash: int, ram: int) -> BoardFit:
    flash_spare = None if board.flash_kib is None else round(board.flash_kib * KIB) - flash
    ram_spare = round(board.ram_kib * KIB) - ram
    missing = [
        f"{-(spare // KIB):,} KiB of {what} missing"
        for what, spare in (("flash", flash_spare), ("RAM", ram_spare))
        if spare is not None and spare < 0
    ]
    state: FitState = "does not fit" if missing else "fits"
    left = "" if flash_spare is None else f"{flash_spare // KIB:,} KiB of flash and "
    text = ", ".join(missing) or f"{left}{ram_spare // KIB:,} KiB of RAM left"
    return BoardFit(board, state, text, flash, flash_spare, ram, ram_spare)


@cache
def _own_table() -> BoardTable:
    whole = _read(TABLE)
    return BoardTable(_boards(whole, TABLE.name), Assumptions(**whole["assumptions"]))


def _read(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserMistake(f"the file of boards {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        raise UserMistake(f"the file of boards {path} is not YAML: {first}") from error


def _boards(whole: Any, source: str) -> tuple[Board, ...]:
    rows = whole.get("boards") if isinstance(whole, Mapping) else None
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        raise UserMistake(f"{source}: must have a list `boards:`, one row a board; see {TABLE.name}")
    return tuple(_board(row, f"{source}, board {number}") for number, row in enumerate(rows, 1))


def _board(row: Any, place: str) -> Board:
    if not isinstance(row, Mapping):
        raise UserMistake(f"{place}: must be a row such as {{name: …, core: …}}, but got {row!r}")
    known = Board.__dataclass_fields__
    required = ("name", "core", "clock_mhz", "flash_kib", "ram_kib", "source")
    if wrong := [str(key) for key in row if key not in known]:
        raise UserMistake(f"{place}: {wrong[0]!r} is not one of {', '.join(known)}")
    if missing := [key for key in required if key not in row]:
        raise UserMistake(f"{place}: {', '.join(missing)} is missing")
    for key in ("clock_mhz", "flash_kib", "ram_kib"):
        value = row[key]
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        if not is_number and not (key == "flash_kib" and value is None):
            raise UserMistake(f"{place}: {key} must be a number above 0, but got {value!r}")
    for key in ("name", "core", "source", "npu", "note"):
        value = row.get(key)
        if not isinstance(value, str) and not (key in ("npu", "note") and value is None):
            raise UserMistake(f"{place}: {key} must be text, but got {value!r}")
    if row.get("runtime", "tflm") not in RUNTIMES:
        raise UserMistake(
            f"{place}: runtime must be one of {', '.join(RUNTIMES)}, but got {row['runtime']!r}"
        )
    return Board(**row)
