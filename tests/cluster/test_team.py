"""A team's installation: workers in homes of their own that share only scheduler, database and S3."""

import contextlib
import dataclasses
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
from conftest import Sample, poll
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.engine_site import simulated_experiment
from support.postgres import Postgres
from support.s3 import S3

import lwdash
from cluster.team import Team, free_port
from lwdash.datasets.data_settings import DataSettings
from lwdash.engine import submit
from lwdash.engine.doctor import look_at_cluster
from lwdash.engine.input_files.file_inspection import inspect_file
from lwdash.engine.scheduler import Engine
from lwdash.measure.runner import Runner
from lwdash.settings import load_settings
from storage.logs import find_log
from storage.store import open_store

ONCE = ["compress begins", "compress done", "measure begins", "measure done"]


@pytest.fixture
def team(
    tmp_path: Path, postgres: Postgres, upgraded_postgres: str, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Team]:
    """PostgreSQL, S3 and a running scheduler, without workers yet."""
    yield from _team("tcp", {}, tmp_path, postgres, upgraded_postgres, s3, monkeypatch)


def _team(
    protocol: str,
    environment: dict[str, str],
    folder: Path,
    postgres: Postgres,
    template: str,
    s3: S3,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Team]:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    with postgres.database(template) as url:
        settings = dataclasses.replace(
            load_settings(folder / "server"),
            database_url=url,
            artifacts=s3.bucket(),
            scheduler=f"{protocol}://127.0.0.1:{free_port()}",
        )
        store = open_store(url, settings.artifacts, settings.home / "cache", is_upgraded=False)
        shared = {
            **s3.environment,
            **environment,
            "LWDASH_DATABASE_URL": url,
            "LWDASH_ARTIFACTS": settings.artifacts,
        }
        made = Team(settings, store, folder=folder, environment=shared)
        made.start_scheduler()
        try:
            yield made
        finally:
            made.end()
            store.database.dispose()


def real_experiment(team: Team, sample: Sample) -> int:
    rows: dict[str, Any] = {}
    for kind, path in (("model", sample.model), ("data", sample.data)):
        rows[kind] = inspect_file(
            team.settings, team.store, submit.add_local_file(team.store, path, kind), kind
        )
    return submit.create_experiment(
        team.store,
        name="waves",
        model_row=rows["model"],
        data_row=rows["data"],
        settings=DataSettings(label="label"),
    )


def test_real_recipes_go_through_a_worker_elsewhere(team: Team, sample: Sample) -> None:
    """The file comes back through S3, and so does the log."""
    team.start_worker("one", preload=None)
    team.experiment = real_experiment(team, sample)
    engine = team.start()
    ids = team.submit("float16", "int8")
    assert team.wait_until_ended(ids, 180) == ["succeeded"] * 2, [team.row(run).error for run in ids]
    assert engine.state == "cluster"
    for run in ids:
        Runner(team.store.artifacts.read(team.row(run).tflite_sha256))
        assert team.row(run).worker.startswith("tcp://")
        assert not (team.settings.logs / f"run-{run}.log").exists()
        assert find_log(team.store.artifacts, team.settings.logs, run).exists() == bool(team.logs_of(run))


def test_a_killed_workers_run_is_done_by_the_other(team: Team) -> None:
    team.experiment = simulated_experiment(team.store)
    for name in ("one", "two"):
        team.start_worker(name)
    engine = team.start()
    poll("both workers", lambda: len(engine.workers()) == 2, 60)
    long = team.queue(*["work(seconds=4)"] * 4)
    for run in long:
        team.wait(run, lambda row: row.doing == "working")
    assert len({team.row(run).worker for run in long}) == 2
    quick = team.queue(*["work"] * 4)
    team.kill("one")
    assert team.wait_until_ended([*long, *quick]) == ["succeeded"] * 8
    assert sorted(team.row(run).attempt for run in long) == [1, 1, 2, 2]
    for run in (*long, *quick):
        assert team.logs_of(run).count("measure done") == 1
        assert team.store.artifacts.has(team.row(run).tflite_sha256)
    text = find_log(team.store.artifacts, team.settings.logs, quick[0]).read_text()
    assert text.splitlines() == ONCE


