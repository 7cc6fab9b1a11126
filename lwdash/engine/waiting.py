"""Waiting for runs in a process that also runs the engine: the command line, and Python scripts and notebooks."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from lwdash.engine.scheduler import Engine
from lwdash.errors import EngineUnavailable
from lwdash.settings import Settings
from storage import run_rows, runs, searches
from storage.records import RunProgress
from storage.store import Store
from storage.tables import SearchState

MAX_ENGINE_DOWN_SECONDS = 30.0
"""Time that a caller waits for an engine that does not work."""
LOOK_SECONDS = 0.2


class ProgressView(Protocol):
    """Shows the state of runs while a caller waits for them."""

    def __call__(self, runs: Sequence[RunProgress], details: Sequence[RunProgress]) -> None:
        """Called five times a second. details: the measurements of details that these runs still wait for."""


@contextlib.contextmanager
def working(settings: Settings, store: Store) -> Iterator[Engine]:
    """Context with a working engine: embedded here unless another process on this home already has one."""
    engine = Engine(settings, store).start()
    try:
        yield engine
    finally:
        engine.stop()


def wait(store: Store, engine: Engine, ids: Sequence[int], show: ProgressView) -> None:
    """Wait until all runs have ended; an interrupt cancels them.

    Raises EngineUnavailable when no steps can be started for a while; the runs are then cancelled.
    """
    _follow(store, engine, lambda: (ids, True), show)


def wait_for_search(store: Store, engine: Engine, search_id: int, show: ProgressView) -> list[int]:
    """Wait until a search and all its runs have ended, as in `wait`; return these runs.

    An interrupt stops the search and cancels its runs.
    """

    def known() -> tuple[Sequence[int], bool]:
        search = searches.get_search(store.database, search_id)
        assert search is not None, "searches are never removed"
        return searches.search_runs(store.database, search), not search.is_running

    try:
        _follow(store, engine, known, show)
    except (KeyboardInterrupt, EngineUnavailable):
        searches.end_search(store.database, search_id, "interrupted", SearchState.STOPPED)
        raise
    return list(known()[0])


def _follow(
    store: Store, engine: Engine, known: Callable[[], tuple[Sequence[int], bool]], show: ProgressView
) -> None:
    """known: the existing runs, and False if more will come."""
    well_at = time.monotonic()
    ids: Sequence[int] = ()
    try:
        while True:
            asked, is_whole = known()
            rows = run_rows.get_progress(store.database, asked)
            # After the states: details are queued together with the last state.
            details = run_rows.pending_details(store.database, asked)
            ids = [*asked, *details]
            show(rows, run_rows.get_progress(store.database, details))
            if is_whole and not details and all(row.has_ended for row in rows):
                return
            if not engine.problem:
                well_at = time.monotonic()
            elif time.monotonic() - well_at > MAX_ENGINE_DOWN_SECONDS:
                raise EngineUnavailable(f"the engine does not work: {engine.problem}")
            time.sleep(LOOK_SECONDS)
    except (KeyboardInterrupt, EngineUnavailable):
        for run_id in ids:
            runs.cancel(store.database, run_id)
        raise
