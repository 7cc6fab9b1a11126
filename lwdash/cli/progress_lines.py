"""Progress of runs on standard error, one line per change."""

import sys
import time
from collections.abc import Sequence

from lwdash.engine.devices.device_waiting import waiting_text
from storage.records import RunProgress
from storage.store import Store

LOOK_SECONDS = 5.0


def report_line(text: str) -> None:
    """Write a line for users to standard error."""
    print(text, file=sys.stderr, flush=True)


class ProgressLines:
    """Writes a line whenever the state or the present activity of a run changes."""

    def __init__(self) -> None:
        self._reported: dict[int, tuple[str, str | None]] = {}

    def __call__(self, runs: Sequence[RunProgress], details: Sequence[RunProgress]) -> None:
        for row in runs:
            self._report(row, f"run {row.id} {row.recipe}")
        for row in details:
            self._report(row, f"details of {row.recipe}")

    def _report(self, row: RunProgress, name: str) -> None:
        now = (row.state, row.doing)
        if self._reported.get(row.id) != now:
            self._reported[row.id] = now
            report_line(f"{name}: {row.error or row.doing or row.state}")


class SearchLines(ProgressLines):
    """Also writes a line when the devices change that a search waits for."""

    def __init__(self, store: Store, experiment_id: int) -> None:
        super().__init__()
        self._store, self._experiment = store, experiment_id
        self._looked_at, self._told = 0.0, ""

    def __call__(self, runs: Sequence[RunProgress], details: Sequence[RunProgress]) -> None:
        super().__call__(runs, details)
        if all(row.has_ended for row in runs) and time.monotonic() - self._looked_at > LOOK_SECONDS:
            self._looked_at = time.monotonic()
            text = waiting_text(self._store, self._experiment) or ""
            if text and text != self._told:
                report_line(f"search: {text}")
            self._told = text
