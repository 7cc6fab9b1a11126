"""Commands in processes of their own that need not import their libraries: they are forked from one that has.

The tests start the command line a hundred times, which takes more than a second each time, and TensorFlow takes four.
A forked process ends like any other: with its exit code, its threads joined, its `atexit` functions called.
"""

import array
import atexit
import gc
import importlib
import json
import os
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


class Ended(NamedTuple):
    """How a command ended: its exit code, or the negative number of a signal."""

    code: int
    out: str
    err: str


class ForkServer:
    """A process with libraries imported, and the commands that are forked from it.

    command: the module with the function `main`; imports: modules beside it; variables: of the environment while they
    are imported. It ends with this process.
    """

    def __init__(self, command: str, imports: Sequence[str] = (), variables: Mapping[str, str] | None = None):
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        with theirs:
            program = (sys.executable, "-m", "support.fork_server", str(theirs.fileno()), command, *imports)
            self._process = subprocess.Popen(
                program,
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                env={**os.environ, **(variables or {}), "PYTHONPATH": path},
                pass_fds=(theirs.fileno(),),
            )
        atexit.register(self.close)

    def call(self, arguments: Sequence[str], environment: Mapping[str, str], seconds: float) -> Ended:
        """One command to its end. Raises subprocess.TimeoutExpired."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, ours:
            with theirs:
                request = json.dumps({"arguments": list(arguments), "environment": dict(environment)})
                descriptors = array.array("i", [theirs.fileno(), out.fileno(), err.fileno()])
                self._socket.sendmsg(
                    [request.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
                )
            pid = int(ours.recv(64))
            ours.settimeout(seconds)
            try:
                code = int(ours.recv(64))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(arguments), seconds) from None
            return Ended(code, _text(out), _text(err))

    def close(self) -> None:
        self._socket.close()
        self._process.wait(10)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def serve(descriptor: int, command: str, imports: Sequence[str]) -> None:
    """Body of the process from which commands are forked."""
    requests = socket.socket(fileno=descriptor)
    main = importlib.import_module(command).main
    for name in imports:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel forgets ended processes by itself
    while True:
        data, rights, _, _ = requests.recvmsg(MAX_REQUEST_BYTES, socket.CMSG_SPACE(3 * 4))
        if not data:
            os._exit(0)
        descriptors = array.array("i")
        descriptors.frombytes(rights[0][2])
        if os.fork() == 0:
            requests.close()
            _enter(json.loads(data), *descriptors)
            sys.exit(main(sys.argv[1:]))
        for each in descriptors:
            os.close(each)


def _enter(request: Mapping[str, Any], reports: int, out: int, err: int) -> None:
    """Return in a second forked process, which is the command's; this one reports its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        _report(reports, pid)
    os.close(reports)
    for descriptor, number in ((out, 1), (err, 2)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    sys.argv[1:] = request["arguments"]


def _report(reports: int, pid: int) -> NoReturn:
    os.write(reports, str(pid).encode())
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(reports, str(code).encode())
    os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
