"""Parts of the System page: running and waiting steps, workers, disk, versions, log."""

import os
import platform
import shutil
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import pandas as pd
import psutil
import streamlit as st

import lwdash
from lwdash.engine.doctor import LIBRARIES, LOW_DISK_GB, OPTIONAL
from lwdash.engine.gpu_training import gpu_state
from lwdash.engine.scheduler import Engine
from lwdash.serving.process_engine import process_engine
from lwdash.serving.server_log import recent_lines
from lwdash.settings import Settings
from lwdash.ui.shared.addresses import run_url
from lwdash.ui.shared.data_table import data_table
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import seconds, size
from storage.statistics import Active, active_steps, queue_by_step, runs_by_state
from storage.store import Store

MAX_STEPS = 50
METRIC_WIDTH = 172
REDRAW_SECONDS = 2.0
ENGINES = {
    "embedded": ("Running", "Steps run on this host, started by this server."),
    "cluster": ("Cluster", "Steps run on the workers of a dask scheduler."),
    "elsewhere": (
        "Elsewhere",
        "Another process on this home runs the steps: the command line, or another server.",
    ),
    "starting": ("Starting", "The engine connects to its workers."),
    "down": ("Down", "No steps are started, and runs wait. See the reason below."),
}
PARTS = {"s3fs": "artifacts in an S3 bucket"}


@st.fragment(run_every=REDRAW_SECONDS)
def show_now(_settings: Settings, _store: Store) -> None:
    """Engine, queue, memory and disk at this moment, redrawn every two seconds."""
    engine = process_engine()
    steps, runs = queue_by_step(_store.database), runs_by_state(_store.database)
    running, waiting = (sum(steps[key].values()) for key in ("running", "queued"))
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(_settings.home)
    state = engine.state if engine else "elsewhere"
    word, caption = ENGINES[state]
    with st.container(horizontal=True, key="figures-system"):
        _metric("Engine", word, f"up {_uptime()}", caption)
        slots = sum(worker.slots for worker in engine.workers()) if engine else 0
        _metric(
            "Steps running", f"{running:,}", f"of {slots:,} slots" if slots else "", "Slots: LWDASH_SLOTS"
        )
        _metric("Steps waiting", f"{waiting:,}", _by_step(steps["queued"]) or "the queue is empty")
        ended = f"{runs['succeeded']:,} succeeded, {runs['failed']:,} failed"
        _metric("Runs", f"{sum(runs.values()):,}", ended)
        _metric("Memory free", _gb(memory.available), f"of {_gb(memory.total)}", "Of this host")
        _metric("Disk free", _gb(disk.free), f"of {_gb(disk.total)}", f"Of the disk with {_settings.home}")
    st.caption(f"GPU: {plain(gpu_state(_settings))} (`LWDASH_GPU={_settings.gpu}`).")
    if engine and engine.problem:
        st.error(plain(engine.problem), icon=":material/error:")
    if disk.free < LOW_DISK_GB * 1e9:
        st.warning(f"Only {_gb(disk.free)} are left on the disk.", icon=":material/hard_drive:")
    _show_workers(engine)
    _show_steps(active_steps(_store.database, MAX_STEPS), running + waiting)


def _metric(label: str, value: str, below: str, help: str | None = None) -> None:
    with st.container(border=True, width=METRIC_WIDTH, height="stretch", gap=None):
        st.metric(label, value, help=help)
        st.caption(plain(below) or "\u00a0")


def _gb(value: float) -> str:
    return f"{value / 1e9:,.1f} GB"


