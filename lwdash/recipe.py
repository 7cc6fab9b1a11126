"""The recipe language: `prune(sparsity=0.8) + cluster(clusters=16) + int8(io=float32)`.

Grammar: `step ("+" step)*` with `step = name ["(" key=value ("," key=value)* ")"]`; a value may contain
brackets and parentheses (`skip=[dense, conv_*]`). Steps go through stages in this order:
`keras` (model → model) any number of times, one `export` (float32, implied), at most one `tflite` (a number format),
then at most one `storage` (a smaller file of the same network). A training for a number format (`qat`) implies that format.
"""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

from lwdash.errors import RecipeError
from lwdash.parameters import check_params, nearest, read_params, write_params
from lwdash.techniques import ORDER, TECHNIQUES

MAX_EXPANDED = 100
"""Maximum number of recipes that one text with lists of values may give."""
STAGES = ("keras", "export", "tflite", "storage")
FLOAT_BITS = 32
"""Bits of a weight in a float .tflite."""
WEIGHT_BITS: Mapping[str, int] = {
    "float16": 16, "weight_only": 8, "weight_only4": 4, "dynamic": 8, "dynamic4": 4, "int8": 8, "int8x4": 4, "int16x8": 8,
}  # fmt: skip
"""Bits of a stored weight by number format; a step's own parameter `bits` comes first."""
EXAMPLE = "for example: prune(sparsity=0.8) + int8"
KNOWN_AS: Mapping[str, str] = {
    "int4": "dynamic(bits=4) or weight_only(bits=4)",
    "int16": "int16x8",
    "w8a16": "int16x8",
    "w8a8": "int8",
    "ptq": "int8",
    "drq": "dynamic",
    "fp16": "float16",
    "fp32": "float32",
    "svd": "low_rank + int8",
    "pqat": "prune + qat + int8",
    "cqat": "cluster + qat + int8",
    "pcqat": "prune + cluster + qat + int8",
}
"""Common name of a technique → its name here, where the spelling alone does not reveal it."""


@dataclass(frozen=True)
class Step:
    """One technique with its parameters.

    formats: of a training for a number format, the formats by layer that it prepares for; None where they are not known.
    """

    name: str
    params: Any
    formats: Any = None

    @property
    def stage(self) -> str:
        return TECHNIQUES[self.name].STAGE

    def __str__(self) -> str:
        inner = write_params(self.params)
        return f"{self.name}({inner})" if inner else self.name

    def to_dict(self) -> dict[str, Any]:
        """Every parameter, defaults included: the identity of this step's work."""
        formats = {"formats": dataclasses.asdict(self.formats)} if self.formats else {}
        return {"name": self.name, **dataclasses.asdict(self.params), **formats}


@dataclass(frozen=True)
class Recipe:
    """The steps of one run, in order, checked; `str()` gives the canonical text."""

    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return " + ".join(map(str, self.steps))

    @property
    def keras_steps(self) -> tuple[Step, ...]:
        """The steps that change the Keras model; a training for a number format with that of the recipe."""
        format = self.tflite_step
        formats_of = getattr(TECHNIQUES[format.name], "trained_formats", None) if format else None
        steps = [s for s in self.steps if s.stage == "keras"]
        if format is None or formats_of is None:
            return tuple(steps)
        formats = formats_of(format.params)
        return tuple(dataclasses.replace(s, formats=formats) if implied_format(s.name) else s for s in steps)

    @property
    def tflite_step(self) -> Step | None:
        """The step that produces the number format; the one that a training implies if none is written."""
        implied = (implied_format(s.name) for s in self.steps)
        steps = [*(s for s in self.steps if s.stage == "tflite"), *(s for s in implied if s)]
        return steps[0] if steps else None

    @property
    def storage_step(self) -> Step | None:
        """The step that stores the finished network in fewer bytes."""
        return next((s for s in self.steps if s.stage == "storage"), None)

    @property
    def weight_bits(self) -> int:
        """Bits of a stored weight in the number format: with `mixed`, that of most layers."""
        step = self.tflite_step
        if step is None:
            return FLOAT_BITS
        name = step.params.default if step.name == "mixed" else step.name
        return int(getattr(step.params, "bits", WEIGHT_BITS.get(name, FLOAT_BITS)))

    @property
    def is_trained(self) -> bool:
        """True if any step trains; the others together take seconds."""
        return bool(self.keras_steps)


