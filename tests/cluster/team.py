"""A team's installation on one machine: PostgreSQL, S3, a dask scheduler and workers, each a real process.

The workers have homes of their own and share only scheduler, database and S3 with the server.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from conftest import ROOT
from support.engine_site import Site

SIMULATED = Path(__file__).with_name("pretend.py")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Team(Site):
    """The server's part as in `Site`; `start` starts an engine on the shared scheduler."""

    folder: Path = Path()
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start_scheduler(self) -> None:
        address = self.settings.scheduler or ""
        protocol, _, place = address.partition("://")
        arguments = [
            "--host",
            f"{protocol}://127.0.0.1",
            "--port",
            place.rpartition(":")[2],
            "--no-dashboard",
        ]
        self._start("scheduler", "scheduler", arguments, self.folder / "scheduler")

    def start_worker(self, name: str, *, preload: Path | None = SIMULATED, **changed: str) -> Path:
        """A worker in a home of its own, which it returns. changed: environment variables."""
        home = self.folder / name
        arguments = [self.settings.scheduler or "", "--nthreads", "2", "--no-dashboard", "--name", name]
        arguments += ["--local-directory", str(home / "dask"), "--host", "127.0.0.1"]
        arguments += ["--resources", changed.pop("resources", "cpu=2")]
        arguments += ["--preload", str(preload), "--no-nanny"] if preload else []
        self._start(name, "worker", arguments, home, LWDASH_HOME=str(home), **changed)
        return home

    def kill(self, name: str) -> None:
        """SIGKILL for the process and its group, but not for the children of steps: they have their own."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def end(self) -> None:
        for engine in self.engines:
            engine.stop()
        for name in list(self.processes):
            self.kill(name)

    def logs_of(self, run_id: int) -> list[str]:
        """What simulated children wrote for a run, on all workers."""
        lines = []
        for path in sorted(self.folder.glob(f"*/logs/run-{run_id}.log")):
            lines += path.read_text().splitlines()
        return lines

    def _start(self, name: str, what: str, arguments: list[str], home: Path, **changed: str) -> None:
        home.mkdir(exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("LWDASH_", "DASK_"))}
        with (home / "output.log").open("ab") as output:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{what}", *arguments],
                env={**kept, "PYTHONPATH": str(ROOT), **self.environment, **changed},
                cwd=home,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_end_with_the_tests,
            )


def _end_with_the_tests() -> None:
    """SIGKILL when the test process ends, however it ends."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
