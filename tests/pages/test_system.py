"""The System page on an idle laptop and on a cluster, and what /metrics says of the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update
from support.seeding import seed_experiment
from visit import shown, words

from lwdash.engine import step_journal
from lwdash.engine.workers import Worker, of_cluster
from lwdash.server.backend import Dashboard
from lwdash.server.prometheus import metrics_text
from lwdash.serving.process_engine import set_process_engine
from lwdash.settings import load_settings
from lwdash.ui.shared import access, page_paths
from storage import runs, sharing
from storage.runs import Claim
from storage.store import Store
from storage.tables import Run
from storage.visitors import Visitor


class Watched:
    """An engine as the page and the metrics see it."""

    def __init__(self, state: str, workers: list[Worker], problem: str | None = None):
        self.state, self.problem, self._workers = state, problem, workers

    def workers(self) -> list[Worker]:
        return self._workers


LAPTOP = Watched("embedded", [Worker("process 7", "laptop", 2, 10**8)])


@pytest.fixture(autouse=True)
def nothing_served() -> Iterator[None]:
    yield
    set_process_engine(None)


def serve(store: Store, engine: Any) -> Dashboard:
    set_process_engine(engine)
    return Dashboard(load_settings(), store, engine)


def test_an_idle_laptop_is_told_in_a_few_figures(home: Store) -> None:
    serve(home, LAPTOP)
    text = words(shown(page_paths.SYSTEM))
    for expected in ("Engine: Running", "Steps running: 0", "of 2 slots", "Steps waiting: 0", "the queue is empty",
                     "Runs: 0", "Memory free: ", "Disk free: ", "Nothing runs and nothing waits"):  # fmt: skip
        assert expected in text
    assert "Workers" not in text


def test_a_process_that_serves_nothing_says_so(home: Store) -> None:
    assert "Engine: Elsewhere" in words(shown(page_paths.SYSTEM))


def test_a_cluster_lists_its_workers_and_why_one_is_refused(home: Store) -> None:
    info = {
        "tcp://a:1": {"host": "a", "resources": {"cpu": 4.0}, "metrics": {"memory": 2 * 10**8}},
        "tcp://b:1": {"host": "b", "resources": {}, "metrics": {}},
        "tcp://c:1": {"host": "c", "resources": {"cpu": 8.0}, "metrics": {"memory": 10**8}},
    }
    workers = of_cluster(info, {"tcp://c:1": "worker tcp://c:1 on c has keras 1, this server has keras 2"})
    serve(home, Watched("down", workers, "the scheduler tcp://s:8786 does not answer"))
    app = shown(page_paths.SYSTEM)
    text = words(app)
    assert "Engine: Down" in text
    assert "the scheduler tcp://s:8786 does not answer" in text.replace("\u2060", "")
    table = app.dataframe[0].value
    assert list(table["worker"]) == list(info)
    assert list(table["slots"]) == [4, 0, 8]
    assert table["state"].iloc[0] == "takes steps"
    assert "--resources cpu" in table["state"].iloc[1]
    assert "keras 1" in table["state"].iloc[2]


def test_the_queue_hides_what_is_private(home: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("open beats", "secret beats"):
        number = seed_experiment(home, name, 1)
        runs.add_runs(home.database, number, [("int8", False, False)], name, "ada@example.org")
    sharing.set_private(home.database, 2, True, "ada@example.org")
    assert runs.claim(home.database, 4, "compress", 1, "laptop:7")
    with home.database.begin() as connection:
        connection.execute(update(Run).where(Run.id == 4).values(doing="training on a secret"))
    serve(home, LAPTOP)

    def table_for(visitor: Visitor) -> Any:
        monkeypatch.setattr(access, "_signed_in", lambda settings: visitor)
        return shown(page_paths.SYSTEM).dataframe[0].value

    own = table_for(Visitor(email="ada@example.org"))
    assert list(own["experiment"]) == ["secret beats", "open beats"]
    assert list(own["doing"]) == ["training on a secret", "waits"]
    others = table_for(Visitor(email="bob@example.org"))
    assert list(others["experiment"]) == ["(private)", "open beats"]
    assert list(others["recipe"]) == ["", "int8"]
    assert "secret" not in others.to_string()


def test_metrics_are_prometheus_text_with_what_the_page_shows(home: Store) -> None:
    number = seed_experiment(home, "beats", 50)
    runs.add_runs(home.database, number, [("int8", False, False)] * 3, "later")
    assert runs.claim(home.database, 51, "compress", 1, "laptop:7")
    step_journal.step_ended(Claim(1, 1, "measure"), 2.5)
    text = metrics_text(serve(home, LAPTOP)).decode()
    found = {
        (s.name, *s.labels.values()): s.value for f in text_string_to_metric_families(text) for s in f.samples
    }
    assert found["lwdash_runs", "succeeded"] == 49
    assert found["lwdash_runs", "failed"] == 1
    assert found["lwdash_steps_queued", "compress"] == 2
    assert found["lwdash_steps_running", "compress"] == 1
    assert found["lwdash_slots",] == 2
    assert found["lwdash_workers",] == 1
    assert found["lwdash_database_up",] == 1
    assert found["lwdash_engine_state", "embedded"] == 1
    assert found["lwdash_engine_state", "down"] == 0
    assert found["lwdash_disk_free_bytes",] > 0
    assert found["lwdash_step_seconds_count", "measure"] >= 1
    assert found["lwdash_run_seconds_count", "succeeded"] == 49
    buckets = [s for s in found if s[0] == "lwdash_run_seconds_bucket" and "succeeded" in s]
    assert [found[b] for b in buckets] == sorted(found[b] for b in buckets)


def test_metrics_go_on_while_the_database_does_not_answer(home: Store, tmp_path: Path) -> None:
    served = serve(home, Watched("down", []))
    home.database.dispose()
    (tmp_path / "lwdash.sqlite").unlink()
    for rest in tmp_path.glob("lwdash.sqlite-*"):
        rest.unlink()
    text = metrics_text(served).decode()
    assert "lwdash_database_up 0.0" in text
    assert "lwdash_runs" not in text
    assert 'lwdash_engine_state{state="down"} 1.0' in text
