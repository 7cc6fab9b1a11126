"""Fits the columns of a CSV to the inputs and outputs of a model, or says why they do not fit."""

import difflib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lwdash.datasets.classes import ClassMapping, map_classes
from lwdash.datasets.facts import DataFacts, LabelCandidate, brief_names, pack_indices, unpack_indices
from lwdash.datasets.labels import CERTAIN
from lwdash.datasets.pipeline import output_shape
from lwdash.datasets.preprocess import Columns, parse_preprocess
from lwdash.datasets.settings import NO_LABEL, DataSettings
from lwdash.datasets.shapes import fitting_shape, shape_text, values_needed
from lwdash.datasets.task import BINARY, CLASSIFICATION, Tensor, choose_task, units
from lwdash.errors import DataRefused


@dataclass(frozen=True)
class InputFit:
    """One input of the model. columns: indices of the CSV's columns in the order they are read; shape: of one row after
    pre-processing, every length known."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    columns: tuple[int, ...]
    columns_text: str


@dataclass(frozen=True)
class Fit:
    """How a CSV feeds a model. classes: label text by output index, None for regression and without labels.

    explanation: one line for the user; warnings: what to check; row_numbers: index columns that were left out unasked.
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

    def to_dict(self) -> dict[str, Any]:
        result = asdict(self)
        for packed, fit in zip(result["inputs"], self.inputs, strict=True):
            packed["columns"] = pack_indices(fit.columns)
        return result

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Fit":
        inputs = tuple(
            InputFit(i["name"], tuple(i["shape"]), i["dtype"], unpack_indices(i["columns"]), i["columns_text"])
            for i in stored["inputs"]
        )
        counts = tuple((text, rows) for text, rows in stored["class_counts"])
        classes = None if stored["classes"] is None else tuple(stored["classes"])
        rest = {key: tuple(stored[key]) for key in ("ignored", "warnings")}
        return cls(**{**stored, **rest, "inputs": inputs, "class_counts": counts, "classes": classes})


def fit_to_model(
    facts: DataFacts,
    settings: DataSettings,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    *,
    task: str | None = None,
) -> Fit:
    """Which columns feed which input in what shape, and which label is which output.

    inputs, outputs: (name, shape without the batch axis, dtype). task: as the model's loss tells, None = from the data.
    Raises DataRefused that says what the model takes, what the file has, and what could be changed.
    """
    ignored = [_index_of(facts.names, name, facts.has_header, "ignored column") for name in settings.ignored]
    label, left_out = _choose_label(facts, settings, inputs, ignored)
    ignored_all = {*ignored, *left_out}
    free = [i for i in range(facts.columns) if i not in ignored_all and (label is None or i != label.index)]
    fits = assign_columns(facts, settings, inputs, free, label)
    task, output, notes = choose_task(task, label, inputs, outputs)
    if output is None and label is not None:
        label = None
    warnings = [*notes]
    warnings += [f"column '{facts.names[i]}' counts the rows and is not fed to the model" for i in left_out]
    mapping: ClassMapping | None = None
    if label is not None and task in (CLASSIFICATION, BINARY):
        size = 2 if task == BINARY else next(units(o[1]) for o in outputs if o[0] == output)
        mapping = map_classes(dict(label.classes), size, column=label.name, chosen=settings.classes)
        warnings += mapping.warnings
    explanation = "; ".join(f"{f.columns_text} → '{f.name}' {shape_text(f.shape)}" for f in fits)
    if label is not None:
        explanation += f"; label '{label.name}'" + (f": {mapping.explanation}" if mapping else ": a number to predict")
    return Fit(
        task=task,
        label=label.name if label else None,
        label_index=label.index if label else None,
        output=output,
        inputs=fits,
        classes=mapping.classes if mapping else None,
        class_counts=label.classes if label else (),
        ignored=tuple(facts.names[i] for i in sorted(ignored_all)),
        explanation=explanation,
        warnings=tuple(warnings),
    )


