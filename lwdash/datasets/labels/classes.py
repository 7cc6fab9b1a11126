"""Assignment of labels to the outputs of a model."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lwdash.datasets.labels.label_columns import label_order, label_text
from lwdash.errors import DataRefused


@dataclass(frozen=True)
class ClassMapping:
    """Assignment of label texts to output indices.

    classes: label text by output index; explanation: the rule that was used; warnings: points that the
    user must check.
    """

    classes: tuple[str, ...]
    explanation: str
    warnings: tuple[str, ...] = ()


def canonical(text: str) -> str:
    """The form in which labels are compared: '1.0' and ' 1' are '1', 'N' stays 'N'."""
    text = text.strip()
    try:
        return label_text(float(text)) if text.lower() not in ("nan", "inf", "-inf", "infinity") else text
    except (ValueError, OverflowError):
        return text


def map_classes(
    counts: Mapping[str, int], outputs: int, *, column: str, chosen: Sequence[str] | None = None
) -> ClassMapping:
    """The output index of each label.

    counts: label text → rows. outputs: number of classes of the model (2 for one sigmoid output).
    chosen: the user's list, label texts in the order of the outputs; it is used unchanged, after checking.
    Without a list: whole numbers 0 … n−1 stay as they are; numbers from 1 are read as 1 … n; as many distinct
    labels as outputs are sorted (numbers by value). Raises DataRefused for a label that would have no output.
    """
    found = sorted({canonical(text) for text in counts}, key=label_order)
    if chosen is not None:
        return _chosen(found, counts, outputs, column, [canonical(text) for text in chosen])
    if len(found) > outputs:
        raise DataRefused(
            f"label column '{column}' has {len(found)} distinct values ({_some(found)}), but the model has "
            f"{outputs} outputs: {_without_output(found, outputs)} Choose another label column, "
            "delete the rows of the surplus classes, or use a model with as many outputs."
        )
    whole = _whole(found)
    if whole is None:
        if len(found) < outputs:
            raise DataRefused(
                f"label column '{column}' has {len(found)} distinct texts ({_some(found)}), the model has "
                f"{outputs} outputs, and a text does not state its output. List all classes in the order "
                f"of the model's outputs (classes = {_some([*found, '…'])})."
            )
        return ClassMapping(tuple(found), f"{len(found)} labels in sorted order: {_arrows(found)}")
    return _whole_numbers(whole, outputs, column)


def map_columns(counts: Mapping[str, int], outputs: int, *, column: str) -> ClassMapping:
    """The output index of each column of a label with one column per class: the columns are in the order of
    the outputs.
    """
    found = list(counts)
    if len(found) != outputs:
        raise DataRefused(
            f"the label columns {column} are {len(found)} classes, but the model has {outputs} outputs. Choose as many "
            "columns as outputs, or another label."
        )
    missing = [text for text, rows in counts.items() if not rows]
    return ClassMapping(
        tuple(canonical(text) for text in found),
        f"one column per class, in the order of the outputs: {_arrows(found)}",
        (f"no row has a 1 in label column {_some(missing)}",) if missing else (),
    )


def _whole_numbers(whole: list[int], outputs: int, column: str) -> ClassMapping:
    low, high = whole[0], whole[-1]
    texts = tuple(map(str, whole))
    is_yes_only = whole == [1] and outputs == 2
    if low >= 0 and high <= outputs - 1 and (low != 1 or is_yes_only):
        zero_based = tuple(map(str, range(outputs)))
        missing = [c for c in zero_based if c not in texts]
        explanation = f"whole numbers 0 … {outputs - 1} are the output indices as they are"
        return ClassMapping(zero_based, explanation, _missing_warning(missing, column, explanation, low))
    if low >= 1 and high <= outputs:
        one_based = tuple(map(str, range(1, outputs + 1)))
        missing = [c for c in one_based if c not in texts]
        explanation = f"whole numbers counted from 1: 1 … {outputs} → outputs 0 … {outputs - 1}"
        return ClassMapping(one_based, explanation, _missing_warning(missing, column, explanation, low))
    if len(whole) == outputs:
        explanation = f"{len(whole)} labels with gaps, in sorted order: {_arrows(texts)}"
        return ClassMapping(texts, explanation)
    outside = [str(v) for v in whole if not 0 <= v < outputs]
    raise DataRefused(
        f"label column '{column}' has the whole numbers {_some(texts)}, the model has {outputs} outputs (0 … "
        f"{outputs - 1}, or 1 … {outputs}): {_labels(outside)} no output. List the classes in the order of "
        "the model's outputs, or choose another label column."
    )


def _missing_warning(missing: Sequence[str], column: str, explanation: str, low: int) -> tuple[str, ...]:
    if not missing:
        return ()
    doubt = ""
    if low >= 1:
        doubt = (
            " Neither 0 nor all numbers occur, so this is a guess. List the classes yourself if it is wrong."
        )
    return (f"label column '{column}' has no rows of class {_some(missing)}. Read as: {explanation}.{doubt}",)


def _chosen(
    found: list[str], counts: Mapping[str, int], outputs: int, column: str, chosen: list[str]
) -> ClassMapping:
    if len(chosen) > outputs:
        raise DataRefused(
            f"{len(chosen)} classes are listed ({_some(chosen)}), but the model has {outputs} outputs. "
            f"List {outputs}, in the order of the outputs."
        )
    unknown = [text for text in found if text not in chosen]
    if unknown:
        near = difflib.get_close_matches(unknown[0], chosen, n=1)
        raise DataRefused(
            f"label column '{column}': {_labels(unknown)} no output, the listed classes are {_some(chosen)}."
            + (f" Did you mean '{near[0]}'?" if near else " Add them to the list, or delete their rows.")
        )
    warnings = []
    if len(chosen) < outputs:
        warnings.append(
            f"{len(chosen)} classes are listed for {outputs} outputs: the last {outputs - len(chosen)} have "
            f"none"
        )
    absent = [text for text in chosen if text not in found]
    if absent:
        warnings.append(f"label column '{column}' has no rows of class {_some(absent)}")
    return ClassMapping(tuple(chosen), f"as listed: {_arrows(chosen)}", tuple(warnings))


def _whole(texts: Sequence[str]) -> list[int] | None:
    try:
        return sorted(int(text) for text in texts)
    except ValueError:
        return None


def _without_output(found: Sequence[str], outputs: int) -> str:
    whole = _whole(found)
    if whole is None:
        return f"{len(found) - outputs} would have none."
    base = 0 if whole[0] <= 0 else 1
    outside = [str(v) for v in whole if not base <= v < outputs + base]
    return f"{_labels(outside or [str(v) for v in whole[outputs:]])} no output."


def _labels(texts: Sequence[str]) -> str:
    return f"label {texts[0]} has" if len(texts) == 1 else f"labels {_some(texts)} have"


def _some(texts: Sequence[str], most: int = 8) -> str:
    return ", ".join(texts) if len(texts) <= most else ", ".join(texts[: most - 1]) + f" … {texts[-1]}"


def _arrows(texts: Sequence[str]) -> str:
    return _some([f"{text} → {index}" for index, text in enumerate(texts)])
