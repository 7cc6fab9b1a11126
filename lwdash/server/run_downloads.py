"""Downloads that are created on request: a run's C array, its tables, its capsule."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from lwdash.server.responses import DOWNLOAD, REFUSALS, failed, prefix_of, refused

_LOG = logging.getLogger(__name__)
AT_ONCE = 2
"""Number of capsules that are created at the same time; others wait."""
PIECE = 1 << 18


@dataclass(frozen=True)
class Download:
    """A download: its text in pieces, or an open file that is removed when it is closed."""

    name: str
    media_type: str
    content: Iterator[str] | IO[bytes]
    size_bytes: int | None = None


def takeaway_routes(
    makers: Mapping[str, Callable[[str, Request], Download]], base_url: str = ""
) -> list[Route]:
    """`GET /download/run/{run_id}.{ending}` for each suffix in `makers`, below `base_url`.

    Of suffixes with the same end (`tables.zip` and `zip`) the longer comes first. The callables run in
    threads and may block. They raise NotFound with the reason, and SignInNeeded where the sender may not have
    the run.
    """
    waiting = CapacityLimiter(AT_ONCE)

    def route(suffix: str, make: Callable[[str, Request], Download]) -> Route:
        async def response(request: Request) -> Response:
            run_id = request.path_params["run_id"]
            try:
                made = await to_thread.run_sync(make, run_id, request, limiter=waiting)
            except REFUSALS as error:
                return refused(error, run_id)
            except OSError:
                _LOG.exception("the download of run %s could not be created", run_id)
                return failed(
                    507, "the server has no disk space to create this download. Its log has the reason."
                )
            size = {} if made.size_bytes is None else {"Content-Length": str(made.size_bytes)}
            headers = {
                **DOWNLOAD,
                **size,
                "Cache-Control": "private, no-store",
                "Content-Disposition": f'attachment; filename="{made.name}"',
            }
            return StreamingResponse(_pieces(made.content), media_type=made.media_type, headers=headers)

        return Route(f"{prefix}/download/run/{{run_id}}.{suffix}", response, methods=["GET"])

    prefix = prefix_of(base_url)
    return [route(ending, make) for ending, make in makers.items()]


def _pieces(content: Iterator[str] | IO[bytes]) -> Iterator[Any]:
    if isinstance(content, Iterator) and not hasattr(content, "read"):
        yield from content
        return
    with content as file:  # type: ignore[union-attr]
        while piece := file.read(PIECE):
            yield piece
