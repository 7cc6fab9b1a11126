"""Boards of the user's own are kept, replace others of the same name, and set limits as every board does."""

from pathlib import Path

import pytest

from lwdash.engine.devices.known_boards import add_board, board_limits, known_boards, own_boards, remove_board
from lwdash.errors import UserMistake
from lwdash.settings import load_settings
from lwdash.targets.boards import load_boards
from storage.store import Store

NODE = {
    "name": "Our node",
    "core": "Cortex-M0+",
    "clock_mhz": 48,
    "flash_kib": 256,
    "ram_kib": 32,
    "source": "schematic",
}


def test_an_own_board_comes_first_and_can_be_removed(sqlite_store: Store, tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    add_board(sqlite_store, "", NODE)
    add_board(sqlite_store, "", {**NODE, "ram_kib": 64})
    table = known_boards(settings, sqlite_store, "")
    assert (table.boards[0].name, table.boards[0].ram_kib) == ("Our node", 64)
    assert len(table.boards) == len(load_boards().boards) + 1
    assert own_boards(sqlite_store, "ada@example.org") == (), "another user's"
    remove_board(sqlite_store, "", "Our node")
    assert own_boards(sqlite_store, "") == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ram_kib": -1}, "ram_kib must be a number above 0"),
        ({"name": " "}, "needs a name"),
        ({"colour": 1}, "'colour'"),
    ],
)
def test_an_invalid_board_is_refused(sqlite_store: Store, change: dict[str, object], message: str) -> None:
    with pytest.raises(UserMistake, match=message):
        add_board(sqlite_store, "", {**NODE, **change})


def test_a_board_sets_the_largest_file_and_arena(sqlite_store: Store, tmp_path: Path) -> None:
    add_board(sqlite_store, "", NODE)
    table = known_boards(load_settings(tmp_path), sqlite_store, "")
    found = board_limits(table, "our-node")
    assert found["arena_bytes"] == 16 * 1024
    assert 0 < found["size_bytes"] < (256 - 40) * 1024
    assert set(board_limits(table, "Raspberry Pi 5 (4 GB)")) == {"size_bytes"}
    with pytest.raises(UserMistake, match="Did you mean Raspberry Pi Pico"):
        board_limits(table, "raspbery pico")
