"""Assignment of columns to the inputs of a model, with error messages for columns that do not match."""

import difflib
import math
from collections.abc import Sequence

from lwdash.datasets.array_inputs import assign_arrays
from lwdash.datasets.data_facts import DataFacts, LabelCandidate, brief_names
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.input_fit import InputFit
from lwdash.datasets.labels.label_columns import is_label_name
from lwdash.datasets.labels.task import Tensor
from lwdash.datasets.preprocessing.language import Columns, Resize, parse_preprocess
from lwdash.datasets.preprocessing.steps import output_shape
from lwdash.datasets.readers.number_hints import number_hint
from lwdash.datasets.sample_shapes import fitting_shape, shape_text, values_needed
from lwdash.errors import DataRefused


def can_assign(
    facts: DataFacts, settings: DataSettings, inputs: Sequence[Tensor], used: Sequence[int]
) -> bool:
    """True if the columns that are not in `used` match the inputs."""
    away = set(used)
    free = [i for i in range(facts.columns) if i not in away]
    try:
        assign_columns(facts, settings, inputs, free, None)
    except DataRefused:
        return False
    return True


def assign_columns(
    facts: DataFacts,
    settings: DataSettings,
    inputs: Sequence[Tensor],
    free: list[int],
    label: LabelCandidate | None,
) -> tuple[InputFit, ...]:
    """The columns and the shape of each input, from the columns that are neither label nor ignored."""
    if not inputs:
        raise DataRefused("the model has no inputs. Give another model.")
    preprocess = parse_preprocess(settings.preprocess)
    unknown = [name for name, _ in preprocess.by_input if name not in {i[0] for i in inputs}]
    if unknown:
        known = ", ".join(i[0] for i in inputs)
        raise DataRefused(
            f"pre-processing names input '{unknown[0]}', which the model does not have (inputs: {known})."
        )
    if {i for i, _ in facts.shapes} & set(free):
        return assign_arrays(facts, preprocess, inputs, free)
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
        after = output_shape(steps, (len(columns),))
        fitted = fitting_shape(after, shape)
        if fitted is None:
            raise DataRefused(_received(facts, name, shape, columns, label, after if steps else None))
        fits.append(
            InputFit(name, fitted, dtype, tuple(columns), brief_names([facts.names[i] for i in columns]))
        )
    return tuple(fits)


def _by_name(facts: DataFacts, inputs: Sequence[Tensor], free: list[int]) -> list[list[int]] | None:
    """Columns whose names begin with an input's name (img_0, img.1, img 2, img3): found for every input, or for none."""
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
    facts: DataFacts,
    settings: DataSettings,
    inputs: Sequence[Tensor],
    free: list[int],
    label: LabelCandidate | None,
) -> list[list[int]]:
    if len(inputs) == 1:
        return [free]
    preprocess = parse_preprocess(settings.preprocess)
    needed = [values_needed(shape) for _, shape, _ in inputs]
    resized = any(isinstance(step, Resize) for name, _, _ in inputs for step in preprocess.for_input(name))
    wanted = ", ".join(f"'{name}' {shape_text(shape)}" for name, shape, _ in inputs)
    if resized or any(n is None for n in needed) or sum(n or 0 for n in needed) != len(free):
        total = "an unknown number of" if any(n is None for n in needed) else str(sum(n or 0 for n in needed))
        raise DataRefused(
            f"{len(free)} columns left after the label ({brief_names([facts.names[i] for i in free])}); "
            f"the model's {len(inputs)} inputs take {total}: {wanted}. Give the columns names that begin "
            f"with their input's name ({inputs[0][0]}_0, {inputs[0][0]}_1 …), or give exactly as many "
            "columns, in the order of the inputs."
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
                raise DataRefused(
                    f"columns: no column begins with '{item[:-1]}' (columns: {brief_names(own)})."
                )
            kept.update(found)
            continue
        low = _place(first, own)
        high = _place(last, own) if dots else low
        if high < low:
            raise DataRefused(f"columns: '{item}' is reversed; the first column must come before the last.")
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
            + _and_others(len(text) - 1)
            + f" but input '{name}' takes numbers. "
            + (
                "Write them as 1 and 0 (in pandas: astype(int)), or ignore them."
                if value in ("True", "False")
                else f"{hint[0].upper()}{hint[1:]}."
                if (hint := number_hint(str(value or "")))
                else "Choose it as the label, ignore it, or replace the text by numbers."
            )
        )


