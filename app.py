"""The server: Streamlit's pages, the routes beside them, and the engine, in one process without TensorFlow."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st
from anyio import to_thread

import lwdash
from lwdash.engine.scheduler import Engine
from lwdash.errors import NotFound
from lwdash.server.access import upload_token
from lwdash.server.routes import routes
from lwdash.server.uploads import remove_partial_uploads
from lwdash.ui.context import opened
from lwdash.ui.downloads import file_name
from storage import experiments, runs
from storage.database import ping

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
for chatty in ("distributed", "alembic"):
    logging.getLogger(chatty).setLevel(logging.WARNING)

settings, store = opened()
engine = Engine(settings, store)


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """The engine runs as long as the server does; its children end with it and their runs are queued again."""
    remove_partial_uploads(settings.uploads)
    engine.start()
    try:
        yield
    finally:
        await to_thread.run_sync(engine.stop)


def keep_upload(path: Path, sha256: str) -> Path:
    store.artifacts.adopt(path, sha256)
    return store.artifacts.local_path(sha256)


def find_tflite(run_id: str) -> tuple[Path, str]:
    run = runs.get_run(store.database, int(run_id)) if run_id.isdecimal() else None
    if run is None or run["state"] != "succeeded":
        raise NotFound(f"run {run_id} has no file to download")
    experiment = experiments.get_experiment(store.database, run["experiment_id"])
    name = experiment["name"] if experiment else "model"
    return store.artifacts.local_path(run["tflite_sha256"]), file_name(name, run["recipe"], run["id"])


def health() -> dict[str, Any]:
    try:
        database = ping(store.database)
    except Exception as error:  # whatever the driver raises: the answer is that it does not answer
        logging.getLogger(__name__).exception("the database does not answer")
        database = f"does not answer ({type(error).__name__})"
    state = engine.state
    is_well = state != "down" and not database.startswith("does not")
    return {"ok": is_well, "database": database, "engine": state, "version": lwdash.__version__}


app = st.App(
    "lwdash/ui/shell.py",
    lifespan=lifespan,
    routes=routes(
        folder=settings.uploads,
        limit_bytes=settings.max_upload << 20,
        token=upload_token(),
        store_upload=keep_upload,
        find_artifact=find_tflite,
        health=health,
        base_url=st.get_option("server.baseUrlPath"),
    ),
)