def parse_recipe(text: str) -> Recipe:
    """Read a recipe; RecipeError states the fault, the received text, and the nearest valid name."""
    if not text.strip():
        raise RecipeError(f"the recipe is empty; write {EXAMPLE}")
    return make_recipe(*(_parse_step(part) for part in _split(text, "+", text)))


def expand_values(text: str) -> list[str]:
    """Recipes from one text with lists of values: `prune(sparsity=0.5, 0.7) + int8` gives two, in this order.

    A value without a name continues the list of the name before it. The texts are not checked. Raises RecipeError for
    brackets that do not match, and for more than MAX_EXPANDED recipes.
    """
    steps = [_expanded_step(part, text) for part in _split(text, "+", text)]
    if (count := math.prod(map(len, steps))) > MAX_EXPANDED:
        raise RecipeError(f"{text.strip()}: these are {count:,} recipes; at most {MAX_EXPANDED} are possible")
    return [" + ".join(chosen) for chosen in product(*steps)]


def _expanded_step(text: str, whole: str) -> list[str]:
    """The texts of a step, one for each choice of its values."""
    match = re.fullmatch(r"\s*(\w+)\s*\((.*)\)\s*", text, flags=re.DOTALL)
    if not match:
        return [text.strip()]
    name, inner = match.groups()
    lists: list[list[str]] = []
    for part in _split(inner, ",", whole):
        if "=" in part or not lists:
            lists.append([part.strip()])
        else:
            name_before = lists[-1][0].partition("=")[0].strip()
            lists[-1].append(f"{name_before}={part.strip()}")
    return [f"{name}({', '.join(chosen)})" for chosen in product(*lists)]


def make_recipe(*steps: Step) -> Recipe:
    """A recipe from steps, checked as `parse_recipe` does, in canonical form."""
    checked = [_checked(step) for step in steps]
    for before, after in pairwise(checked):
        if STAGES.index(after.stage) < STAGES.index(before.stage):
            raise RecipeError(f"{after.name} must come before {before.name}: {after} + {before}")
    for stage, reason in (
        ("export", "a file has one number format"),
        ("tflite", "a file has one number format"),
        ("storage", "a file has one storage form"),
    ):
        same = [s.name for s in checked if s.stage == stage]
        if len(same) > 1:
            raise RecipeError(f"{' + '.join(same)}: choose one of them, {reason}")
    _check_keras_order(checked)
    _check_format(checked)
    _check_storage(checked)
    if len(checked) > 1:
        checked = [s for s in checked if s.stage != "export"]
    return Recipe(tuple(checked))


def _checked(step: Step) -> Step:
    params = check_params(step.params, step.name)
    check = getattr(TECHNIQUES[step.name], "check", None)
    if check:
        check(params)
    return Step(step.name, params)


def _check_keras_order(steps: list[Step]) -> None:
    names = [s.name for s in steps if s.stage == "keras"]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(f"{name} is there {names.count(name)} times; once is enough")
    ordered = sorted(names, key=ORDER.index)
    if names != ordered:
        raise RecipeError(
            f"{' + '.join(names)}: the later step would undo the earlier one; write {' + '.join(ordered)}"
        )
    for step in steps:
        check_after = getattr(TECHNIQUES[step.name], "check_after", None)
        if check_after:
            check_after(step.params, names[: names.index(step.name)])


def implied_format(name: str) -> Step | None:
    """The number format that a keras-stage technique trains for, as a step with its defaults."""
    word = getattr(TECHNIQUES[name], "FORMAT", None)
    return Step(word, TECHNIQUES[word].Params()) if word else None


