"""The sparsity of each layer under a limit: models pruned without training, measured on the train rows.

First the error of the outputs is measured with one layer pruned at a time, at a few sparsities. The error of the whole model
is taken as the sum of its layers' errors, and an integer program shares out the weights that are left. Each result is then
made and measured.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.contract import Training
from lwdash.training.kernels import Kernels, layers_of_kernels
from lwdash.training.layerwise.layer_by_layer import Passes, why_not_solved
from lwdash.training.layerwise.one_shot_pruning import pruning
from lwdash.training.least_noise import least_noise
from lwdash.training.model_copies import clone_live
from lwdash.training.pruning.pruning_masks import Masks

SPARSITIES = (*(n / 100 for n in range(0, 100, 5)), 0.98)
MEASURED = [SPARSITIES.index(share) for share in (0.3, 0.5, 0.65, 0.8, 0.9, 0.95)]
"""Places in SPARSITIES whose error is measured. Errors between are interpolated; below, they rise as the cube."""
MAX_OPERATIONS = 2e9
"""Floating-point operations for one kernel of a trial, about a tenth of a second; the chosen model gets more."""
MAX_ROWS = 256
MAX_ROUNDS = 8
"""Number of models that are made to meet a limit on the change of results."""
CLOSE_SHARE = 0.01
"""The rounds end when the limit is known to this share of the weights."""
MIN_NOISE = 1e-12

Sparsities = Mapping[str, float]
"""Layer path → sparsity."""


@dataclass(frozen=True)
class Trial:
    """A model that was pruned and measured on rows, without training.

    left: share of the weights that are not zero. noise: power of the outputs' error, as a share of the outputs' power.
    changed: 0–1, rows with another result.
    """

    sparsities: Sparsities
    left: float
    noise: float
    changed: float

    @property
    def is_pruned(self) -> bool:
        return any(self.sparsities.values())


class SparsityTrials:
    """Copies of a model pruned by the sparsities of their layers, made from the same weights each time.

    treated: chooses the kernels of a model. is_magnitude_too: kernels whose inputs are not known lose their smallest
    weights; otherwise they stay unchanged.
    """

    def __init__(
        self,
        model: Any,
        treated: Callable[[Any], Kernels],
        training: Training,
        *,
        structure: str,
        is_magnitude_too: bool,
    ):
        self.model, self.structure = clone_live(model), structure
        self.task, self.seed = training.task, training.seed
        self._weights = self.model.get_weights()
        kernels, cannot = treated(self.model).chosen, why_not_solved(self.model)
        known = {path: kernel for path, kernel in kernels.items() if cannot(kernel) is None}
        self.passes = Passes(self.model, known, training.inputs, seed=self.seed, max_rows=MAX_ROWS)
        seen = self.passes.change(known, lambda kernel, places, weights, moments: weights, _silent).errors
        self._kernels = {path: k for path, k in kernels.items() if path in seen or is_magnitude_too}
        self._solved = set(seen)
        self._layer_of = layers_of_kernels(self.model)
        self.sizes: dict[str, int] = {}
        for path, kernel in self._kernels.items():
            layer = self._layer_of[path]
            self.sizes[layer] = self.sizes.get(layer, 0) + kernel.size
        self.attempts: list[Trial] = []
        self._noises = self._sensitivity(training.progress)

    def of_mean(self, sparsity: float) -> Trial:
        """The model with the least noise of this mean sparsity or more; the same for all layers where that has less."""
        same_for_all = self._tried(dict.fromkeys(self.sizes, sparsity))
        return min((self._allocated(1 - sparsity), same_for_all), key=lambda one: one.noise)

    def within_change(self, max_changed: float) -> Trial | None:
        """The sparsest model that changes at most this share of the results; None where none does."""
        low, high = 1 - max(SPARSITIES), 1.0
        found = []
        for _ in range(MAX_ROUNDS):
            if high - low <= CLOSE_SHARE:
                break
            middle = (low + high) / 2
            found.append(self._allocated(middle))
            if found[-1].changed <= max_changed:
                high = min(middle, found[-1].left)
            else:
                low = middle
        kept = [one for one in found if one.changed <= max_changed and one.is_pruned]
        return min(kept, key=lambda one: one.left, default=None)

    def as_numbers(self, attempt: Trial) -> tuple[float, tuple[tuple[str, float], ...]]:
        """The sparsity of most weights, and (pattern of the layer, sparsity) of all other layers, as in a recipe."""
        weights: dict[float, int] = {}
        for layer, value in attempt.sparsities.items():
            weights[value] = weights.get(value, 0) + self.sizes[layer]
        usual = max((value for value in weights if value), key=lambda value: weights[value])
        others = [(layer, value) for layer, value in attempt.sparsities.items() if value != usual]
        return usual, tuple((re.sub(r"[^\w./-]", "?", layer), value) for layer, value in others)

    def facts(self, chosen: Trial, recipe: Callable[[Trial], str]) -> dict[str, Any]:
        """Facts of a run about the choice, as JSON; recipe: the step of an attempt."""
        return {
            "recipe": recipe(chosen),
            "changed_rows": round(chosen.changed, 6),
            "attempts": [
                {
                    "recipe": recipe(one),
                    "cost": round(one.left, 6),
                    "sqnr_db": round(-10 * float(np.log10(one.noise)), 2) if one.noise else None,
                    "changed": round(one.changed, 6),
                }
                for one in sorted(self.attempts, key=lambda one: one.left)
                if one.is_pruned
            ],
        }

    def least_changed(self) -> float:
        """The smallest change of results of all attempts, 0–1."""
        return min((one.changed for one in self.attempts if one.is_pruned), default=1.0)

    def _outputs(self, sparsities: Sparsities) -> Sequence[np.ndarray]:
        """The outputs of the model with these sparsities; layers that are not given stay unchanged."""
        self.model.set_weights(self._weights)
        shares = {
            path: share for path in self._kernels if (share := sparsities.get(self._layer_of[path], 0.0))
        }
        unsolved = {path: self._kernels[path] for path in shares if path not in self._solved}
        if unsolved:
            masks = Masks(
                unsolved, scope="layer", criterion="magnitude", structure=self.structure, seed=self.seed
            )
            masks.raise_to(shares)
        solved = {path: self._kernels[path] for path in shares if path in self._solved}
        solve = pruning(shares, self.structure, max_operations=MAX_OPERATIONS)
        return self.passes.change(solved, solve, _silent).outputs

    def _tried(self, sparsities: Sparsities) -> Trial:
        known = next((one for one in self.attempts if one.sparsities == sparsities), None)
        if known is None:
            outputs, reference = self._outputs(sparsities), self.passes.outputs
            changed = max(changed_share(r, o, self.task) for r, o in zip(reference, outputs, strict=True))
            left = sum(self.sizes[layer] * (1 - share) for layer, share in sparsities.items())
            left /= sum(self.sizes.values())
            known = Trial(dict(sparsities), left, self._noise(outputs), changed)
            self.attempts.append(known)
        return known

    def _allocated(self, left: float) -> Trial:
        """The model with the least expected noise that keeps at most this share of the weights."""
        costs = [[size * (1 - share) for share in SPARSITIES] for size in self.sizes.values()]
        chosen = least_noise(costs, list(self._noises.values()), left * sum(self.sizes.values()))
        return self._tried({layer: SPARSITIES[i] for layer, i in zip(self.sizes, chosen, strict=True)})

    def _sensitivity(self, report: Callable[[str, float], None]) -> dict[str, list[float]]:
        """Layer path → expected noise at each of SPARSITIES, with only that layer pruned."""
        first, found = MEASURED[0], {}
        for number, layer in enumerate(self.sizes):
            report(f"sensitivity of {layer}", number / len(self.sizes))
            points = [self._noise(self._outputs({layer: SPARSITIES[i]})) for i in MEASURED]
            logs = np.log(np.maximum.accumulate(np.maximum(points, MIN_NOISE)))
            noises = np.exp(np.interp(np.arange(len(SPARSITIES)), MEASURED, logs))
            noises[:first] *= (np.arange(first) / first) ** 3
            found[layer] = [float(noise) for noise in noises]
        return found

    def _noise(self, outputs: Sequence[np.ndarray]) -> float:
        pairs = [
            (np.asarray(r, np.float64), np.asarray(o, np.float64))
            for r, o in zip(self.passes.outputs, outputs, strict=True)
        ]
        signal = sum(float((r**2).sum()) for r, _ in pairs)
        return sum(float(((r - o) ** 2).sum()) for r, o in pairs) / max(signal, 1e-30)


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
