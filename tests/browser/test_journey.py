"""What a new user does, in a real browser against the real server: from two files to a smaller one."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import poll
from support.seeding import seed_experiment
from support.served import Dashboard, shoot

from lwdash.examples import find_example
from storage.store import open_store

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
expect.set_options(timeout=30_000)

ROW_PIXELS = 35
MINUTES = 60_000


@pytest.fixture
def page(page: Any) -> Any:
    """A visitor who notes what goes to any other host."""
    page.elsewhere = []
    page.on("request", lambda request: page.elsewhere.append(request.url) if "127.0.0.1" not in request.url
            and request.url.startswith("http") else None)  # fmt: skip
    return page


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journey") / "home"


def started(home: Path, **variables: str) -> Dashboard:
    server = Dashboard(home, **variables)
    poll("the server answers", server.answers, 60)
    return server


def choose(page: Any, label: str, path: Path) -> None:
    page.get_by_role("group", name=label).locator("input[type=file]").set_input_files(path)


def cell(page: Any, text: str) -> Any:
    """A cell of the table of runs, in the copy of it that is there for screen readers."""
    table = page.get_by_role("region", name="runs with their metrics")
    return table.locator("[role=gridcell]", has_text=re.compile(f"^(★ )?{text}$"))


def select_row(page: Any, recipe: str) -> None:
    """Ticks a run in the table; its cells are painted, so the place is computed from the copy for screen readers."""
    row = cell(page, recipe).first.locator("xpath=ancestor::*[@role='row'][1]")
    number = int(row.get_attribute("aria-rowindex")) - 2
    table = page.get_by_test_id("stDataFrame").first
    table.click(position={"x": 17, "y": ROW_PIXELS * (number + 1.5)})


def painted(page: Any, last: str) -> None:
    """Waits until what the page ends with is there and nothing is left to be drawn."""
    expect(page.get_by_test_id("stMain").get_by_text(last).first).to_be_visible()
    for unfinished in ("[data-stale=true]", "[data-testid=stSkeleton]"):
        expect(page.locator(unfinished)).to_have_count(0)


def test_from_two_files_to_a_smaller_one(home, page):
    example = find_example("digits")
    began = time.monotonic()
    server = started(home, LWDASH_JOB_MEMORY="8000")
    try:
        page.goto(server.url)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        print(f"server start to first painted page: {time.monotonic() - began:.1f} s")
        shoot(page, "1 empty")

        page.get_by_test_id("stMain").get_by_role("button", name="New experiment").click()
        choose(page, "Keras model", example.model_path)
        expect(page.get_by_text("21,546")).to_be_visible(timeout=MINUTES)
        expect(page.get_by_text("input image (8, 8, 1) float32")).to_be_visible()
        choose(page, "Samples", example.data_path)
        page.get_by_text(re.compile("^1,079 rows, label")).click(
            timeout=MINUTES
        )  # they fold when they are checked
        expect(page.get_by_text("1,079", exact=True)).to_be_visible(timeout=MINUTES)
        expect(page.get_by_text("Rows of each class")).to_be_visible()
        expect(page.get_by_text("Label mapping: 0 → output 0")).to_be_visible()
        expect(page.get_by_text("Few evaluation rows")).to_be_visible(timeout=MINUTES)
        expect(page.get_by_text("to set the ranges of integers")).to_be_visible()
        limit = page.get_by_label("Size of the .tflite, at most (kB)", exact=True)
        limit.fill("60")
        limit.press("Enter")
        expect(page).to_have_url(re.compile("size_bytes=60"))
        shoot(page, "2 files")

        draft = page.url
        page.get_by_role("link", name="Experiments").click()
        expect(page.get_by_role("heading", name="How small can your model get")).to_be_visible()
        page.get_by_role("link", name="New experiment").first.click()
        expect(limit).to_have_value("60", timeout=MINUTES)
        page.goto(draft)  # a new session, which knows the address only
        expect(limit).to_have_value("60", timeout=MINUTES)
        expect(page.get_by_text("digits.keras")).to_be_visible()

        recipes = page.get_by_role("textbox", name="Recipes, one per line")
        recipes.fill("flot16\nint8")
        recipes.press("Control+Enter")
        expect(page.get_by_text("there is no technique 'flot16'")).to_be_visible()
        expect(page.get_by_role("button", name="Start", exact=True)).to_be_disabled()
        recipes.fill("float16\nint8")
        recipes.press("Control+Enter")
        expect(page.get_by_text("2 recipes and the float32 baseline")).to_be_visible()
        page.get_by_role("textbox", name="Name of the experiment").fill("My digits")
        page.get_by_role("button", name="Start", exact=True).click()

        expect(page.get_by_role("heading", name="My digits")).to_be_visible()
        expect(page.get_by_text(re.compile(r"\d running, \d waiting"))).to_be_visible()
        expect(page.get_by_role("progressbar").first).to_be_visible()
        shoot(page, "3 running")
        expect(page.get_by_text("Accuracy against size of the .tflite")).to_be_visible(timeout=3 * MINUTES)
        expect(page.get_by_text(re.compile(r"\d running"))).to_be_hidden(timeout=3 * MINUTES)
        expect(cell(page, "int8")).to_be_attached()
        address = page.url

        page.reload()  # the end of the last run draws the page anew, maybe under the pointer
        painted(page, "More recipes for this experiment")
        select_row(page, re.escape("float32  (baseline)"))
        expect(page.get_by_text("1 selected")).to_be_visible()
        select_row(page, "int8")
        page.get_by_test_id("stMain").get_by_role("link", name="Compare").click()
        expect(page.get_by_text(re.compile("Differences are to run"))).to_be_visible()
        expect(page.get_by_text(re.compile(", layer by layer")).first).to_be_visible()
        shoot(page, "4 compared")

        link = page.get_by_test_id("stMain").get_by_role("link", name=".tflite").last
        with page.expect_download() as download:
            page.evaluate("address => { location.href = address }", link.get_attribute("href"))
        assert download.value.suggested_filename == "My-digits-int8-run3.tflite"
        saved = download.value.path().read_bytes()
        assert saved[4:8] == b"TFL3"
        assert len(saved) < example.model_path.stat().st_size / 2

        page.goto(f"{server.url}run?id=3")
        expect(page.get_by_role("heading", name=re.compile(r"\d\.\d\d× smaller"))).to_be_visible()
        shoot(page, "5 run")

        page.goto(address)
        page.get_by_text("Let lwdash search for recipes").click()
        budget = page.get_by_role("spinbutton", name="Maximum runs")
        budget.fill("2")
        budget.press("Enter")
        expect(page.get_by_text("The search looks for runs that meet your limits")).to_be_visible()
        page.get_by_role("button", name="Search", exact=True).click()
        expect(page.get_by_text("Searching for the smallest .tflite")).to_be_visible()
        expect(page.get_by_text("all 2 runs were made")).to_be_visible(timeout=3 * MINUTES)
        expect(page.get_by_role("figure", name=re.compile("^2 runs of the search"))).to_be_visible()
        expect(cell(page, re.escape("qat + int8"))).to_be_attached()
        shoot(page, "6 searched")
    finally:
        server.stop()

    server = started(home)
    try:
        page.goto(address.replace(address.split("/")[2], f"127.0.0.1:{server.port}"))
        expect(page.get_by_role("heading", name="My digits")).to_be_visible()
        expect(cell(page, "int8")).to_be_attached()
        expect(page.get_by_text("Accuracy against size of the .tflite")).to_be_visible()
        assert "Traceback" not in server.log()
        assert page.elsewhere == []
    finally:
        server.stop()


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A server with two experiments, one of them large and with failed runs."""
    home = tmp_path_factory.mktemp("seeded")
    store = open_store(f"sqlite:///{home / 'lwdash.sqlite'}", str(home / "artifacts"), home / "cache")
    seed_experiment(store, "small", 2)
    seed_experiment(store, "large", 200)
    store.database.dispose()
    server = started(home)
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("address", "heading", "last"),
    [
        ("", "Experiments", "Examples"),
        ("new", "New experiment", "Browse files"),
        ("experiment", "large", "More recipes for this experiment"),
        ("experiment?id=1", "small", "More recipes for this experiment"),
        ("experiment?id=999", "Results", "All experiments"),
        ("run", "cluster(clusters=16) + int8", "Log"),
        ("run?id=1", "float32", "Log"),
        ("run?id=52", "cluster(clusters=16) + int8", "Log"),
        ("run?id=nonsense", "Run", "All experiments"),
        ("?search=small&order=name", "Experiments", "1 of 2 experiments"),
        ("glossary", "Glossary", "1,000 bytes"),
        ("glossary?term=prune", "Glossary", "add sparse as the last step"),
    ],
)
def test_each_page_opens_cold_from_its_address(seeded, page, address, heading, last):
    page.goto(seeded.url + address)
    expect(page.get_by_role("heading", level=1, name=heading)).to_be_visible()
    expect(page.get_by_role("link", name="New experiment").first).to_be_visible()
    painted(page, last)
    assert page.get_by_test_id("stException").count() == 0
    assert "Traceback" not in seeded.log()
    assert page.elsewhere == []
    shoot(page, f"cold {address or 'overview'}")


def test_a_phone_in_the_dark_shows_every_page_without_scrolling_sideways(seeded, browser):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    phone = context.new_page()
    ends = {
        "": "Examples",
        "new": "Browse files",
        "glossary": "1,000 bytes",
        "experiment?id=1": "More recipes",
        "run?id=2": "Log",
    }
    for address, last in ends.items():
        phone.goto(seeded.url + address)
        painted(phone, last)
        shoot(phone, f"phone {address or 'overview'}")
        main = phone.get_by_test_id("stMain")
        assert main.evaluate("element => element.scrollWidth - element.clientWidth") <= 0, address
    context.close()
