"""Seconds from a click to the painted page in a real browser: after a week of use, and with 20 sessions on live pages."""

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from browser.painted import DRAWN, settled, timed_clicks
from conftest import poll
from support.engine_site import Site
from support.seeding import seed_experiment
from support.served import Dashboard, launched

from storage.frames import newest_runs

VISITORS, RUNNING, SECONDS = 20, 50, 60
SESSIONS = Path(__file__).with_name("sessions.py")
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


def runs_of(drill: Site, experiment: int) -> list[int]:
    return newest_runs(drill.store.database, [experiment], 100_000)


def test_pages_after_a_week_of_use(drill: Site) -> None:
    """10,000 runs, 8,000 of them in one experiment, and an experiment of 200."""
    for number in range(40):
        seed_experiment(drill.store, f"experiment {number}", 50, seed=number)
    small = seed_experiment(drill.store, "two hundred", 200, seed=200)
    big = seed_experiment(drill.store, "eight thousand", 8_000, seed=8_000)
    first = min(runs_of(drill, small))
    some = {count: ",".join(map(str, range(first, first + count))) for count in (6, 20)}
    addresses = {"overview": "", "new": "new", "run": "run?id=77", "system": "system", "glossary": "glossary",
                 "experiment of 200": f"experiment?id={small}", "experiment of 8,000": f"experiment?id={big}",
                 "compare 6 runs": f"compare?experiment={small}&runs={some[6]}"}  # fmt: skip
    with served(drill.settings.home) as server, launched() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        for name, address in addresses.items():
            times = []
            for _ in range(TIMES):
                began = time.monotonic()
                page.goto(server.url + address)
                page.wait_for_selector("h1")
                if "experiment" in address:
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
        for label in ("Report (HTML)", "Light report (HTML)"):
            times = []
            for _ in range(TIMES):
                page.goto(f"{server.url}experiment?id={small}&runs={some[20]}")
                page.wait_for_function(DRAWN)
                settled(page)
                page.get_by_role("button", name="Export").click()
                began = time.monotonic()
                with page.expect_download() as download:
                    page.get_by_role("button", name=label, exact=True).click()
                path = download.value.path()
                times.append(time.monotonic() - began)
            said(f"{label} of 20 runs, {path.stat().st_size / 1e6:.1f} MB", times)
        assert "Traceback" not in server.log()


def test_twenty_sessions_while_fifty_jobs_run(drill: Site) -> None:
    """The bench's own engine runs simulated children on the server's home; the sessions click and stay on live pages."""
    experiment = seed_experiment(drill.store, "two hundred", 200, seed=200)
    drill.start(slots=RUNNING)
    ids = drill.queue(*["slow(seconds=300)"] * RUNNING, owner="everybody")
    poll("the jobs run", lambda: drill.states(ids).count("running") >= RUNNING, 120)
    live = [
        "",
        f"experiment?id={drill.experiment}",
        f"run?id={ids[0]}",
        "system",
        f"experiment?id={experiment}",
    ]
    with served(drill.settings.home) as server:
        asked = [sys.executable, str(SESSIONS), str(server.port), str(VISITORS), str(SECONDS), *live]
        times = json.loads(subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True).stdout)
        states = drill.states(ids)
        assert states.count("running") >= RUNNING // 2, "the jobs had ended before the bench"
        said(f"a click answered, {VISITORS} sessions, {states.count('running')} jobs under way", times)
