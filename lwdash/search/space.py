"""The search space: conversion between recipes and choices."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import islice
from typing import Any, Protocol

from lwdash.errors import RecipeError, UserMistake
from lwdash.metrics.offers import all_target_columns, target_metric
from lwdash.metrics.target_values import measure_of
from lwdash.recipe import Recipe, Step, make_recipe, parse_recipe
from lwdash.techniques import ORDER, TECHNIQUES

FORMATS = ("int8", "float16", "dynamic", "dynamic(bits=4)", "weight_only(bits=4)", "int16x8", "auto")
SEARCHED = ORDER
"""Techniques that a search combines."""
BY_LAYER = "auto"
"""The scope of `prune` that chooses a sparsity for each layer."""
INTEGER_FORMATS = ("int8", "int16x8")
"""Formats that run on a processor without a floating-point unit."""


@dataclass(frozen=True)
class Goal:
    """A metric to improve while quality stays high.

    techniques: those that can change it. formats: the number formats that are useful for it. storage: the storage step of
    recipes with pruning, if there is one; is_always_stored: of all recipes.
    """

    column: str
    label: str
    techniques: tuple[str, ...]
    why: str
    formats: tuple[str, ...] = FORMATS
    storage: str | None = None
    is_always_stored: bool = False

    def storage_with(self, formats: Collection[str]) -> str | None:
        """The storage step where these number formats may be made.

        Processors without floats have no LiteRT, which reads sparse files.
        """
        is_integer = {_format_name(text) for text in formats} <= set(INTEGER_FORMATS)
        needs_litert = self.storage is not None and TECHNIQUES[self.storage].RUNTIME == "litert"
        return None if is_integer and needs_litert else self.storage

    def techniques_with(self, formats: Collection[str]) -> tuple[str, ...]:
        """The techniques that can change the goal in these number formats."""
        needs_storage = self.storage is not None and self.storage_with(formats) is None
        return tuple(name for name in self.techniques if name != "prune" or not needs_storage)


GOALS: Mapping[str, Goal] = {
    goal.column: goal
    for goal in (
        Goal("size_bytes", "the smallest .tflite", ("channels", "low_rank", "prune", "qat"),
             "Pruned recipes end in sparse storage, which does not store zeros. Microcontrollers cannot read it: with "
             "integer files only, pruning is not used. Clustering is not used: repeated values are stored at full size.",
             storage="sparse"),
        Goal("gzip_bytes", "the smallest gzipped file", SEARCHED,
             "Pruning and clustering are used: zeros and repeated values reduce the gzipped size."),
        Goal("stored_bytes", "the smallest update", SEARCHED,
             "Every recipe ends in coded, a lossless code, and the metric is the size of the coded file. Pruning and "
             "clustering are used. Coding takes 10 s a megabyte, checking up to 80 s.",
             storage="coded", is_always_stored=True),
        Goal("speedup", "the lowest latency", ("channels", "low_rank", "qat"),
             "Pruning and clustering are not used: the kernels multiply by zeros like by any other number."),
        Goal("arena_bytes", "the smallest arena", ("channels", "qat"),
             "The arena depends on the number and format of activations, not on the weights. TensorFlow "
             "Lite Micro refuses files with integer weights and float activations, so those are not used.", INTEGER_FORMATS),
        Goal("npu_cycles", "the fewest NPU cycles", SEARCHED,
             "Arm's compiler Vela estimates the cycles on the experiment's NPU, which takes integer files only. It encodes "
             "weights, so pruning and clustering are used: fewer bytes are read from the flash memory.", INTEGER_FORMATS),
        Goal("micro_flash_bytes", "the least flash on a microcontroller", ("channels", "low_rank", "qat"),
             "The file, the runtime and its kernels. Zeros and repeated values are stored at full size, so pruning and "
             "clustering are not used.", INTEGER_FORMATS),
    )
}  # fmt: skip


def goal_of(column: str) -> Goal:
    """A goal of `GOALS`, or the metric of a target (see metrics.offers). Raises UserMistake for another name."""
    if column in GOALS:
        return GOALS[column]
    metric = target_metric(column)
    if metric is None or metric.host:
        raise UserMistake(
            f"a search is for one of {', '.join(GOALS)}, or a metric of a target: "
            f"{', '.join(all_target_columns())}; received {column!r}"
        )
    measure, like = measure_of(column), metric.offer.like
    usual = GOALS[like] if like in GOALS else GOALS["speedup"]
    return Goal(
        column,
        f"the {'highest' if measure.is_higher_better else 'lowest'} value of {measure.label}",
        usual.techniques,
        f"{metric.offer.help}, after each run; the search waits for it.",
        INTEGER_FORMATS if metric.offering.is_integer_only else FORMATS,
    )


GOAL_NAMES: Mapping[str, str] = {
    "size": "size_bytes",
    "gzip": "gzip_bytes",
    "update": "stored_bytes",
    "latency": "speedup",
    "arena": "arena_bytes",
    "npu": "npu_cycles",
    "flash": "micro_flash_bytes",
}
"""Short name of a goal, on the command line and in Python → its metric."""

EPOCHS = (0, 10, 30, 100)
"""Epochs of a training step: 0 is auto, by the number of rows and the strength."""
RATE_FACTOR = 3.0
"""Ratio of the learning rates of a training step, about; the first of them is the default."""
TRAINING = ("epochs", "learning_rate")
"""Choices of a technique on its training; the first value of each is the default."""
TUNED: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "channels": {
        "ratio": tuple(n / 100 for n in range(10, 75, 5)),
        "epochs": EPOCHS,
        "learning_rate": (0.002, 0.0007, 0.006),
    },
    "low_rank": {
        "macs": tuple(n / 100 for n in range(40, 95, 5)),
        "epochs": EPOCHS,
        "learning_rate": (0.001, 0.0003, 0.003),
    },
    "prune": {
        "sparsity": tuple(n / 100 for n in range(30, 100, 5)),
        "scope": ("layer", BY_LAYER, "global"),
        "epochs": EPOCHS,
        "learning_rate": (None, 0.0007, 0.006),
    },
    "cluster": {
        "clusters": (4, 6, 8, 12, 16, 24, 32, 48, 64),
        "epochs": EPOCHS,
        "learning_rate": (0.0005, 0.0002, 0.0015),
    },
    "lowbit": {"bits": (2, 3, 4), "epochs": EPOCHS, "learning_rate": (0.001, 0.0003, 0.003)},
    "qat": {"epochs": EPOCHS, "learning_rate": (None, 0.00003, 0.001)},
}
"""The choices of a search for each technique, each with its values in order; see `params_of`. All other parameters keep
their defaults.
"""


def params_of(technique: str, choices: Mapping[str, Any]) -> Any:
    """The parameters of a technique with these choices of `TUNED`.

    With the scope `BY_LAYER`, the sparsity is the mean of those that are chosen by layer.
    """
    values = dict(choices)
    if technique == "prune" and values.get("scope") == BY_LAYER:
        del values["scope"]
        values |= {"sparsity": None, "mean_sparsity": values["sparsity"]}
    return TECHNIQUES[technique].Params(**values)


def medium(technique: str) -> dict[str, Any]:
    """The choices of a technique at medium strength, trained as by default."""
    return {
        key: values[0 if key in TRAINING else (len(values) - 1) // 2]
        for key, values in TUNED[technique].items()
    }


def choices_of(technique: str, params: Any) -> dict[str, Any] | None:
    """The choices of `TUNED` that give these parameters, None if there are none."""
    tuned = TUNED[technique]
    found = {key: getattr(params, key) for key in tuned}
    if technique == "prune" and params.sparsity is None:
        found |= {"sparsity": params.mean_sparsity, "scope": BY_LAYER}
    is_offered = all(found[key] in values for key, values in tuned.items())
    return found if is_offered and params_of(technique, found) == params else None


class Chooser(Protocol):
    """Chooses one of several values; optuna's trials have this interface."""

    def suggest_int(self, name: str, low: int, high: int) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