WHOLE_FORMATS: tuple[tuple[str, Mapping[str, str]], ...] = (("int8", {}), ("int8", {"bits": "4"}))
"""Techniques with one format for all layers, which a training can prepare for, with their parameters."""


def training_recipe(steps: Sequence[Step]) -> Recipe:
    """A recipe whose `keras_steps` are `steps`, the formats that they train for included."""
    formats = next((step.formats for step in steps if step.formats), None)
    if formats is None:
        return make_recipe(*steps)
    known = {"per_channel": formats.per_channel}
    for name, more in WHOLE_FORMATS:
        params = TECHNIQUES[name].Params(**known, **more)
        if TECHNIQUES[name].trained_formats(params) == formats:
            return make_recipe(*steps, Step(name, params))
    mixed = TECHNIQUES["mixed"].Params(formats.default, formats.overrides, **known)
    return make_recipe(*steps, Step("mixed", mixed))


def _check_format(steps: list[Step]) -> None:
    last = next((s for s in reversed(steps) if s.stage in ("export", "tflite")), None)
    for step in steps:
        implied = implied_format(step.name)
        if implied and last and last.name not in TECHNIQUES[step.name].FORMATS_AFTER:
            raise RecipeError(
                f"{step.name} trains for {implied.name} and {last.name} would undo it; write {step.name} alone, which gives "
                f"{implied.name}, or {step.name} + {implied.name}(…) to choose how"
            )


def _check_storage(steps: list[Step]) -> None:
    """Refuses a storage step after a number format that it does not store."""
    recipe = Recipe(tuple(steps))
    storage, format = recipe.storage_step, recipe.tflite_step
    formats = None if storage is None else getattr(TECHNIQUES[storage.name], "STORES", None)
    name = "float32" if format is None else format.name
    if storage is None or formats is None or name in formats:
        return
    received = storage if format is None else f"{name} + {storage}"
    raise RecipeError(
        f"{storage.name} stores {', '.join(formats[:-1])} and {formats[-1]} files, but {received} gives it a {name} file; "
        f"write {formats[0]} + {storage}"
    )


def storage_form(text: str) -> str | None:
    """The name of the storage step in a recipe that is stored, also where this version refuses the recipe."""
    name = text.rpartition("+")[2].partition("(")[0].strip()
    return name if name in TECHNIQUES and TECHNIQUES[name].STAGE == "storage" else None


def _parse_step(text: str) -> Step:
    match = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*(?:\((.*)\))?\s*", text, flags=re.DOTALL)
    if not match:
        raise RecipeError(
            f"cannot read the step {text.strip()!r}; write name or name(key=value, …), {EXAMPLE}"
        )
    name, inner = match.groups()
    if name not in TECHNIQUES:
        meant = (
            f". Did you mean {KNOWN_AS[name.lower()]}?"
            if name.lower() in KNOWN_AS
            else nearest(name, TECHNIQUES)
        )
        raise RecipeError(f"there is no technique {name!r} (there are: {', '.join(TECHNIQUES)}){meant}")
    texts: dict[str, str] = {}
    for pair in _split(inner, ",", text) if inner and inner.strip() else []:
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not key or not value:
            raise RecipeError(f"{name}: expected key=value, but got {pair.strip()!r}")
        if key in texts:
            raise RecipeError(f"{name}: {key} is given twice")
        texts[key] = value
    return Step(name, read_params(TECHNIQUES[name].Params, texts, name))


def _split(text: str, separator: str, whole: str) -> list[str]:
    """`text` split at each `separator` outside all brackets."""
    depth, parts, start = 0, [], 0
    for i, char in enumerate(text):
        if char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
            if depth < 0:
                raise RecipeError(f"a closing bracket too many in {whole.strip()!r}")
        elif char == separator and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    if depth:
        raise RecipeError(f"a bracket is not closed in {whole.strip()!r}")
    return [*parts, text[start:]]
