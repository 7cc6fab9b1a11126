"""Routes for the agents of devices: work, files of a task, heartbeats, reports; and the agent's file for everybody.

An agent sends its token as `Authorization: Bearer …`. Its messages are checked like those of an enemy.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from typing import Any

from anyio import fail_after, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from lwdash.engine.devices import device_work
from lwdash.errors import NotFound, UserMistake
from lwdash.server.responses import DOWNLOAD, NEVER_CACHED, failed, prefix_of
from storage.device_tasks import LeaseLost
from storage.devices import StoredDevice
from storage.errors import MissingArtifact
from storage.store import Store

_LOG = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 64 << 10
MESSAGE_SECONDS = 30.0
MAX_TASK_DIGITS = 9
TOO_LARGE = f"a message has at most {MAX_MESSAGE_BYTES:,} bytes."
STATUS: tuple[tuple[type[Exception], int], ...] = (
    (device_work.UnknownToken, 401),
    (NotFound, 404),
    (device_work.WrongAgent, 409),
    (LeaseLost, 409),
    (MissingArtifact, 410),
    (UserMistake, 422),
)
"""Refusal → status of its response."""


class _TooLarge(UserMistake):
    """A message is too large."""


def device_routes(store: Store, base_url: str = "") -> list[Route]:
    """`POST /device/work`, `/device/task/{task}/heartbeat` and `/report`, `GET /device/task/{task}/{part}`, and
    `GET /device/agent.py`, below `base_url`.
    """

    def of_device(
        work: Callable[[StoredDevice, Request, dict[str, Any]], Response],
    ) -> Callable[[Request], Any]:
        async def respond(request: Request) -> Response:
            try:
                device = await to_thread.run_sync(device_work.device_of, store, _token(request))
                message = await _message(request) if request.method == "POST" else {}
                return await to_thread.run_sync(work, device, request, message)
            except _TooLarge:
                return failed(413, TOO_LARGE)
            except (ClientDisconnect, TimeoutError):
                return failed(408, "the message did not arrive as a whole. Send it again.")
            except tuple(kind for kind, _ in STATUS) as error:
                status = next(status for kind, status in STATUS if isinstance(error, kind))
                _LOG.info("an agent was refused: %s", error)
                return failed(status, f"{error}.")

        return respond

    def take_work(device: StoredDevice, request: Request, message: dict[str, Any]) -> Response:
        return _reply(device_work.take_work(store, device, message))

    def heartbeat(device: StoredDevice, request: Request, message: dict[str, Any]) -> Response:
        device_work.heartbeat(store, device, _task(request), message)
        return _reply({"message": "go on"})

    def report(device: StoredDevice, request: Request, message: dict[str, Any]) -> Response:
        return _reply({"message": device_work.keep_report(store, device, _task(request), message)})

    def part(device: StoredDevice, request: Request, message: dict[str, Any]) -> Response:
        lease, name = request.headers.get("x-lwdash-lease", ""), request.path_params["part"]
        path = device_work.task_file(store, device, _task(request), lease, name)
        return FileResponse(
            path, media_type="application/octet-stream", headers={**DOWNLOAD, "Cache-Control": "no-store"}
        )

    async def agent(request: Request) -> Response:
        text = await to_thread.run_sync(device_work.agent_file)
        return Response(text, media_type="text/plain; charset=utf-8", headers=NEVER_CACHED)

    start = f"{prefix_of(base_url)}/device"
    return [
        Route(f"{start}/agent.py", agent, methods=["GET"]),
        Route(f"{start}/work", of_device(take_work), methods=["POST"]),
        Route(f"{start}/task/{{task}}/heartbeat", of_device(heartbeat), methods=["POST"]),
        Route(f"{start}/task/{{task}}/report", of_device(report), methods=["POST"]),
        Route(f"{start}/task/{{task}}/{{part}}", of_device(part), methods=["GET"]),
    ]


def _reply(content: dict[str, Any]) -> Response:
    return JSONResponse(content, headers=NEVER_CACHED)


def _token(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _task(request: Request) -> int:
    text = request.path_params["task"]
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_TASK_DIGITS):
        raise NotFound(f"there is no task {text!r:.40}")
    return int(text)


async def _message(request: Request) -> dict[str, Any]:
    """The JSON object in the body of a request. Raises UserMistake."""
    body = bytearray()
    with fail_after(MESSAGE_SECONDS):
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_MESSAGE_BYTES:
                raise _TooLarge
    try:
        found = json.loads(body, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise UserMistake("the message must be one JSON object with finite numbers") from error
    if not isinstance(found, dict):
        raise UserMistake("the message must be one JSON object with finite numbers")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
