"""Waiting for a database that is temporarily unavailable: it restarts, or another process holds its lock."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError

logger = logging.getLogger(__name__)

DatabaseUnavailable = (OperationalError, InterfaceError)
"""Errors while the database is unavailable."""
PATIENCE_S = 120.0
PAUSE_S = 0.5

Result = TypeVar("Result")


def patiently(action: Callable[[], Result]) -> Result:
    """Call `action` until the database responds, for at most two minutes; then raise its error.

    action: one transaction whose repetition changes nothing, since the first may have succeeded unnoticed.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return action()
        except DatabaseUnavailable as error:
            if time.monotonic() > deadline:
                raise
            if "disk is full" in str(error) or "No space left" in str(error):
                logger.warning("the disk with the database is full; waiting for free space")
            else:
                logger.warning("the database does not respond (%s); waiting for it", type(error).__name__)
            time.sleep(PAUSE_S)
