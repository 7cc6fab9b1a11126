"""A run whose .tflite was changed in the artifact store: nobody gets it as good, and making it again repairs it."""

import os
from pathlib import Path

import pytest
from conftest import call_lwdash
from starlette.applications import Starlette
from starlette.testclient import TestClient
from support.engine_site import Site
from support.seeding import seed_experiment

from lwdash.engine import capsules
from lwdash.engine.scheduler import Engine
from lwdash.server.backend import Dashboard
from lwdash.server.routes import routes
from lwdash.server.run_downloads import takeaway_routes
from lwdash.settings import load_settings
from storage import run_rows, runs
from storage.errors import DamagedArtifact
from storage.run_files import file_problem
from storage.store import Store

pytestmark = pytest.mark.processes

DAMAGED = "the file of run 1 is damaged"
AGAIN = "start its recipe again"


def damage(store: Store, sha256: str) -> None:
    """Flips one byte of the stored file, as a bad disk does."""
    path = store.artifacts.local_path(sha256)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def damaged(home: Store, tmp_path: Path) -> Store:
    """A home with one experiment of two runs, whose file is damaged."""
    seed_experiment(home, "beats", 2)
    row = run_rows.get_run(home.database, 1)
    assert row is not None
    damage(home, row.tflite_sha256)
    return home


@pytest.fixture
def client(damaged: Store, tmp_path: Path) -> TestClient:
    """The server's downloads on that home."""
    settings = load_settings(tmp_path)
    served = Dashboard(settings, damaged, Engine(settings, damaged))
    downloads = routes(
        folder=tmp_path, limit_bytes=1, token="t", store_upload=served.keep_upload, find_artifact=served.find_tflite,
        find_log=served.find_log, health=served.health, metrics=lambda: b"", is_known=served.is_known,
    )  # fmt: skip
    return TestClient(Starlette(routes=[*downloads, *takeaway_routes(served.makers())]))


@pytest.mark.parametrize("ending", ["tflite", "cc", "h", "zip"])
def test_a_download_says_that_the_file_is_damaged(client: TestClient, ending: str) -> None:
    answer = client.get(f"/download/run/1.{ending}")
    assert answer.status_code == 410
    assert DAMAGED in answer.json()["error"]
    assert AGAIN in answer.json()["error"]


@pytest.mark.parametrize("ending", ["json", "tables.zip"])
def test_what_was_measured_is_still_there(client: TestClient, ending: str) -> None:
    assert client.get(f"/download/run/1.{ending}").status_code == 200


@pytest.mark.parametrize(
    "arguments",
    [("export", "1", "--out", "out.tflite"), ("export", "1", "--out", "out.cc", "--c-array"),
     ("capsule", "1", "--out", "out.zip")],
)  # fmt: skip
def test_no_command_writes_a_damaged_file(damaged: Store, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    out = tmp_path / arguments[3]
    called = call_lwdash(tmp_path, *arguments[:3], out, *arguments[4:], "--json")
    assert called.code == 2
    assert DAMAGED in called.json["error"]
    assert AGAIN in called.json["error"]
    assert not out.exists()


def test_show_says_it(damaged: Store, tmp_path: Path) -> None:
    assert DAMAGED in call_lwdash(tmp_path, "show", "1", "--json").json["file_problem"]
    assert f"{DAMAGED}: its content" in call_lwdash(tmp_path, "show", "1").out


def test_a_whole_file_has_no_problem(home: Store) -> None:
    seed_experiment(home, "beats", 2)
    row = run_rows.get_run(home.database, 1)
    assert row is not None
    assert file_problem(home, row) is None
    os.remove(home.artifacts.local_path(row.tflite_sha256))
    assert file_problem(home, row) == "the file of run 1 is no longer in the artifact store"


def test_the_same_recipe_again_repairs_the_file_of_the_damaged_run(site: Site) -> None:
    """Really made and measured: the damaged stage in the cache is not used, and the content is the same."""
    rows = [site.row(run) for run in range(1, 5)]
    (run,) = [row for row in rows if row.recipe == "int8"]
    sound = site.store.artifacts.read(run.tflite_sha256)
    damage(site.store, run.tflite_sha256)
    with pytest.raises(DamagedArtifact):
        capsules.c_header(site.store, run.id)
    site.start()
    (again,) = site.submit("int8")
    assert site.wait_until_ended([again]) == ["succeeded"], site.row(again).error
    assert site.row(again).tflite_sha256 == run.tflite_sha256
    assert site.store.artifacts.read(run.tflite_sha256) == sound
    assert file_problem(site.store, run) is None


def test_a_damaged_file_is_not_measured(site: Site) -> None:
    """The step between compressing and measuring: the run says what is wrong instead of a figure of other bytes."""
    (run,) = site.submit("int8")
    done = site.row(2)
    claim = runs.claim(site.store.database, run, "compress", 1, "test")
    assert claim is not None
    assert runs.finish_compress(
        site.store.database, claim, compressed={"stages": [], "skipped": []},
        tflite_sha256=done.tflite_sha256, baseline_sha256=done.baseline_sha256,
    )  # fmt: skip
    damage(site.store, done.tflite_sha256)
    site.start()
    assert site.wait_until_ended([run]) == ["failed"]
    assert "is damaged" in site.row(run).error
    assert "start the run again" in site.row(run).error
    assert runs.retry(site.store.database, run)
    assert site.wait_until_ended([run]) == ["succeeded"], site.row(run).error
