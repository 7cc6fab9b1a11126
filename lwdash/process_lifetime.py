"""Processes that end with the process that started them."""

import signal
import sys

DIES_WITH_PARENT = "LWDASH_DIES_WITH_PARENT"
CAN_BE_PAUSED = sys.platform == "linux"
"""A stopped process, whoever stopped it, cannot see that its supervisor is gone: there the kernel ends it. Elsewhere no
child may be paused."""


def die_with_parent() -> None:
    """Asks the kernel, where it is Linux, for SIGKILL when the thread that started this process ends."""
    if not CAN_BE_PAUSED:
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
