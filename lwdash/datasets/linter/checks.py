"""The calibration linter: looks at prepared rows before any job, for what would spoil the figures made from them."""

from collections.abc import Mapping, Sequence

import numpy as np

from lwdash.datasets.dataset import Dataset
from lwdash.datasets.fit import Fit
from lwdash.datasets.linter.classes_check import class_findings
from lwdash.datasets.linter.columns_check import column_findings
from lwdash.datasets.linter.findings import Finding, by_severity
from lwdash.datasets.linter.input_view import InputView
from lwdash.datasets.linter.layout_check import layout_findings
from lwdash.datasets.linter.ranges_check import range_findings
from lwdash.datasets.linter.rows_check import row_findings
from lwdash.datasets.linter.scaling_check import Expected, scaling_findings
from lwdash.datasets.linter.targets_check import target_findings
from lwdash.datasets.preprocessing.language import parse_preprocess

MOST_VALUES = 8 << 20
"""Values of one input that are looked at, in rows taken evenly from all of them."""
MOST_ROWS = 5000


def lint(
    dataset: Dataset,
    fit: Fit,
    names: Sequence[str],
    *,
    expected: Mapping[str, Expected] | None = None,
    own_parts: Sequence[str] = (),
) -> list[Finding]:
    """Findings about `dataset`, the gravest first.

    fit: how the columns feed the inputs; names: all columns of the file. expected: per input what the model
    makes of its values, left out where the model's file does not tell. own_parts: parts with files of their own.
    """
    found = [*class_findings(dataset), *target_findings(dataset), *row_findings(dataset, own_parts)]
    for fitted in fit.inputs:
        view = input_view(dataset, fitted.name, [names[i] for i in fitted.columns])
        found += scaling_findings(view, (expected or {}).get(fitted.name))
        found += layout_findings(view)
        found += range_findings(view)
        found += column_findings(view, dataset)
    return by_severity(found)


def input_view(dataset: Dataset, name: str, columns: Sequence[str]) -> InputView:
    """The rows of one input that the linter looks at, as the model takes them."""
    values = dataset.inputs[name]
    most = max(50, min(MOST_ROWS, MOST_VALUES // max(1, values[:1].size)))
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
    )


def evenly(indices: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of `indices`, spread over all of them."""
    if len(indices) <= most:
        return indices
    return indices[np.linspace(0, len(indices) - 1, most).astype(np.int64)]


def mixed_rows(dataset: Dataset, most: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """At most `most` rows spread over all, in a mixed order that is always the same, and their inputs."""
    rows = np.random.default_rng(0).permutation(evenly(np.arange(dataset.rows), most))
    return rows, {name: np.ascontiguousarray(values[rows]) for name, values in dataset.inputs.items()}
