"""Commands that start runs take part in the work and wait for its end."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from lwdash.engine.scheduler import Engine
from lwdash.errors import EngineUnavailable
from lwdash.settings import Settings
from storage import run_rows, runs, searches
from storage.store import Store
from storage.tables import FINAL, SearchState

PATIENCE_S = 30.0
"""How long `run` waits for an engine that does not work."""


@contextlib.contextmanager
def working(settings: Settings, store: Store) -> Iterator[Engine]:
    """Takes part in the work: embeds the engine unless another process on this home already does."""
    engine = Engine(settings, store).start()
    try:
        yield engine
    finally:
        engine.stop()


def wait(store: Store, engine: Engine, ids: Sequence[int]) -> None:
    """Until all have ended, saying on standard error what changes; an interrupt cancels them.

    Raises EngineUnavailable when no steps can be handed out for a while; the runs are then cancelled.
    """
    _follow(store, engine, lambda: (ids, True))


def wait_for_search(store: Store, engine: Engine, search_id: int) -> list[int]:
    """Until a search and all runs that it has started have ended, as `wait`; returns these runs.

    An interrupt stops the search and cancels its runs.
    """

    def known() -> tuple[Sequence[int], bool]:
        search = searches.get_search(store.database, search_id)
        assert search is not None, "searches are never removed"
        return searches.search_runs(store.database, search), search["state"] != "running"

    try:
        _follow(store, engine, known)
    except (KeyboardInterrupt, EngineUnavailable):
        searches.end_search(store.database, search_id, "interrupted", SearchState.STOPPED)
        raise
    return list(known()[0])


def _follow(store: Store, engine: Engine, known: Callable[[], tuple[Sequence[int], bool]]) -> None:
    """known: the runs there are, and whether no more will come."""
    well_at = time.monotonic()
    said: dict[int, tuple[str, str | None]] = {}
    ids: Sequence[int] = ()
    try:
        while True:
            asked, is_whole = known()
            rows = list(run_rows.get_states(store.database, asked))
            details = run_rows.pending_details(
                store.database, asked
            )  # after the states: they are queued with the last
            ids = [*asked, *details]
            for row in (*rows, *run_rows.get_states(store.database, details)):
                now = (row["state"], row["doing"])
                if said.get(row["id"]) != now:
                    said[row["id"]] = now
                    name = (
                        f"details of {row['recipe']}"
                        if row["id"] in details
                        else f"run {row['id']} {row['recipe']}"
                    )
                    say(f"{name}: {row['error'] or row['doing'] or row['state']}")
            if is_whole and not details and all(row["state"] in FINAL for row in rows):
                return
            if not engine.problem:
                well_at = time.monotonic()
            elif time.monotonic() - well_at > PATIENCE_S:
                raise EngineUnavailable(f"the engine does not work: {engine.problem}")
            time.sleep(0.2)
    except (KeyboardInterrupt, EngineUnavailable):
        for run_id in ids:
            runs.cancel(store.database, run_id)
        raise


def say(text: str) -> None:
    """Writes a line to standard error, which is for people."""
    print(text, file=sys.stderr, flush=True)
