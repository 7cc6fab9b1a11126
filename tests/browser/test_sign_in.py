"""The sign-in, privacy and share links as people see them, in a real browser, with a real provider."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import poll
from server.provider import Provider, secrets_for
from sqlalchemy import update
from support.seeding import seed_experiment
from support.served import Dashboard, shoot

from storage import annotations, experiments, run_rows, sharing
from storage.store import Store, open_store
from storage.tables import Run

expect = pytest.importorskip("playwright.sync_api").expect

expect.set_options(timeout=60_000)

COOKIE_SECRET = "another one not to be guessed " * 2
HOSTILE = "<img src=x onerror=window.hit=1> **b** [l](https://evil.example) www.evil.example :red[r] $x$ &lt;"
ADA, BOB = "ada@example.org", "bob@example.org"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    made = Provider().start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("team")


@pytest.fixture(scope="module")
def store(home: Path) -> Store:
    """Experiment 1 is Ada's and private, 2 is Ada's and open, 3 and 4 are nobody's; each has three runs."""
    made = open_store(f"sqlite:///{home / 'lwdash.sqlite'}", str(home / "artifacts"), home / "cache")
    for name in ("secret beats", "open beats", "old beats", HOSTILE):
        seed_experiment(made, name, 3)
    annotations.set_title(made.database, 11, HOSTILE)
    annotations.set_note(made.database, 11, HOSTILE)
    annotations.add_tags(made.database, [11], ["<b>tag</b>"])
    broken = {"state": "failed", "error": HOSTILE}
    with made.database.begin() as connection:
        connection.execute(update(Run).where(Run.id == 12).values(broken))
    sharing.set_private(made.database, 1, True, ADA)
    sharing.set_private(made.database, 2, False, ADA)
    return made


@pytest.fixture(scope="module")
def dashboard(home: Path, store: Store, provider: Provider) -> Iterator[Dashboard]:
    served = Dashboard(home, secrets=lambda port: secrets_for(provider, port, COOKIE_SECRET))
    try:
        poll("the server answers", served.answers)
        yield served
    finally:
        served.stop()


def sign_in(page: Any, dashboard: Dashboard, email: str, path: str = "") -> None:
    page.goto(dashboard.url + path)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("E-mail").fill(email)
    page.get_by_role("button", name="Continue").click()


@pytest.mark.parametrize("path", ["", "new", "experiment?id=2", "run?id=4", "system", "account", "nowhere"])
def test_every_page_asks_for_the_sign_in_first(page: Any, dashboard: Dashboard, path: str) -> None:
    page.goto(dashboard.url + path)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_test_id("stMain")).not_to_contain_text("beats")
    expect(page.get_by_text("Experiments", exact=True)).to_have_count(0)


