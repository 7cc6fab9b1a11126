"""A progress bar for runs, on terminals and in notebooks."""

import sys
import warnings
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from storage.records import RunProgress

UNMEASURED_SHARE = 0.9
"""Share of a run's work that is done when its headline metrics are measured, and its details are not."""


class ProgressBar:
    """Shows how many runs have ended, and what the first running one does. A context manager.

    total: number of runs. is_shown: False shows nothing; failed runs are never written then.
    """

    def __init__(self, total: int, *, is_shown: bool):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tqdm warns where the widgets of notebooks are not installed
            from tqdm.auto import tqdm
        self._bar: Any = tqdm(total=total, unit="run", disable=not is_shown, bar_format=_FORMAT)
        self._failed: set[int] = set()
        self._shown: tuple[int, float, str] | None = None

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def __call__(self, runs: Sequence[RunProgress], details: Sequence[RunProgress]) -> None:
        done = sum(1.0 if run.has_ended else UNMEASURED_SHARE * run.progress for run in runs)
        done -= (1 - UNMEASURED_SHARE) * len(details)
        active = next((run for run in (*runs, *details) if run.doing and not run.has_ended), None)
        now = (
            max(self._bar.total, len(runs)),
            round(max(self._bar.n, done), 1),
            f"{active.recipe}: {active.doing}" if active else "",
        )
        for run in runs:
            if run.error and run.id not in self._failed and run.has_ended:
                self._failed.add(run.id)
                if not self._bar.disable:
                    self._bar.write(f"run {run.id} {run.recipe}: {run.error}", file=sys.stderr)
        if now != self._shown:
            self._shown = now
            self._bar.total, self._bar.n, postfix = now
            self._bar.set_postfix_str(postfix)


_FORMAT = "{percentage:3.0f}%|{bar}| {n:.1f}/{total} runs, {elapsed}{postfix}"
