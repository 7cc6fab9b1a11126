"""The wheel: whole, and served from a fresh environment and an empty folder, with nothing of the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

import pytest
from conftest import ROOT, poll
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from support.served import Dashboard
from websockets.sync.client import connect

import lwdash

PACKAGES = ("lwdash", "storage")
BESIDE = ("app.py", "pages", ".streamlit/config.toml")
"""What the wheel keeps in lwdash/dashboard/."""
BUILT_FROM = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "requirements.txt")
PAGES = {
    "": "Try handwritten digits",
    "new": "1 · Model",
    "experiment": "There are no experiments yet",
    "run": "There are no runs yet",
    "glossary": "McNemar",
    "system": "Python",
}
"""A text of each page while the database is empty."""


def sources(*places: str) -> set[str]:
    found: set[str] = set()
    for place in places:
        path = ROOT / place
        files = path.rglob("*") if path.is_dir() else [path]
        found |= {
            f.relative_to(ROOT).as_posix() for f in files if f.is_file() and "__pycache__" not in f.parts
        }
    return found


def call(*command: str | Path, folder: Path) -> str:
    """Output of a command with no variable that leads to the checkout."""
    ended = subprocess.run(
        list(map(str, command)), cwd=folder, env=clean_environment(), capture_output=True, text=True, timeout=300
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def clean_environment() -> dict[str, str]:
    dropped = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    return {k: v for k, v in os.environ.items() if k not in dropped and not k.startswith("LWDASH_")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built offline from a copy of the sources, so that nothing is left beside them."""
    copy = tmp_path_factory.mktemp("sources")
    for name in sources(*PACKAGES, *BESIDE, *BUILT_FROM):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--quiet")
    call(sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", copy / "made", ".", folder=copy)
    [made] = (copy / "made").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment with the wheel; the libraries are those of this environment."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=False)
    programs = place / "bin"
    [packages] = place.glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_paths()["purelib"])
    pip = (sys.executable, "-m", "pip", "--python", programs / "python", "install")
    call(*pip, "--no-deps", "--no-index", "--quiet", "--ignore-installed", wheel, folder=place)
    return programs


def test_the_wheel_holds_every_file_of_the_packages_and_the_dashboard(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == sources(*PACKAGES) | {f"lwdash/dashboard/{name}" for name in sources(*BESIDE)}


def test_the_command_is_that_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    assert call(installed / "lwdash", "--version", folder=tmp_path) == f"lwdash {lwdash.__version__}\n"
    program = "import lwdash, storage; print(lwdash.__file__); print(storage.__file__)"
    for line in call(installed / "python", "-c", program, folder=tmp_path).splitlines():
        assert Path(line).is_relative_to(installed.parent), line


@contextmanager
def served(dashboard: Dashboard) -> Iterator[Dashboard]:
    try:
        poll("the server answers", dashboard.answers)
        yield dashboard
    finally:
        dashboard.stop()


def test_it_serves_its_pages_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    home = tmp_path / "home"
    program = [str(installed / "lwdash"), "serve"]
    with served(Dashboard(home, program=program, folder=folder)) as dashboard:
        for page, word in PAGES.items():
            assert word in page_text(dashboard, page), page
    assert list(folder.iterdir()) == []


def page_text(dashboard: Dashboard, page: str) -> str:
    """What the page's script sent, as text; fails with what went wrong in it."""
    message = BackMsg()
    message.rerun_script.page_name = page
    origin = dashboard.url.rstrip("/")
    parts = []
    with connect(
        origin.replace("http", "ws") + "/_stcore/stream", origin=origin, subprotocols=["streamlit"], max_size=None
    ) as connection:  # fmt: skip
        connection.send(message.SerializeToString())
        while True:
            answer = ForwardMsg.FromString(connection.recv(timeout=60))
            if answer.WhichOneof("type") == "script_finished":
                assert answer.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY
                return "\n".join(parts)
            if answer.WhichOneof("type") == "delta":
                assert answer.delta.new_element.WhichOneof("type") != "exception", str(answer)
                parts.append(str(answer.delta))
