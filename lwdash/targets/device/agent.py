"""Agent of lwdash on another computer: takes files from the server, measures them, and sends the results back.

Part of the agent's file, which is written by agent_file.py. The standard library, numpy and ai-edge-litert only.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import importlib.util
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from lwdash.measure.timing.forked_session import ending
from lwdash.measure.timing.host_facts import this_host
from lwdash.targets.device.measuring import PARTS, measure_folder

PROTOCOL = 1
"""Version of the messages between agent and server."""
TOKEN_VARIABLE = "LWDASH_DEVICE_TOKEN"
INSTALL = "pip install numpy ai-edge-litert"
TIMEOUT_SECONDS = 30.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
HEARTBEAT_SECONDS = 15.0
LOOK_SECONDS = 0.2
MAX_TASK_SECONDS = 900.0
"""Time after which a measurement is ended: its file runs for ever."""
MAX_FILE_BYTES = 1 << 30
MEASURE_OPTION = "--measure"

Reply = TypeVar("Reply")


class Unreachable(Exception):
    """The server did not answer, or not as a whole; the same request may succeed later."""


class Rejected(Exception):
    """The server refused a request of this agent, with a sentence."""


class Denied(Exception):
    """The server refuses this agent altogether, with a sentence."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: the token must not follow them to another server."""

    def redirect_request(self, *arguments: Any, **named: Any) -> None:
        return None


