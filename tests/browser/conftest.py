"""One browser for all browser tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser.served import CHROMIUM, launched


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
