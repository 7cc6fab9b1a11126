"""Fine-tuning of a model that is being pruned or has been, and the sparsity that it ends with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.contract import Skipped, Training
from lwdash.training import fine_tuning, held_out


@dataclass(frozen=True)
class PrunedTraining:
    """Settings of the fine-tuning. epochs: of each round. is_validated: held-out rows decide whether it is kept."""

    epochs: int
    learning_rate: float
    batch_size: int
    is_validated: bool

    def steps(self, training: Training) -> int:
        """Number of training steps of one round."""
        rows = held_out.learnt_rows(training) if self.is_validated else training.rows
        return fine_tuning.steps_in_all(rows, self.batch_size, self.epochs)

    def run(
        self,
        model: Any,
        training: Training,
        what: str,
        callback: Any,
        *,
        pruned_kernels: Callable[[], Sequence[np.ndarray]],
        untrained: Callable[[], held_out.Weights] | None = None,
        first_step: int = 0,
    ) -> dict[str, Any]:
        """Train `model` in place; returns the facts of `fine_tuning.finetune`.

        callback: keeps the zeros. untrained, first_step: see `held_out.Validation`.
        """
        return fine_tuning.finetune(
            model,
            training,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            what=what,
            callbacks=(callback,),
            validation=held_out.Validation(untrained, first_step) if self.is_validated else None,
            pruned_kernels=pruned_kernels,
        )


def zero_share(values: np.ndarray) -> float:
    """Share of the values that are exactly 0."""
    return float(np.mean(values == 0))


def emptied(sparsity: Mapping[str, float]) -> list[Skipped]:
    """The kernels without any weight left, with the advice. sparsity: by path, 0–1."""
    return [
        Skipped(path, "every weight is zero; use a lower sparsity")
        for path in sparsity
        if sparsity[path] == 1
    ]
