"""Assignment of array columns to the inputs of a model: by name, otherwise by shape."""

from collections.abc import Sequence

from lwdash.datasets.data_facts import DataFacts
from lwdash.datasets.input_fit import InputFit
from lwdash.datasets.labels.task import Tensor
from lwdash.datasets.open_shapes import source_shape
from lwdash.datasets.preprocessing.language import Columns, Preprocess, Step
from lwdash.datasets.preprocessing.steps import output_shape
from lwdash.datasets.sample_shapes import fitting_shape, shape_text
from lwdash.errors import DataRefused


def assign_arrays(
    facts: DataFacts, preprocess: Preprocess, inputs: Sequence[Tensor], free: Sequence[int]
) -> tuple[InputFit, ...]:
    """The array of each input, from the columns that are neither label nor ignored, at least one of them an array.

    An array with the input's name comes first, then the only one of the others whose rows, after the
    pre-processing, have the input's shape. Raises DataRefused, naming arrays and shapes, where none or several do.
    """
    shapes = dict(facts.shapes)
    taken: dict[str, int] = {}
    for name, _, _ in inputs:
        chosen = _by_columns_step(preprocess.for_input(name), facts, free)
        same = [i for i in free if _plain(facts.names[i]) == _plain(name) and facts.kinds[i] in "if"]
        if chosen is not None or same:
            taken[name] = same[0] if chosen is None else chosen
    found = []
    for name, shape, dtype in inputs:
        steps = preprocess.for_input(name)
        if name not in taken:
            taken[name] = _by_shape(facts, steps, (name, shape, dtype), free, set(taken.values()))
        place = taken[name]
        source = source_shape(shapes.get(place, ()), steps, name, shape)
        fitted = fitting_shape(output_shape(steps, source or (1,)), shape)
        if fitted is None:
            raise DataRefused(_other_shape(facts, steps, name, shape, place))
        found.append(InputFit(name, fitted, dtype, (place,), facts.names[place], source))
    return tuple(found)


def _by_columns_step(steps: Sequence[Step], facts: DataFacts, free: Sequence[int]) -> int | None:
    """The array that `columns(name)` names."""
    if not steps or not isinstance(steps[0], Columns):
        return None
    which = steps[0].which
    places = [i for i in free if facts.names[i] in which]
    if len(which) != 1 or len(places) != 1:
        held = ", ".join(facts.names[i] for i in free)
        raise DataRefused(
            f"pre-processing: {steps[0]} must name one array of the file (arrays: {held}). Write, for example, "
            f"columns({facts.names[free[0]]})."
        )
    return places[0]


def _by_shape(
    facts: DataFacts, steps: Sequence[Step], tensor: Tensor, free: Sequence[int], taken: set[int]
) -> int:
    name, shape, _ = tensor
    arrays = [i for i, _ in facts.shapes if i in free and i not in taken]
    fitting = [i for i in arrays if _fits(facts, steps, tensor, i)]
    if len(fitting) == 1:
        return fitting[0]
    if len(fitting) > 1:
        both = ", ".join(f"'{facts.names[i]}' {_shape_of(facts, i)}" for i in fitting)
        raise DataRefused(
            f"several arrays fit input '{name}' {shape_text(shape)} of the model: {both}. Leave out the others "
            f"(ignore them), or name the right one: columns({facts.names[fitting[0]]}) in the pre-processing."
        )
    if not arrays:
        held = ", ".join(facts.names[i] for i in free) or "none"
        raise DataRefused(
            f"no array is left for input '{name}' {shape_text(shape)} of the model (left after the label: {held}). "
            "Name each array after its input."
        )
    raise DataRefused(_other_shape(facts, steps, name, shape, arrays[0]))


def _fits(facts: DataFacts, steps: Sequence[Step], tensor: Tensor, place: int) -> bool:
    name, shape, _ = tensor
    try:
        after = output_shape(steps, source_shape(dict(facts.shapes)[place], steps, name, shape))
    except DataRefused:
        return False
    return fitting_shape(after, shape) is not None


def _other_shape(
    facts: DataFacts, steps: Sequence[Step], name: str, shape: Sequence[int | None], place: int
) -> str:
    """Raises the refusal of a step itself, where one does not match the array."""
    own = source_shape(dict(facts.shapes).get(place, (1,)), steps, name, shape)
    after = output_shape(steps, own)
    text = f"the rows of array '{facts.names[place]}' are {shape_text(own)}"
    if steps and after != own:
        text += f", after the pre-processing {shape_text(after)}"
    text += f", but input '{name}' of the model takes {shape_text(shape)}. "
    known = [n for n in shape if n is not None]
    if len(own) == 3 and sorted(own) == sorted(known) and own != tuple(known):
        order = "1, 2, 0" if own[0] == known[-1] else "2, 0, 1"
        return f"{text}If only the order of the axes differs, add axes({order}) to the pre-processing."
    text += "Give the array that the model was trained on, or change its rows in the pre-processing: "
    if len(own) in (2, 3) and len(known) in (2, 3) and len(shape) == len(known):
        return f"{text}resize({known[0]}x{known[1]}), axes(…), reshape(…)."
    return f"{text}resize(…), reshape(…)."


def _shape_of(facts: DataFacts, place: int) -> str:
    return shape_text(dict(facts.shapes)[place])


def _plain(name: str) -> str:
    """A name without what Keras and exporters add: input_1:0 and Input_1 are the same."""
    return name.lower().split(":")[0].strip()
