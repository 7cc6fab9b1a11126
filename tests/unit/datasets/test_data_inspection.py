"""What the inspection of a CSV finds: labels, counts, problems with their place, a bounded preview."""

import json
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from lwdash.datasets.data_facts import DataFacts, pack_indices, pack_names, unpack_indices, unpack_names
from lwdash.datasets.data_inspection import inspect_data
from lwdash.datasets.readers.csv_text.csv_blocks import Reader
from lwdash.datasets.readers.csv_text.csv_dialect import sniff

RANDOM = np.random.default_rng(11)


def write(path, text):
    path.write_text(text)
    return path


def beats(rows=60, columns=5, classes=3):
    return pd.DataFrame(RANDOM.normal(size=(rows, columns)).round(3)), np.arange(rows) % classes


@pytest.mark.parametrize("name", ["label", "Class", "target", "y", "species", "beat_label", "CATEGORY"])
def test_a_column_with_a_label_name_is_ranked_first_wherever_it_is(tmp_path, name):
    frame, labels = beats()
    frame.insert(2, name, labels)
    candidate = inspect_data(write(tmp_path / "d.csv", frame.to_csv(index=False))).candidates[0]
    assert candidate.name == name
    assert name in candidate.reason
    assert dict(candidate.classes) == {str(k): v for k, v in Counter(labels.tolist()).items()}


def test_text_and_whole_number_columns_are_found_without_a_name(tmp_path):
    frame, labels = beats()
    frame["7"] = labels
    frame.insert(0, "kind", np.array(["a", "b", "c"])[labels])
    found = inspect_data(write(tmp_path / "d.csv", frame.to_csv(index=False))).candidates
    assert {c.name: c.kind for c in found} == {"kind": "text", "7": "integer"}


def test_label_among_pixels_is_found_by_its_place(tmp_path):
    pixels = RANDOM.integers(0, 17, (200, 64))
    pixels[:, 0] = 0
    rows = np.c_[pixels, RANDOM.integers(0, 10, 200)]
    pd.DataFrame(rows).to_csv(tmp_path / "d.csv", index=False, header=False)
    facts = inspect_data(tmp_path / "d.csv")
    assert facts.candidates[0].name == "column 65"
    assert facts.constant == (0,)


def test_float_target_is_offered_as_a_regression_target(tmp_path):
    frame, _ = beats()
    frame["target"] = RANDOM.normal(size=60)
    candidate = inspect_data(write(tmp_path / "d.csv", frame.to_csv(index=False))).candidates[0]
    assert (candidate.name, candidate.kind, candidate.classes) == ("target", "float", ())
    assert "regression" in candidate.reason


def test_a_chosen_column_is_counted_even_if_it_looks_like_no_label(tmp_path):
    pixels = pd.DataFrame(RANDOM.integers(0, 200, (50, 40)))
    path = write(tmp_path / "d.csv", pixels.to_csv(index=False))
    first = inspect_data(path, label="17").candidates[0]
    assert first.name == "17"
    assert dict(first.classes) == {str(k): v for k, v in Counter(pixels[17].tolist()).items()}


def test_problems_name_row_and_column_and_are_counted(tmp_path):
    lines = ["label,a,b"] + [f"{i % 2},{i}.5,{i}.25" for i in range(20)]
    lines[3] = "1,,2.5"
    lines[5] = "0,abc,2.5"
    lines.insert(8, "")
    lines[10] = "1,inf,2.5"
    lines[12] = "1,2.5"
    lines[14] = "1,2.5,3.5,4.5"
    lines[15] = "1,NaN,?"
    facts = inspect_data(write(tmp_path / "d.csv", "\n".join(lines) + "\n"))
    assert facts.problem_counts == {"missing": 3, "not a number": 1, "infinite": 1, "row length": 2}
    places = {(p.kind, p.line, p.column) for p in facts.problems}
    assert places == {
        ("missing", 4, "a"), ("not a number", 6, "a"), ("infinite", 11, "a"), ("row length", 13, None),
        ("row length", 15, None), ("missing", 16, "a"), ("missing", 16, "b"),
    }  # fmt: skip
    assert "row 6, column 'a': 'abc' is not a number" in facts.problem_text
    assert facts.rows == 18


