"""A disk that fills while people use the server."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, poll
from playwright.sync_api import expect
from support.served import Dashboard, free_port
from support.small_disk import on_small_disk, seen_by

expect.set_options(timeout=60_000)


def fill(path: Path) -> None:
    """Writes a file until the disk takes no more."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


class OnSmallDisk(Dashboard):
    """The server with its home on a disk of 30 MB."""

    def __init__(self, home: Path):
        self.home, self.port = home.parent.with_name("log"), free_port()
        self.home.mkdir()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LWDASH_")}
        command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={self.port}"]
        with (self.home / "server.log").open("ab") as log:
            self.child = subprocess.Popen(
                on_small_disk(home.parent, 30_000, *command),
                cwd=ROOT,
                env={**environment, "LWDASH_HOME": str(home)},
                stdout=log,
                stderr=log,
            )


def test_a_disk_that_fills_while_the_server_runs_is_said_by_pages_and_routes(
    tmp_path: Path, page: Any
) -> None:
    home = tmp_path / "disk" / "home"
    server = OnSmallDisk(home)
    try:
        poll("the server answers", server.answers)
        disk = seen_by(server.child.pid, home)
        page.goto(server.url)
        start = page.get_by_role("button", name="Try handwritten digits")
        expect(start).to_be_visible()
        fill(disk / "filler")
        start.click()
        main = page.get_by_test_id("stMain")
        expect(main.get_by_text("The disk is full: 0.0 MB are free in")).to_be_visible()
        expect(main.get_by_text("are needed. Free space")).to_be_visible()
        page.goto(server.url + "system")
        expect(main.get_by_role("heading", name="System")).to_be_visible()
        upload = urllib.request.Request(f"{server.url}upload/a.csv", b"1,2\n" * 10_000, method="PUT")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(upload)
        assert refused.value.code == 403, "without a page's token it is not even looked at"
    finally:
        server.stop()