@dataclass(frozen=True)
class Space:
    """The number formats (recipe steps, as text) and the training techniques that may be combined.

    storage: the storage step that ends each recipe with pruning, with is_always_stored each recipe; None for none.
    """

    formats: tuple[str, ...] = FORMATS
    techniques: tuple[str, ...] = ()
    storage: str | None = None
    is_always_stored: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The stored form; `Space.from_dict` restores an equal space."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Space":
        """Raises UserMistake if a name is neither a technique nor a number format."""
        return make_space(
            data["formats"],
            data["techniques"],
            storage=data.get("storage"),
            is_always_stored=data.get("is_always_stored", False),
        )

    def leaves_out(self, recipe: Recipe) -> bool:
        """True if a recipe produces a number format that this search excludes."""
        left_out = set(map(_format_name, FORMATS)) - set(map(_format_name, self.formats))
        return recipe.tflite_step is not None and recipe.tflite_step.name in left_out

    def starts(self) -> Iterator[Recipe]:
        """The first recipes: each format alone, then each technique alone at medium strength with its first
        compatible format.
        """
        for text in self.formats:
            yield from filter(None, [self.joined([], text)])
        for name in self.techniques:
            step = Step(name, params_of(name, medium(name)))
            yield from islice((r for text in self.formats if (r := self.joined([step], text))), 1)

    def choose(self, chooser: Chooser) -> Recipe:
        """A recipe whose parts are all chosen by the chooser."""
        text = chooser.suggest_categorical("format", self.formats)
        steps: list[Step] = []
        for name in self.techniques:
            if not goes_with(name, text) or any(excludes(step.name, name) for step in steps):
                continue
            if not chooser.suggest_categorical(name, (False, True)):
                continue
            chosen = {
                key: values[chooser.suggest_int(f"{name}.{key}", 0, len(values) - 1)]
                for key, values in TUNED[name].items()
            }
            steps.append(Step(name, params_of(name, chosen)))
        recipe = self.joined(steps, text)
        assert recipe is not None, "every combination was checked when the steps were chosen"
        return recipe

    def joined(self, steps: Sequence[Step], format: str) -> Recipe | None:
        """The recipe of these steps in this format, stored as this space stores it; None where they do not go together."""
        return _joined(steps, format, self.storage_after(step.name for step in steps))

    def storage_after(self, techniques: Iterable[str]) -> str | None:
        """The storage step of a recipe with these training techniques."""
        return self.storage if self.is_always_stored or "prune" in techniques else None

    def choices(self, recipe: Recipe) -> dict[str, Any] | None:
        """The choices that produce this recipe, by name; None if the space does not contain it."""
        text = str(recipe.tflite_step) if recipe.tflite_step else "float32"
        steps = {step.name: step for step in recipe.keras_steps}
        storage = str(recipe.storage_step) if recipe.storage_step else None
        if text not in self.formats or not set(steps) <= set(self.techniques):
            return None
        if storage != self.storage_after(steps):
            return None
        found: dict[str, Any] = {"format": text}
        for name in self.techniques:
            if not goes_with(name, text) or any(excludes(other, name) for other in steps):
                continue
            found[name] = name in steps
            if name not in steps:
                continue
            chosen = choices_of(name, steps[name].params)
            if chosen is None:
                return None
            found |= {f"{name}.{key}": TUNED[name][key].index(value) for key, value in chosen.items()}
        return found


