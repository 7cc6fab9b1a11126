"""Takes this process out of the host's network, and out of reach of other processes' memory and environment."""

import ctypes
import os
import sys
from pathlib import Path

NO_NETWORK = "--no-network"
"""Argument of a child in which a user's code runs."""
CLONE_NEWUSER, CLONE_NEWNET = 0x1000_0000, 0x4000_0000


def leave_network() -> str | None:
    """Enter a network namespace of its own, without any interface; return the reason where that is not possible.

    It needs a user namespace of its own, in which this process also cannot read the environment or the memory of other
    processes of the same user. Call it before the first thread starts.
    """
    if not sys.platform.startswith("linux"):
        return f"{sys.platform} has no network namespaces"
    user, group = os.geteuid(), os.getegid()
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        return f"this system does not allow a network namespace ({os.strerror(ctypes.get_errno())})"
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return None
