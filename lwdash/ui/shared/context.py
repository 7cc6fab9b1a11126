"""The settings and the opened store of every page: made once a process, bound to the visitor."""

from dataclasses import replace

import streamlit as st

from lwdash.engine import submit
from lwdash.engine.home import open_home
from lwdash.server.backend import serving
from lwdash.settings import Settings, load_settings
from lwdash.ui.shared.access import visitor
from storage.store import Store
from storage.visitors import bound_to


def expect_runs(settings: Settings) -> None:
    """For pages from which runs are started: a server prepares for them. A page drawn without one does nothing."""
    if serving() is not None:
        submit.expect_runs(settings)


def opened() -> tuple[Settings, Store]:
    """For pages: the settings, and the store as the visitor of this page may see and change it."""
    settings, store = installed()
    return settings, replace(store, database=bound_to(store.database, visitor()))


def installed() -> tuple[Settings, Store]:
    """For the server itself: the settings and the whole store; the database is upgraded when it is opened first."""
    settings = load_settings()
    return settings, _store(settings.database_url, settings.artifacts, str(settings.home), settings)


@st.cache_resource(show_spinner=False)
def _store(database_url: str, artifacts: str, home: str, _settings: Settings) -> Store:
    return open_home(_settings)
