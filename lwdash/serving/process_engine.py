"""The engine of this process, for its pages."""

from lwdash.engine.scheduler import Engine

_ENGINE: list[Engine] = []


def set_process_engine(engine: Engine | None) -> None:
    """Names the engine of this process from now on; None: it has none."""
    _ENGINE[:] = [] if engine is None else [engine]


def process_engine() -> Engine | None:
    """The engine of this process; None in a process that serves nothing."""
    return _ENGINE[0] if _ENGINE else None
