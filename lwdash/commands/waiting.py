"""Commands that start runs take part in the work and wait for its end."""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence

from lwdash.engine.scheduler import Engine
from lwdash.errors import EngineUnavailable
from lwdash.settings import Settings
from storage import runs
from storage.store import Store

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
    well_at = time.monotonic()
    said: dict[int, tuple[str, str | None]] = {}
    try:
        while True:
            rows = runs.get_states(store.database, ids)
            for row in rows:
                now = (row["state"], row["doing"])
                if said.get(row["id"]) != now:
                    said[row["id"]] = now
                    say(f"run {row['id']} {row['recipe']}: {row['error'] or row['doing'] or row['state']}")
            if all(row["state"] in ("succeeded", "failed", "cancelled") for row in rows):
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
