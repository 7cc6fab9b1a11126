"""Seconds from a click to the painted page in a real browser: after a week of use, and with 20 visitors on live pages."""

import contextlib
import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from browser.painted import DRAWN, settled, timed_clicks
from browser.served import Dashboard, launched
from conftest import poll
from engine_site import Site
from seeding import seed_experiment

VISITORS, RUNNING, CLICKS = 20, 50, 200
WORK_S = 20
TIMES = 5


@contextlib.contextmanager
def served(home: Path) -> Iterator[Dashboard]:
    server = Dashboard(home)
    poll("the server answers", server.answers, 120)
    try:
        yield server
    finally:
        server.stop()


def said(what: str, seconds: list[float]) -> None:
    worst = sorted(seconds)[int(0.95 * (len(seconds) - 1))]
    print(
        f"{what}: median {statistics.median(seconds):.2f} s, 95 % within {worst:.2f} s ({len(seconds)} times)"
    )


def test_pages_after_a_week_of_use(drill: Site) -> None:
    """10,000 runs, 8,000 of them in one experiment, and an experiment of 200."""
    for number in range(40):
        seed_experiment(drill.store, f"experiment {number}", 50, seed=number)
    small = seed_experiment(drill.store, "two hundred", 200, seed=200)
    big = seed_experiment(drill.store, "eight thousand", 8_000, seed=8_000)
    addresses = {"overview": "", "new": "new", "run": "run?id=77", "system": "system", "glossary": "glossary",
                 "experiment of 200": f"experiment?id={small}", "experiment of 8,000": f"experiment?id={big}"}  # fmt: skip
    with served(drill.settings.home) as server, launched() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        for name, address in addresses.items():
            times = []
            for _ in range(TIMES):
                began = time.monotonic()
                page.goto(server.url + address)
                page.wait_for_selector("h1")
                if "experiment?" in address:
                    page.wait_for_function(DRAWN)
                settled(page)
                times.append(time.monotonic() - began)
            said(f"address to painted, {name}", times)
        for name in ("experiment of 200", "experiment of 8,000"):
            page.goto(server.url + addresses[name])
            page.wait_for_function(DRAWN)
            settled(page)
            clicks: dict[str, list[float]] = {}
            for what, seconds in timed_clicks(page):
                clicks.setdefault(what, []).append(seconds)
            for what, times in clicks.items():
                said(f"{what}, {name}", times)
        assert "Traceback" not in server.log()


def test_twenty_visitors_while_fifty_jobs_run(drill: Site) -> None:
    """The bench's own engine runs simulated children on the server's home; every visitor stays on a live page."""
    experiment = seed_experiment(drill.store, "two hundred", 200, seed=200)
    drill.start(slots=RUNNING)
    ids = drill.queue(*[f"work(seconds={WORK_S})"] * 1_000, owner="everybody")
    poll("the jobs run", lambda: drill.states(ids).count("running") >= RUNNING, 60)
    with served(drill.settings.home) as server, launched() as browser:
        live = [
            "",
            f"experiment?id={drill.experiment}",
            f"run?id={ids[0]}",
            "system",
            f"experiment?id={experiment}",
        ]
        pages = []
        for number in range(VISITORS):
            page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
            page.goto(server.url + live[number % len(live)])
            page.wait_for_selector("h1")
            pages.append(page)
        chance, times, jobs = random.Random(0), [], []
        for _ in range(CLICKS):
            page = chance.choice(pages)
            times.append(_follow_a_link(page, chance))
            jobs.append(drill.states(ids).count("running"))
        said(f"a link to its page painted, {VISITORS} visitors, {statistics.mean(jobs):.0f} jobs", times)
        assert "Traceback" not in server.log()


def _follow_a_link(page: Any, chance: random.Random) -> float:
    """Seconds from the click on another page's link until its heading is there and nothing is left to be drawn."""
    links = page.locator("[data-testid=stTopNavLink]:not([aria-current])")
    before = page.locator("h1").first.inner_text()
    link = links.nth(chance.randrange(links.count()))
    began = time.monotonic()
    link.click()
    page.wait_for_function(
        "before => ![undefined, before].includes(document.querySelector('h1')?.innerText)", arg=before
    )
    settled(page)
    return time.monotonic() - began