def test_a_scheduler_that_starts_anew_loses_nothing(team: Team) -> None:
    """Whatever supervises the workers starts them again, as for a worker whose scheduler went away."""
    team.experiment = simulated_experiment(team.store)
    team.start_worker("one")
    engine = team.start()
    running = team.queue("work(seconds=3)", "work(seconds=3)")
    queued = team.queue(*["work"] * 3)
    for run in running:
        team.wait(run, lambda row: row.doing == "working")
    team.kill("scheduler")
    poll("it is noticed", lambda: engine.state == "down", 30)
    assert "does not answer" in (engine.problem or "")
    poll("it is said on a run", lambda: "does not answer" in (team.row(queued[0]).doing or ""), 10)
    team.start_scheduler()
    poll("the worker has left", lambda: team.processes["one"].poll() is not None, 60)
    team.processes.pop("one")
    team.start_worker("one")
    assert team.wait_until_ended([*running, *queued]) == ["succeeded"] * 5
    assert [team.logs_of(run).count("measure done") for run in (*running, *queued)] == [1] * 5


def test_two_servers_do_not_run_a_job_twice(team: Team) -> None:
    """Two engines in homes of their own, on one scheduler and one database."""
    team.experiment = simulated_experiment(team.store)
    team.start_worker("one")
    team.start()
    team.start(home=team.folder / "other")
    ids = team.queue(*["work"] * 12) + team.queue(*["work"] * 30, owner="b", is_trained=False)
    assert team.wait_until_ended(ids) == ["succeeded"] * 42
    assert all(team.logs_of(run) == ONCE for run in ids)


def test_what_is_wrong_with_the_workers_is_said_on_the_runs(team: Team, tmp_path: Path) -> None:
    team.experiment = simulated_experiment(team.store)
    engine = team.start()
    (run,) = team.queue("work")

    def says(*words: str) -> None:
        poll(words[0], lambda: all(w in (team.row(run).doing or "") for w in words), 60)
        assert team.row(run).state == "queued"
        assert engine.state == "down"

    says("no worker of tcp://", "offers the resource cpu")
    team.start_worker("without", resources="gpu=1")
    says("none of the 1 workers of tcp://", "offers the resource cpu")
    team.kill("without")
    team.start_worker("old", LWDASH_TEST_VERSION="0.0.9")
    says("has lwdash 0.0.9, this server has lwdash", lwdash.__version__, "install the same there")
    team.kill("old")
    team.start_worker("lost", LWDASH_DATABASE_URL=f"sqlite:///{tmp_path / 'nothing.sqlite'}")
    says("gets no steps", "LWDASH_DATABASE_URL")
    team.start_worker("good")
    assert team.wait_until_ended([run]) == ["succeeded"]
    assert engine.state == "cluster"
    assert any("LWDASH_DATABASE_URL" in words for words in engine.refused)
    facts, problems = look_at_cluster(team.settings, team.store)
    assert facts == {"workers": 1, "slots": 2}
    assert [("LWDASH_DATABASE_URL" in words) for words in problems] == [True]
    team.kill("scheduler")
    facts, problems = look_at_cluster(team.settings, team.store)
    assert (facts["workers"], "does not answer" in problems[0]) == (0, True)


def test_an_engine_says_what_it_is_doing_from_the_start(team: Team) -> None:
    engine = Engine(team.settings, team.store)
    assert engine.state == "down"
    team.engines.append(engine.start())
    assert engine.state in ("starting", "cluster")
    poll("connected", lambda: engine.state == "cluster", 30)


def test_a_scheduler_with_tls_takes_those_with_a_certificate(
    tmp_path: Path, postgres: Postgres, upgraded_postgres: str, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """dask's own settings from the environment do it; without the certificate the server says what is wrong."""
    certificate, key = make_certificate(tmp_path)
    configured = {"distributed.comm.tls.ca-file": str(certificate)}
    for part in ("scheduler", "worker", "client"):
        configured[f"distributed.comm.tls.{part}.cert"] = str(certificate)
        configured[f"distributed.comm.tls.{part}.key"] = str(key)
    environment = {
        "DASK_" + name.upper().replace(".", "__").replace("-", "_"): value
        for name, value in configured.items()
    }
    with contextlib.contextmanager(_team)(
        "tls", environment, tmp_path, postgres, upgraded_postgres, s3, monkeypatch
    ) as team:
        team.experiment = simulated_experiment(team.store)
        team.start_worker("one")
        (run,) = team.queue("work")
        stranger = team.start()
        poll("it is refused", lambda: stranger.problem, 60)
        assert "does not answer" in (stranger.problem or "")
        assert "TLS" in (stranger.problem or "")
        with dask.config.set(configured):
            team.start()
            assert team.wait_until_ended([run]) == ["succeeded"]
        assert team.row(run).worker.startswith("tls://")


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate that signs itself, for scheduler, worker and client alike, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lwdash test")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private
