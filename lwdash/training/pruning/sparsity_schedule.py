"""The sparsity over the steps of a training: it rises step by step or at once, then the model recovers."""

from collections.abc import Callable
from typing import Any

UPDATES = 20
"""Number of times that the polynomial schedule raises the sparsity."""
RAMP = 0.7
"""Share of the training steps in which the sparsity rises; in the rest the model recovers."""


def ramp(steps: int) -> tuple[int, int]:
    """Interval in steps at which the sparsity rises, and the step at which it is reached."""
    frequency = max(1, int(steps * RAMP) // UPDATES)
    return frequency, max(1, int(steps * RAMP) // frequency) * frequency


def rising(schedule: str, before: float, after: float, frequency: int, end: int) -> Callable[[int], float]:
    """The sparsity at each step of a round that raises it from `before` to `after`, the same as TFMOT's.

    schedule: "polynomial" (Zhu & Gupta, arXiv 1710.01878) or "constant", at once. frequency, end: as from `ramp`.
    """

    def share_at(step: int) -> float:
        if schedule == "constant" or step >= end:
            return after
        left = 1 - (step // frequency * frequency) / end
        return after - (after - before) * left**3

    return share_at


def tfmot_schedule(schedule: str, share: float, steps: int) -> Any:
    """TFMOT's schedule to the sparsity `share`, for the real number of steps.

    Its default frequency of 100 would prune nothing in 50 steps.
    """
    from tensorflow_model_optimization.sparsity import keras as sparsity

    if schedule == "constant":
        return sparsity.ConstantSparsity(share, begin_step=0, frequency=1)
    frequency, end = ramp(steps)
    return sparsity.PolynomialDecay(
        initial_sparsity=0.0, final_sparsity=share, begin_step=0, end_step=end, frequency=frequency
    )
