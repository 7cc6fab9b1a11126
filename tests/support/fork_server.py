"""Processes that need not import their libraries: they are forked from one that has.

The tests start the command line a hundred times, which takes more than a second each time, and TensorFlow takes five.
A forked process ends like any other: with its exit code, its threads joined, its `atexit` functions called.
"""

import array
import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

ROOT = Path(__file__).parents[2]
MAX_REQUEST_BYTES = 1 << 17
MAX_DESCRIPTORS = 3
FOR_TENSORFLOW = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "CUDA_VISIBLE_DEVICES": "-1",
}
"""Variables as the children of steps have them."""


class Ended(NamedTuple):
    """How a command ended: its exit code, or the negative number of a signal."""

    code: int
    out: str
    err: str


class ForkServer:
    """A process with libraries imported, and the processes that are forked from it. It ends with this process.

    command: the module whose function `main` they run; imports: modules beside it; variables: of the environment while
    they are imported. socket: its address for other processes, see `support/forked_warm_parent.py`.
    """

    def __init__(self, command: str, imports: Sequence[str] = (), variables: Mapping[str, str] | None = None):
        folder = Path(tempfile.mkdtemp(prefix="lwdash-fork-"))
        self.socket = str(folder / "socket")
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(self.socket)
            listener.listen(16)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "support.fork_server", str(listener.fileno()), command, *imports],
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                env={**os.environ, **(variables or {}), "PYTHONPATH": path},
                pass_fds=(listener.fileno(),),
            )
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        atexit.register(self._process.wait)
        atexit.register(self._process.kill)

    def call(self, arguments: Sequence[str], environment: Mapping[str, str], seconds: float) -> Ended:
        """One command to its end. Raises subprocess.TimeoutExpired."""
        with (
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link,
        ):
            link.connect(self.socket)
            request = json.dumps({"arguments": list(arguments), "environment": dict(environment)})
            descriptors = array.array("i", [out.fileno(), err.fileno()])
            link.sendmsg([request.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
            link.settimeout(seconds)
            try:
                code = int(link.recv(64))
            except TimeoutError:
                raise subprocess.TimeoutExpired(list(arguments), seconds) from None
            return Ended(code, _text(out), _text(err))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def serve(listener: socket.socket, command: str, imports: Sequence[str]) -> NoReturn:
    """Body of the process from which others are forked."""
    main = importlib.import_module(command).main
    for name in imports:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel forgets ended processes by itself
    while True:
        link, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _become_command(link)
            sys.exit(main(*([sys.argv[1:]] if sys.argv[1:] else [])))
        link.close()


def _become_command(link: socket.socket) -> None:
    """Return in a second forked process with the request's arguments, environment and output.

    The first one reports its end over the link, and kills it when the other side of the link is gone.
    """
    data, rights, _, _ = link.recvmsg(MAX_REQUEST_BYTES, socket.CMSG_SPACE(MAX_DESCRIPTORS * 4))
    request: dict[str, Any] = json.loads(data)
    descriptors = array.array("i", rights[0][2])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        for descriptor in descriptors:
            os.close(descriptor)
        _report_end(link, pid)
    link.close()
    for descriptor, number in zip(descriptors[:2], (1, 2), strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    if name := request.get("descriptor"):
        os.environ[name] = str(descriptors[2])
    tempfile.tempdir = None
    sys.argv[1:] = request["arguments"]


def _report_end(link: socket.socket, pid: int) -> NoReturn:
    ready, _, _ = select.select([link, os.pidfd_open(pid)], [], [])
    if link in ready:
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(BrokenPipeError):
        link.send(str(code).encode())
    os._exit(0)


if __name__ == "__main__":
    from lwdash.process_lifetime import die_with_parent

    die_with_parent()
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2], sys.argv[3:])
