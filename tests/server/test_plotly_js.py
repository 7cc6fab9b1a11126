"""The first bytes of a page, and plotly.js beside the pages: asked for early where figures are, and sent once."""

import re

import pytest
from conftest import ROOT
from starlette.applications import Starlette
from starlette.testclient import TestClient

from lwdash.server.opening import PAGES, page_routes
from lwdash.server.plotly_js import plotly_file, plotly_route


def test_every_page_but_the_first_has_its_opening() -> None:
    assert {*PAGES, "overview"} == {path.stem for path in (ROOT / "pages").glob("*.py")}


@pytest.mark.parametrize("base_url", ["", "lab/lwdash"])
def test_pages_with_figures_ask_for_the_library_with_their_first_bytes(base_url: str) -> None:
    app = Starlette(routes=[plotly_route(base_url), *page_routes(base_url)])
    address = f"http://lwdash/{base_url}/" if base_url else "http://lwdash/"
    with TestClient(app, base_url=address) as client:
        page = client.get("experiment?id=1").text
        assert page.index("window.__streamlit") < page.index('type="module"')
        assert 'id="root"' in page
        tag = re.search(r'<script async src="\./([^"]+)"', page)
        assert tag is not None
        assert "plotly" not in client.get("glossary").text
        script = client.get(tag[1])
        assert script.content == plotly_file().read_bytes()
        again = client.get(tag[1], headers={"If-None-Match": script.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
