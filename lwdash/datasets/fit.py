"""Fits the columns of a data file to the inputs and outputs of a model, or explains why they do not match."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lwdash.datasets.array_names import unused_columns, with_arrays
from lwdash.datasets.column_roles import assign_columns
from lwdash.datasets.data_facts import (
    DataFacts,
    LabelCandidate,
    find_column,
    pack_indices,
    unpack_indices,
)
from lwdash.datasets.data_settings import NO_LABEL, DataSettings
from lwdash.datasets.input_fit import InputFit
from lwdash.datasets.labels.classes import ClassMapping, map_classes, map_columns
from lwdash.datasets.labels.label_choice import (
    PositionOutput,
    choose_label,
    exported_columns,
    left_out_columns,
    position_output,
    target_columns,
)
from lwdash.datasets.labels.label_task import (
    asked_task,
    guess_warning,
    refuse_classes_without_label,
    refuse_one_label_for_positions,
    task_note,
)
from lwdash.datasets.labels.one_hot import ONE_HOT
from lwdash.datasets.labels.position_classes import axes_text, label_shape, position_axes
from lwdash.datasets.labels.targets import target_candidate
from lwdash.datasets.labels.task import (
    BINARY,
    CLASSIFICATION,
    MULTI_LABEL,
    RECONSTRUCTION,
    REGRESSION,
    TARGETS,
    UNCOUNTED,
    UNDECIDED,
    Tensor,
    choose_task,
    units,
)
from lwdash.datasets.sample_shapes import shape_text
from lwdash.errors import DataRefused


@dataclass(frozen=True)
class Fit:
    """Assignment of a CSV to a model. classes: label text by output index; column names where each number has
    one; None for one number and without labels.
    label_columns: where the label has one column per class or target, all of them in file order; with targets
    there are no `class_counts`.

    explanation: one line for the user; warnings: points to check; row_numbers: index columns that were left
    out automatically. label_shape: of a row's labels, where each position of it has a class; () where a row
    has one.
    task_note: the source of the task.
    """

    task: str
    label: str | None
    label_index: int | None
    output: str | None
    inputs: tuple[InputFit, ...]
    classes: tuple[str, ...] | None
    class_counts: tuple[tuple[str, int], ...]
    ignored: tuple[str, ...]
    explanation: str
    warnings: tuple[str, ...]
    label_columns: tuple[int, ...] = ()
    label_shape: tuple[int, ...] = ()
    task_note: str = ""

    def to_dict(self) -> dict[str, Any]:
        result = asdict(self)
        for packed, fit in zip(result["inputs"], self.inputs, strict=True):
            packed["columns"] = pack_indices(fit.columns)
        return result

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Fit":
        inputs = tuple(
            InputFit(
                i["name"],
                tuple(i["shape"]),
                i["dtype"],
                unpack_indices(i["columns"]),
                i["columns_text"],
                tuple(i.get("source_shape", ())),
            )
            for i in stored["inputs"]
        )
        counts = tuple((text, rows) for text, rows in stored["class_counts"])
        classes = None if stored["classes"] is None else tuple(stored["classes"])
        rest = {
            key: tuple(stored.get(key, ())) for key in ("ignored", "warnings", "label_columns", "label_shape")
        }
        return cls(**{**stored, **rest, "inputs": inputs, "class_counts": counts, "classes": classes})


def fit_to_model(
    facts: DataFacts,
    settings: DataSettings,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    *,
    task: str | None = None,
    labelled_task: str | None = None,
) -> Fit:
    """The columns and shape of each input, and the output of each label.

    inputs, outputs: (name, shape without the batch axis, dtype). task: from the model's loss and shapes, None
    = from the data; labelled_task: the task of its first output for labelled data
    (`ModelFacts.labelled_task`).
    Raises DataRefused with the columns that the model takes, those in the file, and possible changes.
    """
    resolved = with_arrays(facts, settings)
    ignored = [
        find_column(facts.names, name, facts.has_header, "ignored column") for name in resolved.ignored
    ]
    asked = asked_task(settings, task, labelled_task)
    sizes = {units(o[1]) for o in outputs} if asked in (None, UNDECIDED, CLASSIFICATION) else set()
    targets = target_columns(facts, resolved, inputs, outputs, ignored, asked)
    dense: PositionOutput | None = None
    if targets and settings.label != NO_LABEL:
        if asked == UNDECIDED:
            asked = MULTI_LABEL if all(facts.kinds[i] == "i" for i in targets) else REGRESSION
        dense = position_output(outputs, asked, len(targets))
        label: LabelCandidate | None = target_candidate(facts, targets, may_be_text=dense is not None)
        left_out = left_out_columns(
            facts, settings, inputs, [*ignored, *targets], exported_columns(facts, ignored)
        )
    else:
        ignored += targets
        label, left_out = choose_label(facts, resolved, inputs, ignored, sizes)
    refuse_classes_without_label(label.name if label else None, settings)
    ignored_all = {*ignored, *left_out}
    labelling = set(label.own_columns) if label is not None else set()
    free = [i for i in range(facts.columns) if i not in ignored_all and i not in labelling]
    try:
        fits = assign_columns(facts, settings, inputs, free, label)
    except DataRefused as refused:
        numbers = units(outputs[0][1]) if outputs else 1
        if task not in (REGRESSION, MULTI_LABEL, RECONSTRUCTION) or numbers == 1 or targets:
            raise
        raise DataRefused(
            f"{refused} The model outputs {numbers} numbers per row. If the CSV has labels for all of "
            "them, name their columns as the label, as first..last."
        ) from None
    found_label = label.name if label else None
    output: str | None
    if dense is not None:
        task, output, notes = dense.task, dense.output[0], _judged_note(outputs, dense.output)
    else:
        task, output, notes = choose_task(asked, label, inputs, outputs)
        _check_stated(settings, task, label)
    shape: tuple[int, ...] = ()
    if output is None and label is not None:
        label = None
    elif label is not None and task in (CLASSIFICATION, BINARY):
        labelled_output = next(o for o in outputs if o[0] == output)
        if dense is None:
            refuse_one_label_for_positions(task, labelled_output, label.name)
        axes = position_axes(labelled_output[1], task)
        shape = label_shape(axes, len(targets) or 1, [f.shape for f in fits]) or ()
    warnings = [*notes, *unused_columns(facts, free, fits)]
    if guess := guess_warning(settings, task, found_label):
        warnings.append(guess)
    for i in left_out:
        what = "is empty" if facts.kinds[i] == "e" else "counts the rows"
        warnings.append(f"column '{facts.names[i]}' {what} and is not fed to the model")
    mapping: ClassMapping | None = None
    if label is not None and label.distinct == UNCOUNTED:
        warnings.append(
            f"the labels of '{label.name}' were not counted when the file was inspected: inspect it with "
            f"this label"
        )
    elif label is not None and dense is None and task in (CLASSIFICATION, BINARY):
        size = 2 if task == BINARY else next(units(o[1]) for o in outputs if o[0] == output)
        if label.kind == ONE_HOT and settings.classes is None:
            mapping = map_columns(dict(label.classes), size, column=label.name)
        else:
            mapping = map_classes(dict(label.classes), size, column=label.name, chosen=settings.classes)
        warnings += mapping.warnings
    explanation = "; ".join(f"{f.columns_text} → '{f.name}' {shape_text(f.shape)}" for f in fits)
    if label is not None:
        own = "a number to predict"
        if label.kind == TARGETS:
            own = f"{len(label.columns)} {'yes/no numbers' if task == MULTI_LABEL else 'numbers to predict'}"
        if dense is not None:
            own = f"a class for {axes_text(shape)}"
        explanation += f"; label '{label.name}': {mapping.explanation if mapping else own}"
    return Fit(
        task=task,
        label=label.name if label else None,
        label_index=label.index if label else None,
        label_columns=label.columns if label else (),
        output=output,
        inputs=fits,
        classes=mapping.classes if mapping else settings.classes if dense else _target_names(facts, label),
        class_counts=label.classes if label else (),
        ignored=tuple(facts.names[i] for i in sorted(ignored_all)),
        explanation=explanation,
        warnings=tuple(warnings),
        label_shape=shape,
        task_note=task_note(settings, task, label.name if label else None),
    )


def _judged_note(outputs: Sequence[Tensor], output: Tensor) -> tuple[str, ...]:
    if len(outputs) == 1:
        return ()
    return (f"the model has {len(outputs)} outputs; the labels are compared with '{output[0]}'",)


def _check_stated(settings: DataSettings, task: str, label: LabelCandidate | None) -> None:
    """Raises DataRefused where the labels cannot belong to the stated task."""
    if label is None or settings.task is None or task == settings.task:
        return
    if REGRESSION in (settings.task, task):
        raise DataRefused(
            f"the task is stated as {settings.task}, but label column '{label.name}' ({label.reason}) can only be for "
            f"{task}. State another task, or choose another label."
        )


def _target_names(facts: DataFacts, label: LabelCandidate | None) -> tuple[str, ...] | None:
    """The names of the columns, where each holds one of the numbers that the model outputs."""
    if label is None or label.kind != TARGETS:
        return None
    return tuple(facts.names[i] for i in label.columns)
