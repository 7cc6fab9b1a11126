"""Fits the columns of a data file to the inputs and outputs of a model, or explains why they do not match."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lwdash.datasets.array_names import unused_columns, with_arrays
from lwdash.datasets.column_roles import assign_columns, can_assign
from lwdash.datasets.data_facts import (
    DataFacts,
    LabelCandidate,
    find_column,
    named_run,
    pack_indices,
    unpack_indices,
)
from lwdash.datasets.data_settings import NO_LABEL, DataSettings
from lwdash.datasets.input_fit import InputFit
from lwdash.datasets.labels.classes import ClassMapping, map_classes, map_columns
from lwdash.datasets.labels.label_columns import CERTAIN, is_label_name
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
    targets = _targets(facts, resolved, inputs, outputs, ignored, asked)
    dense: _Dense | None = None
    if targets and settings.label != NO_LABEL:
        if asked == UNDECIDED:
            asked = MULTI_LABEL if all(facts.kinds[i] == "i" for i in targets) else REGRESSION
        dense = _dense(outputs, asked, len(targets))
        label: LabelCandidate | None = target_candidate(facts, targets, may_be_text=dense is not None)
        left_out = _left_out(facts, settings, inputs, [*ignored, *targets], _unnamed(facts, ignored))
    else:
        ignored += targets
        label, left_out = _choose_label(facts, resolved, inputs, ignored, sizes)
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


@dataclass(frozen=True)
class _Dense:
    """An output with a class per position, one label column per position."""

    output: Tensor
    task: str


def _dense(outputs: Sequence[Tensor], task: str | None, columns: int) -> _Dense | None:
    """The output that has as many positions as there are label columns; task: the first output's, as requested."""
    for place, output in enumerate(outputs):
        own = task if place == 0 else None
        if own is None and len(output[1]) > 1 and (output[1][-1] or 0) > 1:
            own = CLASSIFICATION
        axes = position_axes(output[1], own)
        if axes and columns > 1 and label_shape(axes, columns) is not None:
            is_one_number = own != CLASSIFICATION or output[1][-1] == 1
            return _Dense(output, BINARY if is_one_number else CLASSIFICATION)
    return None


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


def _unnamed(facts: DataFacts, ignored: Sequence[int]) -> list[int]:
    """Columns that an export adds automatically: an index, and the empty column of a delimiter at the end of
    every line.
    """
    found = [i for i in facts.row_numbers if _is_exported_index(facts.names[i])]
    found += [
        i for i, kind in enumerate(facts.kinds) if kind == "e" and facts.names[i].startswith("Unnamed:")
    ]
    return [i for i in found if i not in ignored]


def _choose_label(
    facts: DataFacts,
    settings: DataSettings,
    inputs: Sequence[Tensor],
    ignored: Sequence[int],
    sizes: Collection[int],
) -> tuple[LabelCandidate | None, list[int]]:
    """The label column, and index columns to leave out so that the rest matches; sizes: number of classes of
    each output.
    """
    indices = _unnamed(facts, ignored)
    if settings.label == NO_LABEL:
        return None, _left_out(facts, settings, inputs, [*ignored], indices)
    run = facts.candidate(settings.label) if settings.label is not None else None
    if run is not None and run.columns:
        return run, _left_out(facts, settings, inputs, [*ignored, *run.columns], indices)
    if settings.label is not None:
        index = find_column(facts.names, settings.label, facts.has_header, "label column")
        if index in ignored:
            raise DataRefused(
                f"column '{facts.names[index]}' is both the label and ignored. Choose one of the two."
            )
        found = facts.candidate(facts.names[index]) or uncounted(facts, index)
        return found, _left_out(
            facts, settings, inputs, [*ignored, index], [i for i in indices if i != index]
        )
    candidates = [c for c in facts.candidates if not set(c.own_columns) & set(ignored)]
    plain = candidates[0] if candidates else None
    strong = [c for c in candidates if is_label_name(c.name) or c.score >= CERTAIN]
    if (
        plain is not None
        and plain in strong
        and not (
            # Unlabelled data whose last column contains whole numbers by chance.
            not is_label_name(plain.name) and _feeds_model(facts, settings, inputs, ignored, plain.index)
        )
    ):
        # Of several likely columns, choose the one without which the others match the inputs: an input of
        # whole numbers (a category, for example) looks like a label too.
        for candidate in strong:
            left_out = _left_out(facts, settings, inputs, [*ignored, candidate.index], indices)
            if can_assign(facts, settings, inputs, [*ignored, candidate.index, *left_out]):
                return candidate, left_out
        for run in candidates:
            if run.columns and run.distinct in sizes:
                left_out = _left_out(facts, settings, inputs, [*ignored, *run.columns], indices)
                if can_assign(facts, settings, inputs, [*ignored, *run.columns, *left_out]):
                    return run, left_out
        return plain, _left_out(facts, settings, inputs, [*ignored, plain.index], indices)
    if can_assign(facts, settings, inputs, ignored):
        return None, []
    for candidate in candidates:
        for extra in ([], indices):
            if candidate.columns and candidate.distinct not in sizes:
                continue
            if can_assign(facts, settings, inputs, [*ignored, *candidate.own_columns, *extra]):
                return candidate, extra
    if indices and can_assign(facts, settings, inputs, [*ignored, *indices]):
        return None, indices
    return plain, []


