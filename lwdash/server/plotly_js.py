"""plotly.js as plotly's own package brings it, served for the figures: nothing comes from another host."""

from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lwdash.server.answers import prefix_of

NAME = "plotly.min.js"
PAGES_WITH_FIGURES = ("experiment", "run")


def plotly_file() -> Path:
    """Where the installed package has it."""
    return Path(str(files("plotly") / "package_data" / NAME))


def plotly_route(base_url: str = "") -> Route:
    """`GET /plotly.min.js` below `base_url`; a browser asks again only whether there is another version."""
    tag = f'"{version("plotly")}"'
    headers = {"Cache-Control": "no-cache", "ETag": tag, "X-Content-Type-Options": "nosniff"}

    async def script(request: Request) -> Response:
        if request.headers.get("if-none-match") in (tag, f"W/{tag}"):
            return Response(status_code=304, headers=headers)
        return FileResponse(plotly_file(), media_type="text/javascript", headers=headers)

    return Route(f"{prefix_of(base_url)}/{NAME}", script, methods=["GET"])


class Preload:
    """ASGI middleware: pages that open with a figure ask for plotly.js with their first bytes, not when it is mounted."""

    def __init__(self, app: ASGIApp, *, base_url: str = ""):
        self.app = app
        prefix = prefix_of(base_url)
        self.paths = {f"{prefix}/{page}" for page in PAGES_WITH_FIGURES}
        self.link = f"<{prefix}/{NAME}>; rel=preload; as=script"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in self.paths:
            await self.app(scope, receive, send)
            return

        async def with_link(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("Link", self.link)
            await send(message)

        await self.app(scope, receive, with_link)
