"""The task of labels for a model: stated, derived from labels and class list, or guessed from the model."""

from lwdash.datasets.data_settings import NO_LABEL, DataSettings
from lwdash.datasets.labels.position_classes import axes_text, position_axes
from lwdash.datasets.labels.task import (
    CLASSIFICATION,
    MULTI_LABEL,
    RECONSTRUCTION,
    REGRESSION,
    UNDECIDED,
    Tensor,
)
from lwdash.errors import DataRefused

CHANGE = "state another as the task (--task on the command line), or name the label columns (--label)"


def names_labels(settings: DataSettings) -> bool:
    """True if the user has named the label columns or listed the classes."""
    return settings.label not in (None, NO_LABEL) or settings.classes is not None


def asked_task(settings: DataSettings, guess: str | None, labelled: str | None) -> str | None:
    """The task before the data is read; None where only the data can determine it.

    guess: from the model alone; labelled: the task of its first output for labelled data, as in
    `keras_models.output_heads`.
    A stated task decides, then a class list, then a named label. The guess is for data without any of these.
    Raises DataRefused where two of them contradict each other.
    """
    stated, classes = settings.task, settings.classes
    if classes is not None and settings.label == NO_LABEL:
        raise DataRefused(
            f"the classes {', '.join(classes)} are listed, but the data is marked as having no "
            "labels. Leave out one of the two."
        )
    if stated == RECONSTRUCTION and names_labels(settings):
        what = f"label '{settings.label}' is named" if settings.label else "classes are listed"
        raise DataRefused(
            "the task is stated as reconstruction, which compares the outputs with the input and has no "
            f"labels, but {what}. Leave out one of the two."
        )
    if stated == REGRESSION and classes is not None:
        raise DataRefused(
            "the task is stated as regression, where numbers are predicted, but classes are listed. Leave out one of "
            "the two."
        )
    if stated is not None:
        return stated
    if not names_labels(settings):
        return guess
    task = labelled or (None if guess == RECONSTRUCTION else guess)
    if classes is not None and task in (None, REGRESSION, UNDECIDED, MULTI_LABEL):
        return CLASSIFICATION
    return task


def task_note(settings: DataSettings, task: str, label: str | None) -> str:
    """The source of the task, in a few words for the user."""
    if settings.task is not None:
        return "as stated"
    if settings.classes is not None:
        return "from the class list"
    if settings.label not in (None, NO_LABEL) and label is not None:
        return f"from label '{label}' and the model's outputs"
    if task == RECONSTRUCTION:
        return "a guess: the output has the shape of the input"
    if label is not None:
        return f"a guess: column '{label}' looks like the label"
    return "no labels were found" if settings.label is None else "there are no labels"


def guess_warning(settings: DataSettings, task: str, label: str | None) -> str | None:
    """Warning where outputs would be compared with the input and the user has not stated it; None otherwise."""
    if task != RECONSTRUCTION or settings.task is not None:
        return None
    left_out = f" and column '{label}' is left out" if label is not None else ""
    return (
        f"the task is assumed to be reconstruction{left_out}: the output has the shape of the input, so "
        f"the outputs are compared with the input. This is a guess. If it is wrong, {CHANGE}."
    )


def refuse_one_label_for_positions(task: str, output: Tensor, column: str) -> None:
    """Raises DataRefused where a model has a class for each of many positions, but the label is one column."""
    axes = position_axes(output[1], task)
    if axes and any(n != 1 for n in axes):
        raise DataRefused(
            f"the model gives a class for {axes_text(axes)} (output '{output[0]}'), but label column "
            f"'{column}' holds one value per row. Name the columns of all positions, as first..last "
            "(first axis slowest), or choose no label."
        )


def refuse_classes_without_label(label: str | None, settings: DataSettings) -> None:
    """Raises DataRefused for a class list without a label."""
    if settings.classes is not None and label is None:
        raise DataRefused(
            f"the classes {', '.join(settings.classes)} are listed, but no label column was found. Name it (--label)."
        )
