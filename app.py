"""The server: Streamlit's pages, additional routes, and the engine, in one process without TensorFlow."""

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from anyio import to_thread
from starlette.middleware import Middleware

import lwdash
from lwdash.engine.scheduler import Engine
from lwdash.errors import UserMistake
from lwdash.server.backend import Dashboard
from lwdash.server.device_routes import device_routes
from lwdash.server.gate import Gate, local_names
from lwdash.server.heap import freeze_long_lived_objects
from lwdash.server.opening import inline_scripts, page_routes
from lwdash.server.plotly_js import plotly_route
from lwdash.server.policy import page_policy
from lwdash.server.prometheus import metrics_text
from lwdash.server.routes import routes
from lwdash.server.run_downloads import takeaway_routes
from lwdash.server.uploads import remove_partial_uploads
from lwdash.serving.accounts import check_sign_in, is_sign_in_on
from lwdash.serving.process_engine import set_process_engine
from lwdash.serving.server_log import set_up_logging
from lwdash.serving.upload_token import upload_token
from lwdash.settings import load_settings
from lwdash.ui.glossary import entry_list
from lwdash.ui.shared.context import installed
from storage.errors import StorageError

try:
    set_up_logging(load_settings().log)
    settings, store = installed()
    check_sign_in(settings.auth)
except (UserMistake, StorageError, OSError) as error:
    sys.exit(f"lwdash cannot start: {error}")
logging.getLogger(__name__).info(
    "lwdash %s on %s; %s",
    lwdash.__version__,
    settings.home,
    "sign-in is enabled" if is_sign_in_on(settings.auth) else "sign-in is disabled",
)
dashboard = Dashboard(settings, store, Engine(settings, store))
set_process_engine(dashboard.engine)
FIRST_PAGE_S = 2.0
"""The first page is drawn in this time. Importing dask at the same time would delay it."""
base_url = st.get_option("server.baseUrlPath")


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """The engine runs as long as the server does; its children end with it and their runs are queued again."""
    remove_partial_uploads(settings.uploads)
    dashboard.engine.start(after_s=FIRST_PAGE_S)
    freeze_long_lived_objects()
    try:
        yield
    finally:
        await to_thread.run_sync(dashboard.engine.stop)


app = st.App(
    Path(lwdash.__file__).parent / "ui" / "shell.py",
    lifespan=lifespan,
    routes=[
        plotly_route(base_url),
        *page_routes(base_url),
        *routes(
            folder=settings.uploads,
            limit_bytes=settings.max_upload << 20,
            token=upload_token(),
            store_upload=dashboard.keep_upload,
            find_artifact=dashboard.find_tflite,
            find_log=dashboard.find_log,
            health=dashboard.health,
            metrics=lambda: metrics_text(dashboard),
            is_known=dashboard.is_known,
            metrics_token=settings.metrics_token,
            base_url=base_url,
        ),
        *takeaway_routes(dashboard.makers(), base_url),
        *device_routes(store, base_url),
    ],
    middleware=[
        Middleware(
            Gate,
            must_sign_in=dashboard.must_sign_in,
            identify=dashboard.identify,
            is_shared=dashboard.is_shared,
            allowed_hosts=frozenset(st.get_option("server.allowedHosts"))
            or local_names(st.get_option("server.address")),
            allowed_origins=frozenset(o.lower() for o in st.get_option("server.corsAllowedOrigins"))
            or (frozenset() if st.get_option("server.enableCORS") else frozenset({"*"})),
            base_url=base_url,
            policy=page_policy([*inline_scripts(), *entry_list.INLINE_SCRIPTS]),
        ),
    ],
)
