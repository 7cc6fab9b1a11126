"""A second try for tests of browsers and processes that waited in vain: a busy machine can starve both.

Any other failure stands at once. The summary names each test that was tried again, with what its page showed.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from support.quick import TESTS
from support.served import Dashboard

FOLDERS = frozenset({"browser", "cluster", "faults", "server"})
WAITED_IN_VAIN = (
    "TimeoutError",
    "AssertionError: Locator expected",
    "AssertionError: Page ",
    ": not within ",
)
"""How playwright and `conftest.poll` say that something did not come in time."""
CHARACTERS = 3000
"""Of a page's text and of a server's log, in a report."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(TESTS).parts[0] in FOLDERS or item.get_closest_marker("processes"):
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=list(WAITED_IN_VAIN)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Adds what the page showed, and the end of its server's log, to the report of a failure."""
    report: Any = yield
    fixtures = getattr(item, "funcargs", {})
    if report.failed and hasattr(fixtures.get("page"), "inner_text"):
        report.sections.append(("page", _shown(fixtures["page"])))
        if isinstance(served := fixtures.get("dashboard"), Dashboard):
            report.sections.append(("server", served.log()[-CHARACTERS:]))
    return report


def _shown(page: Any) -> str:
    try:
        text = page.locator("body").inner_text(timeout=2000)
    except Exception as error:  # a crashed or closed page must not hide why its test failed
        text = str(error)
    return f"{page.url}\n{text[:CHARACTERS]}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not (again := terminalreporter.stats.get("rerun", [])):
        return
    terminalreporter.section("waited in vain and was tried again")
    for report in again:
        terminalreporter.line(f"{report.nodeid}: {report.longreprtext[-CHARACTERS:]}")
        for name, text in report.sections:
            terminalreporter.line(f"[{name}] {text}")
