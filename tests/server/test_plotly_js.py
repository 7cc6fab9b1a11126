"""plotly.js beside the pages: asked for early where a page opens with figures, and sent once."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse
from starlette.routing import Route

from lwdash.server.plotly_js import Preload, plotly_file, plotly_route


@pytest.mark.anyio
@pytest.mark.parametrize("base_url", ["", "lab/lwdash"])
async def test_pages_with_figures_ask_for_the_library_at_once(base_url: str) -> None:
    prefix = f"/{base_url}" if base_url else ""
    pages = [
        Route(f"{prefix}/{name}", lambda request: HTMLResponse("<html></html>"))
        for name in ("experiment", "glossary")
    ]
    app = Starlette(
        routes=[plotly_route(base_url), *pages], middleware=[Middleware(Preload, base_url=base_url)]
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://lwdash") as client:
        link = (await client.get(f"{prefix}/experiment?id=1")).headers["link"]
        assert "link" not in (await client.get(f"{prefix}/glossary")).headers
        address, _, how = link.partition(">; ")
        assert how == "rel=preload; as=script"
        script = await client.get(address.removeprefix("<"))
        assert script.content == plotly_file().read_bytes()
        again = await client.get(address.removeprefix("<"), headers={"If-None-Match": script.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
