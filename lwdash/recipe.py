"""The recipe language: `prune(sparsity=0.8) + cluster(clusters=16) + int8(io=float32)`.

Grammar: `step ("+" step)*` with `step = name ["(" key=value ("," key=value)* ")"]`; a value may hold
brackets and parentheses of its own (`skip=[dense, conv_*]`). Steps go through stages in this order:
`keras` (model → model) any number of times, one `export` (float32, implied), then at most one `tflite`
(bytes → bytes). A training for a number format (`qat`) implies that format.
"""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lwdash.errors import RecipeError
from lwdash.parameters import check_params, nearest, read_params, write_params
from lwdash.techniques import ORDER, TECHNIQUES

STAGES = ("keras", "export", "tflite")
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
"""What the field calls a technique elsewhere → how it is written here, where the letters alone do not tell."""


@dataclass(frozen=True)
class Step:
    """One technique with its parameters."""

    name: str
    params: Any

    @property
    def stage(self) -> str:
        return TECHNIQUES[self.name].STAGE

    def __str__(self) -> str:
        inner = write_params(self.params)
        return f"{self.name}({inner})" if inner else self.name

    def to_dict(self) -> dict[str, Any]:
        """Every parameter, defaults too: what identifies the work of this step."""
        return {"name": self.name, **dataclasses.asdict(self.params)}


@dataclass(frozen=True)
class Recipe:
    """The steps of one run, in order, checked; `str()` gives the canonical text."""

    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return " + ".join(map(str, self.steps))

    @property
    def keras_steps(self) -> tuple[Step, ...]:
        return tuple(s for s in self.steps if s.stage == "keras")

    @property
    def tflite_step(self) -> Step | None:
        """The step that makes the number format; the one a training implies where none is written."""
        implied = (implied_format(s.name) for s in self.keras_steps)
        steps = [*(s for s in self.steps if s.stage == "tflite"), *(s for s in implied if s)]
        return steps[0] if steps else None

    @property
    def is_trained(self) -> bool:
        """Whether any step trains; the others together take seconds."""
        return bool(self.keras_steps)


def parse_recipe(text: str) -> Recipe:
    """Reads a recipe; RecipeError says what is wrong, what was received, and the nearest valid name."""
    if not text.strip():
        raise RecipeError(f"the recipe is empty; write {EXAMPLE}")
    return make_recipe(*(_parse_step(part) for part in _split(text, "+", text)))


def make_recipe(*steps: Step) -> Recipe:
    """A recipe from steps, checked as `parse_recipe` does, in canonical form."""
    checked = [_checked(step) for step in steps]
    for before, after in pairwise(checked):
        if STAGES.index(after.stage) < STAGES.index(before.stage):
            raise RecipeError(f"{after.name} must come before {before.name}: {after} + {before}")
    for stage in ("export", "tflite"):
        same = [s.name for s in checked if s.stage == stage]
        if len(same) > 1:
            raise RecipeError(f"{' + '.join(same)}: choose one of them, a file has one number format")
    _check_keras_order(checked)
    _check_format(checked)
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


def _check_format(steps: list[Step]) -> None:
    last = steps[-1]
    for step in steps:
        implied = implied_format(step.name)
        if implied and last.stage != "keras" and last.name != implied.name:
            raise RecipeError(
                f"{step.name} trains for {implied.name} and {last.name} would undo it; write {step.name} alone, which gives "
                f"{implied.name}, or {step.name} + {implied.name}(…) to choose how"
            )


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
    """`text` split at each `separator` outside of all brackets."""
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
