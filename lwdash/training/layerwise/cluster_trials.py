"""The number of clusters of each layer under a limit: models clustered without training, measured on the train rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log2
from typing import Any

from lwdash.contract import Training
from lwdash.training.kernels import Kernel, Kernels
from lwdash.training.layerwise.by_layer import LayerTrials, StrengthScale
from lwdash.training.layerwise.layer_by_layer import Changes
from lwdash.training.layerwise.shared_values import fitting
from lwdash.training.weight_sharing import Sharing

CLUSTERS = (64, 48, 32, 24, 16, 12, 8, 6, 4)
"""Numbers of clusters to choose from."""
MEASURED = (64, 32, 16, 8, 6, 4)


class ClusterTrials(LayerTrials):
    """Models clustered by the numbers of clusters of their layers; the cost of a weight is its bits, log2 of the number.

    treated: chooses the kernels of a model. init: as for `Sharing`.
    """

    def __init__(
        self,
        model: Any,
        treated: Callable[[Any], Kernels],
        training: Training,
        *,
        init: str,
        per_channel: bool,
    ):
        self.init, self.per_channel = init, per_channel
        scale = StrengthScale(CLUSTERS, log2, [CLUSTERS.index(count) for count in MEASURED])
        super().__init__(model, treated, training, scale, is_unsolved_too=True)

    def _treat(
        self, solved: Mapping[str, Kernel], unsolved: Mapping[str, Kernel], strengths: Mapping[str, float]
    ) -> Changes:
        self._sharing(unsolved, strengths).apply()
        return self.passes.change(solved, fitting(self._sharing(solved, strengths)), lambda path, share: None)

    def _sharing(self, kernels: Mapping[str, Kernel], strengths: Mapping[str, float]) -> Sharing:
        return Sharing(
            kernels,
            clusters={path: int(strengths[path]) for path in kernels},
            init=self.init,
            per_channel=self.per_channel,
            seed=self.seed,
        )
