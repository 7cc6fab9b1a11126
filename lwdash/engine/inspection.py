"""Looking into uploaded files, in a child process with a short leash."""

import time
from typing import Any

from lwdash.engine.child import run_child
from lwdash.errors import NotFound
from lwdash.settings import Settings
from storage import experiments
from storage.store import Store

SECONDS = 300
MEMORY_MB = 4096


def inspect_file(settings: Settings, store: Store, sha256: str, kind: str) -> dict[str, Any]:
    """What a stored file holds: its row with `facts`, or with `error` saying why it is refused.

    kind: "model" or "data". What was found is kept; a fault of ours is not, so that the next call tries again.
    """
    row = experiments.get_file(store.database, sha256, kind)
    if row is None:
        raise NotFound(f"no {kind} file {sha256[:12]}… was uploaded")
    if row["facts"] is None and row["error"] is None:
        answer = ask_child(settings, f"inspect-{kind}", {"path": str(store.artifacts.local_path(sha256))})
        facts, error = answer.get("facts"), answer.get("error")
        if not answer.get("is_fault"):
            experiments.set_file_facts(store.database, row["id"], facts, error)
        row = {**row, "facts": facts, "error": error}
    return dict(row)


def ask_child(settings: Settings, step: str, job: dict[str, Any]) -> dict[str, Any]:
    """One job for a child of its own: its `done` message, or {"error": words}."""
    answer: dict[str, Any] = {}
    jobs = [{**job, "run": None}]
    started = time.monotonic()

    def keep(message: dict[str, Any]) -> dict[str, Any]:
        answer.update(message)
        return {}

    def watch(memory_mb: int) -> str | None:
        if memory_mb > MEMORY_MB:
            return f"reading it took more than {MEMORY_MB:,} MB of memory"
        if time.monotonic() - started > SECONDS:
            return f"reading it took longer than {SECONDS} s"
        return None

    ended = run_child(
        [step],
        scratch=settings.scratch,
        log=settings.logs / "inspections.log",
        handlers={
            "next": lambda _: {"job": jobs.pop() if jobs else None},
            "done": keep,
            "failed": keep,
            "progress": lambda _: None,
        },
        watch=watch,
    )
    return answer or {"error": f"the file could not be read: {ended.words}", "is_fault": True}
