"""The search space: recipes as choices, and choices as recipes."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import islice
from typing import Any, Protocol

from lwdash.errors import RecipeError, UserMistake
from lwdash.recipe import Recipe, Step, make_recipe, parse_recipe
from lwdash.techniques import ORDER, TECHNIQUES

FORMATS = ("int8", "float16", "dynamic", "dynamic(bits=4)", "weight_only(bits=4)", "int16x8")
INTEGER_FORMATS = ("int8", "int16x8")
"""What a processor without a floating-point unit runs."""


@dataclass(frozen=True)
class Goal:
    """A measured quantity to make good while quality stays high; `techniques` are those that can change it, `formats` the
    number formats that make sense for it."""

    column: str
    label: str
    techniques: tuple[str, ...]
    why: str
    formats: tuple[str, ...] = FORMATS


GOALS: Mapping[str, Goal] = {
    goal.column: goal
    for goal in (
        Goal("size_bytes", "the smallest .tflite", ("channels", "low_rank", "qat"),
             "Pruning and clustering are left out: a .tflite stores zeros and repeated values like any other."),
        Goal("gzip_bytes", "the smallest gzipped file", ORDER,
             "Zeros and repeated values count here, so pruning and clustering take part."),
        Goal("speedup", "the lowest latency", ("channels", "low_rank", "qat"),
             "Pruning and clustering are left out: the kernels multiply by zeros like by any other number."),
        Goal("arena_bytes", "the smallest arena", ("channels", "qat"),
             "What TensorFlow Lite Micro plans for activations follows their number and format, not the weights. It refuses "
             "files with integer weights and float activations, so those are left out.", INTEGER_FORMATS),
    )
}  # fmt: skip

TUNED: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "channels": {"ratio": tuple(n / 100 for n in range(10, 75, 5))},
    "low_rank": {"energy": tuple(n / 100 for n in range(70, 100, 2))},
    "prune": {"sparsity": tuple(n / 100 for n in range(30, 100, 5)), "scope": ("layer", "global")},
    "cluster": {"clusters": (4, 6, 8, 12, 16, 24, 32, 48, 64)},
    "qat": {},
}
"""The parameters that a search varies, each with its values in order; the others keep their defaults."""


class Chooser(Protocol):
    """Picks one of several values; optuna's trials are such."""

    def suggest_int(self, name: str, low: int, high: int) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


@dataclass(frozen=True)
class Space:
    """The number formats (steps of recipes, as text) and the techniques of training that may be combined."""

    formats: tuple[str, ...] = FORMATS
    techniques: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As it is stored; `Space.from_dict` gives back an equal one."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Space":
        """Raises UserMistake where a word is no technique or no number format."""
        return make_space(data["formats"], data["techniques"])

    def leaves_out(self, recipe: Recipe) -> bool:
        """Whether a recipe, whoever wrote it, makes a number format that this search was told not to make."""
        left_out = set(map(_format_name, FORMATS)) - set(map(_format_name, self.formats))
        return recipe.tflite_step is not None and recipe.tflite_step.name in left_out

    def starts(self) -> Iterator[Recipe]:
        """What is tried before anything is learnt: each format alone, then each technique alone with the first format
        that goes with it, at a middling strength."""
        for text in self.formats:
            yield parse_recipe(text)
        for name in self.techniques:
            middling = {key: values[(len(values) - 1) // 2] for key, values in TUNED[name].items()}
            step = Step(name, TECHNIQUES[name].Params(**middling))
            yield from islice((r for text in self.formats if (r := _joined([step], text))), 1)

    def choose(self, chooser: Chooser) -> Recipe:
        """A recipe of which each part is the chooser's."""
        text = chooser.suggest_categorical("format", self.formats)
        steps = []
        for name in self.techniques:
            if not goes_with(name, text) or not chooser.suggest_categorical(name, (False, True)):
                continue
            chosen = {
                key: values[chooser.suggest_int(f"{name}.{key}", 0, len(values) - 1)]
                for key, values in TUNED[name].items()
            }
            steps.append(Step(name, TECHNIQUES[name].Params(**chosen)))
        recipe = _joined(steps, text)
        assert recipe is not None, "what goes together was checked step by step"
        return recipe

    def choices(self, recipe: Recipe) -> dict[str, Any] | None:
        """What a chooser would have to say for this recipe, by name; None where the space does not hold it."""
        text = str(recipe.tflite_step) if recipe.tflite_step else "float32"
        steps = {step.name: step for step in recipe.keras_steps}
        if text not in self.formats or not set(steps) <= set(self.techniques):
            return None
        found: dict[str, Any] = {"format": text}
        for name in self.techniques:
            if not goes_with(name, text):
                continue
            found[name] = name in steps
            if name not in steps:
                continue
            params = steps[name].params
            for key, values in TUNED[name].items():
                if getattr(params, key) not in values:
                    return None
                found[f"{name}.{key}"] = values.index(getattr(params, key))
            if TECHNIQUES[name].Params(**{key: getattr(params, key) for key in TUNED[name]}) != params:
                return None
        return found


def make_space(formats: Collection[str], techniques: Collection[str]) -> Space:
    """A space with its words checked and in canonical order. Raises UserMistake."""
    canonical = []
    for text in formats:
        try:
            recipe = parse_recipe(text)
        except RecipeError as error:
            raise UserMistake(f"the number format {text}: {error}") from error
        if recipe.keras_steps:
            raise UserMistake(
                f"{text} is no number format: write one of {', '.join(FORMATS)}, or another with parameters"
            )
        canonical.append(str(recipe))
    for name in techniques:
        if name not in TUNED:
            raise UserMistake(f"a search can use {', '.join(TUNED)}; received {name!r}")
    if not canonical:
        raise UserMistake(f"a search needs a number format at least, such as {FORMATS[0]}")
    return Space(tuple(dict.fromkeys(canonical)), tuple(name for name in ORDER if name in techniques))


def _format_name(text: str) -> str:
    return text.partition("(")[0]


@cache
def goes_with(name: str, format: str) -> bool:
    """Whether a technique of training and a number format can be in one recipe."""
    return _joined([Step(name, TECHNIQUES[name].Params())], format) is not None


def _joined(steps: Sequence[Step], format: str) -> Recipe | None:
    """The recipe, or None where a step trains for another number format."""
    try:
        return make_recipe(*steps, *parse_recipe(format).steps)
    except RecipeError:
        return None
