"""The strength of a technique for each layer under a limit, from measurements without training.

First the error of the outputs is measured with one layer treated at a time, at a few strengths. The error of the whole model
is taken as the sum of its layers' errors, and an integer program shares out the cost. Each result is then made and measured.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.contract import Training
from lwdash.errors import RecipeError
from lwdash.parameters import Number
from lwdash.training.kernels import Kernel, Kernels, layers_of_kernels
from lwdash.training.layerwise.layer_by_layer import Changes, Passes, why_not_solved
from lwdash.training.least_noise import least_noise
from lwdash.training.model_copies import clone_live

MAX_ROWS = 256
MAX_ROUNDS = 8
"""Number of models that are made to meet a limit on the change of results."""
CLOSE_SHARE = 0.01
"""The rounds end when the limit is known to this share of the largest cost."""
MIN_NOISE = 1e-12

AUTO_DROP = Number(
    "Maximum drop",
    "With sparsity=auto and no mean sparsity: the largest share of train rows whose result may change before the "
    "fine-tuning. For outputs that are numbers: their largest error, in percent of their standard deviation.",
    0.0,
    100.0,
    "points",
    step=0.1,
)

Strengths = Mapping[str, float]
"""Layer path → strength."""


@dataclass(frozen=True)
class StrengthScale:
    """The strengths of a technique, from the one that changes least to the one that changes most.

    cost: of one weight at a strength. measured: indices of the strengths whose error is measured; the errors between are
    interpolated, and before the first of them the error rises as the cube. unchanged: the strength that leaves a layer as
    it is, None if there is none.
    """

    strengths: Sequence[float]
    cost: Callable[[float], float]
    measured: Sequence[int]
    unchanged: float | None = None

    @property
    def costs(self) -> list[float]:
        return [self.cost(strength) for strength in self.strengths]


@dataclass(frozen=True)
class Trial:
    """A model that was made and measured on rows, without training.

    cost: per weight. noise: power of the outputs' error, as a share of the outputs' power. changed: 0–1, rows with another
    result.
    """

    strengths: Strengths
    cost: float
    noise: float
    changed: float


class LayerTrials:
    """Copies of a model with a strength for each layer, made from the same weights each time.

    treated: chooses the kernels of a model. is_unsolved_too: kernels whose inputs are not known are treated as well.
    """

    def __init__(
        self,
        model: Any,
        treated: Callable[[Any], Kernels],
        training: Training,
        scale: StrengthScale,
        *,
        is_unsolved_too: bool,
    ):
        self.model, self.scale, self.task, self.seed = clone_live(model), scale, training.task, training.seed
        self._weights = self.model.get_weights()
        kernels, cannot = treated(self.model).chosen, why_not_solved(self.model)
        known = {path: kernel for path, kernel in kernels.items() if cannot(kernel) is None}
        self.passes = Passes(self.model, known, training.inputs, seed=self.seed, max_rows=MAX_ROWS)
        seen = self.passes.change(known, lambda kernel, places, weights, moments: weights, _silent).errors
        self._kernels = {path: k for path, k in kernels.items() if path in seen or is_unsolved_too}
        self._solved = set(seen)
        self._layer_of = layers_of_kernels(self.model)
        self.sizes: dict[str, int] = {}
        for path, kernel in self._kernels.items():
            layer = self._layer_of[path]
            self.sizes[layer] = self.sizes.get(layer, 0) + kernel.size
        self.attempts: list[Trial] = []
        self._noises = self._sensitivity(training.progress)

    def of_cost(self, cost: float, usual: float) -> Trial:
        """The model with the least noise of at most this cost.

        usual: the strength of all layers that costs about as much; it is taken where it has less noise.
        """
        return min(
            (self._allocated(cost), self._tried(dict.fromkeys(self.sizes, usual))), key=lambda one: one.noise
        )

    def within_change(self, max_changed: float) -> Trial | None:
        """The cheapest model that changes at most this share of the results; None where none does."""
        low, high = min(self.scale.costs), max(self.scale.costs)
        found = []
        for _ in range(MAX_ROUNDS):
            if high - low <= CLOSE_SHARE * max(self.scale.costs):
                break
            middle = (low + high) / 2
            found.append(self._allocated(middle))
            if found[-1].changed <= max_changed:
                high = min(middle, found[-1].cost)
            else:
                low = middle
        kept = [one for one in found if one.changed <= max_changed and self._is_changed(one)]
        return min(kept, key=lambda one: one.cost, default=None)

    def as_numbers(self, attempt: Trial) -> tuple[float, tuple[tuple[str, float], ...]]:
        """The strength of most weights, and (pattern of the layer, strength) of all other layers, as in a recipe."""
        weights: dict[float, int] = {}
        for layer, value in attempt.strengths.items():
            weights[value] = weights.get(value, 0) + self.sizes[layer]
        usual = max((v for v in weights if v != self.scale.unchanged), key=lambda value: weights[value])
        others = [(layer, value) for layer, value in attempt.strengths.items() if value != usual]
        return usual, tuple((re.sub(r"[^\w./-]", "?", layer), value) for layer, value in others)

    def facts(self, chosen: Trial, recipe: Callable[[Trial], str]) -> dict[str, Any]:
        """Facts of a run about the choice, as JSON; recipe: the step of an attempt."""
        return {
            "recipe": recipe(chosen),
            "changed_rows": round(chosen.changed, 6),
            "attempts": [
                {
                    "recipe": recipe(one),
                    "cost": round(one.cost, 6),
                    "sqnr_db": round(-10 * float(np.log10(one.noise)), 2) if one.noise else None,
                    "changed": round(one.changed, 6),
                }
                for one in sorted(self.attempts, key=lambda one: one.cost)
                if self._is_changed(one)
            ],
        }

    def least_changed(self) -> float:
        """The smallest change of results of all attempts, 0–1."""
        return min((one.changed for one in self.attempts if self._is_changed(one)), default=1.0)

    def _treat(
        self, solved: Mapping[str, Kernel], unsolved: Mapping[str, Kernel], strengths: Mapping[str, float]
    ) -> Changes:
        """Treat the kernels of `self.model` in place, and pass the rows through it; strengths: by path of the kernel."""
        raise NotImplementedError

    def _is_changed(self, attempt: Trial) -> bool:
        return any(value != self.scale.unchanged for value in attempt.strengths.values())

    def _outputs(self, strengths: Strengths) -> Sequence[np.ndarray]:
        """The outputs of the model with these strengths; layers that are not given stay unchanged."""
        self.model.set_weights(self._weights)
        treated = {
            path: strengths[layer]
            for path in self._kernels
            if (layer := self._layer_of[path]) in strengths and strengths[layer] != self.scale.unchanged
        }
        solved = {path: self._kernels[path] for path in treated if path in self._solved}
        unsolved = {path: self._kernels[path] for path in treated if path not in self._solved}
        return self._treat(solved, unsolved, treated).outputs

    def _tried(self, strengths: Strengths) -> Trial:
        known = next((one for one in self.attempts if one.strengths == strengths), None)
        if known is None:
            outputs, reference = self._outputs(strengths), self.passes.outputs
            changed = max(changed_share(r, o, self.task) for r, o in zip(reference, outputs, strict=True))
            cost = sum(self.sizes[layer] * self.scale.cost(value) for layer, value in strengths.items())
            cost /= sum(self.sizes.values())
            known = Trial(dict(strengths), cost, self._noise(outputs), changed)
            self.attempts.append(known)
        return known

    def _allocated(self, cost: float) -> Trial:
        """The model with the least expected noise whose cost per weight is at most `cost`."""
        costs = [[size * one for one in self.scale.costs] for size in self.sizes.values()]
        chosen = least_noise(costs, list(self._noises.values()), cost * sum(self.sizes.values()))
        return self._tried(
            {layer: self.scale.strengths[i] for layer, i in zip(self.sizes, chosen, strict=True)}
        )

    def _sensitivity(self, report: Callable[[str, float], None]) -> dict[str, list[float]]:
        """Layer path → expected noise at each strength, with only that layer treated."""
        measured, found = list(self.scale.measured), {}
        for number, layer in enumerate(self.sizes):
            report(f"sensitivity of {layer}", number / len(self.sizes))
            points = [self._noise(self._outputs({layer: self.scale.strengths[i]})) for i in measured]
            logs = np.log(np.maximum.accumulate(np.maximum(points, MIN_NOISE)))
            noises = np.exp(np.interp(np.arange(len(self.scale.strengths)), measured, logs))
            if measured[0]:
                noises[: measured[0]] *= (np.arange(measured[0]) / measured[0]) ** 3
            found[layer] = [float(noise) for noise in noises]
        return found

    def _noise(self, outputs: Sequence[np.ndarray]) -> float:
        pairs = [
            (np.asarray(r, np.float64), np.asarray(o, np.float64))
            for r, o in zip(self.passes.outputs, outputs, strict=True)
        ]
        signal = sum(float((r**2).sum()) for r, _ in pairs)
        return sum(float(((r - o) ** 2).sum()) for r, o in pairs) / max(signal, 1e-30)


def check_by_layer(technique: str, params: Any, strength: str, mean: str) -> None:
    """Raises RecipeError for limits without `auto`, for two of them, and for `auto` with numbers of single layers.

    strength, mean: names of the parameters that `auto` is a value of, and that limits its mean.
    """
    value = getattr(params, strength)
    limits = [name for name in (mean, "max_drop") if getattr(params, name) != getattr(type(params), name)]
    if value is not None and limits:
        raise RecipeError(f"{technique}: {limits[0]} needs {strength}=auto, but got {strength}={value:g}")
    if len(limits) > 1:
        raise RecipeError(f"{technique}: {mean} and max_drop are two limits; write one of them")
    if value is None and params.layers:
        raise RecipeError(
            f"{technique}: {strength}=auto chooses the number of every layer; write it without layers"
        )


def nothing_kept(technique: str, trials: LayerTrials, max_changed: float) -> RecipeError:
    """The error where no strengths keep the limit."""
    return RecipeError(
        f"{technique}: every choice that was tried changes the results of more than {max_changed:.2%} of the train rows, at "
        f"least {trials.least_changed():.2%}. Set max_drop higher"
    )


def changed_share(reference: np.ndarray, outputs: np.ndarray, task: str) -> float:
    """Share of results that differ, 0–1; for numbers their error as a share of their standard deviation."""
    if task == "classification" and reference.shape[-1] > 1:
        return float(np.mean(reference.argmax(axis=-1) != outputs.argmax(axis=-1)))
    if task in ("classification", "binary", "multi-label"):
        is_share = reference.min(initial=0) >= 0 and reference.max(initial=0) <= 1
        middle = 0.5 if is_share else 0.0
        return float(np.mean((reference > middle) != (outputs > middle)))
    spread = float(reference.std())
    error = float(np.sqrt(np.mean((reference - outputs) ** 2)))
    return error / spread if spread > 0 else float(error > 0)


def _silent(path: str, share: float) -> None:
    pass
