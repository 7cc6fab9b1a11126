"""Log lines and a histogram of seconds for the start and the end of a run's steps."""

import logging

from prometheus_client import Histogram

from storage.runs import Claim

logger = logging.getLogger(__name__)

STEP_SECONDS = Histogram(
    "lwdash_step_seconds",
    "Seconds that a step of a run took in this process, from its claim to its stored result.",
    ["step"],
    buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000),
)
"""In the default registry: a dask worker exposes it on its own /metrics too."""


def step_began(owned: Claim) -> None:
    logger.info("%s begins", owned.step, extra={"run": owned.run_id, "attempt": owned.attempt})


def step_ended(owned: Claim, seconds: float) -> None:
    STEP_SECONDS.labels(owned.step).observe(seconds)
    fields = {"run": owned.run_id, "attempt": owned.attempt, "seconds": round(seconds, 3)}
    logger.info("%s ended", owned.step, extra=fields)
