"""The first bytes of a page: Streamlit's own, with what its browser code would find out or ask for only later.

Streamlit takes the last part of an address for a folder first, and asks there in vain: a tenth of a second. plotly.js is
asked for when the first figure is mounted, and takes another to be read. A third script keeps the browser's history to
one entry a step (see history.js).
"""

import re
from collections.abc import Iterator
from pathlib import Path

import streamlit
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from lwdash.server.plotly_js import NAME
from lwdash.server.responses import prefix_of

PAGES = ("new", "experiment", "run", "glossary", "system")
"""All but the one at the root, and the one of who has signed in."""
OTHERS = ("", "account")
WITH_FIGURES = ("experiment", "run")
SERVER = (
    """<script>window.__streamlit = { BACKEND_BASE_URL: new URL("./", document.baseURI).href };</script>"""
)
FORGET_FAILED = """<script>
addEventListener("error", ({ target }) => { if (target instanceof HTMLScriptElement) target.remove(); }, true);
</script>"""
"""So that a figure asks again for a library that did not come."""
PLOTLY = f"""{FORGET_FAILED}<script async src="./{NAME}"></script>"""
HISTORY = f"<script>{(Path(__file__).parent / 'history.js').read_text(encoding='utf-8')}</script>"
HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


def page_routes(base_url: str = "") -> list[Route]:
    """`GET` of each page below `base_url`."""
    before, head, after = _index().partition("<head>")

    def route(page: str) -> Route:
        more = HISTORY + SERVER + (PLOTLY if page in WITH_FIGURES else "")
        text = before + head + more + after if head else before

        async def opening(request: Request) -> Response:
            return HTMLResponse(text, headers=HEADERS)

        return Route(f"{prefix_of(base_url)}/{page}", opening, methods=["GET"])

    return [route(page) for page in (*PAGES, *OTHERS)]


def inline_scripts() -> Iterator[str]:
    """The text of each script that stands in the first bytes of a page, Streamlit's own included."""
    return (
        match[1]
        for match in re.finditer(r"<script>(.*?)</script>", HISTORY + SERVER + FORGET_FAILED + _index(), re.S)
    )


def _index() -> str:
    return (Path(streamlit.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
