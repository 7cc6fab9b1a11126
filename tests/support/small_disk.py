"""A file system of a few megabytes in a mount namespace of its own: gone with the process that uses it."""

import os
import subprocess
from pathlib import Path

import pytest

MOUNT = """
mount -t tmpfs -o size="$1" tmpfs "$2" || exit 99
if [ "$3" = ro ]; then mkdir "$2/home"; mount -o remount,ro "$2" || exit 99; fi
shift 3; exec "$@"
"""


def on_small_disk(place: Path, size_kb: int, *command: str, is_read_only: bool = False) -> list[str]:
    """The command line that runs `command` with an empty disk of `size_kb` kB mounted at `place`, a folder.

    A read-only one has an empty folder `home`. Skips the test where this account may not mount.
    """
    place.mkdir(exist_ok=True)
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    arguments = [f"{size_kb}k", str(place), "ro" if is_read_only else "rw"]
    probe = [*unshare, "sh", "-c", MOUNT, "sh", *arguments, "true"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        pytest.skip("this account may not mount a small disk")
    return [*unshare, "sh", "-c", MOUNT, "sh", *arguments, *command]


def seen_by(pid: int, place: Path) -> Path:
    """The same place as the process with this number sees it."""
    return Path(f"/proc/{pid}/root{place}")
