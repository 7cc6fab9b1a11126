"""The matrix of runs and boards: state with its sign, what is missing, and the reason of a refusal."""

from lwdash.targets.boards import RunNeeds, fit, load_boards
from lwdash.ui.results.board_matrix import DEFAULT_BOARDS, fit_cell

TABLE = load_boards()
UNO = TABLE.find("arduino-uno-r4-minima")


def cell(**measured: object) -> list[str]:
    facts = RunNeeds(**{"file_bytes": 1000, "tflm_state": "runs", "operators": ("SOFTMAX",), **measured})  # type: ignore[arg-type]
    return fit_cell(fit(UNO, TABLE.assumptions, facts))


def test_a_cell_says_how_much_is_left_or_missing() -> None:
    assert cell(arena_bytes=8 * 1024) == ["✓ fits", "8 KiB RAM left"]
    assert cell(arena_bytes=20 * 1024) == ["✕ does not fit", "−4 KiB RAM"]
    assert cell(arena_bytes=20 * 1024, file_bytes=300 * 1024)[1:] == ["−94 KiB flash", "−4 KiB RAM"]


def test_large_memories_are_in_larger_units() -> None:
    facts = RunNeeds(file_bytes=1000, tflm_state="runs", operators=("SOFTMAX",), arena_bytes=8 * 1024)
    [state, left] = fit_cell(fit(TABLE.find("raspberry-pi-5-4-gb"), TABLE.assumptions, facts))
    assert (state, left) == ("✓ fits", "3.9 GiB RAM left")


def test_a_refused_file_names_its_operator() -> None:
    assert cell(tflm_state="refused", tflm_reason="no kernel for GELU") == ["⊘ refused", "no kernel for GELU"]
    assert cell(tflm_state=None) == ["… not measured"]


def test_the_boards_that_are_shown_first_exist() -> None:
    assert {board.key for board in TABLE.boards} >= set(DEFAULT_BOARDS)
