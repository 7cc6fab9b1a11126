"""The rows of one file: read block by block, taken through the steps that each row needs alone, checked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lwdash.datasets.fit import Fit
from lwdash.datasets.labels.label_columns import label_text
from lwdash.datasets.labels.one_hot import one_hot_labels
from lwdash.datasets.labels.targets import check_answers
from lwdash.datasets.preprocessing.language import Cast, Step
from lwdash.datasets.preprocessing.steps import apply_steps
from lwdash.datasets.readers.csv_blocks import Block, Reader
from lwdash.datasets.readers.csv_dialect import Dialect
from lwdash.datasets.readers.csv_problems import ProblemList
from lwdash.datasets.spilled_arrays import RowStore
from lwdash.errors import DataRefused


@dataclass
class LoadedRows:
    """Rows of one file, or of one block of it. arrays: per input, after the row steps; labels: str (rows,),
    float64 (rows,) or (rows, targets), None without; same: int64 (rows,) hash of the input values of each row."""

    arrays: list[np.ndarray]
    labels: np.ndarray | None
    lines: np.ndarray
    same: np.ndarray
    problems: ProblemList = field(default_factory=ProblemList)


def load_rows(
    path: Path,
    dialect: Dialect,
    fit: Fit,
    columns: list[list[int]],
    label: Sequence[int],
    steps: list[tuple[Step, ...]],
) -> LoadedRows:
    """Reads `path` once, block by block.

    columns: for each input the columns of *this* file; label: its label column, or its columns where the label has one
    a class or a target (`fit.label_columns`), none without; steps: per input, those
    without figures of the train part. Raises DataRefused that names row and column for missing, non-numeric
    and infinite values, rows of another length, and fractions where an input takes whole numbers.
    """
    used = list(dict.fromkeys(i for group in columns for i in group))
    adjoin = used == list(range(used[0], used[0] + len(used)))
    is_dense = bool(fit.label_columns and fit.label_shape)
    is_one_hot = bool(fit.label_columns and fit.class_counts) and not is_dense
    label_is_text = (len(label) == 1 or is_dense) and any(dialect.kinds[i] == "t" for i in label)
    reader = Reader(
        path, dialect, text_columns=label if label_is_text else [], wanted=[*used, *label],
    )  # fmt: skip
    names = [name for name, _ in fit.class_counts]

    def one(block: Block) -> LoadedRows:
        labels = None
        if is_one_hot:
            labels = one_hot_labels(block.numbers[:, label], names, block.lines, path.name)
        elif is_dense and label_is_text:
            labels = np.stack([block.text[i] for i in label], axis=1)
        elif is_dense:
            labels = block.numbers[:, label]
        elif fit.label_columns:
            labels = block.numbers[:, label]
            check_answers(labels, fit.task, block.lines, [dialect.names[i] for i in label], path.name)
        elif label:
            labels = block.text[label[0]] if label_is_text else block.numbers[:, label[0]].copy()
        raw = np.ascontiguousarray(
            block.numbers[:, used[0] : used[-1] + 1] if adjoin else block.numbers[:, used]
        )
        same = np.fromiter((hash(row.tobytes()) for row in raw), np.int64, len(raw))
        arrays = []
        for group, fitted, own in zip(columns, fit.inputs, steps, strict=True):
            values = raw if group == used else block.numbers[:, group]
            with np.errstate(invalid="ignore", over="ignore"):
                values = apply_steps(own, values)
                arrays.append(_stored(values, fitted.dtype, own, block, fitted.name, path.name))
        return LoadedRows(arrays, labels, block.lines, same, block.problems)

    stores, parts = [RowStore(shared_by=len(columns)) for _ in columns], []
    problems = ProblemList()
    for part in reader.blocks(one):
        problems.extend(part.problems)
        if not problems.counts:
            for store, values in zip(stores, part.arrays, strict=True):
                store.add(values)
        part.arrays = []
        parts.append(part)
    if problems.counts:
        raise DataRefused(_bad_cells(path.name, problems))
    if not any(len(part.lines) for part in parts):
        raise DataRefused(f"{path.name} holds no rows. Give a CSV with one sample a row.")
    return LoadedRows(
        [store.array() for store in stores],
        None if not label else np.concatenate([part.labels for part in parts if part.labels is not None]),
        np.concatenate([part.lines for part in parts]),
        np.concatenate([part.same for part in parts]),
    )


def _bad_cells(name: str, problems: ProblemList) -> str:
    return (
        f"{name} has {problems.summary()}. Correct or delete these rows, or ignore the column if it is not "
        "an input; missing values are never filled in silently."
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
    """Raise DataRefused, with the row, for a number that is finite as written and infinite as the model takes it."""
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
            f"input '{name}' takes whole numbers ({dtype}), but {file}, row {lines[row]}, value {column + 1} "
            f"of the input is {label_text(float(flat[row, column]))}. Is this the right data, or does the "
            "model need other pre-processing?"
        )