def test_a_person_signs_in_sees_what_is_theirs_or_open_and_leaves(page: Any, dashboard: Dashboard) -> None:
    page.goto(dashboard.url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    shoot(page, "sign in")
    sign_in(page, dashboard, BOB)
    main = page.get_by_test_id("stMain")
    expect(main.get_by_text("open beats", exact=True)).to_be_visible()
    expect(main.get_by_text("secret beats")).to_have_count(0)

    page.goto(dashboard.url + "experiment?id=1")
    expect(page.get_by_text("There is no experiment 1")).to_be_visible()
    page.goto(dashboard.url + "run?id=1")
    expect(page.get_by_text("There is no run 1")).to_be_visible()

    page.goto(dashboard.url + "experiment?id=2")
    expect(page.get_by_role("heading", name="open beats")).to_be_visible()
    expect(page.get_by_text("More recipes for this experiment")).to_have_count(0)
    page.goto(dashboard.url + "experiment?id=3")
    expect(page.get_by_text("More recipes for this experiment")).to_be_visible()

    page.goto(dashboard.url + "account")
    expect(page.get_by_text(BOB)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Signed out")).to_be_visible()
    page.goto(dashboard.url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_after_the_sign_in_comes_the_page_that_was_asked_for(page: Any, dashboard: Dashboard) -> None:
    sign_in(page, dashboard, BOB, "experiment?id=2")
    expect(page.get_by_role("heading", name="open beats")).to_be_visible()
    expect(page).to_have_url(f"{dashboard.url}experiment?experiment=2")


def test_a_share_link_shows_one_experiment_and_is_dead_once_revoked(
    page: Any, browser: Any, dashboard: Dashboard, store: Store
) -> None:
    with store.database.begin() as connection:
        connection.execute(update(Run).where(Run.id == 3).values(state="failed", error="it broke"))
    sign_in(page, dashboard, ADA, "experiment?id=1")
    expect(page.get_by_role("heading", name="secret beats")).to_be_visible()
    page.get_by_role("button", name="Share").click()
    page.get_by_role("button", name="Make a share link").click()
    link = page.get_by_role("dialog", name="Share").get_by_test_id("stCode")
    expect(link).to_contain_text("share=")
    address = link.inner_text().strip()
    assert address.startswith(f"{dashboard.url}experiment?experiment=1&share=")
    shoot(page, "share link")

    context = browser.new_context()
    guest = context.new_page()
    guest.set_default_timeout(60_000)
    guest.goto(address)
    main = guest.get_by_test_id("stMain")
    expect(guest.get_by_role("heading", name="secret beats")).to_be_visible()
    expect(guest.get_by_text("This experiment was shared with you")).to_be_visible()
    expect(guest.get_by_text("More recipes for this experiment")).to_have_count(0)
    expect(guest.get_by_role("button", name="Share")).to_have_count(0)
    shoot(guest, "shared experiment")
    token = address.rpartition("share=")[2]
    for run, words in ((1, "float32"), (3, "it broke")):
        guest.goto(f"{dashboard.url}run?id={run}&share={token}")
        expect(main.get_by_text(words).first).to_be_visible()
        for verb in ("Try again", "Cancel", "Start"):
            expect(guest.get_by_role("button", name=verb)).to_have_count(0)
    guest.goto(f"{dashboard.url}run?id=1&share={token}")
    with guest.expect_download() as download:
        guest.get_by_role("link", name=re.compile("Download")).first.click()
    assert Path(download.value.path()).read_bytes() == b"not a model, but a file to download"
    for path, words in (
        (f"experiment?id=2&share={token}", "There is no experiment 2"),
        (f"run?id=4&share={token}", "There is no run 4"),
    ):
        guest.goto(dashboard.url + path)
        expect(guest.get_by_text(words)).to_be_visible()
    for path in ("", "new", "system"):
        guest.goto(f"{dashboard.url}{path}?share={token}")
        expect(guest.get_by_text("This experiment was shared with you")).to_be_visible()
        expect(main).not_to_contain_text("open beats")

    guest.goto(address)
    expect(guest.get_by_role("heading", name="secret beats")).to_be_visible()
    page.get_by_role("button", name="Revoke the link").click()
    expect(page.get_by_role("button", name="Make a share link")).to_be_visible()
    expect(guest.get_by_text("This share link no longer works")).to_be_visible()
    expect(main).not_to_contain_text("secret beats")
    guest.goto(address)
    expect(guest.get_by_text("This share link no longer works")).to_be_visible()
    context.close()


def test_what_a_person_starts_is_theirs(page: Any, dashboard: Dashboard, store: Store) -> None:
    sign_in(page, dashboard, BOB, "experiment?id=3")
    page.get_by_text("More recipes for this experiment").click()
    recipes = page.get_by_role("textbox", name="Recipes, one per line")
    recipes.fill("weight_only")
    recipes.press("Control+Enter")
    page.get_by_role("button", name="Start", exact=True).click()

    def newest() -> Any:
        return run_rows.get_run(store.database, 13)

    assert poll("the run is there", newest).owner == BOB
    assert experiments.get_experiment(store.database, 3).owner is None


@pytest.mark.parametrize("path", ["", "experiment?id=4", "run?id=11", "run?id=12", "system"])
def test_names_and_notes_stay_text(page: Any, dashboard: Dashboard, path: str) -> None:
    """HTML, Markdown, links, colours and formulas in what people write are shown letter by letter."""
    sign_in(page, dashboard, BOB)
    expect(page.get_by_test_id("stMain").get_by_role("heading").first).to_be_visible()
    page.goto(dashboard.url + path)
    main = page.get_by_test_id("stMain")
    expect(main.get_by_role("heading").first).to_be_visible()
    if path != "system":
        expect(main.get_by_text("<img src=x onerror=window.hit=1> **b** [l](").first).to_be_visible()
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
    assert page.evaluate("window.hit") is None
    assert (
        page.evaluate("document.querySelectorAll('img[src=x], a[href^=http][href*=evil], .katex').length")
        == 0
    )
    assert (
        page.evaluate("[...document.querySelectorAll('strong')].filter(e => e.innerText === 'b').length") == 0
    )
