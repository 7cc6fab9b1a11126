"""Back and Forward through all pages: one entry a navigation, each with the page that was seen there; old links work."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import poll
from support.seeding import seed_experiment
from support.served import Dashboard

from storage.store import open_store

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """Experiment 1 has runs 1 to 3, experiment 2 runs 4 to 15: most numbers of runs are no experiment's."""
    home: Path = tmp_path_factory.mktemp("history")
    store = open_store(f"sqlite:///{home / 'lwdash.sqlite'}", str(home / "artifacts"), home / "cache")
    seed_experiment(store, "few beats", 3)
    seed_experiment(store, "many beats", 12)
    store.database.dispose()
    served = Dashboard(home)
    poll("the server answers", served.answers, 120)
    yield served
    served.stop()


def where(page: Any, server: Dashboard, address: str, words: str) -> None:
    """Waits until the browser is at `address` and the page there shows `words`."""
    expect(page).to_have_url(server.url + address)
    expect(page.get_by_test_id("stMain").get_by_text(words).first).to_be_visible()
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
    expect(page.get_by_text(re.compile("There is no (run|experiment)"))).to_have_count(0)


def test_back_and_forward_lead_through_all_pages(page: Any, server: Dashboard) -> None:
    bar, main = page.get_by_test_id("stHeader"), page.get_by_test_id("stMain")

    def link(name: str, place: Any = main) -> Any:
        return place.get_by_role("link", name=name, exact=True)

    steps = [
        (lambda: page.goto(server.url), "", "few beats"),
        (lambda: link("few beats").click(), "experiment?experiment=1", "Accuracy against size"),
        (lambda: link("Run", bar).click(), "run?run=15", "many beats"),
        (lambda: link("Run 14").click(), "run?run=14", "many beats"),
        (lambda: page.get_by_role("button", name="Edit recipe").click(),
         "experiment?experiment=2", "Recipes, one per line"),
        (lambda: link("Results", bar).click(), "experiment?experiment=2", "many beats"),
        (lambda: link("Glossary", bar).click(), "glossary", "Arena"),
        (lambda: link("System", bar).click(), "system", "Disk free"),
        (lambda: link("New experiment", bar).click(), "new", "1 · Model"),
        (lambda: link("Experiments", bar).click(), "", "few beats"),
        (lambda: page.get_by_role("button", name="New experiment").click(), "new", "1 · Model"),
    ]  # fmt: skip
    lengths = []
    for act, address, words in steps:
        act()
        where(page, server, address, words)
        lengths.append(page.evaluate("history.length"))
    is_same = [after[1] == before[1] for before, after in pairwise(steps)]
    expected = [lengths[0]]
    for same in is_same:  # a link to the page that is shown already is no navigation
        expected.append(expected[-1] + (0 if same else 1))
    assert lengths == expected, "each navigation is one entry"
    visited = [step for step, same in zip(steps[1:], is_same, strict=True) if not same]
    for _, address, words in [*visited[-2::-1], steps[0]]:
        page.go_back()
        where(page, server, address, words if words != "Recipes, one per line" else "many beats")
    for _, address, words in visited:
        page.go_forward()
        where(page, server, address, words if words != "Recipes, one per line" else "many beats")


def test_a_page_that_is_opened_without_a_number_takes_the_newest_and_no_further_entry(
    page: Any, server: Dashboard
) -> None:
    page.goto(server.url + "run")
    where(page, server, "run?run=15", "many beats")
    length = page.evaluate("history.length")
    page.goto(server.url + "experiment")
    where(page, server, "experiment?experiment=2", "many beats")
    assert page.evaluate("history.length") == length + 1


def test_links_of_older_versions_work_and_are_rewritten(page: Any, server: Dashboard) -> None:
    page.goto(server.url + "run?id=2")
    where(page, server, "run?run=2", "few beats")
    page.goto(server.url + "experiment?id=1&runs=1,2")
    expect(page).to_have_url(re.compile(r"experiment\?(runs=1%2C2&experiment=1|experiment=1&runs=1%2C2)$"))
    expect(page.get_by_text(re.compile("^2 selected"))).to_be_visible()
    page.go_back()
    where(page, server, "run?run=2", "few beats")


@pytest.mark.parametrize(
    ("address", "words"),
    [("run?run=999", "There is no run 999."), ("experiment?experiment=12", "There is no experiment 12."),
     ("run?experiment=2", None), ("experiment?run=2", None)],
)  # fmt: skip
def test_a_number_is_read_by_its_own_page_only(
    page: Any, server: Dashboard, address: str, words: str | None
) -> None:
    page.goto(server.url + address)
    main = page.get_by_test_id("stMain")
    if words:
        expect(main.get_by_text(words)).to_be_visible()
    else:
        expect(main.get_by_text("many beats").first).to_be_visible()
