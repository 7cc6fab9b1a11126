"""The sparsity of each layer under a limit: models pruned without training, measured on the train rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lwdash.contract import Training
from lwdash.training.kernels import Kernel, Kernels
from lwdash.training.layerwise.by_layer import LayerTrials, StrengthScale
from lwdash.training.layerwise.layer_by_layer import Changes
from lwdash.training.layerwise.one_shot_pruning import pruning
from lwdash.training.pruning_masks import Masks

SPARSITIES = (*(n / 100 for n in range(0, 100, 5)), 0.98)
MEASURED = (0.3, 0.5, 0.65, 0.8, 0.9, 0.95)
MAX_OPERATIONS = 2e9
"""Floating-point operations for one kernel of a trial, about a tenth of a second; the chosen model gets more."""


class SparsityTrials(LayerTrials):
    """Models pruned by the sparsities of their layers.

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
        self.structure = structure
        scale = StrengthScale(
            SPARSITIES,
            lambda share: 1 - share,
            [SPARSITIES.index(share) for share in MEASURED],
            unchanged=0.0,
        )
        super().__init__(model, treated, training, scale, is_unsolved_too=is_magnitude_too)

    def _treat(
        self, solved: Mapping[str, Kernel], unsolved: Mapping[str, Kernel], strengths: Mapping[str, float]
    ) -> Changes:
        if unsolved:
            masks = Masks(
                unsolved, scope="layer", criterion="magnitude", structure=self.structure, seed=self.seed
            )
            masks.raise_to(strengths)
        return self.passes.change(
            solved,
            pruning(strengths, self.structure, max_operations=MAX_OPERATIONS),
            lambda path, share: None,
        )
