"""The boards that a user can choose: those of lwdash, of the installation's file, and the user's own."""

from collections.abc import Mapping
from typing import Any

from lwdash.errors import UserMistake
from lwdash.settings import Settings
from lwdash.targets.board_limits import limits_of_board
from lwdash.targets.boards import Board, BoardTable, boards_from_rows, load_boards, with_own_boards
from storage.annotations import get_preference, set_preference
from storage.store import Store

PREFERENCE = "boards"
MAX_OWN_BOARDS = 50


def known_boards(settings: Settings, store: Store, owner: str) -> BoardTable:
    """All boards, the user's own first. owner: "" if sign-in is disabled. Raises UserMistake for an unreadable file."""
    table = load_boards(settings.boards)
    return with_own_boards(table, own_boards(store, owner))


def own_boards(store: Store, owner: str) -> tuple[Board, ...]:
    """The boards that the user added on a page or by a command."""
    return boards_from_rows(_rows(store, owner), "boards of your own")


def add_board(store: Store, owner: str, row: Mapping[str, Any]) -> Board:
    """Store a board; it replaces the user's board of the same name. Raises UserMistake for an invalid row."""
    (board,) = boards_from_rows([row], "board of your own")
    if not board.name.strip() or not board.core.strip():
        raise UserMistake("a board needs a name and a core")
    kept = [one for one in _rows(store, owner) if one["name"] != board.name]
    if len(kept) >= MAX_OWN_BOARDS:
        raise UserMistake(f"you can have at most {MAX_OWN_BOARDS} boards of your own. Remove one first")
    set_preference(store.database, owner, PREFERENCE, {"boards": [*kept, dict(row)]})
    return board


def remove_board(store: Store, owner: str, name: str) -> None:
    """Remove a board of the user's own; a name that the user does not have is ignored."""
    kept = [one for one in _rows(store, owner) if one["name"] != name]
    set_preference(store.database, owner, PREFERENCE, {"boards": kept})


def board_limits(table: BoardTable, name: str) -> dict[str, float]:
    """The limits that a board sets, by its name or key. Raises UserMistake for an unknown board."""
    return limits_of_board(table.find(name), table.assumptions)


def _rows(store: Store, owner: str) -> list[Mapping[str, Any]]:
    return list((get_preference(store.database, owner, PREFERENCE) or {}).get("boards") or [])
