"""The dashboard as `make run` serves it, on a free port and in a home of its own."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from conftest import WITHOUT_WARM_PARENT

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("LWDASH_CHROMIUM", "/usr/bin/chromium")
SWITCHES = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
)
SCREENSHOTS = ROOT / "tests" / "browser" / "screenshots"
KEEPS_SCREENSHOTS = bool(os.environ.get("SCREENSHOTS"))
"""Each costs a second of drawing, so only who wants to look at them asks for them."""


@contextlib.contextmanager
def launched() -> Iterator[Any]:
    """The browser, as playwright drives it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(SWITCHES))
        yield browser
        browser.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Dashboard:
    """`streamlit run app.py`, or `program` in `folder`; its output goes to `<home>/server.log`.

    options: more of Streamlit's, such as `--server.baseUrlPath=x`; secrets: its secrets.toml, made for the port;
    variables: more of the environment; without LWDASH_JOB_MEMORY no warm parent is kept.
    """

    def __init__(
        self,
        home: Path,
        *options: str,
        secrets: Callable[[int], str] | None = None,
        program: Sequence[str] = (sys.executable, "-m", "streamlit", "run", "app.py"),
        folder: Path = ROOT,
        **variables: str,
    ):
        self.home, self.port = home, free_port()
        home.mkdir(parents=True, exist_ok=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LWDASH_")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [*program, f"--server.port={self.port}", *options]
        if secrets is not None:
            (home / "secrets.toml").write_text(secrets(self.port), encoding="utf-8")
            command.append(f"--secrets.files={home / 'secrets.toml'}")
        with (home / "server.log").open("ab") as log:
            self.child = subprocess.Popen(
                command,
                cwd=folder,
                env={
                    **environment,
                    "LWDASH_HOME": str(home),
                    "LWDASH_JOB_MEMORY": WITHOUT_WARM_PARENT,
                    **variables,
                },
                stdout=log,
                stderr=log,
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except OSError:
            assert self.child.poll() is None, f"the server ended: {self.log()[-2000:]}"
            return False
        finally:
            connection.close()

    def log(self) -> str:
        return (self.home / "server.log").read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(20)
        finally:
            self.child.kill()
            self.child.wait()


def shoot(page: Any, name: str) -> None:
    """A screenshot of the whole page for people to look at, with SCREENSHOTS=1; git ignores the folder."""
    if not KEEPS_SCREENSHOTS:
        return
    SCREENSHOTS.mkdir(exist_ok=True)
    before = page.viewport_size
    height = page.evaluate("document.querySelector('[data-testid=stMain]')?.scrollHeight ?? 0")
    page.set_viewport_size(
        {"width": before["width"], "height": max(before["height"], min(height + 60, 6000))}
    )
    page.screenshot(path=SCREENSHOTS / f"{re.sub('[^a-z0-9]+', '-', name.lower())}.png")
    page.set_viewport_size(before)
