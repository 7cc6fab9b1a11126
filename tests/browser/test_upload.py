"""The upload component in a real browser, against a real Streamlit server with our routes."""

import hashlib
import http.client
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.served import ROOT, free_port

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect


APP = """
import os
from pathlib import Path

import streamlit as st

from lwdash.serving.upload_token import upload_token
from lwdash.server.routes import routes

folder = Path(os.environ["UPLOAD_FOLDER"])

def store_upload(path, sha256):
    return path.rename(folder / sha256)

def find(run_id, request):
    return folder / run_id, run_id

app = st.App("shell.py", routes=routes(
    folder=folder / "partial", limit_bytes=int(os.environ["UPLOAD_LIMIT"]), token=upload_token(),
    store_upload=store_upload, find_artifact=find, find_log=find, health=lambda: {"ok": True, "mine": True},
    metrics=lambda: b"", is_known=lambda cookies: True,
    base_url=st.get_option("server.baseUrlPath"),
))
"""
SHELL = """
import streamlit as st

def upload_page():
    from lwdash.ui.new.uploader import uploader
    st.title("New experiment")
    left, right = st.columns(2)
    with left:
        model = uploader(
            "Keras model", kind="model", accept=(".keras", ".h5"), help="", key="model",
            limit_bytes=50_000_000,
        )
    with right:
        data = uploader(
            "Samples", kind="data", accept=(".csv", ".csv.gz"), help="One sample a row.", key="data"
        )
    st.button("Run again")
    st.write("model:", model.sha256 if model else "none", "data:", data.name if data else "none")

def other_page():
    st.title("Elsewhere")

st.navigation([st.Page(upload_page, title="Upload"), st.Page(other_page, title="Elsewhere")]).run()
"""
LIMIT_BYTES = 60_000_000


def wait_until(condition, otherwise: str, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


class Server:
    """`streamlit run app.py` with two upload components, in a folder of its own."""

    def __init__(self, folder: Path, base_url: str = ""):
        self.folder, self.base_url, self.port = folder, base_url, free_port()
        (folder / "app.py").write_text(APP, encoding="utf-8")
        (folder / "shell.py").write_text(SHELL, encoding="utf-8")
        options = ["--server.address=127.0.0.1", f"--server.port={self.port}", "--server.headless=true"]
        options += ["--browser.gatherUsageStats=false", f"--server.baseUrlPath={base_url}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "UPLOAD_FOLDER": str(folder)}
        environment["UPLOAD_LIMIT"] = str(LIMIT_BYTES)
        command = [sys.executable, "-m", "streamlit", "run", "app.py", *options]
        self.child = subprocess.Popen(command, cwd=folder, env=environment)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{self.base_url}"

    def healthz(self) -> dict | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", f"/{self.base_url}/healthz" if self.base_url else "/healthz")
            return json.loads(connection.getresponse().read())
        except (ConnectionRefusedError, ConnectionResetError):  # not listening yet
            return None
        finally:
            connection.close()

    def partials(self) -> list[Path]:
        return list((self.folder / "partial").glob("*"))

    def wait(self) -> None:
        wait_until(lambda: self.healthz() is not None, "the server did not start", seconds=30)

    def stop(self) -> None:
        self.child.terminate()
        try:
            self.child.wait(10)
        finally:
            self.child.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    try:
        server.wait()
        yield server
    finally:
        server.stop()


@pytest.fixture
def page(browser, server):
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    page = context.new_page()
    page.goto(server.url)
    expect(page.get_by_role("group", name="Keras model")).to_be_visible(timeout=20_000)
    yield page
    context.close()


@pytest.fixture
def model(tmp_path) -> Path:
    path = tmp_path / "my model, größer.keras"
    path.write_bytes(os.urandom(3_000_000))
    return path


def choose(page, label: str, path: Path | dict) -> None:
    page.get_by_role("group", name=label).locator("input[type=file]").set_input_files(path)


def slowed(page, bytes_per_second: int) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_second}
    session.send("Network.emulateNetworkConditions", limits)


def sparse(path: Path, size_bytes: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size_bytes)
    return path


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_goes_to_the_servers_disk_and_is_remembered(page, server, model, tmp_path):
    zone = page.get_by_role("group", name="Keras model")
    choose(page, "Keras model", model)
    expect(page.get_by_text(sha256_of(model))).to_be_visible(timeout=10_000)
    expect(zone).to_contain_text(model.name)
    expect(zone).to_contain_text("3 MB")
    assert (server.folder / sha256_of(model)).read_bytes() == model.read_bytes()

    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text(sha256_of(model))).to_be_visible()

    page.get_by_role("link", name="Elsewhere").click()
    expect(page.get_by_role("heading", name="Elsewhere")).to_be_visible()
    page.get_by_role("link", name="Upload").click()
    expect(page.get_by_text(sha256_of(model))).to_be_visible()
    expect(zone).to_contain_text(model.name)
    expect(zone.get_by_role("button", name="Replace")).to_be_visible()

    other = tmp_path / "other.h5"
    other.write_bytes(b"another model")
    choose(page, "Keras model", other)
    expect(page.get_by_text(sha256_of(other))).to_be_visible()
    expect(zone).to_contain_text("13 B")


def test_two_uploaders_on_a_page_keep_their_files_apart(page, model, tmp_path):
    data = tmp_path / "beats.csv.gz"
    data.write_bytes(b"rows")
    choose(page, "Keras model", model)
    choose(page, "Samples", data)
    expect(page.get_by_text(sha256_of(model))).to_be_visible()
    expect(page.get_by_text("data: beats.csv.gz")).to_be_visible()
    expect(page.get_by_role("group", name="Samples")).to_contain_text("beats.csv.gz")


