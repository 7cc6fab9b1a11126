"""plotly.js from plotly's own package, served for the figures: nothing comes from another host."""

from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from lwdash.server.responses import prefix_of

NAME = "plotly.min.js"


def plotly_file() -> Path:
    """Path of plotly.js in the installed package."""
    return Path(str(files("plotly") / "package_data" / NAME))


def plotly_route(base_url: str = "") -> Route:
    """`GET /plotly.min.js` below `base_url`; a browser only checks whether there is another version."""
    tag = f'"{version("plotly")}"'
    headers = {"Cache-Control": "no-cache", "ETag": tag, "X-Content-Type-Options": "nosniff"}

    async def script(request: Request) -> Response:
        if request.headers.get("if-none-match") in (tag, f"W/{tag}"):
            return Response(status_code=304, headers=headers)
        return FileResponse(plotly_file(), media_type="text/javascript", headers=headers)

    return Route(f"{prefix_of(base_url)}/{NAME}", script, methods=["GET"])
