"""Processes that end with the process that started them."""

import signal
import sys

DIES_WITH_PARENT = "LWDASH_DIES_WITH_PARENT"
CAN_BE_PAUSED = sys.platform == "linux"
"""A stopped process cannot notice that its supervisor is gone. On Linux the kernel ends it; on other systems
no child may be paused.
"""


def die_with_parent() -> None:
    """Ask the kernel (on Linux) for SIGKILL when the thread that started this process ends."""
    if not CAN_BE_PAUSED:
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
