"""Progress of runs on standard error, one line per change."""

import sys
from collections.abc import Sequence

from storage.records import RunProgress


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
