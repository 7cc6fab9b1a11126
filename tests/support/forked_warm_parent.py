"""Stands for `python -m lwdash.child.warm_parent`: has one forked from a process with the libraries imported.

Started as `python forked_warm_parent.py SOCKET`, SOCKET being the address of a `ForkServer`; it lives as long as the
warm parent.
"""

import array
import json
import os
import socket
import sys
from pathlib import Path

SOCKET_FD = "LWDASH_WARM_FD"


def main() -> int:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from lwdash.process_lifetime import die_with_parent

    die_with_parent()
    requests = int(os.environ[SOCKET_FD])
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link.connect(sys.argv[1])
    request = json.dumps({"arguments": [], "environment": dict(os.environ), "descriptor": SOCKET_FD})
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [1, 2, requests]))]
    link.sendmsg([request.encode()], rights)
    os.close(requests)
    return int(link.recv(64) or b"1")


if __name__ == "__main__":
    sys.exit(main())
