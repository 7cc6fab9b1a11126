"""The process that imports libraries once and forks for each run of a program: `python -m
lwdash.forked_programs.fork_server LIBRARY …`.

Requests are lines of JSON on stdin: module, arguments, folder, printed (the files for stdout and stderr), timeout in
seconds. The answer to each is a line with the return code, or TIMED_OUT. The server ends with its stdin, or with the
thread that started it, and a running program with it.
"""

import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import sys
import time
from functools import partial
from typing import Any

from lwdash.forked_programs.prepared_programs import TIMED_OUT
from lwdash.process_lifetime import die_with_parent, run_forked

POLL_SECONDS = 0.002


def main(libraries: list[str]) -> None:
    """Serve until stdin ends. A library that is missing or cannot be imported is left to the program."""
    die_with_parent()  # a server that was stopped with its group could not notice the end of its stdin
    for name in libraries:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            run_forked(partial(_program, request))
        print(json.dumps(_wait(pid, request["timeout"])), flush=True)


def _wait(pid: int, timeout: float) -> int | str:
    """The return code; stdin says nothing before the answer, so that anything there is its end."""
    until = time.monotonic() + timeout
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        is_left = bool(select.select([sys.stdin], [], [], POLL_SECONDS)[0])
        if is_left or time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            if is_left:
                sys.exit()
            return TIMED_OUT


def _program(request: dict[str, Any]) -> None:
    """Run the module as `python -m` would."""
    die_with_parent()
    for descriptor, path in zip((1, 2), request["printed"], strict=True):
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(target, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(request["folder"])
    sys.argv = [request["module"], *request["arguments"]]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
