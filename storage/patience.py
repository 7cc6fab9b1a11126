"""Waiting for a database that does not answer for a while: it restarts, or somebody holds its lock."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError

logger = logging.getLogger(__name__)

Unanswered = (OperationalError, InterfaceError)
"""What is raised while the database does not answer."""
PATIENCE_S = 120.0
PAUSE_S = 0.5

Result = TypeVar("Result")


def patiently(action: Callable[[], Result]) -> Result:
    """Calls `action` until the database answers, for two minutes at most; then its error is raised.

    action: one transaction that changes nothing the second time, since the first may have gone through unheard.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return action()
        except Unanswered as error:
            if time.monotonic() > deadline:
                raise
            if "disk is full" in str(error) or "No space left" in str(error):
                logger.warning("the disk with the database is full; waiting for room")
            else:
                logger.warning("the database does not answer (%s); waiting for it", type(error).__name__)
            time.sleep(PAUSE_S)
