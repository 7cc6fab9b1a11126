"""Processes that end with the process that started them, and the end of forked processes."""

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

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


def run_forked(work: Callable[[], None]) -> NoReturn:
    """Do the work of this forked process, then end it as Python would, but without the exit handlers of its parent."""
    code = 1
    try:
        work()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