def test_many_problems_are_counted_but_not_listed(tmp_path):
    text = "label,a,b\n" + "".join(f"{i % 2},,{i}.5\n" if i % 2 else f"{i % 2},1,x\n" for i in range(3000))
    facts = inspect_data(write(tmp_path / "d.csv", text))
    assert facts.problem_counts == {"missing": 1500}
    assert facts.kinds == "iit"
    assert len(facts.problems) <= 5


def test_repeated_names_are_told_apart_and_reported(tmp_path):
    facts = inspect_data(write(tmp_path / "d.csv", "label,a,a,a (2)\n1,2,3.5,4\n2,3,4.5,5\n"))
    assert len(set(facts.names)) == 4
    assert facts.problem_counts == {"repeated name": 1}


def test_preview_has_rows_of_every_class_even_if_the_file_is_sorted(tmp_path, monkeypatch):
    monkeypatch.setattr("lwdash.datasets.readers.source.BLOCK_BYTES", 2000)
    frame, _ = beats(300)
    frame.insert(0, "label", np.repeat([1, 2, 3], [280, 15, 5]))
    preview = inspect_data(write(tmp_path / "d.csv", frame.to_csv(index=False))).preview
    assert Counter(row.label for row in preview.rows) == {"1": 8, "2": 8, "3": 5}
    for row in preview.rows:
        np.testing.assert_allclose(row.values, frame.iloc[row.line - 2].to_numpy(), rtol=1e-4)


@pytest.mark.parametrize("columns", [5, 784, 5000, 20_000])
def test_facts_fit_in_a_database_row_and_survive_json(tmp_path, columns):
    rows = "\n".join(
        f"{i % 10}," + ",".join(f"{v:.6f}" for v in RANDOM.normal(size=columns) * 1000) for i in range(30)
    )
    header = "label," + ",".join(f"t{i}" for i in range(columns))
    facts = inspect_data(write(tmp_path / "d.csv", f"{header}\n{rows}\n"))
    text = json.dumps(facts.to_dict(), allow_nan=False)
    assert len(text) <= 200_000
    assert len(facts.preview.rows) <= 64
    assert DataFacts.from_dict(json.loads(text)) == facts


def test_names_and_indices_survive_packing():
    names = ["label", *[f"t{i}" for i in range(140)], "t007", "x", "3", "4", "5", "", "t1"]
    assert unpack_names(pack_names(names)) == tuple(names)
    assert len(pack_names(names)) < 12
    for indices in ([], [3], [0, 1, 2, 8], [0, 5, 10, 11, 12], list(range(0, 5000, 2))):
        assert unpack_indices(pack_indices(indices)) == tuple(indices)


def test_least_and_greatest_value_leave_label_and_index_out(tmp_path):
    frame, labels = beats()
    frame.insert(0, "label", labels + 1000)
    facts = inspect_data(write(tmp_path / "d.csv", frame.to_csv()))
    values = frame.drop(columns="label").to_numpy()
    assert (facts.low, facts.high) == (values.min(), values.max())
    assert facts.row_numbers == (0,)


@pytest.mark.parametrize("delimiter", ",;\t|")
def test_whole_number_blocks_are_read_to_the_last_digit(tmp_path, delimiter):
    values = RANDOM.integers(0, 10 ** RANDOM.integers(1, 10, 40), (300, 40))
    path = write(tmp_path / "d.csv", pd.DataFrame(values).to_csv(index=False, header=False, sep=delimiter))
    facts = inspect_data(path)
    read = next(iter(Reader(path, sniff(path)).blocks(lambda block: block.numbers)))
    np.testing.assert_array_equal(read, values)
    assert facts.kinds == "i" * 40
    assert (facts.low, facts.high) == (values.min(), values.max())


@pytest.mark.parametrize("columns", [3, 500])
def test_rows_too_long_and_too_short_by_the_same_amount_are_noticed(tmp_path, columns):
    good = ",".join(["1.5"] * columns)
    lines = [good] * 50
    lines[20] = good + ",1.5"
    lines[21] = good[4:]
    facts = inspect_data(write(tmp_path / "d.csv", "\n".join(lines) + "\n"))
    assert facts.problem_counts == {"row length": 2}
    assert re.search(rf"row 21: {columns + 1} values where {columns} columns", facts.problem_text)