def _by_step(steps: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {step}" for step, number in sorted(steps.items()))


def _uptime() -> str:
    return seconds(time.time() - psutil.Process().create_time())


def _show_workers(engine: Engine | None) -> None:
    workers = engine.workers() if engine else []
    if len(workers) < 2 and all(worker.refused is None for worker in workers):
        return  # one process on one host: the values above are complete
    st.header("Workers", anchor=False)
    table = pd.DataFrame(
        [
            {
                "worker": worker.address,
                "host": worker.host,
                "slots": worker.slots,
                "memory": worker.memory_bytes / 1e6 if worker.memory_bytes else None,
                "state": worker.refused or "takes steps",
            }
            for worker in workers
        ]
    )
    number = st.column_config.NumberColumn
    data_table(
        table,
        hide_index=True,
        column_config={
            "worker": "Worker",
            "host": "Host",
            "slots": number("Slots", help="Maximum number of steps at once: its dask resource cpu"),
            "memory": number("Memory (MB)", format="%.0f", help="Of the worker; its children do the work"),
            "state": st.column_config.TextColumn("State", width="large"),
        },
    )


def _show_steps(steps: list[Active], total: int) -> None:
    st.header("Queue", anchor=False)
    if not steps:
        st.caption("Nothing runs and nothing waits.")
        return
    table = pd.DataFrame(
        [
            {
                "run": run_url(step.run_id) if step.recipe is not None else None,
                "experiment": step.experiment or "(private)",
                "recipe": step.recipe or "",
                "step": step.step,
                "progress": 100 * step.progress if step.state == "running" else None,
                "doing": (step.doing or "") if step.state == "running" else "waits",
                "seconds": time.time() - step.started_at
                if step.started_at and step.state == "running"
                else None,
                "attempt": step.attempt,
                "owner": step.owner,
                "worker": step.worker if step.state == "running" else None,
            }
            for step in steps
        ]
    )
    if table["owner"].isna().all():
        table = table.drop(columns="owner")
    data_table(
        table,
        hide_index=True,
        placeholder="",
        column_config={
            "run": st.column_config.LinkColumn("Run", display_text=r"run=(\d+)", width=60),
            "experiment": "Experiment",
            "recipe": st.column_config.TextColumn("Recipe", width=290),
            "step": st.column_config.TextColumn("Step", width=75),
            "progress": st.column_config.ProgressColumn("Progress", min_value=0, max_value=100, format="%.0f %%", width=110),
            "doing": st.column_config.TextColumn("Doing", width=210),
            "seconds": st.column_config.NumberColumn("Since (s)", format="%.0f", width=75, help="Since the run began"),
            "attempt": st.column_config.NumberColumn(
                "Attempt", width=65, help="More than 1: its worker was lost, or it was retried"
            ),
            "owner": "Owner",
            "worker": "Worker",
        },
    )  # fmt: skip
    if total > len(steps):
        st.caption(f"and {total - len(steps):,} more")


def show_storage(settings: Settings, store: Store) -> None:
    """Places and sizes of the stored data."""
    st.header("Storage", anchor=False)
    database = store.database.url
    rows = [
        ("Database", store.database.dialect.name, database.database or "", _file_bytes(database.database))
        if store.database.dialect.name == "sqlite"
        else ("Database", store.database.dialect.name, database.render_as_string(hide_password=True), None),
        ("Artifacts", "folder" if store.artifacts.is_local else "remote", settings.artifacts,
         _folder_bytes(settings.artifacts) if store.artifacts.is_local else None),
        ("Logs", "folder", str(settings.logs), _folder_bytes(str(settings.logs))),
    ]  # fmt: skip
    data_table(
        pd.DataFrame(
            [
                (what, kind, place, size(number) if number is not None else "")
                for what, kind, place, number in rows
            ],
            columns=["What", "Kind", "Where", "Size"],
        ),
        hide_index=True,
    )


def _file_bytes(path: str | None) -> int:
    """Size with its write-ahead log."""
    return sum(os.path.getsize(f"{path}{end}") for end in ("", "-wal") if os.path.exists(f"{path}{end}"))


@st.cache_data(ttl=60, show_spinner=False)
def _folder_bytes(folder: str) -> int:
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def show_versions() -> None:
    """The libraries that affect results."""
    st.header("Versions", anchor=False)
    rows = [("lwdash", lwdash.__version__), ("Python", platform.python_version())]
    rows += [(name, _version(name) or "not installed") for name in LIBRARIES]
    table = pd.DataFrame(rows, columns=["Part", "Version"])
    data_table(table, hide_index=True, height="content")
    st.caption(plain(platform.platform()))


def show_parts() -> None:
    """The optional parts, whether they are installed, and their use."""
    st.header("Optional parts", anchor=False)
    rows = [(name, _version(name) or "not installed", PARTS[name]) for name in OPTIONAL]
    data_table(
        pd.DataFrame(rows, columns=["Part", "Version", "What it is for"]), hide_index=True, height="content"
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def show_server_log() -> None:
    """The newest lines of this server's log."""
    st.header("Log of the server", anchor=False)
    lines = recent_lines()
    if not lines:
        st.caption("No log lines since the server started.")
        return
    st.code("\n".join(lines), language=None, height=320 if len(lines) > 12 else "content", wrap_lines=True)
