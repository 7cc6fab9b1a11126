"""The routes besides Streamlit's own. They do not know the storage; callables are passed in."""

from __future__ import annotations

import hmac
import logging
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from lwdash.errors import UploadRefused
from lwdash.server.responses import DOWNLOAD, NEVER_CACHED, REFUSALS, SIGN_IN, failed, prefix_of, refused
from lwdash.server.upload_access import refusal
from lwdash.server.uploads import receive_upload

_LOG = logging.getLogger(__name__)
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def routes(
    *,
    folder: Path,
    limit_bytes: int,
    token: str,
    store_upload: Callable[[Path, str], Path],
    find_artifact: Callable[[str, Request], tuple[Path, str]],
    find_log: Callable[[str, Request], tuple[Path, str]],
    health: Callable[[], dict[str, Any]],
    metrics: Callable[[], bytes],
    is_known: Callable[[Mapping[str, str]], bool],
    metrics_token: str | None = None,
    base_url: str = "",
) -> list[Route]:
    """`PUT /upload/{name}`, `GET /download/run/{run_id}.tflite` and `.log`, `/metrics`, `/healthz`, below
    `base_url`.

    folder: uploads are written there until they are complete; on the same file system as the target of
    `store_upload`.
    limit_bytes: the largest allowed upload.
    token: required value of an upload's `X-Lwdash-Token` (see upload_access.py).
    store_upload(path, sha256): makes the file durable and returns its new place; it is called once per
    complete upload.
    find_artifact(run_id, request), find_log(run_id, request): the file of that run and its download name;
    raise NotFound with the reason, SignInNeeded where the sender may not have it.
    health(): content of `/healthz`; the status is 200 if its `"ok"` is true, else 503. It needs no sign-in.
    metrics(): content of `/metrics`, in Prometheus' text format.
    is_known(cookies): True if the sender may use this dashboard: signed in, or sign-in is disabled.
    metrics_token: with it as `Authorization: Bearer …`, `/metrics` needs no sign-in.
    base_url: Streamlit's `server.baseUrlPath`.
    The callables run in threads and may block.
    """

    async def upload(request: Request) -> Response:
        why_not = refusal(request.headers, token)
        if why_not:
            return failed(403, why_not)
        if not is_known(request.cookies):
            return failed(401, SIGN_IN)
        try:
            received = await receive_upload(
                request, folder=folder, limit_bytes=limit_bytes, store=store_upload
            )
        except UploadRefused as refused_upload:
            return failed(getattr(refused_upload, "status", 400), str(refused_upload))
        except Exception:
            _LOG.exception("an upload failed")
            return failed(500, "the server could not store this file. Its log has the reason.")
        response = {
            "name": request.path_params["name"],
            "sha256": received.sha256,
            "size_bytes": received.size_bytes,
        }
        return JSONResponse(response, status_code=201, headers=NEVER_CACHED)

    async def healthz(request: Request) -> Response:
        response = await to_thread.run_sync(health)
        return JSONResponse(response, status_code=200 if response.get("ok") else 503, headers=NEVER_CACHED)

    async def read_metrics(request: Request) -> Response:
        if metrics_token is not None:
            given = request.headers.get("authorization", "")
            may_read = hmac.compare_digest(given.encode(), f"Bearer {metrics_token}".encode())
            if not may_read:
                return failed(401, "send LWDASH_METRICS_TOKEN as `Authorization: Bearer …`.")
        elif not is_known(request.cookies):
            return failed(401, SIGN_IN)
        text = await to_thread.run_sync(metrics)
        return Response(text, headers={**NEVER_CACHED, "Content-Type": METRICS_TYPE})

    prefix = prefix_of(base_url)
    tflite = _download(find_artifact, "application/octet-stream")
    log = _download(find_log, "text/plain; charset=utf-8")
    return [
        Route(f"{prefix}/upload/{{name}}", upload, methods=["PUT"]),
        Route(f"{prefix}/download/run/{{run_id}}.tflite", tflite, methods=["GET"]),
        Route(f"{prefix}/download/run/{{run_id}}.log", log, methods=["GET"]),
        Route(f"{prefix}/metrics", read_metrics, methods=["GET"]),
        Route(f"{prefix}/healthz", healthz, methods=["GET"]),
    ]


def _download(find: Callable[[str, Request], tuple[Path, str]], media_type: str) -> Callable[[Request], Any]:
    """Respond with the file from `find` for a run, or with the reason why there is none."""

    async def response(request: Request) -> Response:
        run_id = request.path_params["run_id"]
        try:
            path, file_name = await to_thread.run_sync(find, run_id, request)
            facts = await to_thread.run_sync(path.stat)
        except REFUSALS as error:
            return refused(error, run_id)
        if not stat.S_ISREG(facts.st_mode):
            raise RuntimeError(f"an artifact must be a file, but {path} is not")
        return FileResponse(
            path,
            filename=file_name,
            stat_result=facts,
            media_type=media_type,
            headers={**DOWNLOAD, "Cache-Control": "private, no-cache"},
        )

    return response
