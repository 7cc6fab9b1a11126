"""The process that supervises steps: the server itself, or an external dask worker."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lwdash.engine.process_events import STOPPING
from lwdash.settings import Settings, load_settings
from storage.store import Store, open_store


@dataclass(frozen=True)
class SupervisorHost:
    """Store, name and state of a supervising process."""

    store: Store
    settings: Settings
    name: str
    """host:process, or the address of a cluster's worker."""
    stops: Callable[[], bool]
    """True if this process is shutting down."""
    is_elsewhere: bool
    """True if it is not the server's own process: then the server cannot see log files kept here."""


def this_host(settings: Settings | None) -> SupervisorHost:
    """settings: given when engine and worker are one process; an external worker reads its own."""
    if settings is not None:
        store = _store(settings.database_url, settings.artifacts, settings.home)
        return SupervisorHost(
            store, settings, f"{socket.gethostname()}:{os.getpid()}", STOPPING.is_set, False
        )
    from distributed import Status, get_worker

    settings, worker = load_settings(), get_worker()
    store = _store(settings.database_url, settings.artifacts, settings.home)
    return SupervisorHost(
        store,
        settings,
        worker.address,
        lambda: worker.status not in (Status.running, Status.paused),
        True,
    )


@lru_cache(maxsize=4)
def _store(database_url: str, artifacts: str, home: Path) -> Store:
    return open_store(database_url, artifacts, home / "cache", is_upgraded=False)
