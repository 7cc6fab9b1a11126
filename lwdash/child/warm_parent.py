"""A process with the libraries imported, from which the children of steps are forked: `python -m
lwdash.child.warm_parent`.

It never sees a job. It takes requests on a socket, forks a child for each, and reports the end of each child.
A child serves one family of jobs, like a newly started one, and exits.

The process imports what every step needs, in less than a second. On request it forks a second warm parent, which imports
TensorFlow as well, takes requests on a socket of its own, and ends with the first.
"""

import array
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from typing import Any

from lwdash.child.lean_imports import hide_optional_libraries
from lwdash.child.link import LINK_FD
from lwdash.process_lifetime import die_with_parent, run_forked

SOCKET_FD = "LWDASH_WARM_FD"
MAX_REQUEST_BYTES = 1 << 16
LIBRARIES = (
    "lwdash.child.__main__",
    "lwdash.datasets.prepare",
    "lwdash.keras_models.inspection",
    "lwdash.measure.measure_run",
    "lwdash.analyses.accuracy_waterfall",
    "ai_edge_litert.interpreter",
    "ai_edge_litert.schema_py_generated",
    "lwdash.compress.workbench",
    "litert_quantizer",
)
TENSORFLOW = ("tensorflow", "tf_keras", "tensorflow_model_optimization")
"""Imported by the second warm parent."""


def main() -> None:
    die_with_parent()
    hide_optional_libraries()
    _serve_all(socket.socket(fileno=int(os.environ.pop(SOCKET_FD))), LIBRARIES)


def _serve_all(requests: socket.socket, libraries: Sequence[str]) -> None:
    """Import these libraries, then serve requests until the other side is gone."""
    for name in libraries:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    ended, wakes = os.pipe()
    for descriptor in (ended, wakes):
        os.set_blocking(descriptor, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wakes)
    _send(requests, ready=True)
    while True:
        for source in select.select([requests.fileno(), ended], [], [])[0]:
            if source == ended:
                os.read(ended, 4096)
                _report_ended(requests)
            elif not _serve(requests, (ended, wakes)):
                return


def _serve(requests: socket.socket, own: tuple[int, ...]) -> bool:
    """Fork a child for the next request; False when the other side is gone."""
    data, descriptors = _receive(requests)
    if not data:
        return False
    request = json.loads(data)
    started, starts = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.close(starts)
        for descriptor in (*own, started):
            os.close(descriptor)
        requests.close()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if request is None:
            run_forked(partial(_second_warm_parent, *descriptors))
        run_forked(partial(_child, request, descriptors))
    os.close(starts)
    os.read(started, 1)  # ends when the child leads its own session
    for descriptor in (started, *descriptors):
        os.close(descriptor)
    _send(requests, started=pid)
    return True


def _receive(requests: socket.socket) -> tuple[bytes, list[int]]:
    descriptors = array.array("i")
    data, ancillary, _, _ = requests.recvmsg(MAX_REQUEST_BYTES, socket.CMSG_SPACE(3 * descriptors.itemsize))
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return data, list(descriptors)


def _second_warm_parent(requests: int) -> None:
    """Serve requests on this socket, with TensorFlow imported."""
    die_with_parent()
    _serve_all(socket.socket(fileno=requests), TENSORFLOW)


def _child(request: dict[str, Any], descriptors: list[int]) -> None:
    """Run a step's child in this process, with the environment and the files of a newly started child."""
    replies, link, log = descriptors
    os.environ.clear()
    os.environ.update({**request["environment"], LINK_FD: str(link)})
    for target, source in enumerate((replies, log, log)):
        os.dup2(source, target)
    os.close(replies)
    os.close(log)
    os.chdir(request["folder"])
    tempfile.tempdir = None
    sys.argv = ["lwdash.child", *request["arguments"]]
    from lwdash.child.__main__ import main as serve

    serve()


def _report_ended(requests: socket.socket) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            _send(requests, ended=pid, returncode=os.waitstatus_to_exitcode(status))


def _send(requests: socket.socket, **message: Any) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        requests.send(json.dumps(message).encode())


if __name__ == "__main__":
    main()
