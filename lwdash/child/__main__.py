"""The entry of a child process: `python -m lwdash.child STEP [--no-network]`; jobs come from the supervisor over the link.

STEP names the process for people who look at it; each job tells its own kind. With `--no-network` the process leaves the
network before anything else, since a user's code will run in it.
"""

import faulthandler
import os
import resource
import sys
import traceback
from pathlib import Path

from lwdash.child.executors import execute
from lwdash.child.job_results import Failure
from lwdash.child.jobs import Job, read_job
from lwdash.child.kept_objects import KeptObjects
from lwdash.child.lean_imports import hide_optional_libraries
from lwdash.child.link import Link
from lwdash.child.no_network import NO_NETWORK, leave_network
from lwdash.child.typed_messages import to_json
from lwdash.errors import InternalFault, LwdashError, MessageRefused

FILE_BYTES = 16 << 30
"""Size limit of a file that a step writes."""


def main() -> None:
    faulthandler.enable()
    hide_optional_libraries()
    network = leave_network() if NO_NETWORK in sys.argv[1:] else None
    link = Link()
    kept = KeptObjects(link, network)
    while message := link.ask("next")["job"]:
        try:
            job = read_job(message)
        except MessageRefused as error:
            _report_failure(link, f"the job could not be read: {error}", is_fault=True)
            continue
        _limit(job)
        _log_to(job.log)
        if network is not None:
            print(f"the user's code in this process can reach the network: {network}", flush=True)
        try:
            result = execute(job, kept)
        except LwdashError as error:
            _report_failure(link, _message(error, job), is_fault=isinstance(error, InternalFault))
        except MemoryError:
            _report_failure(link, "there was not enough memory for this step", is_fault=True)
        except Exception as error:
            cause = f"{type(error).__name__}: {str(error)[:500]}"
            _report_failure(link, f"an unexpected error: {cause}. The log has the details.", is_fault=True)
        else:
            link.ask("done", result=to_json(result))


def _report_failure(link: Link, error: str, *, is_fault: bool) -> None:
    """Called while the exception is handled: its traceback goes to the log."""
    traceback.print_exc()
    link.ask("failed", failure=to_json(Failure(error, is_fault)))


def _message(error: LwdashError, job: Job) -> str:
    """The error with files under their uploaded names: in the store they are named by their hash."""
    message = f"{error}. The run's log has the details." if isinstance(error, InternalFault) else str(error)
    for file in job.uploads():
        message = message.replace(Path(file.path).name, file.name)
    return message


def _limit(job: Job) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    if job.seconds:
        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        limit = int(used + job.seconds * (os.cpu_count() or 1)) + 60
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _log_to(path: str | None) -> None:
    """Redirect all output to this run's log from here on, native code's too."""
    if path:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)


if __name__ == "__main__":
    main()
