"""The report on a phone: one file, opened from a folder."""

from pathlib import Path
from typing import Any

import pytest
from support.seeding import seed_experiment

from browser.axes import names_apart
from lwdash.charts.tradeoff.tradeoff_axes import TradeoffAxes
from lwdash.metrics.run_metrics import ACCURACY, MEASURES, SIZES
from lwdash.ui.results.experiment_report import report_of
from lwdash.ui.results.run_frame import results_frame
from storage import experiments
from storage.store import Store

pytest.importorskip("playwright.sync_api")


def test_a_phone_scrolls_the_table_of_runs_and_keeps_sight_of_the_run(
    sqlite_store: Store, browser: Any, tmp_path: Path
) -> None:
    number = seed_experiment(sqlite_store, "beats", 12)
    experiment = experiments.get_experiment(sqlite_store.database, number)
    assert experiment is not None
    axes = TradeoffAxes(SIZES[0], ACCURACY, MEASURES["speedup"])
    path = tmp_path / "report.html"
    path.write_text(report_of(sqlite_store, experiment, results_frame(sqlite_store, number), axes), "utf-8")
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(path.as_uri())
    page.wait_for_selector(".drawing svg")
    assert page.locator(".parcoords").count() == 0, "figures out of sight are drawn later"
    for place in page.locator(".drawing").all():
        place.scroll_into_view_if_needed()
        place.locator("svg").first.wait_for()
    page.wait_for_selector(".parcoords .axis-title")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    table = page.get_by_role("region", name="runs")
    at = "(table, i) => table.querySelector('tbody tr').children[i].getBoundingClientRect().left"
    before = [table.evaluate(at, i) for i in (0, 2)]
    table.evaluate("table => { table.scrollLeft = 300 }")
    assert [table.evaluate(at, i) for i in (0, 2)] == [before[0], before[1] - 300]
    assert table.get_by_role("rowheader").first.inner_text() == "1"
    assert names_apart(page.locator(".drawing:has(.parcoords)")) == 7
    page.close()