class ServerLink:
    """Requests to the server."""

    def __init__(self, url: str, token: str):
        self.url, self.token = url.rstrip("/"), token
        self._opener = urllib.request.build_opener(_NoRedirect)

    def call(self, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """The reply to a message. Raises Unreachable, Rejected, Denied."""
        reply = self._send(path, json.dumps(message, allow_nan=False).encode(), {})
        try:
            found = json.loads(reply)
        except ValueError as error:
            raise Unreachable("the reply is not JSON; is this the address of lwdash?") from error
        if not isinstance(found, dict):
            raise Unreachable("the reply is not an object; is this the address of lwdash?")
        return found

    def fetch(self, path: str, lease: str, sha256: str) -> bytes:
        """A file of a task. Raises as `call`; Unreachable where it arrived damaged."""
        data = self._send(path, None, {"X-Lwdash-Lease": lease})
        if hashlib.sha256(data).hexdigest() != sha256:
            raise Unreachable(f"{path} arrived damaged")
        return data

    def _send(self, path: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
        request = urllib.request.Request(
            f"{self.url}/device/{path}",
            data=body,
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                **headers,
            },
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                data: bytes = response.read(MAX_FILE_BYTES)
                announced = response.headers.get("Content-Length")
        except urllib.error.HTTPError as error:
            raise self._refusal(error) from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        if announced is not None and len(data) != int(announced):
            raise Unreachable(f"{len(data)} of {announced} bytes arrived")
        return data

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        sentence = f"the server answered {error.code} {error.reason}"
        with suppress(Exception):
            sentence = str(json.loads(error.read(65536))["error"])
        if error.code in (401, 403, 421, 426):
            return Denied(sentence)
        if 300 <= error.code < 400:
            return Denied(f"the server redirects to {error.headers.get('Location')}: use that address")
        if error.code in (404, 409, 410, 413, 422):
            return Rejected(sentence)
        return Unreachable(sentence)


def patiently(request: Callable[[], Reply]) -> Reply:
    """The reply to a request, repeated with longer and longer pauses while the server is unreachable."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            return request()
        except Unreachable as error:
            _say(f"cannot reach the server ({error}); trying again in {pause:.0f} s")
            time.sleep(pause * random.uniform(0.8, 1.2))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def work(link: ServerLink, *, is_once: bool) -> None:
    """Take tasks and measure them, for ever, or until there is none. Raises Denied."""
    known, agent = "", secrets.token_hex(8)
    while True:
        message = {"protocol": PROTOCOL, "agent": agent, "facts": machine_facts()}
        try:
            reply = patiently(lambda: link.call("work", message))  # noqa: B023  (called at once)
        except Rejected as error:
            raise Denied(str(error)) from error
        if reply["name"] != known:
            known = str(reply["name"])
            _say(f"connected to {link.url} as {known!r}")
        if reply["task"] is None:
            if is_once:
                return
            time.sleep(max(0.2, float(reply["wait_seconds"])))
            continue
        _do(link, reply["task"])


def machine_facts() -> dict[str, Any]:
    """The machine and its libraries."""
    memory = None
    with suppress(ValueError, OSError, AttributeError):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {**this_host().to_dict(), "memory_bytes": memory, "python": sys.version.split()[0]}


def _do(link: ServerLink, task: Mapping[str, Any]) -> None:
    """Measure one task and send its report; give it up where the server no longer wants it."""
    number, lease = int(task["id"]), str(task["lease"])
    _say(f"task {number}: measuring run {task['run']}")
    try:
        with tempfile.TemporaryDirectory(prefix="lwdash-device-") as name:
            folder = Path(name)
            for part, sha256 in task["files"].items():
                if part not in (*PARTS.values(), "rows"):
                    raise Rejected(f"the server sends an unknown part {part!r}: fetch the agent's file again")
                path = f"task/{number}/{part}"
                data = patiently(lambda path=path, sha256=sha256: link.fetch(path, lease, sha256))  # type: ignore[misc]
                (folder / f"{part}.{'npz' if part == 'rows' else 'tflite'}").write_bytes(data)
            settings = {"threads": int(task["threads"]), "seconds": float(task["seconds"])}
            (folder / "task.json").write_text(json.dumps(settings))
            report = _measure(folder, lambda doing: _is_wanted(link, number, lease, doing))
        if report is None:
            _say(f"task {number}: the server no longer wants it")
            return
        reply = patiently(lambda: link.call(f"task/{number}/report", {"lease": lease, "report": report}))
        _say(f"task {number}: {reply['message']}")
    except Rejected as error:
        _say(f"task {number}: {error}")


def _is_wanted(link: ServerLink, number: int, lease: str, doing: str) -> bool:
    """Tell the server that the measurement goes on; False where it was cancelled or another agent has it."""
    try:
        link.call(f"task/{number}/heartbeat", {"lease": lease, "doing": doing})
    except Rejected:
        return False
    except Unreachable as error:
        _say(f"task {number}: measuring goes on without the server ({error})")
    return True


def _measure(folder: Path, heartbeat: Callable[[str], bool]) -> dict[str, Any] | None:
    """The report of a task, measured in a child process; None where `heartbeat` says that it is not wanted."""
    command = [sys.executable, os.path.abspath(__file__), MEASURE_OPTION, str(folder)]
    environment = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
    began = asked = time.monotonic()
    with (folder / "output").open("wb") as output:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
        )  # fmt: skip
        try:
            while child.poll() is None and time.monotonic() - began < MAX_TASK_SECONDS:
                time.sleep(LOOK_SECONDS)
                if time.monotonic() - asked >= HEARTBEAT_SECONDS:
                    asked = time.monotonic()
                    if not heartbeat(_doing(folder)):
                        return None
        finally:
            is_late = child.poll() is None
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    if (folder / "report.json").exists():
        found: dict[str, Any] = json.loads((folder / "report.json").read_text())
        return found
    last = (folder / "output").read_text(errors="replace").strip().splitlines()[-1:] or ["no output"]
    how = f"it did not end within {MAX_TASK_SECONDS:.0f} s" if is_late else ending(child.returncode)
    message = how if is_late else f"the measuring process ended {how}: {last[0][:300]}"
    return {"state": "failed", "doing": _doing(folder), "message": message, "host": this_host().to_dict()}


def _doing(folder: Path) -> str:
    with suppress(OSError, ValueError, KeyError):
        return str(json.loads((folder / "doing.json").read_text())["doing"])
    return "starting"


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def main(arguments: list[str]) -> int:
    """Run the agent; return its exit code: 0 done (--once), 1 interrupted, 2 refused or wrong usage."""
    if arguments[:1] == [MEASURE_OPTION]:
        measure_folder(Path(arguments[1]))
        return 0
    parser = argparse.ArgumentParser(description="Measures .tflite files for an lwdash server.")
    parser.add_argument("server", help="address of the dashboard, e.g. http://desk.local:8501")
    parser.add_argument("--once", action="store_true", help="end when there is nothing to measure")
    options = parser.parse_args(arguments)
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        parser.error(f"set {TOKEN_VARIABLE} to the token that `lwdash device add` showed")
    if not options.server.startswith(("http://", "https://")):
        parser.error(f"the address must begin with http:// or https://, but got {options.server!r}")
    if not hasattr(os, "fork"):
        parser.error(
            "the agent needs Linux or macOS (on Windows: WSL), because each session is a forked process"
        )
    if importlib.util.find_spec("ai_edge_litert") is None:
        parser.error(f"ai-edge-litert is not installed: {INSTALL}")
    try:
        work(ServerLink(options.server, token), is_once=options.once)
    except Denied as error:
        _say(str(error))
        return 2
    except KeyboardInterrupt:
        _say("interrupted")
        return 1
    return 0
