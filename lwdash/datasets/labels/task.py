"""The task that a label column sets: classes, a number to predict, or none."""

import math
from collections.abc import Sequence

from lwdash.datasets.data_facts import LabelCandidate
from lwdash.errors import DataRefused

Tensor = tuple[str, tuple[int | None, ...], str]

CLASSIFICATION, BINARY, REGRESSION, RECONSTRUCTION, UNLABELLED = (
    "classification", "binary", "regression", "reconstruction", "unlabelled",
)  # fmt: skip
MULTI_LABEL = "multi-label"
TARGETS = "targets"
"""Kind of a label candidate of several columns, one for each number that an output has."""
UNDECIDED = "undecided"
"""Outputs of a sigmoid or tanh that was trained on a regression loss: two label values are classes, others numbers."""
UNCOUNTED = 0
_KNOWN = {None, CLASSIFICATION, BINARY, MULTI_LABEL, REGRESSION, RECONSTRUCTION, UNLABELLED, UNDECIDED}


def units(shape: Sequence[int | None]) -> int:
    """Values of one output; unknown lengths count as 1."""
    return math.prod(length or 1 for length in shape)


def choose_task(
    task: str | None, label: LabelCandidate | None, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> tuple[str, str | None, tuple[str, ...]]:
    """The task, the output that the labels are for, and notes.

    task: what the model's first output is known to be for (its loss), None if unknown. A label with fractions, or with more
    distinct values than can be classes, is a regression target; two values for one output unit are a binary
    label.
    """
    if task not in _KNOWN:
        raise DataRefused(f"task '{task}' is unknown (known: {', '.join(sorted(t for t in _KNOWN if t))}).")
    if label is None:
        same = any(tuple(o[1]) == tuple(i[1]) for o in outputs for i in inputs)
        return (RECONSTRUCTION if task == RECONSTRUCTION or (task is None and same) else UNLABELLED), None, ()
    if task in (RECONSTRUCTION, UNLABELLED):
        return task, None, ()
    notes: tuple[str, ...] = ()
    is_measured = label.kind == "float" or (not label.classes and label.distinct != UNCOUNTED)
    output = _output_for(label, outputs, is_measured)
    size = units(output[1])
    if output != outputs[0]:
        task = None  # what the first output is for says nothing of the others
    if len(outputs) > 1:
        notes = (f"the model has {len(outputs)} outputs; the labels are compared with '{output[0]}'",)
    if label.kind == TARGETS:
        return _of_targets(task, label, output), output[0], notes
    if task == MULTI_LABEL and size > 1:
        raise DataRefused(
            f"the model answers several yes/no questions at once ({size} sigmoid outputs), and one label "
            f"column '{label.name}' cannot hold all answers. Name the columns that do, as first..last, or choose no label: "
            "the compressed models are then compared with the original. If exactly one answer is right in each row, state "
            "the task as classification (--task classification)."
        )
    if size == 1:
        return _of_one_unit(task, label, is_measured), output[0], notes
    if task == REGRESSION:
        raise DataRefused(
            f"the model predicts {size} numbers (output '{output[0]}'), and one label column '{label.name}' "
            "holds only one. Name the columns of all, as first..last, or choose no label: the compressed models are then "
            "compared with the original."
        )
    if is_measured:
        raise DataRefused(
            f"label column '{label.name}' holds fractions or more values than classes ({label.reason}), but "
            f"the model has {size} outputs, one a class. Choose the column with the classes, or no label."
        )
    return CLASSIFICATION, output[0], notes


def _of_targets(task: str | None, label: LabelCandidate, output: Tensor) -> str:
    """What several columns of numbers are for an output of as many."""
    if task in (CLASSIFICATION, BINARY):
        raise DataRefused(
            f"the task is classification, but the columns '{label.name}' are no label of one column a class: they must "
            "be the first columns of the CSV, an index apart, or the last ones, and in each row one of them must be 1 and "
            "the others 0. Choose the column with the classes, or no label."
        )
    size = units(output[1])
    if size != len(label.columns):
        raise DataRefused(
            f"the label has {len(label.columns)} columns ({label.name}), but output '{output[0]}' has {size} "
            f"number{'s' if size != 1 else ''} a row. Choose {'as many columns' if size > 1 else 'one column'}, or no label."
        )
    return task or REGRESSION


def _of_one_unit(task: str | None, label: LabelCandidate, is_measured: bool) -> str:
    """What a label is for a model with a single number as its output: one of two classes, or that number."""
    is_open = task in (None, UNDECIDED)
    if task in (BINARY, CLASSIFICATION, MULTI_LABEL) or (
        is_open and not is_measured and 0 < label.distinct <= 2
    ):
        if is_measured:
            raise DataRefused(
                f"label column '{label.name}' has {label.distinct:,}{'+' if not label.classes else ''} "
                "distinct values, the model's one output tells two classes apart. Choose a column with two "
                "values."
            )
        return BINARY
    if label.kind == "text" and label.distinct <= 2:
        return BINARY  # texts are no numbers to predict, whatever the loss is
    if label.kind == "text":
        raise DataRefused(
            f"label column '{label.name}' holds {label.distinct} distinct texts, the model has one output: "
            "it takes two classes or a number. Choose another label column."
        )
    return REGRESSION


def _output_for(label: LabelCandidate, outputs: Sequence[Tensor], is_measured: bool) -> Tensor:
    """The output with as many numbers as there are targets, with one for a number to predict, or for classes that whose
    size is closest to theirs without being too small; the first where none or several fit."""
    if not outputs:
        raise DataRefused("the model has no outputs. Give another model.")
    if label.kind == TARGETS or is_measured:
        wanted = len(label.own_columns)
        return next((o for o in outputs if units(o[1]) == wanted), outputs[0])
    fitting = [o for o in outputs if _classes(o) >= label.distinct]
    return min(fitting, key=_classes) if fitting else outputs[0]


def _classes(output: Tensor) -> int:
    """How many classes an output can tell apart: a single number two."""
    return max(2, units(output[1]))
