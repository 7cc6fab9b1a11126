"""Labels of several numbers per row, one column each: targets to predict, or yes/no labels."""

from collections.abc import Sequence

import numpy as np

from lwdash.datasets.data_facts import DataFacts, LabelCandidate, brief_names
from lwdash.datasets.labels.task import MULTI_LABEL, TARGETS
from lwdash.errors import DataRefused


def target_candidate(
    facts: DataFacts, columns: Sequence[int], *, may_be_text: bool = False
) -> LabelCandidate:
    """The label that these columns form together. may_be_text: they are classes.

    Raises DataRefused for a column that is not numeric.
    """
    for i in columns:
        if facts.kinds[i] not in ("ift" if may_be_text else "if"):
            raise DataRefused(
                f"label column '{facts.names[i]}' holds {'text' if facts.kinds[i] == 't' else 'nothing'}, but several label "
                "columns must hold numbers: the targets, or 0 and 1 for yes/no labels."
            )
    names = [facts.names[i] for i in columns]
    is_run = list(columns) == list(range(columns[0], columns[0] + len(columns)))
    return LabelCandidate(
        index=columns[0],
        name=f"{names[0]}..{names[-1]}" if is_run else brief_names(names),
        reason=f"{len(columns)} columns, one for each number that the model outputs",
        kind=TARGETS,
        score=0.0,
        distinct=len(columns),
        classes=(),
        columns=tuple(columns),
    )


def check_yes_no_labels(
    cells: np.ndarray, task: str, lines: np.ndarray, names: Sequence[str], file: str
) -> None:
    """Raises DataRefused, naming line and column, for a yes/no label that is not 0 or 1.

    cells: float64 (rows, targets); missing ones are reported elsewhere.
    """
    if task != MULTI_LABEL:
        return
    bad = ~np.isnan(cells) & (cells != 0) & (cells != 1)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataRefused(
            f"{file}, row {lines[row]}: label column '{names[column]}' holds {cells[row, column]:g}, but "
            "the model has yes/no outputs: each label must be 0 or 1. Correct the row, or choose no "
            "label."
        )
