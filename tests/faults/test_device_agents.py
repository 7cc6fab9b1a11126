"""Agents of devices: measured results arrive once, whatever fails in between."""

import re
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import psutil
import pytest
from conftest import poll
from support.device_site import FLOAT, INT8, ROWS, DeviceSite, device_site
from support.engine_site import Site
from support.measure_models import recursive_model
from support.served import free_port

from lwdash.engine import submit
from lwdash.targets.device.rows import pack_rows
from storage.analyses import analysis_of
from storage.device_tasks import StoredTask, get_task
from storage.devices import add_device, remove_device
from storage.store import Store
from storage.target_results import DEVICE_ROWS, target_results

RECORDED = "the result is recorded"


@pytest.fixture
def desk(sqlite_store: Store, tmp_path: Path) -> DeviceSite:
    return device_site(sqlite_store, tmp_path)


def task_of(desk: DeviceSite, number: int) -> StoredTask:
    task = get_task(desk.store.database, number)
    assert task is not None
    return task


def test_an_agent_with_two_libraries_measures_a_run(desk: DeviceSite, tmp_path: Path) -> None:
    """In an environment of its own, which has numpy and ai-edge-litert and nothing else."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = str(environment / "bin" / "python")
    [packages] = environment.glob("lib/python*/site-packages")
    for pattern in ("numpy*", "ai_edge_litert*"):
        for path in Path(sysconfig.get_path("purelib")).glob(pattern):
            (packages / path.name).symlink_to(path)
    assert subprocess.run([python, "-I", "-c", "import lwdash"], capture_output=True).returncode == 1
    runs = [desk.add_run(INT8), desk.add_run(FLOAT)]
    tasks = [desk.measure(run) for run in runs]
    with desk.serving():
        said = desk.finish(desk.agent("--once", python=python))
    assert said.count(RECORDED) == 2, said
    assert [task_of(desk, task).state for task in tasks] == ["done", "done"]
    for run in runs:
        found = desk.result(run)
        assert found is not None
        assert (found["state"], found["label"]) == ("runs", "Pi on the desk")
        values = {name: metric["value"] for name, metric in found["metrics"].items()}
        assert (values["compared_rows"], values["rows_differing"]) == (6, 0)
        assert 0 < values["latency_ms_p50"] < 10
        assert values["peak_memory_bytes"] > 10e6
        assert values["latency_sessions"] >= 1
    assert values["speedup"] == 1, "the baseline's own run"


def test_the_work_of_a_killed_agent_is_taken_again(desk: DeviceSite) -> None:
    run = desk.add_run(INT8)
    task = desk.measure(run)
    with desk.serving():
        first = desk.agent()
        poll("leased", lambda: task_of(desk, task).state == "leased")
        children = poll("measuring", lambda: psutil.Process(first.pid).children(recursive=True))
        first.kill()
        first.wait()
        poll("no child is left", lambda: not any(child.is_running() for child in children), 10)
        assert desk.result(run) is None
        assert RECORDED not in desk.finish(desk.agent("--once")), "the lease has not ended"
        desk.expire()
        assert RECORDED in desk.finish(desk.agent("--once"))
    assert (task_of(desk, task).state, task_of(desk, task).attempts) == ("done", 2)
    assert desk.result(run) is not None


def test_a_task_that_agents_lose_again_and_again_fails(desk: DeviceSite) -> None:
    task = desk.measure(desk.add_run(INT8))
    with desk.serving():
        for _ in range(3):
            status, reply = desk.send("work", desk.hello())
            assert (status, reply["task"]["id"]) == (200, task)
            assert desk.send("work", desk.hello())[1]["task"] is None, "one agent at a time"
            desk.expire()
        assert desk.send("work", desk.hello())[1]["task"] is None
    assert task_of(desk, task).state == "failed"
    assert "3 agents began" in (task_of(desk, task).error or "")


class CuttingProxy:
    """Passes connections to a port on; the first reply to a request that matches is cut after `after` bytes."""

    def __init__(self, port: int, pattern: bytes, after: int):
        self.port, self.pattern, self.after = port, pattern, after
        self.cuts = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self.port)) as server:
            request = client.recv(65536)
            head, _, body = request.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            while length and len(body) < int(length.group(1)):
                body += client.recv(65536)
            server.sendall(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + b"\r\n\r\n" + body)
            reply = b"".join(iter(lambda: server.recv(65536), b""))
            if self.pattern in head and not self.cuts:
                self.cuts += 1
                reply = reply[: self.after]
            client.sendall(reply)


@pytest.mark.parametrize(("pattern", "after"), [(b"/report ", 0), (b"/file ", 400), (b"/work ", 20)])
def test_a_cut_connection_costs_a_repetition_and_nothing_else(
    desk: DeviceSite, pattern: bytes, after: int
) -> None:
    """The report whose reply is lost has been recorded: its repetition changes nothing."""
    run = desk.add_run(INT8)
    task = desk.measure(run)
    with desk.serving():
        proxy = CuttingProxy(desk.port, pattern, after)
        said = desk.finish(desk.agent("--once", port=proxy.address))
        proxy.listener.close()
    assert proxy.cuts == 1
    assert "trying again in 1 s" in said
    assert ("was recorded before" if b"report" in pattern else RECORDED) in said
    assert (task_of(desk, task).state, task_of(desk, task).attempts) == ("done", 1)
    assert list(target_results(desk.store.database, [run])) == [run]


def test_an_agent_waits_for_its_server(desk: DeviceSite) -> None:
    run = desk.add_run(INT8)
    desk.measure(run)
    desk.port = free_port()
    agent = desk.agent("--once")
    assert agent.stdout is not None
    assert "cannot reach the server" in agent.stdout.readline()
    with desk.serving():
        said = desk.finish(agent)
    assert RECORDED in said


def test_a_wrong_token_ends_the_agent_with_a_sentence(desk: DeviceSite) -> None:
    with desk.serving():
        agent = desk.agent(token="guessed")
        said = desk.finish(agent, 20)
    assert agent.returncode == 2
    assert "no device has this token" in said
    assert "Traceback" not in said


def test_a_removed_device_ends_its_agent_and_cancels_its_tasks(desk: DeviceSite) -> None:
    with desk.serving():
        agent = desk.agent()
        assert agent.stdout is not None
        assert "connected" in agent.stdout.readline()
        task = desk.measure(desk.add_run(INT8))
        remove_device(desk.store.database, desk.added.id)
        said = desk.finish(agent, 30)
    assert agent.returncode == 2
    assert "it was removed" in said
    assert task_of(desk, task).state == "cancelled"


def test_a_file_that_crashes_the_interpreter_is_reported_and_the_next_is_measured(desk: DeviceSite) -> None:
    crashing = desk.add_run(recursive_model(), rows=pack_rows(FLOAT, FLOAT, ROWS))
    whole = desk.add_run(INT8)
    tasks = [desk.measure(run) for run in (crashing, whole)]
    with desk.serving():
        said = desk.finish(desk.agent("--once"))
    assert said.count(RECORDED) == 2, said
    assert [task_of(desk, task).state for task in tasks] == ["done", "done"]
    refused, measured = desk.result(crashing), desk.result(whole)
    assert refused is not None
    assert measured is not None
    assert (refused["state"], refused["message"]) == (
        "refused",
        f"the process ended by {signal.SIGSEGV.name}",
    )
    assert (
        refused["reason"] == "its file crashed the interpreter on the device while its outputs were computed"
    )
    assert measured["state"] == "runs"


def test_two_agents_share_the_tasks(desk: DeviceSite) -> None:
    runs = [desk.add_run(INT8) for _ in range(5)]
    tasks = [desk.measure(run) for run in runs]
    with desk.serving():
        agents = [desk.agent("--once"), desk.agent("--once")]
        said = [desk.finish(agent) for agent in agents]
    assert [text.count(RECORDED) for text in said] != [5, 0]
    assert sum(text.count(RECORDED) for text in said) == 5, said
    assert all(task_of(desk, task).attempts == 1 for task in tasks)
    assert all(desk.result(run) for run in runs)


def test_a_computer_with_another_processor_is_refused(desk: DeviceSite) -> None:
    with desk.serving():
        assert desk.send("work", desk.hello())[0] == 200
        status, reply = desk.send("work", desk.hello(cpu="Cortex-A72"))
    assert status == 409
    assert "results of different hosts are never mixed" in reply["error"]


def test_a_run_goes_through_the_engine_to_a_device_and_to_another_runtime(site: Site, tmp_path: Path) -> None:
    """Real rows of a real experiment; a run of an experiment with timed targets is timed after its details."""
    site.start()
    devices = DeviceSite(site.store, tmp_path)
    devices.device, devices.token = add_device(site.store.database, "Pi on the desk")
    submit.choose_targets(site.store, site.experiment, ["litert_builtin"])
    [run] = site.submit("float16")
    site.wait_until_ended([run])
    task = devices.measure(run)
    packed = poll("rows", lambda: analysis_of(site.store.database, run, DEVICE_ROWS))
    site.wait(packed.id, lambda row: row.state == "succeeded")
    with devices.serving():
        assert RECORDED in devices.finish(devices.agent("--once"))
    assert task_of(devices, task).state == "done"
    found = poll(
        "targets", lambda: (r := target_results(site.store.database, [run])[run]).get("litert_builtin") and r
    )
    assert found[devices.added.target]["metrics"]["compared_rows"]["value"] == 16
    assert found[devices.added.target]["metrics"]["rows_differing"]["value"] == 0
    assert found["litert_builtin"]["metrics"]["speedup"]["value"] > 0
    assert found["litert_builtin"]["host"]["id"]