def _and_others(count: int) -> str:
    if not count:
        return ""
    return ", as does one other," if count == 1 else f", as do {count:,} others,"


def _received(
    facts: DataFacts,
    name: str,
    shape: Sequence[int | None],
    columns: Sequence[int],
    label: LabelCandidate | None,
    after: Sequence[int] | None = None,
) -> str:
    """'141 columns left after the label 'label': t0 … t139, id. Input 'x' of the model takes 140 = (140, 1):
    1 too many. …'
    """
    count = len(columns)
    needed = values_needed(shape)
    takes = f"{needed} = {shape_text(shape)}" if needed is not None and len(shape) != 1 else shape_text(shape)
    held = f"left after the label '{label.name}'" if label else "(no label column)"
    names = brief_names([facts.names[i] for i in columns])
    text = f"{count} {'column' if count == 1 else 'columns'} {held}: {names}. "
    text += f"Input '{name}' of the model takes {takes}"
    if after is not None:
        return (
            f"{text}; after the pre-processing a row is {shape_text(after)}. Change the last steps so that a "
            f"row becomes {shape_text(shape)} (reshape, axes, channel, resize)."
        )
    if needed is None:
        return (
            f"{text}, which {count} values cannot fill. Add a reshape(…) or columns(…) to the pre-processing."
        )
    if count > needed:
        advice = _surplus_advice(facts, columns, count - needed, label, needed)
        return f"{text}: {count - needed} too many. {advice}"
    return f"{text}: {needed - count} too few. {_shortage_advice(shape, count, needed, label)}"


def _shortage_advice(
    shape: Sequence[int | None], count: int, needed: int, label: LabelCandidate | None
) -> str:
    if label is not None and needed - count == 1:
        return f"Is '{label.name}' really the label, not a measurement? Choose no label if so."
    advice = "Is the delimiter right, and is this the data the model was trained on?"
    side = math.isqrt(count)
    if count < 4:
        return advice
    if len(shape) == 3 and shape[-1] == 1 and side * side == count:
        size = f"{shape[0]}x{shape[1]}"
        return f"{advice} Smaller images can be enlarged: reshape({side}x{side}) + resize({size})."
    if len([n for n in shape if n != 1]) == 1:
        return f"{advice} Shorter rows can be stretched: resize({needed}, method=linear)."
    return advice


def _surplus_advice(
    facts: DataFacts, columns: Sequence[int], surplus: int, label: LabelCandidate | None, needed: int
) -> str:
    suspects = [
        i
        for i in columns
        if i in facts.row_numbers or facts.kinds[i] in "te" or _looks_like_id(facts.names[i])
    ]
    if label is None and surplus == 1:
        likely = [c.name for c in facts.candidates if c.index in columns][:3]
        hint = f" ({', '.join(likely)}?)" if likely else ""
        return f"Choose the label column{hint}, or ignore one column."
    labels = [facts.names[i] for i in columns if label is not None and is_label_name(facts.names[i])]
    if 0 < len(labels) <= surplus:
        shown = ", ".join(f"'{name}'" for name in labels[:4])
        looks = "looks" if len(labels) == 1 else "look"
        return f"{shown} {looks} like a label too: choose the one to compare with, and ignore the rest."
    if suspects:
        shown = ", ".join(f"'{facts.names[i]}'" for i in suspects[:4])
        return f"Is {shown} an id or an index? Ignore such columns."
    if surplus <= 3:
        ends = f"'{facts.names[columns[0]]}' … '{facts.names[columns[-1]]}'"
        return f"Is one of these an id, or a second label? Ignore it ({ends})."
    return (
        f"Ignore the columns that are not inputs, or add resize({needed}, method=area) to the pre-processing."
    )


def _looks_like_id(name: str) -> bool:
    plain = name.strip().lower()
    return plain in (
        "id",
        "index",
        "idx",
        "row",
        "time",
        "timestamp",
        "date",
        "name",
        "subject",
        "patient",
    ) or plain.endswith(("_id", " id"))
