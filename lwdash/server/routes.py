"""The routes beside Streamlit's own. They know no storage: what they need is handed in as callables."""

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

from lwdash.errors import NotFound, UploadRefused, UserMistake
from lwdash.server.access import refusal
from lwdash.server.uploads import receive_upload

_LOG = logging.getLogger(__name__)
_NEVER_CACHED = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_DOWNLOAD_HEADERS = {
    "Cache-Control": "private, no-cache",
    "X-Content-Type-Options": "nosniff",
    # Streamlit compresses what it does not know; the browser would then not know the size of the download.
    "Content-Encoding": "identity",
}
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SIGN_IN = "sign in first: open the dashboard in this browser."


class SignInNeeded(UserMistake):
    """Nobody is signed in whose request this is."""


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
    """`PUT /upload/{name}`, `GET /download/run/{run_id}.tflite` and `.log`, `/metrics`, `/healthz`, below `base_url`.

    folder: where uploads are written until they are whole; on the same file system as where `store_upload`
    moves them.
    limit_bytes: the largest upload that is taken.
    token: what an upload must bring as `X-Lwdash-Token` (see access.py).
    store_upload(path, sha256): makes the file durable and returns where it is now; a whole upload is handed
    to it once.
    find_artifact(run_id, request), find_log(run_id, request): the file of that run and the name to save it under;
    raise NotFound with the reason, SignInNeeded where the sender is nobody who may have it.
    health(): what `/healthz` answers; the status is 200 if its `"ok"` is true, else 503. It is for everybody.
    metrics(): what `/metrics` answers, in Prometheus' text format.
    is_known(cookies): whether the sender may use this dashboard: signed in, or nobody has to.
    metrics_token: with it as `Authorization: Bearer …`, `/metrics` answers without a sign-in; without it, not at all.
    base_url: Streamlit's `server.baseUrlPath`, which Streamlit does not put before the routes of others.
    The callables run in threads and may block.
    """

    async def upload(request: Request) -> Response:
        refused = refusal(request.headers, token)
        if refused:
            return _error(403, refused)
        if not is_known(request.cookies):
            return _error(401, SIGN_IN)
        try:
            received = await receive_upload(
                request, folder=folder, limit_bytes=limit_bytes, store=store_upload
            )
        except UploadRefused as refused_upload:
            return _error(getattr(refused_upload, "status", 400), str(refused_upload))
        except Exception:
            _LOG.exception("an upload failed")
            return _error(500, "the server could not keep this file; its log has the reason.")
        answer = {
            "name": request.path_params["name"],
            "sha256": received.sha256,
            "size_bytes": received.size_bytes,
        }
        return JSONResponse(answer, status_code=201, headers=_NEVER_CACHED)

    def download(
        find: Callable[[str, Request], tuple[Path, str]], media_type: str
    ) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            run_id = request.path_params["run_id"]
            try:
                path, file_name = await to_thread.run_sync(find, run_id, request)
                facts = await to_thread.run_sync(path.stat)
            except SignInNeeded:
                return _error(401, SIGN_IN)
            except NotFound as missing:
                return _error(404, str(missing))
            except FileNotFoundError:
                _LOG.exception("the file of run %s is gone", run_id)
                return _error(410, "the file of this run is no longer on the server. Start the run again.")
            if not stat.S_ISREG(facts.st_mode):
                raise RuntimeError(f"an artifact must be a file, but {path} is not")
            return FileResponse(
                path,
                filename=file_name,
                stat_result=facts,
                media_type=media_type,
                headers=_DOWNLOAD_HEADERS,
            )

        return answer

    async def healthz(request: Request) -> Response:
        answer = await to_thread.run_sync(health)
        return JSONResponse(answer, status_code=200 if answer.get("ok") else 503, headers=_NEVER_CACHED)

    async def read_metrics(request: Request) -> Response:
        if metrics_token is not None:
            given = request.headers.get("authorization", "")
            may_read = hmac.compare_digest(given.encode(), f"Bearer {metrics_token}".encode())
            if not may_read:
                return _error(401, "bring LWDASH_METRICS_TOKEN as `Authorization: Bearer …`.")
        elif not is_known(request.cookies):
            return _error(401, SIGN_IN)
        text = await to_thread.run_sync(metrics)
        return Response(text, headers={**_NEVER_CACHED, "Content-Type": METRICS_TYPE})

    prefix = "/" + base_url.strip("/") if base_url.strip("/") else ""
    tflite = download(find_artifact, "application/octet-stream")
    log = download(find_log, "text/plain; charset=utf-8")
    return [
        Route(f"{prefix}/upload/{{name}}", upload, methods=["PUT"]),
        Route(f"{prefix}/download/run/{{run_id}}.tflite", tflite, methods=["GET"]),
        Route(f"{prefix}/download/run/{{run_id}}.log", log, methods=["GET"]),
        Route(f"{prefix}/metrics", read_metrics, methods=["GET"]),
        Route(f"{prefix}/healthz", healthz, methods=["GET"]),
    ]


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status, headers=_NEVER_CACHED)