def make_space(
    formats: Collection[str],
    techniques: Collection[str],
    *,
    storage: str | None = None,
    is_always_stored: bool = False,
) -> Space:
    """A space with its names checked and in canonical order. Raises UserMistake."""
    canonical = []
    for text in formats:
        try:
            recipe = parse_recipe(text)
        except RecipeError as error:
            raise UserMistake(f"the number format {text}: {error}") from error
        if recipe.keras_steps or recipe.storage_step:
            raise UserMistake(
                f"{text} is no number format: write one of {', '.join(FORMATS)}, or another with parameters"
            )
        canonical.append(str(recipe))
    for name in techniques:
        if name not in TUNED:
            raise UserMistake(f"a search can use {', '.join(TUNED)}; received {name!r}")
    if not canonical:
        raise UserMistake(f"a search needs at least one number format, such as {FORMATS[0]}")
    ordered = tuple(name for name in ORDER if name in techniques)
    return Space(tuple(dict.fromkeys(canonical)), ordered, storage, is_always_stored)


def _format_name(text: str) -> str:
    return text.partition("(")[0]


@cache
def goes_with(name: str, format: str) -> bool:
    """True if a training technique and a number format can be in one recipe."""
    return _joined([Step(name, TECHNIQUES[name].Params())], format) is not None


@cache
def excludes(earlier: str, later: str) -> bool:
    """True if a training technique cannot follow another one, such as lowbit after cluster."""
    steps = [Step(name, TECHNIQUES[name].Params()) for name in (earlier, later)]
    return ORDER.index(earlier) < ORDER.index(later) and _joined(steps, INTEGER_FORMATS[0]) is None


def _joined(steps: Sequence[Step], format: str, storage: str | None = None) -> Recipe | None:
    """The recipe, or None if a step trains for another number format."""
    try:
        return make_recipe(
            *steps, *parse_recipe(format).steps, *(parse_recipe(storage).steps if storage else ())
        )
    except RecipeError:
        return None
