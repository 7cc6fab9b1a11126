"""Field that fills the limits of an experiment from a board."""

from collections.abc import Mapping

import streamlit as st

from lwdash.engine.devices.known_boards import board_limits, known_boards
from lwdash.errors import UserMistake
from lwdash.metrics.limits import LIMITS
from lwdash.settings import Settings
from lwdash.targets.boards import BoardTable
from lwdash.ui.shared.access import owner
from lwdash.ui.shared.markdown_text import plain
from storage.store import Store


def choose_board(settings: Settings, store: Store, keys: Mapping[str, str]) -> None:
    """A menu of boards that fills the fields of limits with the memory of the chosen one.

    keys: limit → key of its field in the session. Call it before these fields are drawn.
    """
    try:
        table = known_boards(settings, store, owner())
    except UserMistake as error:
        st.error(plain(str(error)), icon=":material/developer_board_off:")
        return
    key = f"{next(iter(keys.values()))}:board"
    st.selectbox(
        "Fill from a board", [board.name for board in table.boards], index=None, placeholder="choose a board", key=key,
        on_change=_fill, args=(table, key, dict(keys)), width=300,
        help="Sets the largest file and the largest arena. Runtime, kernels of an ordinary network, stack and static data "
             "are taken off the board's memory.",
    )  # fmt: skip


def _fill(table: BoardTable, key: str, keys: Mapping[str, str]) -> None:
    name = st.session_state[key]
    if name is None:
        return
    found = board_limits(table, name)
    for limit in ("size_bytes", "arena_bytes"):
        value = found.get(limit)
        st.session_state[keys[limit]] = None if value is None else value * LIMITS[limit].factor
