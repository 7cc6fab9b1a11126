"""Downloads that are made when they are asked for: a run's C array, its tables, its capsule."""

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
"""Capsules that are made at the same time; others wait."""
PIECE = 1 << 18


@dataclass(frozen=True)
class Made:
    """A download: its text in pieces, or an open file that goes away when it is closed."""

    name: str
    media_type: str
    content: Iterator[str] | IO[bytes]
    size_bytes: int | None = None


def takeaway_routes(makers: Mapping[str, Callable[[str, Request], Made]], base_url: str = "") -> list[Route]:
    """`GET /download/run/{run_id}.{ending}` for each ending of `makers`, below `base_url`.

    Of endings that end alike (`tables.zip` and `zip`) the longer comes first. The callables run in threads and may
    block; they raise NotFound with the reason, and SignInNeeded where the sender is nobody who may have the run.
    """
    waiting = CapacityLimiter(AT_ONCE)

    def route(suffix: str, make: Callable[[str, Request], Made]) -> Route:
        async def answer(request: Request) -> Response:
            run_id = request.path_params["run_id"]
            try:
                made = await to_thread.run_sync(make, run_id, request, limiter=waiting)
            except REFUSALS as error:
                return refused(error, run_id)
            except OSError:
                _LOG.exception("the download of run %s could not be made", run_id)
                return failed(507, "the server has no room to make this download; its log has the reason.")
            size = {} if made.size_bytes is None else {"Content-Length": str(made.size_bytes)}
            headers = {
                **DOWNLOAD,
                **size,
                "Cache-Control": "private, no-store",
                "Content-Disposition": f'attachment; filename="{made.name}"',
            }
            return StreamingResponse(_pieces(made.content), media_type=made.media_type, headers=headers)

        return Route(f"{prefix}/download/run/{{run_id}}.{suffix}", answer, methods=["GET"])

    prefix = prefix_of(base_url)
    return [route(ending, make) for ending, make in makers.items()]


def _pieces(content: Iterator[str] | IO[bytes]) -> Iterator[Any]:
    if isinstance(content, Iterator) and not hasattr(content, "read"):
        yield from content
        return
    with content as file:  # type: ignore[union-attr]
        while piece := file.read(PIECE):
            yield piece
