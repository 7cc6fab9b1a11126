"""The results page in a real browser: one selection for chart, table and address; limits; tags; the report."""

import json
import re
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import poll
from sqlalchemy import update
from support.seeding import seed_experiment
from support.served import KEEPS_SCREENSHOTS, SCREENSHOTS, Dashboard, shoot

from browser.axes import names_apart
from browser.painted import DRAWN, RINGS, settled, tick, timed_clicks
from storage import annotations, run_rows
from storage.store import Store, open_store
from storage.tables import Run

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

PATIENCE = 240_000
"""Milliseconds that a step may take on a machine that does much else."""
expect.set_options(timeout=PATIENCE)
POINT = """run => {
  const figure = document.querySelector(".lwdash-figure"), { xaxis, yaxis } = figure._fullLayout;
  for (const trace of figure._fullData) {
    const i = trace.customdata ? [...trace.customdata].indexOf(run) : -1;
    if (i >= 0) {
      const box = figure.getBoundingClientRect();
      return [box.x + xaxis._offset + xaxis.d2p(trace.x[i]), box.y + yaxis._offset + yaxis.d2p(trace.y[i])];
    }
  }
}"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def store(home: Path) -> Iterator[Store]:
    """Experiments: 1 few (7 runs), 2 two hundred, 3 ten thousand, 4 all failed."""
    opened = open_store(f"sqlite:///{home / 'lwdash.sqlite'}", str(home / "artifacts"), home / "cache")
    for name, count in (("few", 7), ("two hundred", 200), ("ten thousand", 10_000), ("all failed", 3)):
        seed_experiment(opened, name, count, seed=count)
    gone = {"state": "failed", "error": "there was no memory left", "figures": None, "size_bytes": None}
    with opened.database.begin() as connection:
        connection.execute(update(Run).where(Run.experiment_id == 4).values(**gone))
    yield opened
    opened.database.dispose()


@pytest.fixture(scope="module")
def served(home: Path, store: Store) -> Iterator[Dashboard]:
    server = Dashboard(home)
    poll("the server answers", server.answers, 120)
    yield server
    assert "Traceback" not in server.log()
    server.stop()


@pytest.fixture
def visit(browser: Any, served: Dashboard) -> Iterator[Callable[..., Any]]:
    """visit("experiment?id=1"): the page as a new visitor sees it, painted."""
    contexts = []

    def open_page(address: str, *, width: int = 1280, dark: bool = False, has_chart: bool = True) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 1000},
            color_scheme="dark" if dark else "light",
            accept_downloads=True,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(served.url + address)
        if has_chart:
            page.wait_for_function(DRAWN)
        expect(page.get_by_test_id("stMain").get_by_text("More recipes for this experiment")).to_be_visible()
        settled(page)
        return page

    yield open_page
    for context in contexts:
        context.close()


def selected(page: Any, count: int) -> None:
    """Waits until the page says that so many runs are selected, and the chart rings those that it shows."""
    expect(page.get_by_text(re.compile(rf"^{count:,} selected"))).to_be_visible(timeout=PATIENCE)
    page.wait_for_function(f"{RINGS} === {count}")


def test_a_selection_is_one_for_chart_table_and_address(visit):
    page = visit("experiment?id=1")
    tick(page, 1)  # the recommended run, number 3, is above
    selected(page, 1)
    page.wait_for_url(re.compile(r"runs=1$"))
    page.evaluate("document.querySelector('.lwdash-figure').scrollIntoView({ block: 'center' })")
    x, y = page.evaluate(POINT, 3)
    page.mouse.move(x, y)
    expect(page.locator(".hoverlayer .hovertext")).to_be_visible()
    page.mouse.click(x, y)
    selected(page, 2)
    page.wait_for_url(re.compile(r"runs=1%2C3"))
    settled(page)
    shoot(page, "results selected")

    other = visit(page.url.split("/", 3)[3])
    selected(other, 2)
    other.get_by_test_id("stMain").get_by_role("link", name="Compare").click()
    other.wait_for_url(re.compile(r"compare\?"))
    expect(other.get_by_text(re.compile("Differences are to run 1"))).to_be_visible()
    expect(other.get_by_role("heading", name="Recipes")).to_be_visible()
    shoot(other, "results compared")

    page.go_back()
    selected(page, 1)
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.get_by_text(re.compile("Select runs with the boxes"))).to_be_visible()


WATCH_TABLE = """() => {
  const table = document.querySelector('[data-testid="stDataFrame"]');
  window.tops = [];
  const watch = () => {
    window.tops.push(table.isConnected ? table.getBoundingClientRect().top : NaN);
    requestAnimationFrame(watch);
  };
  watch();
}"""


@pytest.mark.parametrize("view", ["points", "parallel"])
@pytest.mark.parametrize("width", [1280, 390])
def test_ticking_boxes_moves_no_row(visit, view, width):
    page = visit(f"experiment?id=2&view={view}", width=width)
    page.get_by_test_id("stDataFrame").first.evaluate("table => table.scrollIntoView({ block: 'center' })")
    settled(page)
    page.evaluate(WATCH_TABLE)
    for count in (1, 2, 3):
        tick(page, count)
        expect(page.get_by_text(re.compile(rf"^{count:,} selected"))).to_be_visible()
        settled(page)
    tops = page.evaluate("window.tops")
    assert max(tops) - min(tops) == 0, "in every frame the table is where it was"
    page.wait_for_url(re.compile(r"runs=\d+%2C\d+%2C\d+"))
    runs = [int(run) for run in re.search(r"runs=([\d%C]+)", page.url)[1].split("%2C")]
    assert runs == sorted(runs), "the rows keep their order: the recommended run, then the oldest first"
    assert runs[-1] - runs[0] <= 3


def test_a_box_selects_what_is_in_it_and_shift_adds(visit):
    page = visit("experiment?id=2")
    chart = page.locator(".lwdash-figure").first
    chart.hover()
    chart.locator('[data-title="Box Select"]').click()
    area = chart.locator(".nsewdrag").bounding_box()

    def drag(left: float, right: float) -> int:
        before = page.evaluate(RINGS)
        page.mouse.move(area["x"] + left * area["width"], area["y"] + 10)
        page.mouse.down()
        page.mouse.move(area["x"] + right * area["width"], area["y"] + area["height"] - 10, steps=5)
        page.mouse.up()
        page.wait_for_function(f"{RINGS} !== {before}")
        count = page.evaluate(RINGS)
        selected(page, count)
        settled(page)
        return count

    left = drag(0.1, 0.5)
    page.keyboard.down("Shift")
    both = drag(0.5, 0.9)
    page.keyboard.up("Shift")
    right = drag(0.5, 0.9)
    assert both == left + right > left > 0


def test_axes_and_filters_are_in_the_address(visit):
    page = visit("experiment?id=2&x=gzip_bytes&y=speedup&colour=technique&log=x&with=prune&q=int8")
    expect(
        page.get_by_role("figure", name=re.compile("Speed-up against size gzipped for 40 runs"))
    ).to_be_visible()
    expect(page.get_by_role("textbox", name="Search")).to_have_value("int8")
    expect(page.get_by_text("40 of 200 runs match the filters")).to_be_visible()
    parallel = visit("experiment?id=2&view=parallel", dark=True)
    expect(
        parallel.get_by_role("figure", name=re.compile("Parallel coordinates of 196 runs"))
    ).to_be_visible()
    shoot(parallel, "results parallel dark")
    phone = visit("experiment?id=2&view=parallel", width=390)
    chart = phone.get_by_role("figure", name=re.compile("Parallel coordinates"))
    assert names_apart(chart) == names_apart(parallel.get_by_role("figure", name=re.compile("Parallel")))
    assert chart.evaluate("place => place.tabIndex === 0 && place.scrollWidth > place.clientWidth")
    main = phone.get_by_test_id("stMain")
    assert main.evaluate("element => element.scrollWidth - element.clientWidth") <= 0
    nonsense = visit("experiment?id=1&x=nonsense&runs=1,abc,99999&log=q&view=&state=dead")
    expect(nonsense.get_by_role("figure", name=re.compile("Accuracy against size"))).to_be_visible()
    selected(nonsense, 1)


def test_limits_are_set_on_the_page_and_name_the_best_run(visit, store):
    page = visit("experiment?id=1")
    page.get_by_role("button", name="Limits").click()
    field = page.get_by_role("spinbutton", name="Size of the .tflite, at most (kB)")
    field.fill("1")
    field.press("Tab")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("No run meets all of your limits")).to_be_visible()
    expect(page.get_by_text("0 of 6 meet size ≤ 1 kB")).to_be_visible()
    annotations.set_limits(store.database, 1, {"size_bytes": 95_000, "accuracy_drop": 0.2})
    page.reload()
    page.wait_for_function(DRAWN)
    expect(page.get_by_text(re.compile("Best under your limits"))).to_be_visible()
    names = page.evaluate("document.querySelector('.lwdash-figure').data.map(trace => trace.name)")
    assert "Best under the limits" in names
    settled(page)
    shoot(page, "results limits")


def test_runs_are_tagged_named_hidden_and_copied(visit, store):
    page = visit("experiment?id=2&runs=9")
    selected(page, 1)
    page.get_by_role("button", name="Title, tags, note").click()
    page.get_by_role("textbox", name="Title").fill("the <b>small</b> one")
    page.get_by_role("textbox", name="Note").fill("for the watch")
    page.get_by_role("button", name="Save", exact=True).last.click()
    poll(
        "the title is kept",
        lambda: run_rows.get_run(store.database, 9).title == "the <b>small</b> one",
        30,
    )
    annotations.add_tags(store.database, [9, 10], ["watch"])
    search = visit("experiment?id=2&q=watch")
    found = search.get_by_text("2 of 200 runs match the filters")

    def is_seen() -> bool:  # what another process wrote is seen within some seconds
        search.reload()
        search.wait_for_function(DRAWN)
        settled(search)
        return bool(found.is_visible())

    poll("the tags are seen", is_seen, 60)
    page.get_by_role("button", name="Hide", exact=True).click()
    poll("it is hidden", lambda: run_rows.get_run(store.database, 9).tags == ("watch", "hidden"), 30)
    expect(page.get_by_text("199 of 200 runs match the filters")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Edit recipes").click()
    expect(page.get_by_role("textbox", name="Recipes, one per line")).to_have_value(
        run_rows.get_run(store.database, 9).recipe
    )


def test_failed_runs_say_why_and_are_tried_again_together(visit, store):
    page = visit("experiment?id=4&runs=10208,10209,10210", has_chart=False)
    expect(page.get_by_text(re.compile("Runs 10208, 10209, 10210 failed"))).to_be_visible()
    shoot(page, "results all failed")
    page.get_by_role("button", name="Try again (3)").click()
    poll(
        "all are tried again",
        lambda: all(run_rows.get_run(store.database, i).attempt > 1 for i in (10208, 10209, 10210)),
        30,
    )


def test_the_report_is_one_file_that_works_without_a_network(visit, browser, tmp_path):
    page = visit("experiment?id=1&runs=1,2,3")
    selected(page, 3)
    for label, ending in (("Report (HTML)", "html"), ("Table (CSV)", "csv"), ("Table (JSON)", "json")):
        page.get_by_role("button", name="Export").click()
        with page.expect_download() as download:
            page.get_by_role("button", name=label, exact=True).click()
        download.value.save_as(tmp_path / f"taken.{ending}")
        page.keyboard.press("Escape")
    rows = json.loads((tmp_path / "taken.json").read_text(encoding="utf-8"))
    assert [row["id"] for row in rows] == [1, 2, 3]
    assert (tmp_path / "taken.csv").read_text(encoding="utf-8").count("\n") == 4

    for scheme in ("light", "dark"):
        context = browser.new_context(
            offline=True, color_scheme=scheme, viewport={"width": 1280, "height": 1000}, accept_downloads=True
        )
        report = context.new_page()
        asked, faults = [], []
        report.on("request", lambda request: asked.append(request.url))  # noqa: B023
        report.on("pageerror", lambda fault: faults.append(str(fault)))  # noqa: B023
        report.goto((tmp_path / "taken.html").as_uri())
        figures = report.locator(".drawing")
        assert figures.count() > 2
        for figure in figures.all():  # each is drawn when it comes into sight
            figure.scroll_into_view_if_needed()
            figure.locator("svg").first.wait_for()
        assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
        assert faults == []
        expect(report.get_by_role("heading", name="few", level=1)).to_be_visible()
        tables = []
        for button in report.get_by_role("button", name="CSV").all():
            with report.expect_download() as saved:
                button.click()
            tables.append(saved.value.path().read_text(encoding="utf-8"))
        assert any(table.startswith("id,recipe,") for table in tables)
        if KEEPS_SCREENSHOTS:
            report.screenshot(path=SCREENSHOTS / f"report-{scheme}.png", full_page=True)
        context.close()


@pytest.mark.parametrize("experiment", [2, 3])
def test_how_long_it_takes_from_a_click_to_the_painted_page(visit, experiment):
    began = time.monotonic()
    page = visit(f"experiment?id={experiment}")
    print(f"\nexperiment {experiment}: first painted after {time.monotonic() - began:.2f} s")
    shoot(page, f"results {experiment}")
    seconds: dict[str, list[float]] = {}
    for what, took in timed_clicks(page):
        seconds.setdefault(what, []).append(took)
    for what, times in seconds.items():
        print(f"experiment {experiment}: {what}, median {statistics.median(times):.2f} s {times}")
    expect(page.get_by_text(re.compile("^5 selected"))).to_be_visible()


def test_a_phone_shows_the_results_without_scrolling_sideways(visit):
    phone = visit("experiment?id=2&runs=8,9", width=390, dark=True)
    expect(phone.get_by_text(re.compile("^2 selected"))).to_be_visible(timeout=PATIENCE)
    settled(phone)
    main = phone.get_by_test_id("stMain")
    assert main.evaluate("element => element.scrollWidth - element.clientWidth") <= 0
    shoot(phone, "results phone dark")
