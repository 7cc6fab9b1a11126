"""A full disk, or the disk quota: beyond it caches go, oldest first, and if that is not enough, no steps start."""

import logging
import time

from lwdash.engine.home import DiskFull, check_room
from lwdash.settings import Settings
from storage.retention import COPY, ORPHAN, PARTIAL, STAGE, find_spare, remove_spare, used_bytes
from storage.store import Store

logger = logging.getLogger(__name__)

LOOK_S = 30.0
MADE_AGAIN = (STAGE, ORPHAN, PARTIAL, COPY)
"""What costs only time when it is gone. Logs and uploads are for people to remove."""


class Quota:
    """Looks at the disk every half minute. Not thread-safe."""

    def __init__(self, settings: Settings, store: Store):
        self.settings, self.store = settings, store
        self._looked_at: float | None = None
        self._problem: str | None = None

    def problem(self) -> str | None:
        """Why no steps may start, in words, or None."""
        if self.settings.scheduler is None:  # else steps work on the disks of other hosts
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
            for spare in find_spare(self.store, self.settings.home, older_than_days=0):
                if used <= most:
                    break
                if spare.kind in MADE_AGAIN:
                    logger.info(
                        "over the disk quota: removing a %s of %d bytes", spare.kind, spare.size_bytes
                    )
                    remove_spare(self.store, spare)
                    used -= spare.size_bytes
        if used <= most:
            return None
        return (
            f"{used >> 20:,} MB are in use and LWDASH_DISK_QUOTA allows {most >> 20:,} MB: "
            "`python -m lwdash gc --dry-run --older-than 0` says what may go"
        )
