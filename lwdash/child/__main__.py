"""The entry of a child process: `python -m lwdash.child STEP`; work comes from the supervisor over the link."""

import faulthandler
import os
import resource
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lwdash.child.lean_imports import hide_optional_libraries
from lwdash.child.link import Link
from lwdash.child.worker import Job, Worker
from lwdash.errors import InternalFault, LwdashError

FILE_BYTES = 16 << 30
"""Largest file a step may write."""


def main() -> None:
    faulthandler.enable()
    hide_optional_libraries()
    link = Link()
    worker = Worker(link)
    serve: Callable[[Job], dict[str, Any]] = getattr(worker, sys.argv[1].replace("-", "_"))
    while job := link.ask("next")["job"]:
        _limit(job)
        _log_to(job.get("log"))
        try:
            answer = serve(job)
        except LwdashError as error:
            traceback.print_exc()
            link.ask("failed", error=_words(error, job), is_fault=isinstance(error, InternalFault))
        except MemoryError:
            traceback.print_exc()
            link.ask("failed", error="there was not enough memory for this step", is_fault=True)
        except Exception as error:
            traceback.print_exc()
            words = f"an error that lwdash did not expect: {type(error).__name__}: {str(error)[:500]}"
            link.ask("failed", error=f"{words}. The log has the details.", is_fault=True)
        else:
            link.ask("done", **answer)


def _words(error: LwdashError, job: Job) -> str:
    """The message with files called as the user calls them: in the store they are named by their hash."""
    words = f"{error}. The run's log has the details." if isinstance(error, InternalFault) else str(error)
    for file in (job, job.get("model"), job.get("data"), *job.get("parts", {}).values()):
        if file and "name" in file:
            words = words.replace(Path(file["path"]).name, file["name"])
    return words


def _limit(job: Job) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    seconds = job.get("limits", {}).get("seconds")
    if seconds:
        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        most = int(used + seconds * (os.cpu_count() or 1)) + 60
        resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _log_to(path: str | None) -> None:
    """From here on, everything printed goes to this run's log, native code's too."""
    if path:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)


if __name__ == "__main__":
    main()