def test_progress_is_shown_and_cancel_leaves_nothing(page, server, model):
    slowed(page, 400_000)
    zone = page.get_by_role("group", name="Keras model")
    choose(page, "Keras model", model)
    expect(zone).to_contain_text(re.compile(r"\d+ % · .+ of 3 MB · \d+ s left"), timeout=10_000)
    assert 0 < int(zone.get_by_role("progressbar").get_attribute("aria-valuenow")) < 100
    wait_until(lambda: server.partials(), "nothing arrives")
    zone.get_by_role("button", name="Cancel").click()
    expect(zone.get_by_role("button", name="Browse files")).to_be_visible()
    expect(zone.get_by_role("alert")).to_be_hidden()
    wait_until(lambda: not server.partials(), "a half file is left")
    expect(page.get_by_text("model: none")).to_be_visible()


def test_leaving_the_page_ends_the_upload_and_leaves_nothing(page, server, model):
    slowed(page, 100_000)
    choose(page, "Keras model", model)
    wait_until(lambda: server.partials(), "nothing arrives")
    page.get_by_role("link", name="Elsewhere").click()
    expect(page.get_by_role("heading", name="Elsewhere")).to_be_visible()
    wait_until(lambda: not server.partials(), "the upload goes on")


def test_an_upload_survives_a_rerun_of_the_page(page, model):
    slowed(page, 1_500_000)
    choose(page, "Keras model", model)
    expect(page.get_by_role("group", name="Keras model").get_by_role("progressbar")).to_be_visible()
    choose(page, "Samples", {"name": "a.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n"})
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text(sha256_of(model))).to_be_visible(timeout=20_000)


@pytest.mark.parametrize(
    ("name", "size_bytes", "words"),
    [
        ("notes.txt", 4, "its name must end in .keras or .h5"),
        ("empty.keras", 0, "is empty (0 bytes)"),
        ("big.keras", 50_100_000, "has 50.1 MB, but the limit of this server is 50 MB"),
    ],
)
def test_what_cannot_be_used_is_refused_before_it_is_sent(page, tmp_path, name, size_bytes, words):
    sent = []
    page.on("request", lambda request: sent.append(request.method) if request.method == "PUT" else None)
    choose(page, "Keras model", sparse(tmp_path / name, size_bytes))
    expect(page.get_by_role("group", name="Keras model").get_by_role("alert")).to_contain_text(words)
    assert sent == []


def test_the_servers_own_refusal_is_shown_in_words(page, tmp_path):
    """The data component was not told the limit: the server says it, while the browser is still sending."""
    path = sparse(tmp_path / "large.csv", LIMIT_BYTES + 5_000_000)
    choose(page, "Samples", path)
    alert = page.get_by_role("group", name="Samples").get_by_role("alert")
    expect(alert).to_contain_text("this server takes at most 60,000,000 bytes", timeout=20_000)
    expect(page.get_by_text("data: none")).to_be_visible()


def test_the_keyboard_reaches_the_file_dialog(page):
    button = page.get_by_role("group", name="Keras model").get_by_role("button", name="Browse files")
    button.focus()
    expect(button).to_be_focused()
    with page.expect_file_chooser() as chooser:
        button.press("Enter")
    assert not chooser.value.is_multiple()


def test_dropping_a_file_uploads_it(page):
    transfer = page.evaluate_handle(
        "() => { const t = new DataTransfer(); t.items.add(new File(['dropped'], 'd.keras')); return t; }"
    )
    page.get_by_role("group", name="Keras model").locator(".zone").dispatch_event(
        "drop", {"dataTransfer": transfer}
    )
    expect(page.get_by_text(hashlib.sha256(b"dropped").hexdigest())).to_be_visible()


def test_a_server_that_went_away_is_said(page):
    page.route("**/upload/**", lambda route: route.abort("connectionreset"))
    choose(page, "Samples", {"name": "a.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n"})
    alert = page.get_by_role("group", name="Samples").get_by_role("alert")
    expect(alert).to_contain_text("connection to the server was lost")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_are_readable_in_both_themes(browser, server, scheme):
    """WCAG 2 asks for a contrast of 4.5 between text and what is behind it."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1100, "height": 620})
    page = context.new_page()
    page.goto(server.url)
    zone = page.get_by_role("group", name="Keras model")
    expect(zone).to_be_visible(timeout=20_000)
    choose(page, "Keras model", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"x"})
    expect(zone.get_by_role("alert")).to_be_visible()
    for part, behind in (
        (".main", ".zone"),
        (".help", ".zone"),
        (".error", ".error"),
        (".button", ".button"),
    ):
        assert contrast(zone.locator(part), zone.locator(behind)) >= 4.5, (scheme, part)
    context.close()


def contrast(text, behind) -> float:
    """Contrast ratio of WCAG 2 of a text's colour and a background's, both as the browser draws them."""
    script = """(element, property) => {
      const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
      canvas.fillStyle = getComputedStyle(document.querySelector('.stApp')).backgroundColor;
      canvas.fillRect(0, 0, 1, 1);
      canvas.fillStyle = getComputedStyle(element)[property];
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    }"""
    lights = []
    for element, name in ((text, "color"), (behind, "backgroundColor")):
        linear = [
            v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4
            for v in (value / 255 for value in element.evaluate(script, name))
        ]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_below_a_base_url_and_with_a_deep_link(browser, tmp_path, model):
    server = Server(tmp_path, base_url="tools/lwdash")
    try:
        server.wait()
        assert server.healthz() == {"ok": True, "mine": True}
        page = browser.new_page()
        page.goto(f"{server.url}/upload_page")
        choose(page, "Keras model", model)
        expect(page.get_by_text(sha256_of(model))).to_be_visible(timeout=20_000)
    finally:
        server.stop()
