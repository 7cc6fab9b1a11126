"""Differences of the compared files' operators, and the inputs of rows that flipped."""

from lwdash.ui.compare.class_differences import MAX_INPUTS, rows_with_inputs
from lwdash.ui.compare.graph_difference import graph_difference


def operator(kind: str, layer: str | None, dtype: str = "float32") -> dict:
    return {"type": kind, "layer": layer, "name": f"{layer}/{kind}", "output_dtype": dtype}


def test_operators_that_came_went_or_changed_their_numbers_are_listed_by_layer():
    layers = {
        "1 · float32": [operator("CONV_2D", "conv"), operator("RELU", "act"), operator("ADD", "sum")],
        "2 · a": [operator("QUANTIZE", "conv", "int8"), operator("CONV_2D", "conv", "int8"), operator("ADD", "sum")],
        "3 · b": [operator("CONV_2D", "conv"), operator("RELU", "act"), operator("ADD", "sum"),
                  operator("MUL", "new"), operator("MUL", "new")],
    }  # fmt: skip
    assert graph_difference(layers, "1 · float32").to_numpy().tolist() == [
        ["conv", "CONV_2D", "+ QUANTIZE, float32 → int8", ""],
        ["act", "RELU", "− RELU", ""],
        ["new", "", "", "+ MUL ×2"],
    ]
    assert graph_difference(dict.fromkeys(layers, layers["2 · a"]), "1 · float32").empty


def test_inputs_of_flipped_rows_come_with_the_runs_that_changed_them():
    def flip(row: int, now: int, label: int | None = 0) -> dict:
        given = {"shape": [2], "steps": [1], "values": [row, row]}
        return {"row": row, "label": label, "baseline": 0, "run": now, "input": given}

    classes = ["cat", "dog", "eel"]
    measured = {
        "1 · float32": {"flips": [], "classes": classes},
        "2 · a": {"flips": [flip(7, 1), {**flip(1, 1), "input": None}], "classes": classes},
        "3 · b": {"flips": [flip(3, 1, None), flip(7, 2)], "classes": classes},
    }
    inputs, titles = rows_with_inputs(measured)
    assert [one["values"][0] for one in inputs] == [7, 3], "the row that most runs changed is first"
    assert titles == ["2: dog, 3: eel\nlabel cat", "3: dog\nwas cat"]
    many = {"2 · a": {"flips": [flip(row, 1) for row in range(99)], "classes": classes}}
    assert len(rows_with_inputs(many)[0]) == MAX_INPUTS
    assert rows_with_inputs({"1 · float32": {}}) == ([], [])
