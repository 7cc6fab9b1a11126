"""Data file → arrays in three parts: reads, pre-processes, maps labels, splits."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lwdash.datasets.data_facts import DataFacts, brief_names, named_run
from lwdash.datasets.data_inspection import inspect_data
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.dataset import Dataset
from lwdash.datasets.fit import Fit, fit_to_model
from lwdash.datasets.input_fit import InputFit
from lwdash.datasets.labels.classes import canonical, map_classes
from lwdash.datasets.labels.label_columns import label_text
from lwdash.datasets.labels.position_classes import code_positions, position_strata
from lwdash.datasets.labels.task import BINARY, CLASSIFICATION, Tensor, units
from lwdash.datasets.preprocessing.language import Cast, Step, parse_preprocess
from lwdash.datasets.preprocessing.steps import (
    Statistics,
    apply_steps,
    chunk_rows,
    learn_statistics,
    split_steps,
)
from lwdash.datasets.readers.open_table import open_table
from lwdash.datasets.readers.row_reader import LoadedRows, check_whole, is_whole_dtype, load_rows
from lwdash.datasets.readers.table import OpenOptions
from lwdash.datasets.spilled_arrays import empty_rows, release_pages
from lwdash.datasets.split import PARTS, SHARES, split_rows, strata_of_numbers
from lwdash.errors import DataRefused

MIN_ROWS = 5


def prepare(
    path: Path,
    settings: DataSettings,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    *,
    task: str | None = None,
    labelled_task: str | None = None,
    facts: DataFacts | None = None,
    evaluation_path: Path | None = None,
    calibration_path: Path | None = None,
) -> Dataset:
    """The rows of `path` as the model takes them, in three disjoint parts.

    inputs, outputs: (name, shape without the batch axis, dtype). task, labelled_task: as for `fit_to_model`.
    facts: result of `inspect_data` for `path`; without it the file is inspected first (one more pass).
    evaluation_path, calibration_path: files that are used unchanged as these parts; `path` is then split among
    the others. Raises DataRefused, naming row and column of a wrong cell.
    """
    path = Path(path)
    if facts is None or (settings.label and not _is_known(settings.label, facts)):
        facts = inspect_data(
            path, delimiter=settings.delimiter, has_header=settings.has_header, label=settings.label or None
        )
    fit = fit_to_model(facts, settings, inputs, outputs, task=task, labelled_task=labelled_task)
    preprocess = parse_preprocess(settings.preprocess)
    steps = [preprocess.for_input(f.name) for f in fit.inputs]
    alone = [split_steps(s)[0] for s in steps]

    main = open_table(path, _reading(settings))
    loaded = {"": load_rows(main, fit, [list(f.columns) for f in fit.inputs], label_places(fit), alone)}
    for part, extra in (("calibration", calibration_path), ("evaluation", evaluation_path)):
        if extra is not None:
            loaded[part] = _load_extra(Path(extra), part, settings, facts.names, fit, alone)

    labels, classes, label_warnings = _labels(loaded, fit, settings, outputs)
    same = np.concatenate([rows.same for rows in loaded.values()])
    parts = _parts(loaded, labels, same, settings.seed)
    lines = np.concatenate([each.lines for each in loaded.values()])
    arrays: dict[str, np.ndarray] = {}
    statistics: dict[str, tuple[tuple[np.ndarray, np.ndarray], ...]] = {}
    for k, (fitted, own_steps) in enumerate(zip(fit.inputs, steps, strict=True)):
        rows = _joined([each.arrays[k] for each in loaded.values()])
        learnt = learn_statistics(split_steps(own_steps)[1], rows, parts["train"])
        if learnt:
            statistics[fitted.name] = tuple(learnt)
        arrays[fitted.name] = _finished(rows, fitted, own_steps, learnt, lines, path.name)
    warnings = [*fit.warnings, *label_warnings]
    return Dataset(
        inputs=arrays,
        labels=labels,
        classes=classes,
        parts=parts,
        warnings=tuple(dict.fromkeys(warnings)),
        task=fit.task,
        label=fit.label,
        output=fit.output,
        preprocess=str(preprocess),
        lines=lines,
        statistics=statistics,
    )


def _is_known(label: str, facts: DataFacts) -> bool:
    """True if the label is a column that was counted, or a run of targets, which need not be counted."""
    return facts.candidate(label) is not None or bool(named_run(facts.names, label))


def _load_extra(
    path: Path,
    part: str,
    settings: DataSettings,
    names: Sequence[str],
    fit: Fit,
    steps: list[tuple[Step, ...]],
) -> LoadedRows:
    """A separate file for one part: columns found by name, or by position where it has as many columns."""
    table = open_table(path, _reading(settings))
    labelling = label_places(fit)
    needed = sorted({*labelling, *(i for f in fit.inputs for i in f.columns)})
    place = places_of(table.names, names, needed)
    if place is None:
        raise DataRefused(
            f"the {part} file {path.name} has the columns {brief_names(table.names)}, but the main "
            f"file's are {brief_names(names)}. Give it the same columns, label included."
        )
    label = [place[i] for i in labelling]
    return load_rows(table, fit, [[place[i] for i in f.columns] for f in fit.inputs], label, steps)


def _reading(settings: DataSettings) -> OpenOptions:
    return OpenOptions(settings.delimiter, settings.has_header, settings.label or None)


def label_places(fit: Fit) -> list[int]:
    """The columns of the label: none, one, or one per class."""
    return [*fit.label_columns] or ([] if fit.label_index is None else [fit.label_index])


def places_of(held: Sequence[str], names: Sequence[str], needed: Sequence[int]) -> dict[int, int] | None:
    """Column of the main file → column of one with the names `held`, by name, otherwise by position; None where
    neither matches.
    """
    own = {name: i for i, name in enumerate(held)}
    if all(names[i] in own for i in needed):
        return {i: own[names[i]] for i in needed}
    if len(held) == len(names):
        return {i: i for i in needed}
    return None


def _labels(
    loaded: dict[str, LoadedRows], fit: Fit, settings: DataSettings, outputs: Sequence[Tensor]
) -> tuple[np.ndarray | None, tuple[str, ...] | None, tuple[str, ...]]:
    """Output index (or target) of every row, the classes, and warnings about the mapping, from the rows of all files."""
    if fit.label is None:
        return None, None, ()
    columns = [rows.labels for rows in loaded.values() if rows.labels is not None]
    if fit.label_columns and fit.label_shape:
        size = 2 if fit.task == BINARY else next(o[1][-1] or 1 for o in outputs if o[0] == fit.output)
        arrays, dense = code_positions(columns, size, column=fit.label, chosen=settings.classes)
        return np.concatenate(arrays).reshape(-1, *fit.label_shape), dense.classes, dense.warnings
    if fit.task not in (CLASSIFICATION, BINARY):
        if any(column.dtype == object for column in columns):
            raise DataRefused(
                f"label column '{fit.label}' holds text in one of the files, but a number is to be predicted."
            )
        return np.concatenate(columns).astype(np.float32), fit.classes, ()
    coded = []
    counts: Counter[str] = Counter()
    for column in columns:
        distinct, index = np.unique(column, return_inverse=True)
        texts = [canonical(v) if isinstance(v, str) else label_text(float(v)) for v in distinct.tolist()]
        coded.append((texts, index))
        counts.update(dict(zip(texts, np.bincount(index).tolist(), strict=True)))
    size = 2 if fit.task == BINARY else next(units(o[1]) for o in outputs if o[0] == fit.output)
    chosen = fit.classes if fit.label_columns else settings.classes  # columns are in the order of the outputs
    mapping = map_classes(counts, size, column=fit.label, chosen=chosen)
    place = {text: k for k, text in enumerate(mapping.classes)}
    labels = np.concatenate([np.array([place[t] for t in texts], np.int64)[index] for texts, index in coded])
    return labels.reshape(-1, *fit.label_shape), mapping.classes, mapping.warnings


def _parts(
    loaded: dict[str, LoadedRows], labels: np.ndarray | None, same: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """The parts: given files and stated parts unchanged, the other rows of the main file divided among the parts
    that are left in the ratio 60 : 20 : 20.
    """
    whole = len(loaded[""].lines)
    given = _stated(loaded)
    own = np.setdiff1d(np.arange(whole), np.concatenate([*given.values(), np.empty(0, np.int64)]))
    if len(own) < (1 if given else MIN_ROWS):
        raise DataRefused(
            f"the data has {len(own)} rows{' to divide' if given else ''}; at least {1 if given else MIN_ROWS} are needed "
            "to divide it into three parts."
        )
    shares = {name: 0.0 if name in loaded or name in given else SHARES[name] for name in PARTS}
    if not any(shares.values()):
        raise DataRefused(
            "the data states rows for every part, and has others besides. Leave one of them out."
        )
    shares = {name: share / sum(shares.values()) for name, share in shares.items()}
    if labels is None:
        strata = np.zeros(len(own), np.int64)
    elif labels.dtype == np.float32:
        strata = strata_of_numbers(labels[own])
    elif labels.ndim > 1:
        strata = position_strata(labels[own])
    else:
        strata = labels[own]
    parts = split_rows(strata, same[own], seed=seed, shares=shares)
    if any(shares[name] and not len(parts[name]) for name in PARTS):
        # Every class is too small to be divided: parts that lack classes are better than an empty part.
        parts = split_rows(np.zeros(len(own), np.int64), same[own], seed=seed, shares=shares)
    empty = [name for name in PARTS if shares[name] and not len(parts[name])]
    if empty:
        raise DataRefused(
            f"too few different rows: none is left for {empty[0]} ({len(own)} rows, most of them repeats)."
        )
    parts = {name: own[rows] for name, rows in parts.items()} | given
    start = whole
    for name, rows in loaded.items():
        if name:
            parts[name] = np.arange(start, start + len(rows.lines))
            start += len(rows.lines)
    return parts


def _stated(loaded: dict[str, LoadedRows]) -> dict[str, np.ndarray]:
    """Part → rows, for the parts that the main file states and that have no file of their own."""
    stated = loaded[""].parts
    if stated is None:
        return {}
    found = {name: np.flatnonzero(stated == code) for code, name in enumerate(PARTS)}
    return {name: rows for name, rows in found.items() if len(rows) and name not in loaded}


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    if len(arrays) == 1:
        return arrays[0]
    result = empty_rows((sum(map(len, arrays)), *arrays[0].shape[1:]), arrays[0].dtype)
    start = 0
    for array in arrays:
        for first in range(0, len(array), size := chunk_rows(array)):
            part = array[first : first + size]
            result[start : start + len(part)] = part
            start += len(part)
            release_pages(array)
            release_pages(result)
    return result


def _finished(
    rows: np.ndarray,
    fitted: InputFit,
    steps: tuple[Step, ...],
    statistics: Statistics,
    lines: np.ndarray,
    file: str,
) -> np.ndarray:
    """The last steps, the shape and the dtype that the model takes, chunk by chunk."""
    dtype, rest = fitted.dtype, split_steps(steps)[1]
    final = np.dtype("float32" if dtype in ("bfloat16", "") else dtype)
    cast = steps[-1].dtype if steps and isinstance(steps[-1], Cast) else None
    if not rest and cast in (None, dtype) and rows.dtype == final:
        return rows.reshape(len(rows), *fitted.shape)
    result = empty_rows((len(rows), *fitted.shape), final)
    size = chunk_rows(rows)
    for start in range(0, len(rows), size):
        values = apply_steps(rest, rows[start : start + size].astype(np.float64), statistics)
        if cast is not None:
            if is_whole_dtype(cast):
                check_whole(values, cast, lines[start : start + size], fitted.name, file)
            values = values.astype(cast)
        if is_whole_dtype(dtype):
            check_whole(values, dtype, lines[start : start + size], fitted.name, file)
        result[start : start + size] = values.reshape(len(values), *fitted.shape)
        release_pages(rows)
        release_pages(result)
    return result
