"""Detection of running steps that no longer report, by this process's own clock.

Clocks jump: a laptop sleeps, or a user sets the time. So no time stamp is compared with a clock. Instead this
process measures how long a heartbeat has stayed the same.
"""

import time
from collections.abc import Callable, Collection, Sequence

from storage.lost_workers import Beat


class Silence:
    """Stores since when each heartbeat has not changed. Not thread-safe."""

    def __init__(self, after_s: float, gone_after_s: float, clock: Callable[[], float] = time.monotonic):
        self.after_s, self.gone_after_s, self._clock = after_s, gone_after_s, clock
        self._since: dict[Beat, float] = {}

    def silent(self, beats: Sequence[Beat], workers: Collection[str] | None = None) -> list[Beat]:
        """The `beats` that are unchanged for `after_s` seconds.

        workers: addresses of the cluster's workers; the steps of a worker that has left are silent after
        `gone_after_s`.
        """
        now = self._clock()
        self._since = {beat: self._since.get(beat, now) for beat in beats}
        found = []
        for beat, since in self._since.items():
            has_left = workers is not None and "://" in beat.worker and beat.worker not in workers
            if now - since >= (self.gone_after_s if has_left else self.after_s):
                found.append(beat)
        return found
