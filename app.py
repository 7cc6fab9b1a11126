"""The server: Streamlit's pages, the routes beside them, and the engine, in one process without TensorFlow."""

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st
from anyio import to_thread
from starlette.middleware import Middleware

import lwdash
from lwdash.engine.scheduler import Engine
from lwdash.errors import UserMistake
from lwdash.server import backend
from lwdash.server.gate import Gate, local_names
from lwdash.server.heap import spare_what_stays
from lwdash.server.identity import check_sign_in, is_sign_in_on
from lwdash.server.opening import inline_scripts, page_routes
from lwdash.server.plotly_js import plotly_route
from lwdash.server.policy import page_policy
from lwdash.server.prometheus import metrics_text
from lwdash.server.routes import routes
from lwdash.server.run_downloads import takeaway_routes
from lwdash.server.server_log import set_up_logging
from lwdash.server.upload_access import upload_token
from lwdash.server.uploads import remove_partial_uploads
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
    "people sign in" if is_sign_in_on(settings.auth) else "nobody has to sign in",
)
serving = backend.serve(settings, store, Engine(settings, store))
FIRST_PAGE_S = 2.0
"""The first page is drawn in this time; importing dask beside it would make it wait."""
base_url = st.get_option("server.baseUrlPath")


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """The engine runs as long as the server does; its children end with it and their runs are queued again."""
    remove_partial_uploads(settings.uploads)
    serving.engine.start(after_s=FIRST_PAGE_S)
    spare_what_stays()
    try:
        yield
    finally:
        await to_thread.run_sync(serving.engine.stop)


app = st.App(
    "lwdash/ui/shell.py",
    lifespan=lifespan,
    routes=[
        plotly_route(base_url),
        *page_routes(base_url),
        *routes(
            folder=settings.uploads,
            limit_bytes=settings.max_upload << 20,
            token=upload_token(),
            store_upload=serving.keep_upload,
            find_artifact=serving.find_tflite,
            find_log=serving.find_log,
            health=serving.health,
            metrics=lambda: metrics_text(serving),
            is_known=serving.is_known,
            metrics_token=settings.metrics_token,
            base_url=base_url,
        ),
        *takeaway_routes(serving.makers(), base_url),
    ],
    middleware=[
        Middleware(
            Gate,
            must_sign_in=serving.must_sign_in,
            identify=serving.identify,
            is_shared=serving.is_shared,
            allowed_hosts=frozenset(st.get_option("server.allowedHosts"))
            or local_names(st.get_option("server.address")),
            allowed_origins=frozenset(o.lower() for o in st.get_option("server.corsAllowedOrigins"))
            or (frozenset() if st.get_option("server.enableCORS") else frozenset({"*"})),
            base_url=base_url,
            policy=page_policy([*inline_scripts(), *entry_list.INLINE_SCRIPTS]),
        ),
    ],
)
