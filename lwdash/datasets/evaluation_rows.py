"""The place of the evaluation rows in their file, and every step from there to the model, for a script without lwdash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lwdash.datasets.data_inspection import inspect_data
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.dataset import Dataset
from lwdash.datasets.fit import fit_to_model
from lwdash.datasets.labels.task import Tensor
from lwdash.datasets.open_shapes import file_step
from lwdash.datasets.prepare import label_places, places_of
from lwdash.datasets.preprocessing.language import Cast, Columns, parse_preprocess
from lwdash.datasets.preprocessing.steps import split_steps
from lwdash.datasets.readers.csv_text.csv_table import CsvTable
from lwdash.datasets.readers.open_table import open_table
from lwdash.datasets.readers.row_reader import is_whole_dtype
from lwdash.datasets.readers.table import DataTable, OpenOptions, View
from lwdash.errors import DataRefused


def evaluation_rows(
    path: Path,
    settings: DataSettings,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    dataset: Dataset,
    *,
    task: str | None = None,
    labelled_task: str | None = None,
    evaluation_path: Path | None = None,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(plan, arrays) that allow reading the evaluation part of `dataset` again. Raises DataRefused for files of a
    kind that the script does not read.

    plan, JSON-able: "file" ("data" or "evaluation"), "kind" ("csv" or the format of the file), for each input its "shape",
    "dtype", "row_steps" (in float64, then stored as float32 unless "is_whole") and "late_steps" (which use statistics of
    the train rows). arrays: "lines" of the file, and the statistics as "statistic_<input>_<step>_offset" and "…_width".
    Of a CSV also "columns_<input>" in arrays, and in the plan "delimiter", "decimal", "encoding", "label" (column
    index or None), "label_columns" (label text → column index, where the label has one column per class),
    "targets" (column indices, where it has one column per target), "positions" (column indices, where each
    position of a row has a class) and "label_shape" (theirs), and "classes" (label texts in the order of the
    outputs, or None). Of other files each input has a "source", see `DataTable.script_source`, and the labels of the rows
    are "labels" in arrays.
    """
    facts = inspect_data(
        path, delimiter=settings.delimiter, has_header=settings.has_header, label=settings.label or None
    )
    fit = fit_to_model(facts, settings, inputs, outputs, task=task, labelled_task=labelled_task)
    source = evaluation_path or path
    table = open_table(source, OpenOptions(settings.delimiter, settings.has_header))
    label = label_places(fit)
    used = sorted({i for f in fit.inputs for i in f.columns} | set(label))
    place = dict(zip(used, used, strict=True))
    if evaluation_path is not None:
        place = places_of(table.names, facts.names, used) or place
    preprocess = parse_preprocess(settings.preprocess)
    described: list[dict[str, Any]] = []
    arrays = {"lines": _lines(dataset)}
    is_csv = isinstance(table, CsvTable)
    for number, fitted in enumerate(fit.inputs):
        columns = [place[i] for i in fitted.columns]
        steps = [step for step in preprocess.for_input(fitted.name) if not isinstance(step, Columns)]
        alone, late = split_steps(steps)
        described_source: dict[str, Any] = {}
        if is_csv:
            arrays[f"columns_{number}"] = np.array(columns)
        else:
            view = View(fitted.source_shape, file_step(alone)) if fitted.source_shape else None
            described_source = {"source": _source(table, columns, view, arrays["lines"].tolist())}
        described.append(
            {
                "name": fitted.name,
                "shape": list(fitted.shape),
                "dtype": "float32" if fitted.dtype in ("bfloat16", "") else fitted.dtype,
                "is_whole": is_whole_dtype(fitted.dtype) or any(_is_whole_cast(step) for step in alone),
                "row_steps": [_described(step) for step in alone],
                "late_steps": [_described(step) for step in late],
                **described_source,
            }
        )
        for k, (offset, width) in enumerate(dataset.statistics.get(fitted.name, ())):
            arrays[f"statistic_{number}_{k}_offset"] = np.asarray(offset)
            arrays[f"statistic_{number}_{k}_width"] = np.asarray(width)
    plan: dict[str, Any] = {
        "file": "data" if evaluation_path is None else "evaluation",
        "kind": table.file_format,
        "inputs": described,
    }
    if not isinstance(table, CsvTable):
        if dataset.labels is not None:
            arrays["labels"] = dataset.labels[dataset.parts["evaluation"]]
        return plan, arrays
    dialect = table.dialect
    plan |= {
        "delimiter": dialect.delimiter,
        "decimal": dialect.decimal,
        "encoding": dialect.encoding,
        "label": place[label[0]] if len(label) == 1 else None,
        "label_columns": {
            name: place[i] for (name, _), i in zip(fit.class_counts, fit.label_columns, strict=False)
        },
        "targets": [] if fit.class_counts or fit.label_shape else [place[i] for i in fit.label_columns],
        "positions": [place[i] for i in fit.label_columns] if fit.label_shape else [],
        "label_shape": list(fit.label_shape),
        "classes": None if dataset.classes is None else list(dataset.classes),
    }
    return plan, arrays


def _source(
    table: DataTable, columns: Sequence[int], view: View | None, lines: Sequence[int]
) -> Mapping[str, Any]:
    source = table.script_source(columns, view, lines)
    if source is None:
        raise DataRefused(
            f"the script of a capsule does not read {table.file_format} files; lwdash verify reads all kinds of files."
        )
    return source


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """A compressed .npz without pickle."""
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)  # type: ignore[arg-type]


def _lines(dataset: Dataset) -> np.ndarray:
    rows = dataset.parts["evaluation"]
    return np.asarray(dataset.lines)[rows] if dataset.lines is not None else rows


def _is_whole_cast(step: Any) -> bool:
    return isinstance(step, Cast) and is_whole_dtype(step.dtype)


def _described(step: Any) -> Mapping[str, Any]:
    """{"step": its name, **its parameters}."""
    return {"step": type(step).__name__.lower(), **asdict(step)}
