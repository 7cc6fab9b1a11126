"""One browser for all browser tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.served import CHROMIUM, launched


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """Debian's Chromium, without a window and without calls home.

    Closed after this folder: its driver keeps an event loop running in the thread.
    """
    pytest.importorskip("playwright.sync_api")
    if not Path(CHROMIUM).exists():
        pytest.skip("there is no Chromium to drive")
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A visitor of their own, at a desk."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()
