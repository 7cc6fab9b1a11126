"""The first bytes of a page: Streamlit's own, plus data that its browser code would request only later.

Streamlit first treats the last part of an address as a folder, and its request there fails: a tenth of a
second. plotly.js is requested when the first figure is mounted, and takes another tenth to parse. A third
script keeps the browser's history to one entry per step (see history.js).
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlencode

import streamlit
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from lwdash.server.plotly_js import NAME
from lwdash.server.responses import prefix_of

PAGES = ("new", "experiment", "compare", "run", "glossary", "system")
"""All pages except the one at the root, and the account page."""
OTHERS = ("", "account")
WITH_FIGURES = ("experiment", "compare", "run")
SERVER = (
    """<script>window.__streamlit = { BACKEND_BASE_URL: new URL("./", document.baseURI).href };</script>"""
)
FORGET_FAILED = """<script>
addEventListener("error", ({ target }) => { if (target instanceof HTMLScriptElement) target.remove(); }, true);
</script>"""
"""Lets a figure request a library again that failed to load."""
PLOTLY = f"""{FORGET_FAILED}<script async src="./{NAME}"></script>"""
HISTORY = f"<script>{(Path(__file__).parent / 'history.js').read_text(encoding='utf-8')}</script>"
SECTIONS_OF_MAP = {"Bytes": "Bytes", "Layers": "Layers", "Weights": "Weights", "Graph": None}
"""Former tabs of a run's page → the section of the tab "Map" that has their content, None for the graph itself."""
HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


def page_routes(base_url: str = "") -> list[Route]:
    """`GET` of each page below `base_url`."""
    before, head, after = _index().partition("<head>")

    def route(page: str) -> Route:
        more = HISTORY + SERVER + (PLOTLY if page in WITH_FIGURES else "")
        text = before + head + more + after if head else before

        async def opening(request: Request) -> Response:
            if page == "run" and request.query_params.get("tab") in SECTIONS_OF_MAP:
                return RedirectResponse(f"run?{_present_tab(request.query_params)}")
            return HTMLResponse(text, headers=HEADERS)

        return Route(f"{prefix_of(base_url)}/{page}", opening, methods=["GET"])

    return [route(page) for page in (*PAGES, *OTHERS)]


def _present_tab(query: Mapping[str, str]) -> str:
    """The query of an address of an earlier version, whose tab is a section now."""
    section = SECTIONS_OF_MAP[query["tab"]]
    return urlencode({**query, "tab": "Map", **({"section": section} if section else {})})


def inline_scripts() -> Iterator[str]:
    """The text of each inline script in the first bytes of a page, Streamlit's own included."""
    return (
        match[1]
        for match in re.finditer(r"<script>(.*?)</script>", HISTORY + SERVER + FORGET_FAILED + _index(), re.S)
    )


def _index() -> str:
    return (Path(streamlit.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
