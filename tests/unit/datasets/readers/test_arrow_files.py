"""Parquet and Feather: which columns are arrays, and what is refused by name."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lwdash.datasets.data_inspection import inspect_data
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.prepare import prepare
from lwdash.errors import DataRefused

ROWS = 30
X = [[1.0, 2.0, 3.0, float(k)] for k in range(ROWS)]
Y = [k % 3 for k in range(ROWS)]


def read(folder: Path, shape: tuple[int, ...] = (4,), **columns):
    path = folder / "rows.parquet"
    pq.write_table(pa.table(columns), path)
    return prepare(path, DataSettings(), [("x", shape, "float32")], [("y", (3,), "float32")])


def test_nested_lists_and_tensors_are_arrays(tmp_path):
    nested = [[[1, 2], [3, k]] for k in range(ROWS)]
    np.testing.assert_array_equal(read(tmp_path, (2, 2), x=nested, y=Y).inputs["x"], nested)
    numbers = np.arange(ROWS * 6, dtype=np.float32).reshape(ROWS, 2, 3)
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(numbers)
    np.testing.assert_array_equal(read(tmp_path, (2, 3), x=tensors, y=Y).inputs["x"], numbers)


def test_categories_are_labels_and_other_columns_are_named(tmp_path):
    labels = pa.array(["abc"[k] for k in Y]).dictionary_encode()
    data = read(tmp_path, x=X, label=labels, note=["text"] * ROWS)
    assert data.classes == ("a", "b", "c")
    assert data.warnings == ("note in the file is not used",)


@pytest.mark.parametrize(
    "aside",
    [
        [{"a": 1}] * ROWS,
        [["a", "b"]] * ROWS,
        [b"1234"] * ROWS,
        pa.array([[("a", 1)]] * ROWS, pa.map_(pa.string(), pa.int8())),
    ],
    ids=["struct", "lists of text", "binary", "map"],
)
def test_a_column_beside_the_samples_that_cannot_be_read_is_left_aside(tmp_path, aside):
    data = read(tmp_path, meta=aside, x=X, label=Y)
    np.testing.assert_array_equal(data.inputs["x"], X)
    assert data.labels is not None
    assert (
        "left aside, since they are neither numbers, lists of numbers nor text: meta"
        in inspect_data(tmp_path / "rows.parquet").notes
    )


@pytest.mark.parametrize(
    ("shape", "columns", "said"),
    [
        ((4,), {"x": [*X[:-1], [1.0]]}, r"row 30: column 'x' holds no values of shape \(4,\)"),
        ((4,), {"x": [*X[:-1], None]}, r"row 30: column 'x' holds no values"),
        (
            (2, 2),
            {"x": [*([[[1, 2], [3, 4]]] * 29), [[1, 2, 3], [4]]]},
            r"row 30: column 'x' holds no values",
        ),
        ((4,), {"x": [*X[:-1], [1.0, None, 2.0, 3.0]]}, r"row 30, column 'x\[1\]'"),
        ((4,), {"x": [b"1234"] * ROWS}, "'x' is of type binary"),
        ((4,), {"x": [{"a": 1}] * ROWS}, "'x' is of type struct"),
        ((4,), {"x": [["a"]] * ROWS}, "lists of string"),
        ((4,), {"x": [[], *X[1:]]}, "the first list is empty"),
        ((2,), {"a": [None, *range(29)], "b": range(ROWS)}, "row 1, column 'a': missing"),
    ],
)
def test_unusable_columns_are_refused_by_name(tmp_path, shape, columns, said):
    with pytest.raises(DataRefused, match=said):
        read(tmp_path, shape, **columns, y=Y)


def test_files_without_rows_are_refused(tmp_path):
    with pytest.raises(DataRefused, match="holds no rows"):
        read(tmp_path, x=pa.array([], pa.float32()))
