"""The task that a label column defines: classes, a number to predict, or none."""

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
    """The task, the output that the labels belong to, and notes.

    task: the known task of the model's first output (from its loss), None if unknown. A label with fractions,
    or with too many distinct values for classes, is a regression target; two values for one output unit are a
    binary label.
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
        task = None  # the task of the first output does not apply to the others
    if len(outputs) > 1:
        notes = (f"the model has {len(outputs)} outputs; the labels are compared with '{output[0]}'",)
    if label.kind == TARGETS:
        return _of_targets(task, label, output), output[0], notes
    if task == MULTI_LABEL and size > 1:
        raise DataRefused(
            f"the model has several yes/no outputs ({size} sigmoid outputs), and one label column "
            f"'{label.name}' cannot hold all labels. Name the columns that do, as first..last, or choose "
            "no label: the compressed models are then compared with the original. If exactly one class "
            "is right in each row, state the task as classification (--task classification)."
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
            f"label column '{label.name}' holds fractions or more values than classes ({label.reason}), "
            f"but the model has {size} outputs, one per class. Choose the column with the classes, or no "
            "label."
        )
    return CLASSIFICATION, output[0], notes


def _of_targets(task: str | None, label: LabelCandidate, output: Tensor) -> str:
    """The task of several columns of numbers for an output with the same count."""
    if task in (CLASSIFICATION, BINARY):
        raise DataRefused(
            f"the task is classification, but the columns '{label.name}' are not a one-hot label: they "
            "must be the first columns of the CSV (after an index) or the last ones, and in each row one "
            "of them must be 1 and the others 0. Choose the column with the classes, or no label."
        )
    size = units(output[1])
    if size != len(label.columns):
        raise DataRefused(
            f"the label has {len(label.columns)} columns ({label.name}), but output '{output[0]}' has "
            f"{size} number{'s' if size != 1 else ''} per row. Choose "
            f"{'as many columns' if size > 1 else 'one column'}, or no label."
        )
    return task or REGRESSION


def _of_one_unit(task: str | None, label: LabelCandidate, is_measured: bool) -> str:
    """The task of a label for a model with a single number as its output: one of two classes, or that number."""
    is_open = task in (None, UNDECIDED)
    if task in (BINARY, CLASSIFICATION, MULTI_LABEL) or (
        is_open and not is_measured and 0 < label.distinct <= 2
    ):
        if is_measured:
            raise DataRefused(
                f"label column '{label.name}' has {label.distinct:,}{'+' if not label.classes else ''} "
                "distinct values, but the model's one output distinguishes two classes. Choose a column "
                "with two values."
            )
        return BINARY
    if label.kind == "text" and label.distinct <= 2:
        return BINARY  # texts cannot be predicted as numbers, for any loss
    if label.kind == "text":
        raise DataRefused(
            f"label column '{label.name}' holds {label.distinct} distinct texts, the model has one output: "
            "it takes two classes or a number. Choose another label column."
        )
    return REGRESSION


def _output_for(label: LabelCandidate, outputs: Sequence[Tensor], is_measured: bool) -> Tensor:
    """The output with as many numbers as there are targets; with one for a number to predict; or, for
    classes, the smallest that is large enough. The first where none or several match.
    """
    if not outputs:
        raise DataRefused("the model has no outputs. Give another model.")
    if label.kind == TARGETS or is_measured:
        wanted = len(label.own_columns)
        return next((o for o in outputs if units(o[1]) == wanted), outputs[0])
    fitting = [o for o in outputs if _classes(o) >= label.distinct]
    return min(fitting, key=_classes) if fitting else outputs[0]


def _classes(output: Tensor) -> int:
    """Number of classes that an output can distinguish: two for a single number."""
    return max(2, units(output[1]))
