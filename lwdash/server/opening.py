"""The first bytes of a page: Streamlit's own, with what its browser code would find out or ask for only later.

Streamlit takes the last part of an address for a folder first, and asks there in vain: a tenth of a second. plotly.js is
asked for when the first figure is mounted, and takes another to be read.
"""

from pathlib import Path

import streamlit
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from lwdash.server.answers import prefix_of
from lwdash.server.plotly_js import NAME

PAGES = ("new", "experiment", "run", "glossary", "system")
"""All but the one at the root."""
WITH_FIGURES = ("experiment", "run")
SERVER = (
    """<script>window.__streamlit = { BACKEND_BASE_URL: new URL("./", document.baseURI).href };</script>"""
)
PLOTLY = f"""<script async src="./{NAME}" onerror="this.remove()"></script>"""
HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


def page_routes(base_url: str = "") -> list[Route]:
    """`GET` of each page below `base_url`."""
    index = Path(streamlit.__file__).parent / "static" / "index.html"
    before, head, after = index.read_text(encoding="utf-8").partition("<head>")

    def route(page: str) -> Route:
        more = SERVER + (PLOTLY if page in WITH_FIGURES else "")
        text = before + head + more + after if head else before

        async def opening(request: Request) -> Response:
            return HTMLResponse(text, headers=HEADERS)

        return Route(f"{prefix_of(base_url)}/{page}", opening, methods=["GET"])

    return [route(page) for page in PAGES]
