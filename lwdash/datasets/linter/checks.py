"""The calibration linter: checks prepared rows before any job, for problems that would make metrics wrong."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from lwdash.datasets.dataset import Dataset
from lwdash.datasets.fit import Fit
from lwdash.datasets.input_fit import InputFit
from lwdash.datasets.linter.classes_check import class_findings
from lwdash.datasets.linter.columns_check import MAX_COLUMNS, column_findings
from lwdash.datasets.linter.findings import Finding, by_severity
from lwdash.datasets.linter.input_view import InputView
from lwdash.datasets.linter.layout_check import layout_findings
from lwdash.datasets.linter.ranges_check import range_findings
from lwdash.datasets.linter.rows_check import row_findings
from lwdash.datasets.linter.scaling_check import Expected, scaling_findings
from lwdash.datasets.linter.targets_check import target_findings
from lwdash.datasets.preprocessing.language import parse_preprocess

MAX_VALUES = 8 << 20
"""Maximum number of values of one input that are checked, in evenly spaced rows."""
MAX_ROWS = 5000


def lint(
    dataset: Dataset,
    fit: Fit,
    names: Sequence[str],
    *,
    expected: Mapping[str, Expected] | None = None,
    own_parts: Sequence[str] = (),
) -> list[Finding]:
    """Findings about `dataset`, the most severe first.

    fit: assignment of columns to inputs; names: all columns of the file. expected: per input the model's own
    scaling of its values, missing where the model's file does not state it. own_parts: parts with their own
    files.
    """
    found = [
        *class_findings(dataset, own_parts),
        *target_findings(dataset),
        *row_findings(dataset, own_parts),
    ]
    for fitted in fit.inputs:
        view = input_view(dataset, fitted.name, value_names(fitted, names), fitted.source_shape)
        found += scaling_findings(view, (expected or {}).get(fitted.name))
        found += layout_findings(view)
        found += range_findings(view)
        found += column_findings(view, dataset)
    return by_severity(found)


def value_names(fitted: InputFit, names: Sequence[str]) -> list[str]:
    """The names of the values that feed an input: its columns, or the places in its array, `x[0, 3]`.

    The name of the array alone for large arrays, whose values are not judged one by one.
    """
    if not fitted.source_shape or math.prod(fitted.source_shape) > MAX_COLUMNS:
        return [names[i] for i in fitted.columns]
    array = names[fitted.columns[0]]
    return [f"{array}[{', '.join(map(str, place))}]" for place in np.ndindex(*fitted.source_shape)]


def input_view(
    dataset: Dataset, name: str, columns: Sequence[str], source_shape: Sequence[int] = ()
) -> InputView:
    """The rows of one input that the linter checks, as the model takes them. source_shape: see `InputFit`."""
    values = dataset.inputs[name]
    most = max(50, min(MAX_ROWS, MAX_VALUES // max(1, values[:1].size)))
    rows = {part: evenly(indices, most) for part, indices in dataset.parts.items()}
    every = np.unique(np.concatenate(list(rows.values())))
    lines = dataset.lines if dataset.lines is not None else np.arange(len(values)) + 1
    return InputView(
        name=name,
        values=np.asarray(values[every], np.float64),
        rows=every,
        lines=lines[every],
        parts={part: np.searchsorted(every, indices) for part, indices in rows.items()},
        columns=tuple(columns),
        preprocess=parse_preprocess(dataset.preprocess),
        is_whole_input=values.dtype.kind in "iub",
        source_shape=tuple(source_shape),
    )


def evenly(indices: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of `indices`, spread over all of them."""
    if len(indices) <= most:
        return indices
    return indices[np.linspace(0, len(indices) - 1, most).astype(np.int64)]


def mixed_rows(dataset: Dataset, most: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """At most `most` evenly spaced rows, in a fixed shuffled order, and their inputs."""
    rows = np.random.default_rng(0).permutation(evenly(np.arange(dataset.rows), most))
    return rows, {name: np.ascontiguousarray(values[rows]) for name, values in dataset.inputs.items()}
