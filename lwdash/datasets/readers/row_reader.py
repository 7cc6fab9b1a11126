"""Reads the rows of one table block by block, applies the steps on single rows, and checks them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lwdash.datasets.fit import Fit
from lwdash.datasets.labels.label_columns import label_text
from lwdash.datasets.labels.one_hot import one_hot_labels
from lwdash.datasets.labels.targets import check_yes_no_labels
from lwdash.datasets.open_shapes import file_step
from lwdash.datasets.preprocessing.language import Cast, Step
from lwdash.datasets.preprocessing.steps import apply_steps
from lwdash.datasets.readers.csv_problems import UNREADABLE, ProblemList
from lwdash.datasets.readers.table import Block, DataTable, View
from lwdash.datasets.sample_shapes import shape_text
from lwdash.datasets.spilled_arrays import RowStore
from lwdash.errors import DataRefused


@dataclass
class LoadedRows:
    """Rows of one file, or of one block of it. arrays: per input, after the row steps; labels: str (rows,),
    float64 (rows,) or (rows, targets), None without; same: int64 (rows,) hash of the input values of each
    row; parts: int8 (rows,), the part that the file states, see `Block.parts`.
    """

    arrays: list[np.ndarray]
    labels: np.ndarray | None
    lines: np.ndarray
    same: np.ndarray
    problems: ProblemList = field(default_factory=ProblemList)
    parts: np.ndarray | None = None


def load_rows(
    table: DataTable,
    fit: Fit,
    columns: list[list[int]],
    label: Sequence[int],
    steps: list[tuple[Step, ...]],
) -> LoadedRows:
    """Read the file once, block by block.

    columns: for each input the columns of *this* file; label: its label column, or its columns where the
    label has one per class or target (`fit.label_columns`), none without; steps: per input, those without
    statistics of the train part. Raises DataRefused that names row and column for missing, non-numeric and
    infinite values, rows of another length, and fractions where an input takes whole numbers.
    """
    file = table.path.name
    used = list(dict.fromkeys(i for group in columns for i in group))
    is_dense = bool(fit.label_columns and fit.label_shape)
    is_one_hot = bool(fit.label_columns and fit.class_counts) and not is_dense
    label_is_text = (len(label) == 1 or is_dense) and any(table.kinds[i] == "t" for i in label)
    names = [name for name, _ in fit.class_counts]
    _check_shapes(table, fit, columns)

    def one(block: Block) -> LoadedRows:
        labels = None
        if is_one_hot:
            labels = one_hot_labels(block.numbers[:, label], names, block.lines, file)
        elif is_dense and label_is_text:
            labels = np.stack([block.text[i] for i in label], axis=1)
        elif is_dense:
            labels = block.numbers[:, label]
        elif fit.label_columns:
            labels = block.numbers[:, label]
            check_yes_no_labels(labels, fit.task, block.lines, [table.names[i] for i in label], file)
        elif label:
            labels = block.text[label[0]] if label_is_text else block.numbers[:, label[0]].copy()
        raw = _plain_values(block, used)
        arrays = []
        for group, fitted, own in zip(columns, fit.inputs, steps, strict=True):
            values = _values(block, group, raw if group == used else None)
            with np.errstate(invalid="ignore", over="ignore"):
                values = apply_steps(own, values.astype(np.float64, copy=False) if own else values)
                arrays.append(_stored(values, fitted.dtype, own, block, fitted.name, file))
        same = _hashes(raw, [block.arrays[i] for i in used if i in block.arrays])
        return LoadedRows(arrays, labels, block.lines, same, block.problems, block.parts)

    views = {
        group[0]: View(fitted.source_shape, file_step(own))
        for group, fitted, own in zip(columns, fit.inputs, steps, strict=True)
        if fitted.source_shape
    }
    blocks = table.blocks(
        one, text_columns=label if label_is_text else (), wanted=[*used, *label], views=views
    )
    stores, parts = [RowStore(shared_by=len(columns)) for _ in columns], []
    problems = ProblemList()
    for part in blocks:
        problems.extend(part.problems)
        if not problems.counts:
            for store, values in zip(stores, part.arrays, strict=True):
                store.add(values)
        part.arrays = []
        parts.append(part)
    if problems.counts:
        raise DataRefused(_bad_cells(file, problems))
    if not any(len(part.lines) for part in parts):
        raise DataRefused(f"{file} holds no rows. Give one sample per row.")
    return LoadedRows(
        [store.array() for store in stores],
        None if not label else np.concatenate([part.labels for part in parts if part.labels is not None]),
        np.concatenate([part.lines for part in parts]),
        np.concatenate([part.same for part in parts]),
        parts=None
        if parts[0].parts is None
        else np.concatenate([part.parts for part in parts if part.parts is not None]),
    )


def _check_shapes(table: DataTable, fit: Fit, columns: list[list[int]]) -> None:
    """Raise DataRefused if an array of a separate file has rows of another shape than the main file's."""
    for group, fitted in zip(columns, fit.inputs, strict=True):
        own = table.shapes.get(group[0], ()) if len(group) == 1 else ()
        is_open = any(length is None for length in own)
        if not is_open and tuple(own) != fitted.source_shape:
            raise DataRefused(
                f"{table.path.name}: the rows of '{table.names[group[0]]}' are {shape_text(own)}, but those of the main "
                f"file are {shape_text(fitted.source_shape)}. Give rows of one shape."
            )


