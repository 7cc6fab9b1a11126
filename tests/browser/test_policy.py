"""The pages under their Content-Security-Policy: nothing that they need is blocked, and what is injected does not run."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Sample, poll
from support.served import Dashboard

from browser.test_run_page import FLOAT, INT8, seed

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    home: Path = tmp_path_factory.mktemp("policy")
    seed(home)
    served = Dashboard(home)
    poll("the server answers", served.answers, 120)
    yield served
    served.stop()


@pytest.fixture
def watched(page: Any) -> Iterator[Any]:
    """A page that has met no violation when the test ends."""
    found: list[str] = []
    page.on(
        "console", lambda message: found.append(message.text) if "Content Security" in message.text else None
    )
    page.on("pageerror", lambda error: found.append(str(error)))
    yield page
    page.wait_for_timeout(300)
    assert found == []


def opened(page: Any, server: Dashboard, address: str, words: str) -> Any:
    page.goto(server.url + address)
    main = page.get_by_test_id("stMain")
    expect(main.get_by_text(words).first).to_be_visible()
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
    return main


def is_drawn(page: Any) -> None:
    page.wait_for_function("document.querySelector('.lwdash-figure .main-svg') !== null")


def test_every_answer_has_the_policy(page: Any, server: Dashboard) -> None:
    for address in ("", "run?run=1", "nowhere", "healthz", "plotly.min.js", "static/nothing.js"):
        policy = page.request.get(server.url + address).headers["content-security-policy"]
        assert "object-src 'none'" in policy
        assert f"ws://127.0.0.1:{server.port}" in policy
        scripts = re.search(r"script-src ([^;]*)", policy)
        assert scripts is not None
        assert "unsafe-inline" not in scripts[1]
        assert "*" not in policy


@pytest.mark.parametrize(
    ("address", "words"),
    [("", "my beats"), ("new", "1 · Model"), ("glossary", "Arena"), ("system", "Disk free")],
)
def test_pages_without_figures(watched: Any, server: Dashboard, address: str, words: str) -> None:
    opened(watched, server, address, words)
    font = watched.evaluate(
        "document.fonts.ready.then(() => [...document.fonts].some(f => f.status === 'loaded'))"
    )
    assert font, "the fonts are loaded"


def test_figures_and_tables_of_the_results(watched: Any, server: Dashboard) -> None:
    opened(watched, server, "experiment?experiment=1&runs=1,2,3", "Accuracy against size")
    is_drawn(watched)


def test_parallel_coordinates(watched: Any, server: Dashboard) -> None:
    opened(watched, server, "experiment?experiment=1&view=parallel", "my beats")
    watched.wait_for_function("document.querySelector('.lwdash-figure canvas.gl-canvas') !== null")
    assert "could not be drawn" not in watched.content()


@pytest.mark.parametrize("tab", ["Bytes", "Weights", "Predictions"])
def test_figures_of_a_run(watched: Any, server: Dashboard, tab: str) -> None:
    opened(watched, server, f"run?run={INT8}&tab={tab}", "my beats")
    is_drawn(watched)


@pytest.mark.parametrize(
    ("tab", "words"), [("Overview", "Worse"), ("Map&section=Sensitivity", "Layer sensitivity")]
)
def test_tables_of_a_run(watched: Any, server: Dashboard, tab: str, words: str) -> None:
    opened(watched, server, f"run?run={INT8}&tab={tab}", words)


def test_the_graph_of_a_run_is_drawn_and_saved(watched: Any, server: Dashboard) -> None:
    opened(watched, server, f"run?run={INT8}&tab=Map", "my beats")
    expect(watched.locator(".lwdash-graph .box").first).to_be_visible(timeout=60_000)
    for kind in ("SVG", "PNG"):
        with watched.expect_download() as download:
            watched.locator(".lwdash-graph").get_by_role("button", name=f"Save as {kind}").click()
        assert Path(download.value.path()).stat().st_size > 500


def test_downloads_and_exports(watched: Any, server: Dashboard) -> None:
    opened(watched, server, f"run?run={FLOAT}", "my beats")
    with watched.expect_download() as download:
        watched.get_by_role("link", name="Download .tflite").click()
    assert Path(download.value.path()).read_bytes()[4:8] == b"TFL3"
    opened(watched, server, "experiment?experiment=1", "Accuracy against size")
    watched.get_by_role("button", name="Export").click()
    for name in ("Table (CSV)", "Report"):
        with watched.expect_download() as download:
            watched.get_by_role("button", name=re.compile(re.escape(name))).first.click()
        saved = Path(download.value.path())
        assert saved.stat().st_size > 1000
    report = saved.rename(saved.with_suffix(".html"))
    watched.goto(report.as_uri())
    watched.wait_for_function("document.querySelector('.drawing .main-svg') !== null")
    with watched.expect_download() as download:
        watched.get_by_role("button", name="CSV").first.click()
    assert Path(download.value.path()).stat().st_size > 100


def test_an_upload(watched: Any, server: Dashboard, sample: Sample) -> None:
    opened(watched, server, "new", "1 · Model")
    watched.locator("input[type=file]").first.set_input_files(sample.model)
    expect(watched.get_by_role("heading", name="2 · Data")).to_be_visible(timeout=60_000)


def test_a_script_that_gets_into_a_page_does_not_run(page: Any, server: Dashboard) -> None:
    opened(page, server, f"run?run={INT8}", "my beats")
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.hit = 1";
        document.body.append(script);
        const image = document.createElement("img");
        image.setAttribute("onerror", "window.hit = 2");
        image.src = "/nowhere.png";
        document.body.append(image);
        const other = document.createElement("script");
        other.src = "http://localhost:9/evil.js";
        document.body.append(other);
    }""")
    page.wait_for_timeout(500)
    assert page.evaluate("window.hit") is None
    sent = page.evaluate("fetch('http://localhost:9/').then(() => 'sent', (error) => String(error))")
    assert "Failed to fetch" in sent
