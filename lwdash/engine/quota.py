"""Handling of a full disk or an exceeded disk quota: caches are removed, oldest first; if that is not enough,
no steps start.
"""

import logging
import time

from lwdash.engine.home import DiskFull, check_room
from lwdash.settings import Settings
from storage.retention import COPY, ORPHAN, PARTIAL, STAGE, find_removable, remove, used_bytes
from storage.store import Store

logger = logging.getLogger(__name__)

LOOK_S = 30.0
RECOMPUTABLE = (STAGE, ORPHAN, PARTIAL, COPY)
"""Files that can be computed again. Logs and uploads are for users to remove."""


class Quota:
    """Checks the disk every half minute. Not thread-safe."""

    def __init__(self, settings: Settings, store: Store):
        self.settings, self.store = settings, store
        self._looked_at: float | None = None
        self._problem: str | None = None

    def problem(self) -> str | None:
        """Message on why no steps may start, or None."""
        if self.settings.scheduler is None:  # otherwise steps use the disks of other hosts
            try:
                check_room(self.settings)
            except DiskFull as full:
                return str(full)
        if not self.settings.disk_quota:
            return None
        if self._looked_at is None or time.monotonic() - self._looked_at > LOOK_S:
            self._looked_at = time.monotonic()
            self._problem = self._look(self.settings.disk_quota << 20)
        return self._problem

    def _look(self, most: int) -> str | None:
        used = used_bytes(self.store, self.settings.home)
        if used > most:
            for removable in find_removable(self.store, self.settings.home, older_than_days=0):
                if used <= most:
                    break
                if removable.kind in RECOMPUTABLE:
                    logger.info(
                        "over the disk quota: removing a %s of %d bytes", removable.kind, removable.size_bytes
                    )
                    remove(self.store, removable)
                    used -= removable.size_bytes
        if used <= most:
            return None
        return (
            f"{used >> 20:,} MB are in use, but LWDASH_DISK_QUOTA allows {most >> 20:,} MB. `python -m "
            "lwdash gc --dry-run --older-than 0` lists what can be removed"
        )
