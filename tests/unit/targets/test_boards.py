"""The table of boards is whole, a file fits where its memory is there, and a user's own boards are read or refused."""

from pathlib import Path

import pytest

from lwdash.errors import UserMistake
from lwdash.targets.boards import KIB, Board, BoardFit, RunNeeds, fit, fits, load_boards, measured_facts

TABLE = load_boards()
OPERATORS = ("CONV_2D", "MY_OPERATOR")
NODE = Board("node", "Cortex-M0+", 48, flash_kib=128, ram_kib=32, source="schematic")


def on_node(file_kib: float, arena_kib: float, **changes: object) -> BoardFit:
    facts = {"tflm_state": "runs", "operators": OPERATORS, **changes}
    measured = RunNeeds(round(file_kib * KIB), arena_bytes=round(arena_kib * KIB), **facts)  # type: ignore[arg-type]
    return fit(NODE, TABLE.assumptions, measured)


def code_kib() -> float:
    assumed = TABLE.assumptions
    return assumed.runtime_flash_kib + assumed.kernel_kib["CONV_2D"] + assumed.other_kernel_kib


def test_the_table_has_real_boards_with_their_sources() -> None:
    names = [board.name for board in TABLE.boards]
    assert len(names) >= 25
    assert len(set(names)) == len(names)
    assert all(len(board.source) > 15 for board in TABLE.boards)
    assert all(board.ram_kib > 0 and 8 <= board.clock_mhz <= 3000 for board in TABLE.boards)
    assert all(board.flash_kib is not None or board.runtime == "litert" for board in TABLE.boards)
    pico = next(board for board in TABLE.boards if board.name == "Raspberry Pi Pico")
    assert (pico.core, pico.clock_mhz, pico.flash_kib, pico.ram_kib) == ("Cortex-M0+", 133, 2048, 264)


def test_a_file_that_fills_flash_and_ram_fits_and_one_byte_more_does_not() -> None:
    flash, ram = 128 - code_kib(), 32 - TABLE.assumptions.ram_allowance_kib
    full = on_node(flash, ram)
    assert (full.state, full.flash_spare_bytes, full.ram_spare_bytes) == ("fits", 0, 0)
    assert full.text == "0 KiB of flash and 0 KiB of RAM left"
    for larger, text in (
        (on_node(flash + 1 / KIB, ram), "1 KiB of flash missing"),
        (on_node(flash, ram + 1 / KIB), "1 KiB of RAM missing"),
        (on_node(flash + 3, ram + 2), "3 KiB of flash missing, 2 KiB of RAM missing"),
    ):
        assert (larger.state, larger.text) == ("does not fit", text)


def test_a_type_of_operator_counts_once() -> None:
    once = on_node(10, 4, operators=("CONV_2D",)).flash_needed_bytes
    assert on_node(10, 4, operators=("CONV_2D", "CONV_2D")).flash_needed_bytes == once


def test_the_file_that_the_runtime_ran_is_the_one_that_is_flashed() -> None:
    whole = on_node(40, 4).flash_needed_bytes or 0
    assert on_node(40, 4, tflm_bytes=30 * KIB).flash_needed_bytes == whole - 10 * KIB


def test_a_refused_file_fits_on_no_microcontroller_but_on_linux() -> None:
    refused = RunNeeds(1000, "refused", "it has no kernel for GELU")
    states = {one.board.runtime: one for one in fits(TABLE, refused)}
    assert states["tflm"].state == "refused"
    assert "no kernel for GELU" in states["tflm"].text
    assert states["litert"].state == "fits"
    assert states["litert"].flash_spare_bytes is None


def test_without_a_measured_arena_nothing_is_claimed() -> None:
    assert {f.state for f in fits(TABLE, measured_facts(1000, None)) if f.board.runtime == "tflm"} == {
        "not measured"
    }


def test_facts_are_read_from_stored_results() -> None:
    stored = {
        "state": "runs",
        "reason": None,
        "metrics": {"arena_total_bytes": {"value": 5}, "file_bytes": {"value": 7}},
        "operators": {"CONV_2D": 2},
    }
    assert measured_facts(9, {"tflm": stored}) == RunNeeds(9, "runs", None, 7, 5, ("CONV_2D",))


def own_boards(folder: Path, text: str) -> Path:
    path = folder / "boards.yaml"
    path.write_text(text, encoding="utf-8")
    return path


ROW = "{name: Node, core: Cortex-M0+, clock_mhz: 48, flash_kib: 128, ram_kib: 32, source: schematic}"


def test_own_boards_come_first_and_replace_those_of_the_same_name(tmp_path: Path) -> None:
    other = ROW.replace("Node", "Raspberry Pi Pico")
    table = load_boards(own_boards(tmp_path, f"boards: [{ROW}, {other}]"))
    assert [board.name for board in table.boards[:2]] == ["Node", "Raspberry Pi Pico"]
    assert table.boards[1].flash_kib == 128
    assert len(table.boards) == len(TABLE.boards) + 1
    assert table.assumptions == TABLE.assumptions


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("boards: [", "is not YAML"),
        ("- 1", "must have a list `boards:`"),
        ("boards: text", "must have a list `boards:`"),
        ("boards: [1]", "board 1: must be a row"),
        (f"boards: [{ROW}, {ROW.replace('ram_kib', 'ram')}]", "board 2: 'ram' is not one of name"),
        (f"boards: [{ROW.replace(', source: schematic', '')}]", "source is missing"),
        (f"boards: [{ROW.replace('32', '-1')}]", "ram_kib must be a number above 0, but got -1"),
        (f"boards: [{ROW.replace('32', 'null')}]", "ram_kib must be a number above 0, but got None"),
        (f"boards: [{ROW.replace('Node', '7')}]", "name must be text, but got 7"),
        (f"boards: [{ROW[:-1]}, runtime: onnx}}]", "runtime must be one of tflm, litert, but got 'onnx'"),
        ("!!python/object/apply:os.getcwd []", "is not YAML"),
    ],
)
def test_a_wrong_file_of_boards_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserMistake, match=r"boards\.yaml") as caught:
        load_boards(own_boards(tmp_path, text))
    assert message in str(caught.value)


def test_a_missing_file_of_boards_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserMistake, match=r"none\.yaml cannot be read"):
        load_boards(tmp_path / "none.yaml")
