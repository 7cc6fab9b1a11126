"""A process that runs a user's code reaches neither the network nor the secrets of the process that started it."""

import os
import socket
import subprocess
import sys

ATTEMPT = """
import socket, sys
from lwdash.child.no_network import leave_network
if reason := leave_network():
    sys.exit(f"not possible: {reason}")
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
    print("connected")
except OSError as error:
    print(type(error).__name__)
try:
    print(len(open(f"/proc/{sys.argv[2]}/environ").read()))
except OSError as error:
    print(type(error).__name__)
open("mine", "w").write("its own folder stays writable")
"""


def test_neither_the_network_nor_the_starters_environment_is_in_reach(tmp_path: object) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = subprocess.run(
            [sys.executable, "-c", ATTEMPT, str(server.getsockname()[1]), str(os.getpid())],
            capture_output=True, text=True, timeout=60, cwd=str(tmp_path),
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
    if ended.stderr.startswith("not possible"):  # the system refuses, and users are told this reason
        assert "network namespace" in ended.stderr
        return
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["OSError", "PermissionError"]
