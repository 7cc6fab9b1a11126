"""Matrix of runs and boards on the results page: on which boards each run's file fits, and what is missing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.engine.devices.known_boards import known_boards
from lwdash.errors import UserMistake
from lwdash.metrics.technique_families import short_recipe
from lwdash.settings import Settings
from lwdash.targets.boards import Board, BoardFit, BoardTable, fit, measured_facts
from lwdash.ui.results.own_boards import edit_own_boards
from lwdash.ui.results.view_state import CHOSEN_BOARDS, settle
from lwdash.ui.shared.access import owner
from lwdash.ui.shared.addresses import run_url
from lwdash.ui.shared.data_table import data_table
from lwdash.ui.shared.fit_badges import FITS, fit_column
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.memo import remembered
from lwdash.ui.shared.number_text import NOTHING, counted
from storage.store import Store
from storage.target_results import results_mark, target_results

MAX_RUNS = 500
"""Maximum number of rows: with all boards, more take seconds to compute."""
DEFAULT_BOARDS = (
    "arduino-nano-33-ble-sense", "raspberry-pi-pico-2", "esp32-s3-devkitc-1-n8", "st-nucleo-l4r5zi", "st-nucleo-h743zi2",
    "raspberry-pi-5-4-gb",
)  # fmt: skip
"""Keys of the boards that are shown before any choice."""


def show_board_matrix(settings: Settings, store: Store, runs: pd.DataFrame, experiment_id: int) -> None:
    """A table of runs and boards: which run fits on which board.

    runs: the runs that match the filters, oldest first.
    """
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.header("Boards", width="content")
        edit_own_boards(store)
    try:
        table = known_boards(settings, store, owner())
    except UserMistake as error:
        st.error(plain(str(error)), icon=":material/developer_board_off:")
        return
    boards = _chosen(table)
    done = runs[runs["state"] == "succeeded"]
    if done.empty or not boards:
        st.caption("Choose boards above." if len(done) else "No measured run matches the filters above.")
        return
    shown = done.head(MAX_RUNS)
    mark = results_mark(store.database, experiment_id)
    key = (done, mark, tuple(boards), run_url(0))
    frame, states = remembered("boards", key, lambda: _matrix(store, table, boards, shown))
    data_table(
        frame,
        hide_index=True,
        placeholder=NOTHING,
        height=35 * (min(len(frame), 12) + 1) + 3,
        alt=f"{counted(len(frame), 'run')} on {counted(len(boards), 'board')}",
        column_config={
            "run": st.column_config.LinkColumn("Run", display_text=r"run=(\d+)", width=64),
            "recipe": st.column_config.TextColumn("Recipe", width=230),
            **{board.name: fit_column(board.name, help=_described(board)) for board in boards},
        },
    )  # fmt: skip
    st.markdown(_summary(states, len(done), table))


def _chosen(table: BoardTable) -> list[Board]:
    """The field for the boards; their keys are in the address."""
    names = {board.key: board.name for board in table.boards}
    if st.session_state.get(CHOSEN_BOARDS) is None:
        st.session_state[CHOSEN_BOARDS] = list(DEFAULT_BOARDS)
    settle(CHOSEN_BOARDS, list(names), [])
    keys = st.multiselect(
        "Boards to compare", list(names), key=CHOSEN_BOARDS, format_func=names.__getitem__, placeholder="choose boards",
        label_visibility="collapsed",
    )  # fmt: skip
    known = {board.key: board for board in table.boards}
    return [known[key] for key in keys]


def _matrix(
    store: Store, table: BoardTable, boards: Sequence[Board], runs: pd.DataFrame
) -> tuple[pd.DataFrame, Counter[str]]:
    """One row per run, one column per board; and the number of cells in each state."""
    results = target_results(store.database, [int(i) for i in runs["id"]])
    columns: dict[str, list[Any]] = {board.name: [] for board in boards}
    states: Counter[str] = Counter()
    for run_id, size in zip(runs["id"], runs["size_bytes"], strict=True):
        facts = measured_facts(int(size), results.get(int(run_id)))
        for board in boards:
            found = fit(board, table.assumptions, facts)
            states[found.state] += 1
            columns[board.name].append(fit_cell(found))
    head = {
        "run": [run_url(int(i)) for i in runs["id"]],
        "recipe": [_name(row) for row in runs[["title", "recipe", "is_baseline"]].to_dict("records")],
    }
    return pd.DataFrame({**head, **columns}), states


def fit_cell(found: BoardFit) -> list[str]:
    """State with its sign, then what is left or missing, or the reason of a refusal: `✕ does not fit`, `−12 KiB RAM`."""
    reason = [found.reason] if found.state == "refused" and found.reason else []
    return [FITS[found.state][0], *(reason or _amounts(found))]


def _amounts(found: BoardFit) -> list[str]:
    """Missing flash and RAM; where nothing is missing, the RAM that is left."""
    spares = {"flash": found.flash_spare_bytes, "RAM": found.ram_spare_bytes}
    missing = [
        f"−{_amount(-(spare // 1024))} {what}"
        for what, spare in spares.items()
        if spare is not None and spare < 0
    ]
    left = found.ram_spare_bytes
    return missing or ([] if left is None else [f"{_amount(left // 1024)} RAM left"])


def _amount(kib: float) -> str:
    """`231 KiB`, from 100 MiB on `987 MiB`, and `3.9 GiB`."""
    if kib < 100 * 1024:
        return f"{kib:,} KiB"
    return f"{kib / 1024:,.0f} MiB" if kib < 1024**2 else f"{kib / 1024**2:,.1f} GiB"


def _name(row: Mapping[str, Any]) -> str:
    title = row["title"] if isinstance(row["title"], str) and row["title"] else short_recipe(row["recipe"])
    return title + ("  (baseline)" if row["is_baseline"] else "")


def _described(board: Board) -> str:
    flash = "an SD card" if board.flash_kib is None else f"{_amount(board.flash_kib)} of flash"
    note = f". {board.note}" if board.note else ""
    return f"{board.core}, {board.clock_mhz:g} MHz, {flash}, {_amount(board.ram_kib)} of RAM{note}. {board.source}"


def _summary(states: Mapping[str, int], runs: int, table: BoardTable) -> str:
    counts = " ".join(
        f":{colour}-badge[{label}: {states[state]:,}]" for state, (label, colour) in FITS.items() if states.get(state)
    )  # fmt: skip
    first = f"The first {MAX_RUNS:,} of {runs:,} runs; filter to see others. " if runs > MAX_RUNS else ""
    assumed = table.assumptions
    return (
        f"{first}{counts} Refused: TensorFlow Lite Micro does not run the file; the run's page says what to do. "
        f"Flash is the file, {assumed.runtime_flash_kib:g} KiB for the runtime and an assumed size of code for each type of "
        f"operator; RAM is the measured arena and {assumed.ram_allowance_kib:g} KiB. 1 KiB is 1,024 bytes."
    )
