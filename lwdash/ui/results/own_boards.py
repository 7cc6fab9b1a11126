"""Menu in which a user adds and removes boards of their own."""

import streamlit as st

from lwdash.engine.devices.known_boards import add_board, own_boards, remove_board
from lwdash.errors import UserMistake
from lwdash.ui.results.view_state import CHOSEN_BOARDS
from lwdash.ui.shared.access import owner
from lwdash.ui.shared.markdown_text import plain
from storage.errors import StorageError
from storage.store import Store

_FIELDS = "results:own_board"


def edit_own_boards(store: Store) -> None:
    """A form for one board, and a button that removes each known one. Call it before the field with the boards is drawn."""
    with st.popover("Add a board", icon=":material/developer_board:"):
        with st.form(_FIELDS, border=False, clear_on_submit=False):
            name = st.text_input("Name", key=f"{_FIELDS}:name", placeholder="Our sensor node", width=320)
            core = st.text_input("Core", key=f"{_FIELDS}:core", placeholder="Cortex-M4F", width=320)
            clock = st.number_input(
                "Clock (MHz)", 1.0, key=f"{_FIELDS}:clock", value=80.0, format="%.6g", width=320
            )
            flash = st.number_input(
                "Flash (KiB)", 1.0, key=f"{_FIELDS}:flash", value=None, format="%.6g", placeholder="empty: an SD card",
                width=320,
            )  # fmt: skip
            ram = st.number_input(
                "RAM (KiB)", 1.0, key=f"{_FIELDS}:ram", value=64.0, format="%.6g", width=320
            )
            runs_linux = st.toggle("Runs Linux, with LiteRT", key=f"{_FIELDS}:linux")
            if st.form_submit_button("Add", icon=":material/add:", type="primary"):
                row = {
                    "name": name.strip(), "core": core.strip(), "clock_mhz": clock, "flash_kib": flash, "ram_kib": ram,
                    "source": "added by the user", "runtime": "litert" if runs_linux else "tflm",
                }  # fmt: skip
                _add(store, row)
        for board in own_boards(store, owner()):
            st.button(
                f"Remove {plain(board.name)}", key=f"{_FIELDS}:remove:{board.key}", icon=":material/delete:",
                on_click=remove_board, args=(store, owner(), board.name),
            )  # fmt: skip


def _add(store: Store, row: dict[str, object]) -> None:
    try:
        board = add_board(store, owner(), row)
    except (UserMistake, StorageError) as error:
        st.error(plain(str(error)))
        return
    chosen = st.session_state.get(CHOSEN_BOARDS) or []
    st.session_state[CHOSEN_BOARDS] = [board.key, *(key for key in chosen if key != board.key)]