def _feeds_model(
    facts: DataFacts, settings: DataSettings, inputs: Sequence[Tensor], ignored: Sequence[int], column: int
) -> bool:
    """True if the columns match the inputs, and this one is needed for it: an array file may hold more than the inputs."""
    try:
        free = [i for i in range(facts.columns) if i not in ignored]
        found = assign_columns(facts, settings, inputs, free, None)
    except DataRefused:
        return False
    return any(column in fitted.columns for fitted in found)


def _targets(
    facts: DataFacts,
    settings: DataSettings,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    ignored: Sequence[int],
    task: str | None,
) -> list[int]:
    """The columns with one number each for every number that the model outputs. They are the run that the
    user names; or columns named as labels or, for yes/no outputs, of zeros and ones, if the remaining columns
    match the model's inputs.
    """
    if settings.label not in (None, NO_LABEL) and settings.label not in facts.names:
        run = facts.candidate(settings.label)
        named_columns = named_run(facts.names, settings.label)
        is_dense = _dense(outputs, task, len(named_columns)) is not None
        if run is None or (run.columns and (is_dense or task in (REGRESSION, MULTI_LABEL))):
            if both := set(named_columns) & set(ignored):
                raise DataRefused(
                    f"column '{facts.names[min(both)]}' is both the label and ignored. Choose one of the two."
                )
            return [*named_columns]
    if settings.label not in (None, NO_LABEL) or not outputs:
        return []
    axes = position_axes(outputs[0][1], task)
    if task not in (REGRESSION, MULTI_LABEL) and not axes:
        return []
    named = {i for i, name in enumerate(facts.names) if is_label_name(name.rstrip("0123456789"))}
    if task == MULTI_LABEL and not axes and not named:
        named = {
            c.index
            for c in facts.candidates
            if c.kind == "integer" and {text for text, _ in c.classes} == {"0", "1"}
        }
    named -= set(ignored)
    is_each = len(named) > 1 and (
        label_shape(axes, len(named)) is not None if axes else len(named) == units(outputs[0][1])
    )
    fits = is_each and not can_assign(facts, settings, inputs, ignored)
    return sorted(named) if fits and can_assign(facts, settings, inputs, [*ignored, *named]) else []


def uncounted(facts: DataFacts, index: int) -> LabelCandidate:
    """A column that was not counted during inspection: its kind limits its use; its classes are not known yet."""
    kind = {"t": "text", "i": "integer"}.get(facts.kinds[index], "float")
    return LabelCandidate(index, facts.names[index], "chosen", kind, 0.0, UNCOUNTED, ())


def _is_exported_index(name: str) -> bool:
    return name.startswith("Unnamed:") or name.strip().lower() in ("index", "")


def _left_out(
    facts: DataFacts, settings: DataSettings, inputs: Sequence[Tensor], used: list[int], indices: list[int]
) -> list[int]:
    """Index columns to leave out: only if the other columns match the inputs without them, and not with them."""
    if (
        indices
        and not can_assign(facts, settings, inputs, used)
        and can_assign(facts, settings, inputs, [*used, *indices])
    ):
        return indices
    return []