def _index_of(names: Sequence[str], wanted: str, has_header: bool, what: str) -> int:
    if wanted in names:
        return names.index(wanted)
    if wanted in ("first", "last"):
        return 0 if wanted == "first" else len(names) - 1
    alike = [i for i, name in enumerate(names) if name.lower() == wanted.strip().lower()]
    if len(alike) == 1:
        return alike[0]
    near = difflib.get_close_matches(wanted, names[:5000], n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    if not has_header:
        hint += " The file has no header: columns are called 'column 1', 'column 2' …; 'first' and 'last' also work."
    raise DataRefused(f"{what} '{wanted}' is not in the CSV (columns: {brief_names(names)}).{hint}")


def _choose_label(
    facts: DataFacts, settings: DataSettings, inputs: Sequence[Tensor], ignored: Sequence[int]
) -> tuple[LabelCandidate | None, list[int]]:
    """The label column, and index columns to leave out so that the rest fits."""
    indices = [i for i in facts.row_numbers if _is_exported_index(facts.names[i]) and i not in ignored]
    if settings.label == NO_LABEL:
        return None, _left_out(facts, settings, inputs, [*ignored], indices)
    if settings.label is not None:
        index = _index_of(facts.names, settings.label, facts.has_header, "label column")
        if index in ignored:
            raise DataRefused(f"column '{facts.names[index]}' is both the label and ignored. Choose one of the two.")
        found = facts.candidate(facts.names[index]) or uncounted(facts, index)
        return found, _left_out(facts, settings, inputs, [*ignored, index], [i for i in indices if i != index])
    candidates = [c for c in facts.candidates if c.index not in ignored]
    plain = candidates[0] if candidates else None
    if plain is not None and plain.score >= CERTAIN:
        return plain, _left_out(facts, settings, inputs, [*ignored, plain.index], indices)
    if _fits(facts, settings, inputs, ignored):
        return None, []
    for candidate in candidates:
        for extra in ([], indices):
            if _fits(facts, settings, inputs, [*ignored, candidate.index, *extra]):
                return candidate, extra
    if indices and _fits(facts, settings, inputs, [*ignored, *indices]):
        return None, indices
    return plain, []


def uncounted(facts: DataFacts, index: int) -> LabelCandidate:
    """A column that was not counted while inspecting: its kind tells what it can be."""
    kind = {"t": "text", "i": "integer"}.get(facts.kinds[index], "float")
    return LabelCandidate(index, facts.names[index], "chosen", kind, 0.0, facts.rows, ())


def _is_exported_index(name: str) -> bool:
    return name.startswith("Unnamed:") or name.strip().lower() in ("index", "")


def _left_out(
    facts: DataFacts, settings: DataSettings, inputs: Sequence[Tensor], taken: list[int], indices: list[int]
) -> list[int]:
    """Index columns are left out where the other columns fit without them and not with them."""
    if indices and not _fits(facts, settings, inputs, taken) and _fits(facts, settings, inputs, [*taken, *indices]):
        return indices
    return []


def _fits(facts: DataFacts, settings: DataSettings, inputs: Sequence[Tensor], taken: Sequence[int]) -> bool:
    free = [i for i in range(facts.columns) if i not in set(taken)]
    try:
        assign_columns(facts, settings, inputs, free, None)
    except DataRefused:
        return False
    return True


def assign_columns(
    facts: DataFacts, settings: DataSettings, inputs: Sequence[Tensor], free: list[int], label: LabelCandidate | None
) -> tuple[InputFit, ...]:
    """The columns and the shape of each input, from the columns that are neither label nor ignored."""
    if not inputs:
        raise DataRefused("the model has no inputs. Give another model.")
    preprocess = parse_preprocess(settings.preprocess)
    unknown = [name for name, _ in preprocess.by_input if name not in {i[0] for i in inputs}]
    if unknown:
        known = ", ".join(i[0] for i in inputs)
        raise DataRefused(f"pre-processing names input '{unknown[0]}', which the model has not (inputs: {known}).")
    groups = _by_name(facts, inputs, free)
    if groups is None:
        groups = _by_order(facts, settings, inputs, free, label)
    fits = []
    for (name, shape, dtype), group in zip(inputs, groups, strict=True):
        steps = preprocess.for_input(name)
        columns = _select(steps[0], facts.names, group) if steps and isinstance(steps[0], Columns) else group
        if not columns:
            raise DataRefused(_received(facts, name, shape, columns, label))
        _refuse_text(facts, columns, name)
        after = output_shape(steps, len(columns))
        fitted = fitting_shape(after, shape)
        if fitted is None:
            raise DataRefused(_received(facts, name, shape, columns, label, after if steps else None))
        fits.append(InputFit(name, fitted, dtype, tuple(columns), brief_names([facts.names[i] for i in columns])))
    return tuple(fits)


def _by_name(facts: DataFacts, inputs: Sequence[Tensor], free: list[int]) -> list[list[int]] | None:
    """Columns whose names begin with an input's name (img_0, img.1, img 2, img3): for every input, or not at all."""
    if len(inputs) < 2:
        return None
    groups: list[list[int]] = [[] for _ in inputs]
    longest_first = sorted(range(len(inputs)), key=lambda k: -len(inputs[k][0]))
    for i in free:
        for k in longest_first:
            name = facts.names[i]
            rest = name[len(inputs[k][0]) :] if name.lower().startswith(inputs[k][0].lower()) else None
            if rest is not None and (not rest or not rest[0].isalpha()):
                groups[k].append(i)
                break
        else:
            return None
    return groups if all(groups) else None


def _by_order(
    facts: DataFacts, settings: DataSettings, inputs: Sequence[Tensor], free: list[int], label: LabelCandidate | None
) -> list[list[int]]:
    if len(inputs) == 1:
        return [free]
    preprocess = parse_preprocess(settings.preprocess)
    needed = [values_needed(shape) for _, shape, _ in inputs]
    resized = any(s.__class__.__name__ == "Resize" for name, _, _ in inputs for s in preprocess.for_input(name))
    wanted = ", ".join(f"'{name}' {shape_text(shape)}" for name, shape, _ in inputs)
    if resized or any(n is None for n in needed) or sum(n or 0 for n in needed) != len(free):
        total = "an unknown number of" if any(n is None for n in needed) else str(sum(n or 0 for n in needed))
        raise DataRefused(
            f"{len(free)} columns left after the label ({brief_names([facts.names[i] for i in free])}); the model's "
            f"{len(inputs)} inputs take {total}: {wanted}. Give the columns names that begin with their input's name "
            f"({inputs[0][0]}_0, {inputs[0][0]}_1 …), or exactly as many columns, in the order of the inputs."
        )
    groups, start = [], 0
    for n in needed:
        groups.append(free[start : start + (n or 0)])
        start += n or 0
    return groups


def _select(step: Columns, names: Sequence[str], free: list[int]) -> list[int]:
    kept: set[int] = set()
    own = [names[i] for i in free]
    for item in step.which:
        first, dots, last = item.partition("..")
        if item.endswith("*") and not dots:
            found = [i for i, name in enumerate(own) if name.startswith(item[:-1])]
            if not found:
                raise DataRefused(f"columns: no column begins with '{item[:-1]}' (columns: {brief_names(own)}).")
            kept.update(found)
            continue
        low = _place(first, own)
        high = _place(last, own) if dots else low
        if high < low:
            raise DataRefused(f"columns: '{item}' runs backwards; the first column must come before the last.")
        kept.update(range(low, high + 1))
    return [free[i] for i in sorted(kept)]


def _place(text: str, names: Sequence[str]) -> int:
    text = text.strip()
    if text in names:
        return list(names).index(text)
    if text.startswith("#") and text[1:].isdecimal():
        if 1 <= int(text[1:]) <= len(names):
            return int(text[1:]) - 1
        raise DataRefused(f"columns: position {text} is outside #1 … #{len(names)}.")
    near = difflib.get_close_matches(text, list(names)[:5000], n=1)
    raise DataRefused(
        f"columns: '{text}' is not an input column (columns: {brief_names(names)})."
        + (f" Did you mean '{near[0]}'?" if near else "")
    )


def _refuse_text(facts: DataFacts, columns: Sequence[int], name: str) -> None:
    text = [i for i in columns if facts.kinds[i] == "t"]
    if text:
        value = next((r.values[facts.preview.columns.index(text[0])] for r in facts.preview.rows
                      if text[0] in facts.preview.columns), None)  # fmt: skip
        shown = f" (e.g. '{value}')" if value else ""
        raise DataRefused(
            f"column '{facts.names[text[0]]}' holds text{shown}"
            + (f", as do {len(text) - 1} others," if len(text) > 1 else "")
            + f" but input '{name}' takes numbers. Choose it as the label, ignore it, or replace the text by numbers."
        )


def _received(
    facts: DataFacts, name: str, shape: Sequence[int | None], columns: Sequence[int], label: LabelCandidate | None,
    after: Sequence[int] | None = None,
) -> str:  # fmt: skip
    """'141 columns left after the label, the model takes 140 = (140, 1); is one of these an id? …'"""
    names = [facts.names[i] for i in columns]
    needed = values_needed(shape)
    takes = f"{needed} = {shape_text(shape)}" if needed is not None and len(shape) != 1 else shape_text(shape)
    held = f"after the label '{label.name}'" if label else "(no label column)"
    text = f"{len(columns)} columns left {held}: {brief_names(names)}. Input '{name}' of the model takes {takes}"
    if after is not None:
        return (
            f"{text}; after the pre-processing a row is {shape_text(after)}. Change the last steps so that a row "
            f"becomes {shape_text(shape)} (reshape, axes, channel, resize)."
        )
    if needed is None:
        return f"{text}, which {len(columns)} values cannot fill. Add a reshape(…) or columns(…) to the pre-processing."
    surplus = len(columns) - needed
    if surplus > 0:
        return f"{text}: {surplus} too many. {_surplus_advice(facts, columns, surplus, label, needed)}"
    advice = "Is the delimiter right, and is this the data the model was trained on?"
    if label is not None and -surplus == 1:
        advice = f"Is '{label.name}' really the label, not a measurement? Choose 'no label' if so."
    elif math.isqrt(len(columns)) ** 2 == len(columns) and len(shape) >= 2:
        side = math.isqrt(len(columns))
        advice = f"A resize in the pre-processing can bridge it, e.g. reshape({side}x{side}) + resize({shape[0]}x{shape[1]})."
    elif len(columns) > 1:
        advice += f" A resize({needed}) in the pre-processing can bridge it."
    return f"{text}: {-surplus} too few. {advice}"


def _surplus_advice(
    facts: DataFacts, columns: Sequence[int], surplus: int, label: LabelCandidate | None, needed: int
) -> str:
    suspects = [i for i in columns if i in facts.row_numbers or facts.kinds[i] in "te" or _looks_like_id(facts.names[i])]
    if label is None and surplus == 1:
        likely = [c.name for c in facts.candidates if c.index in columns][:3]
        return f"Choose the label column{' (' + ', '.join(likely) + '?)' if likely else ''}, or ignore one column."
    if suspects:
        shown = ", ".join(f"'{facts.names[i]}'" for i in suspects[:4])
        return f"Is {shown} an id or an index? Ignore such columns."
    if surplus <= 3:
        ends = f"'{facts.names[columns[0]]}' … '{facts.names[columns[-1]]}'"
        return f"Is one of these an id, or a second label? Ignore it ({ends})."
    return f"Ignore the columns that are not inputs, or resize in the pre-processing, e.g. resize({needed}, method=area)."


def _looks_like_id(name: str) -> bool:
    plain = name.strip().lower()
    return plain in ("id", "index", "idx", "row", "time", "timestamp", "date", "name", "subject", "patient") or plain.endswith(
        ("_id", " id")
    )
