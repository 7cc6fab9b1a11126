"""axe-core on every page, light and dark: nothing that keeps people with keyboards or screen readers out."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import poll
from support.seeding import seed_experiment, seed_search
from support.served import Dashboard

from browser.painted import SETTLED
from lwdash.engine import submit
from lwdash.examples import find_example
from lwdash.ui.glossary.entries import glossary
from storage.annotations import add_tags, set_limits
from storage.devices import add_device
from storage.store import open_store

playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
expect = playwright.expect

GRAVE = ("moderate", "serious", "critical")
SECONDS = 90


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Dashboard, dict[str, str]]]:
    """A server with an experiment, and the address of each page in its fullest state."""
    home = tmp_path_factory.mktemp("accessible")
    store = open_store(f"sqlite:///{home / 'lwdash.sqlite'}", str(home / "artifacts"), home / "cache")
    experiment = seed_experiment(store, "beats", 60)
    seed_search(store, experiment, 40)
    set_limits(store.database, experiment, {"accuracy_drop": 0.02})
    add_tags(store.database, [2, 3], ["candidate"])
    device, _ = add_device(store.database, "Pi 4")
    bare = seed_experiment(
        store, "no data", 5, generated="4 rows of each class, from the statistics of the model"
    )
    set_limits(
        store.database, bare, {f"{device.target}.latency_ms_p50": 0.2, "ethos_u55_128.npu_cycles": 9000.0}
    )
    example = find_example("digits")
    files = {
        kind: submit.add_local_file(store, path, kind)
        for kind, path in (("model", example.model_path), ("data", example.data_path))
    }
    store.database.dispose()
    server = Dashboard(home)
    poll("the server answers", server.answers, SECONDS)
    yield (
        server,
        {
            "overview": "",
            "new": f"new?model={files['model']}&data={files['data']}&preprocess=divide%2816%29&goal=gzip_bytes",
            "results": "experiment?id=1&runs=1,2,3",
            "new without data": f"new?model={files['model']}&no_data=True&target_limits={device.target}.speedup%3D2",
            "results without data": f"experiment?id={bare}",
            "compare": "compare?experiment=1&runs=1,2,3",
            "compare without data": f"compare?experiment={bare}&runs=61,62,63",
            "run without data": "run?id=62",
            "run": "run?id=2",
            "failed run": "run?id=50",
            "run predictions": "run?run=2&tab=Predictions",
            "run stages": "run?run=2&tab=Stages+and+log",
            "results by tag": "experiment?experiment=1&colour=tags&group=tags&front=1",
            "parallel by tag": "experiment?experiment=1&view=parallel&colour=tags&parameters=tags&group=tags",
            "glossary": "glossary",
            "system": "system",
        },
    )
    server.stop()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_finding_of_weight(served: Any, browser: Any, scheme: str) -> None:
    server, addresses = served
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(1000 * SECONDS)
    found = []
    for name, address in addresses.items():
        page.goto(server.url + address)
        expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=1000 * SECONDS)
        if name == "results":
            page.get_by_text("Let lwdash search for recipes").click()
            expect(page.get_by_text("Clustering is not used: repeated values")).to_be_visible(
                timeout=1000 * SECONDS
            )
        if name == "new without data":
            start = page.get_by_role("button", name="Start", exact=True)
            expect(start).to_be_visible(timeout=1000 * SECONDS)
        if name == "new":
            expect(page.get_by_text("Scaled twice")).to_be_visible(timeout=1000 * SECONDS)
        page.wait_for_function(SETTLED)
        for broken in axe.Axe().run(page).response["violations"]:
            if broken["impact"] in GRAVE:
                found.append((name, broken["id"], [node["html"][:200] for node in broken["nodes"][:3]]))
    context.close()
    assert found == []


def test_finished_steps_are_one_line_and_steps_and_start_stay_in_sight(served: Any, page: Any) -> None:
    server, addresses = served
    page.goto(server.url + addresses["new"])
    start = page.get_by_role("button", name="Start", exact=True)
    expect(start).to_be_visible(timeout=1000 * SECONDS)
    page.wait_for_function(SETTLED)
    main, steps = page.get_by_test_id("stMain"), page.locator(".st-key-step-line")
    for text in ("digits: ", "1,079 rows, label “label”"):
        line = page.locator("summary", has_text=text)
        expect(line).to_be_visible()
        assert line.locator("xpath=..").get_attribute("open") is None
        assert line.bounding_box()["height"] < 60
    for share in (0, 0.5, 1):
        main.evaluate("(element, share) => element.scrollTo(0, share * element.scrollHeight)", share)
        expect(start).to_be_in_viewport(ratio=1)
        expect(steps).to_be_in_viewport(ratio=1)


def test_an_address_leads_to_its_word_in_the_glossary(served: Any, page: Any) -> None:
    """The words come after the browser has looked for the anchor; Streamlit's sanitizer may drop an anchor's name."""
    server, _ = served
    page.goto(f"{server.url}glossary#deep-compression")
    page.wait_for_function("document.querySelector('article:target')?.id === 'deep-compression'")
    expect(page.get_by_role("heading", name="Deep Compression")).to_be_in_viewport()
    assert page.evaluate("[...document.querySelectorAll('article')].map(one => one.id)") == [
        word.slug for word in glossary()
    ]
    page.get_by_role("textbox", name="Search").fill("deep compression")
    page.get_by_role("textbox", name="Search").press("Enter")
    page.wait_for_function(f"document.querySelectorAll('article').length < {len(glossary())}")
    expect(page.get_by_role("textbox", name="Search")).to_be_in_viewport()
    expect(page.get_by_text(re.compile("the papers"))).to_be_attached()


def test_the_keyboard_alone_reaches_the_search_and_shows_where_it_is(served: Any, browser: Any) -> None:
    server, _ = served
    page = browser.new_page()
    page.goto(server.url)
    search = page.get_by_role("textbox", name="Search")
    expect(search).to_be_visible(timeout=1000 * SECONDS)
    for _ in range(30):
        page.keyboard.press("Tab")
        if search.evaluate("element => element === document.activeElement"):
            break
    else:
        pytest.fail("30 steps of the Tab key did not reach the search")
    page.keyboard.type("no such experiment")
    page.keyboard.press("Enter")
    expect(page.get_by_text("0 of 2 experiments")).to_be_visible(timeout=1000 * SECONDS)
    page.get_by_role("button", name=re.compile("New experiment")).focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    shadow = page.evaluate("getComputedStyle(document.activeElement).boxShadow")
    assert outline != "none" or shadow != "none", "the focus cannot be seen"
    page.close()


def test_figures_have_a_text_of_their_own(served: Any, browser: Any) -> None:
    """Every figure that the pages draw is drawn with `alt`."""
    root = Path(__file__).parents[2]
    bare = [
        f"{path.name}:{number}"
        for path in (*(root / "lwdash" / "ui").rglob("*.py"), *(root / "pages").glob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"\b(plotly_chart|show_figure|graphviz_chart)\(", line)
        and not line.startswith("def ")
        and "alt=" not in " ".join(path.read_text().splitlines()[number - 1 : number + 8])
    ]
    assert bare == []