def _plain_values(block: Block, used: Sequence[int]) -> np.ndarray:
    """float64 (rows, columns) of the columns that are not arrays."""
    plain = [i for i in used if i not in block.arrays]
    if plain and plain == list(range(plain[0], plain[0] + len(plain))):
        return np.ascontiguousarray(block.numbers[:, plain[0] : plain[-1] + 1])
    return np.ascontiguousarray(block.numbers[:, plain])


def _values(block: Block, group: Sequence[int], raw: np.ndarray | None) -> np.ndarray:
    """The values of one input, (rows, …) as the file has them; raw: float64 (rows, columns), where it is known."""
    if group[0] in block.arrays:
        return block.arrays[group[0]]
    return block.numbers[:, group] if raw is None else raw


def _hashes(plain: np.ndarray, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """int64 (rows,): equal for rows with equal values."""
    if not arrays:
        return np.fromiter((hash(row.tobytes()) for row in plain), np.int64, len(plain))
    contents = [np.ascontiguousarray(array) for array in arrays]
    return np.fromiter(
        (hash((row.tobytes(), *(array[k].tobytes() for array in contents))) for k, row in enumerate(plain)),
        np.int64,
        len(plain),
    )


def _bad_cells(name: str, problems: ProblemList) -> str:
    if problems.counts[UNREADABLE]:
        return f"{name} has {problems.summary()}. Repair or convert these files, or leave them out."
    return (
        f"{name} has {problems.summary()}. Correct or delete these rows, or ignore the column if it is "
        "not an input. Missing values are never filled in silently."
    )


def is_whole_dtype(dtype: str) -> bool:
    return dtype.startswith(("int", "uint", "bool"))


def _stored(
    values: np.ndarray, dtype: str, steps: tuple[Step, ...], block: Block, name: str, file: str
) -> np.ndarray:
    """float32, or float64 where the input takes whole numbers (checked here, where the row is known)."""
    cast = steps[-1].dtype if steps and isinstance(steps[-1], Cast) else dtype
    if is_whole_dtype(cast) or is_whole_dtype(dtype):
        check_whole(values, cast if is_whole_dtype(cast) else dtype, block.lines, name, file)
        return values.astype(np.float64)
    stored = values.astype(np.float32)
    if not np.isfinite(stored).all():
        _refuse_beyond_float32(values, stored, block, name, file)
    return stored


def _refuse_beyond_float32(
    values: np.ndarray, stored: np.ndarray, block: Block, name: str, file: str
) -> None:
    """Raise DataRefused, with the row, for a finite number that becomes infinite in the model's type."""
    bad = (np.isinf(stored) & np.isfinite(values)).reshape(len(values), -1)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataRefused(
            f"{file}, row {block.lines[row]}, value {column + 1} of input '{name}' is "
            f"{values.reshape(len(values), -1)[row, column]:g}, beyond what float32 holds (3.4e38). Correct the value, "
            "or scale the column down in the pre-processing."
        )


def check_whole(values: np.ndarray, dtype: str, lines: np.ndarray, name: str, file: str) -> None:
    """Raise DataRefused, with the row, unless every finite value is whole and within `dtype`."""
    limits = np.iinfo(np.uint8 if dtype == "bool" else np.dtype(dtype))
    flat = values.reshape(len(values), -1)
    bad = np.isfinite(flat) & ((flat != np.rint(flat)) | (flat < limits.min) | (flat > limits.max))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataRefused(
            f"input '{name}' takes whole numbers ({dtype}), but {file}, row {lines[row]}, value "
            f"{column + 1} of the input is {label_text(float(flat[row, column]))}. Check the file and the "
            "pre-processing."
        )
