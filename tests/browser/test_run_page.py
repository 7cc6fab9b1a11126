"""A run's page in a real browser: its tabs and their addresses, one click to the next run, what one takes away."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import poll
from sqlalchemy import update
from support.measure_models import dense_model, int8_dense_model
from support.seeding import seed_experiment
from support.served import Dashboard, shoot

from lwdash.measure.layers import layer_table
from lwdash.tflite.reader import read_tflite
from storage.store import Store, open_store
from storage.tables import Run, RunDetail

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
expect.set_options(timeout=60_000)

FLOAT, INT8, FAILED = 1, 2, 50
LOSSY = {
    "verdict": "worse",
    "verdict_text": "Worse: accuracy fell by 5.0 points.",
    "accuracy": 0.90,
    "sqnr_db": 21.0,
}


def seed(home: Path) -> None:
    """Fifty ended runs; the second is an int8 file whose layer, figures and bytes are of a real one."""
    store = open_store(f"sqlite:///{home / 'lwdash.sqlite'}", str(home / "artifacts"), home / "cache")
    seed_experiment(store, "my beats", 50)
    kernel = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    stored = np.round(kernel * 40).astype(np.int8)
    run = int8_dense_model(
        stored, np.zeros(3, np.int32), np.full(3, 1 / 40), input_scale=0.1, input_zero_point=0, output_scale=0.1,
        output_zero_point=0,
    )  # fmt: skip
    _set(store, FLOAT, "float32", dense_model(kernel, np.zeros(3, np.float32)), None, {})
    _set(store, INT8, "int8", run, dense_model(kernel, np.zeros(3, np.float32)), LOSSY)
    store.database.dispose()


def _set(store: Store, run_id: int, recipe: str, data: bytes, baseline: bytes | None, figures: Any) -> None:
    """Gives a seeded run a real file, with its layers as they are measured."""
    table = layer_table(read_tflite(data), ["dense"])
    rows = [{**row, "output_sqnr_db": 21.0, "time_share": 1.0, "ms": 0.002} for row in table.rows]
    measured = {"layers": rows, "ledger": dict(table.ledger.by_category), "classes": ["N", "V", "X"],
                "confusion": [[9, 1, 0], [0, 8, 2], [0, 0, 5]], "baseline_confusion": [[10, 0, 0], [0, 9, 1], [0, 0, 5]],
                "flips": []}  # fmt: skip
    stages = [
        {"name": "int8", "seconds": 0.2, "cached": False, "peak_memory_mb": 90, "facts": {"sqnr_db": 21.0}}
    ]
    put = store.artifacts.put_bytes
    with store.database.begin() as connection:
        known = connection.execute(Run.__table__.select().where(Run.id == run_id)).mappings().one()
        whole = {**known["figures"], "size_bytes": len(data), "agreement": 0.96, **table.totals(), **figures}
        values = {
            "tflite_sha256": put(data),
            "baseline_sha256": put(baseline or data),
            "size_bytes": len(data),
        }
        accuracy = whole["accuracy"]
        connection.execute(
            update(Run)
            .where(Run.id == run_id)
            .values(recipe=recipe, figures=whole, accuracy=accuracy, **values)
        )
        connection.execute(
            update(RunDetail)
            .where(RunDetail.run_id == run_id)
            .values(measured=measured, compressed={"stages": stages, "skipped": []})
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    home = tmp_path_factory.mktemp("run-page")
    seed(home)
    served = Dashboard(home)
    poll("the server answers", served.answers, 120)
    yield served
    served.stop()


def opened(page: Any, server: Dashboard, address: str) -> Any:
    page.goto(server.url + address)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    return page.get_by_test_id("stMain")


def test_the_overview_says_what_it_cost_and_starts_the_next_run_with_one_click(server, page):
    main = opened(page, server, f"run?id={INT8}")
    expect(page.get_by_role("heading", name=re.compile(r"\d\.\d\d× smaller"))).to_be_visible()
    expect(main.get_by_text("Worse: accuracy fell by 5.0 points.")).to_be_visible()
    expect(main.get_by_text("Integer throughout")).to_be_visible()
    expect(main.get_by_text("Keep dense in 16 bit", exact=True)).to_be_visible()
    expect(main.get_by_text("mixed(default=int8, dense=int16x8)")).to_be_visible()
    shoot(page, "run overview")
    main.get_by_role("button", name="Run it").first.click()
    expect(main.get_by_text("Run 51 is queued")).to_be_visible()
    main.get_by_role("link", name="Open it").click()
    expect(page.get_by_role("heading", level=1, name="mixed(default=int8, dense=int16x8)")).to_be_visible()
    page.wait_for_url(re.compile("run=51"))
    opened(page, server, f"run?id={INT8}")
    expect(main.get_by_role("heading", name="What to try next")).to_be_visible()


def test_the_open_tab_is_in_the_address_and_back_leads_to_the_page_before(server, page):
    """Changing tabs leaves no trail of addresses: one step back is the page that one came from."""
    opened(page, server, f"run?id={FLOAT}")
    main = opened(page, server, f"run?id={INT8}&tab=Bytes")
    expect(main.get_by_text("Bytes of the file")).to_be_visible()
    expect(main.get_by_text("The categories sum to the file's")).to_be_visible()
    shoot(page, "run bytes")
    main.get_by_role("tab", name="Layers").click()
    expect(main.get_by_text("Bytes in the file, layer by layer")).to_be_visible()
    assert "tab=Map" in page.url
    assert "section=Layers" in page.url
    expect(page.locator("[role=gridcell]", has_text="FULLY_CONNECTED").first).to_be_attached()
    expect(main.get_by_text("Bytes of the file")).to_have_count(0)
    shoot(page, "run layers")
    page.reload()
    expect(main.get_by_role("tab", name="Layers")).to_have_attribute("aria-selected", "true")
    page.go_back()
    expect(page.get_by_role("heading", level=1, name="float32")).to_be_visible()
    page.wait_for_url(re.compile(f"run={FLOAT}"))


def test_graph_treemap_and_table_select_each_other(server, page):
    main = opened(page, server, f"run?id={INT8}&tab=Map")
    graph = main.locator(".lwdash-graph")
    expect(graph.locator(".box")).to_have_count(3)
    expect(graph.locator("tspan", has_text="1×8 int8").first).to_be_visible()
    main.get_by_role("combobox", name="Colour by").click()
    page.get_by_role("option", name="Output SQNR").click()
    expect(graph.locator("tspan", has_text="21.0 dB")).to_be_visible()
    operator = graph.locator(".box[role=button]")
    expect(operator).to_have_count(1)
    expect(main.get_by_text("No layer is selected")).to_be_visible()
    operator.focus()
    page.keyboard.press("Enter")
    expect(operator).to_have_attribute("aria-pressed", "true")
    expect(main.get_by_role("table").get_by_text("1×8 int8 (from in:0)")).to_be_visible()
    expect(main.locator(".lwdash-layers tr[aria-current=true]")).to_have_count(1)
    expect(main.locator(".lwdash-layers .tile")).to_have_attribute("aria-pressed", "true")
    page.wait_for_url(re.compile("layer=dense"))
    shoot(page, "run map")
    page.goto(page.url)
    expect(operator).to_have_attribute("aria-pressed", "true")
    main.get_by_role("searchbox", name="Find in the graph").fill("fully")
    expect(graph.get_by_text("1 of 1")).to_be_visible()
    drawn = graph.locator(".picture > g")
    before = drawn.get_attribute("transform")
    graph.locator(".stage").evaluate("stage => stage.scrollIntoView({ block: 'center' })")
    frame = graph.locator(".stage").bounding_box()
    page.mouse.move(frame["x"] + 40, frame["y"] + 300)
    page.mouse.down()
    page.mouse.move(frame["x"] + 90, frame["y"] + 340, steps=4)
    page.mouse.up()
    expect(drawn).not_to_have_attribute("transform", before)
    moved = drawn.get_attribute("transform")
    page.mouse.wheel(0, -300)
    expect(drawn).not_to_have_attribute("transform", moved)
    for format, start in (("SVG", b"<svg"), ("PNG", b"\x89PNG")):
        with page.expect_download() as saved:
            graph.get_by_role("button", name=f"Save as {format}").click()
        assert saved.value.suggested_filename == f"lwdash-run-{INT8}-graph.{format.lower()}"
        assert saved.value.path().read_bytes().startswith(start)


def test_the_baselines_graph_is_drawn_beside_with_the_differences_and_the_same_selection(server, page):
    main = opened(page, server, f"run?id={INT8}&tab=Map")
    main.get_by_text("Side by side", exact=True).click()
    graphs = main.locator(".lwdash-graph")
    expect(graphs).to_have_count(2)
    before, own = (graphs.nth(i).locator(".box[role=button]") for i in (0, 1))
    expect(own.locator("tspan", has_text="other types")).to_be_visible()
    before.focus()
    page.keyboard.press("Enter")
    for operator in (before, own):
        expect(operator).to_have_attribute("aria-pressed", "true")
    page.wait_for_url(re.compile(r"layer=dense.*file=Side|file=Side.*layer=dense"))
    page.goto(page.url)
    expect(graphs).to_have_count(2)
    expect(own).to_have_attribute("aria-pressed", "true")


def test_weights_are_drawn_beside_the_baselines_and_predictions_as_a_matrix(server, page):
    main = opened(page, server, f"run?id={INT8}&tab=Weights")
    expect(main.get_by_text("24 weights, int8")).to_be_visible()
    expect(main.get_by_text("baseline, before the recipe")).to_be_visible()
    expect(main.locator(".js-plotly-plot")).to_have_count(1)
    shoot(page, "run weights")
    main.get_by_role("tab", name="Predictions").click()
    expect(main.get_by_role("heading", name="Confusion matrix")).to_be_visible()
    shoot(page, "run predictions")


def test_the_files_to_take_away_come_with_their_names(server, page):
    main = opened(page, server, f"run?id={INT8}")
    main.get_by_role("button", name="More downloads").click()
    names = {"Source (.cc)": "my_beats_run2.cc", "Header (.h)": "my_beats_run2.h", "Capsule (.zip)": None}
    for label, name in names.items():
        link = page.get_by_role("link", name=label)
        with page.expect_download() as download:
            page.evaluate("address => { location.href = address }", link.get_attribute("href"))
        assert download.value.suggested_filename == (name or "my-beats-int8-run2-capsule.zip")
        content = download.value.path().read_bytes()
        assert {"c": b"g_my_beats[] = {", "h": b"extern const", "p": b"capsule.json"}[
            download.value.suggested_filename[-1]
        ] in content


def test_a_failed_run_says_why_and_keeps_what_there_is(server, page):
    main = opened(page, server, f"run?id={FAILED}")
    expect(main.get_by_text("it failed <b>on purpose</b> *here*")).to_be_visible()
    expect(main.get_by_role("button", name="Try again")).to_be_visible()
    expect(main.get_by_role("heading", name="Stages")).to_be_visible()
    expect(main.get_by_role("heading", name="Log")).to_be_visible()
    assert main.get_by_role("tab").count() == 0
    assert page.get_by_test_id("stException").count() == 0


def test_a_phone_in_the_dark_shows_every_tab_without_scrolling_sideways(server, browser):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    phone = context.new_page()
    phone.set_default_timeout(60_000)
    ends = {"Overview": "What to try next", "Bytes": "The categories sum", "Layers": "SQNR is the ratio",
            "Weights": "24 weights", "Map&layer=dense": "24 weights", "Stages and log": "1 stage,"}  # fmt: skip
    for tab, last in ends.items():
        phone.goto(f"{server.url}run?id={INT8}&tab={tab}")
        main = phone.get_by_test_id("stMain")
        expect(main.get_by_text(last).first).to_be_visible()
        shoot(phone, f"run phone {tab}")
        assert main.evaluate("element => element.scrollWidth - element.clientWidth") <= 0, tab
    context.close()
    assert "Traceback" not in server.log()
