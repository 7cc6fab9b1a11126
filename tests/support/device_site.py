"""A server with the routes of devices on a database with measured runs, and agents that work for it."""

import json
import os
import secrets
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from conftest import add_experiment, poll
from sqlalchemy import update
from starlette.applications import Starlette

from lwdash.engine import submit
from lwdash.engine.devices import device_work
from lwdash.server.device_routes import device_routes
from lwdash.targets.device.agent import PROTOCOL, machine_facts
from lwdash.targets.device.agent_file import agent_file
from lwdash.targets.device.rows import pack_rows
from storage import queue, runs
from storage.devices import StoredDevice, add_device
from storage.store import Store
from storage.tables import DeviceTask, Run, State
from storage.target_results import DEVICE_ROWS, target_results
from support.measure_models import dense_model, int8_dense_model
from support.served import free_port

KERNEL = np.arange(-6, 6).reshape(3, 4)
FLOAT = dense_model(KERNEL / 8, np.ones(3))
INT8 = int8_dense_model(
    KERNEL, np.arange(3), np.full(3, 0.1, np.float32),
    input_scale=0.05, input_zero_point=3, output_scale=0.1, output_zero_point=-5,
)  # fmt: skip
ROWS = {"x": np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)}


@dataclass
class DeviceSite:
    """A store with runs that have files, and the server's address once it was started."""

    store: Store
    folder: Path
    experiment: int = 1
    port: int = field(default_factory=free_port)
    device: StoredDevice | None = None
    token: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def added(self) -> StoredDevice:
        assert self.device is not None
        return self.device

    def hello(self, **changed: Any) -> dict[str, Any]:
        """The message of an agent that asks for work, with these facts changed."""
        agent = secrets.token_hex(8)
        return {"protocol": PROTOCOL, "agent": agent, "facts": {**machine_facts(), **changed}}

    def add_run(self, tflite: bytes, rows: bytes | None = None) -> int:
        """A succeeded run with this file, and its package of rows where it is not to be packed here."""
        database, artifacts = self.store.database, self.store.artifacts
        [run] = runs.add_runs(database, self.experiment, [("int8", False, False)], "submission")
        with database.begin() as connection:
            connection.execute(
                update(Run)
                .where(Run.id == run)
                .values(
                    state=State.SUCCEEDED,
                    tflite_sha256=artifacts.put_bytes(tflite),
                    baseline_sha256=artifacts.put_bytes(FLOAT),
                    size_bytes=len(tflite),
                )
            )
        submit.start_analysis(self.store, run, DEVICE_ROWS)
        waiting = next(w for w in queue.waiting(database) if w.step == DEVICE_ROWS)
        claim = runs.claim(database, waiting.run_id, waiting.step, waiting.attempt, "worker")
        assert claim is not None
        packed = artifacts.put_bytes(rows or pack_rows(tflite, FLOAT, ROWS))
        assert runs.finish_analysis(database, claim, measured={"device_rows": packed})
        return run

    def measure(self, run: int) -> int:
        return device_work.measure_on_device(self.store, run, self.added)

    def expire(self) -> None:
        """End all leases, as after a minute without a heartbeat."""
        with self.store.database.begin() as connection:
            connection.execute(update(DeviceTask).values(leased_until=0.0))

    def waiting(self) -> list[queue.Waiting]:
        return queue.waiting(self.store.database)

    def result(self, run: int) -> Mapping[str, Any] | None:
        return target_results(self.store.database, [run]).get(run, {}).get(self.added.target)

    def send(self, path: str, message: Any, token: str | None = None) -> tuple[int, dict[str, Any]]:
        """Status and reply of a message, as an agent sends it."""
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        request = urllib.request.Request(f"{self.url}/device/{path}", data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def agent(
        self, *options: str, token: str | None = None, port: int | None = None, python: str = sys.executable
    ) -> subprocess.Popen[str]:
        """An agent's process, of the file alone: lwdash cannot be imported there."""
        path = self.folder / "agent" / "lwdash-device.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(agent_file())
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("LWDASH", "PYTHON"))}
        return subprocess.Popen(
            [python, str(path), f"http://127.0.0.1:{port or self.port}", *options],
            cwd=path.parent,
            env={**environment, "LWDASH_DEVICE_TOKEN": token or self.token},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, agent: subprocess.Popen[str], seconds: float = 60.0) -> str:
        """What an agent printed until its end."""
        return agent.communicate(timeout=seconds)[0]

    @contextmanager
    def serving(self) -> Iterator[None]:
        """The server, in a thread of this process."""
        application = Starlette(routes=device_routes(self.store))
        server = uvicorn.Server(
            uvicorn.Config(application, host="127.0.0.1", port=self.port, log_level="warning")
        )
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            poll("server", lambda: server.started, 20)
            yield
        finally:
            server.should_exit = True
            thread.join(20)


def device_site(store: Store, folder: Path) -> DeviceSite:
    """A site with one device."""
    site = DeviceSite(store, folder, add_experiment(store))
    site.device, site.token = add_device(store.database, "Pi on the desk")
    return site
