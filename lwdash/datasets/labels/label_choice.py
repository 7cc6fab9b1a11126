"""Choice of the label columns of a data file: as the user names them, or so that the other columns fit the model."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lwdash.datasets.column_roles import assign_columns, can_assign
from lwdash.datasets.data_facts import DataFacts, LabelCandidate, find_column, named_run
from lwdash.datasets.data_settings import NO_LABEL, DataSettings
from lwdash.datasets.labels.label_columns import CERTAIN, is_label_name
from lwdash.datasets.labels.position_classes import label_shape, position_axes
from lwdash.datasets.labels.task import (
    BINARY,
    CLASSIFICATION,
    MULTI_LABEL,
    REGRESSION,
    UNCOUNTED,
    Tensor,
    units,
)
from lwdash.errors import DataRefused


def choose_label(
    facts: DataFacts,
    settings: DataSettings,
    inputs: Sequence[Tensor],
    ignored: Sequence[int],
    sizes: Collection[int],
) -> tuple[LabelCandidate | None, list[int]]:
    """The label column, and index columns to leave out so that the rest matches; sizes: number of classes of
    each output.
    """
    indices = exported_columns(facts, ignored)
    if settings.label == NO_LABEL:
        return None, left_out_columns(facts, settings, inputs, [*ignored], indices)
    run = facts.candidate(settings.label) if settings.label is not None else None
    if run is not None and run.columns:
        return run, left_out_columns(facts, settings, inputs, [*ignored, *run.columns], indices)
    if settings.label is not None:
        index = find_column(facts.names, settings.label, facts.has_header, "label column")
        if index in ignored:
            raise DataRefused(
                f"column '{facts.names[index]}' is both the label and ignored. Choose one of the two."
            )
        found = facts.candidate(facts.names[index]) or _uncounted(facts, index)
        return found, left_out_columns(
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
            left_out = left_out_columns(facts, settings, inputs, [*ignored, candidate.index], indices)
            if can_assign(facts, settings, inputs, [*ignored, candidate.index, *left_out]):
                return candidate, left_out
        for run in candidates:
            if run.columns and run.distinct in sizes:
                left_out = left_out_columns(facts, settings, inputs, [*ignored, *run.columns], indices)
                if can_assign(facts, settings, inputs, [*ignored, *run.columns, *left_out]):
                    return run, left_out
        return plain, left_out_columns(facts, settings, inputs, [*ignored, plain.index], indices)
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


def target_columns(
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
        is_dense = position_output(outputs, task, len(named_columns)) is not None
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


@dataclass(frozen=True)
class PositionOutput:
    """An output with a class per position, one label column per position."""

    output: Tensor
    task: str


def position_output(outputs: Sequence[Tensor], task: str | None, columns: int) -> PositionOutput | None:
    """The output that has as many positions as there are label columns; task: the first output's, as requested."""
    for place, output in enumerate(outputs):
        own = task if place == 0 else None
        if own is None and len(output[1]) > 1 and (output[1][-1] or 0) > 1:
            own = CLASSIFICATION
        axes = position_axes(output[1], own)
        if axes and columns > 1 and label_shape(axes, columns) is not None:
            is_one_number = own != CLASSIFICATION or output[1][-1] == 1
            return PositionOutput(output, BINARY if is_one_number else CLASSIFICATION)
    return None


def _uncounted(facts: DataFacts, index: int) -> LabelCandidate:
    """A column that was not counted during inspection: its kind limits its use; its classes are not known yet."""
    kind = {"t": "text", "i": "integer"}.get(facts.kinds[index], "float")
    return LabelCandidate(index, facts.names[index], "chosen", kind, 0.0, UNCOUNTED, ())


def exported_columns(facts: DataFacts, ignored: Sequence[int]) -> list[int]:
    """Columns that an export adds automatically: an index, and the empty column of a delimiter at the end of
    every line.
    """
    found = [i for i in facts.row_numbers if _is_exported_index(facts.names[i])]
    found += [
        i for i, kind in enumerate(facts.kinds) if kind == "e" and facts.names[i].startswith("Unnamed:")
    ]
    return [i for i in found if i not in ignored]


def _is_exported_index(name: str) -> bool:
    return name.startswith("Unnamed:") or name.strip().lower() in ("index", "")


def left_out_columns(
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
