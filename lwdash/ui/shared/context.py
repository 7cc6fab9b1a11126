"""The settings and the opened store of every page: created once per process, bound to the visitor."""

from dataclasses import replace

import streamlit as st

from lwdash.engine import submit
from lwdash.engine.home import open_home
from lwdash.serving.process_engine import process_engine
from lwdash.settings import Settings, load_settings
from lwdash.ui.shared.access import visitor
from storage.store import Store
from storage.visitors import bound_to


def expect_runs(settings: Settings) -> None:
    """For pages that start runs: the server prepares for them. No effect without a server."""
    if process_engine() is not None:
        submit.expect_runs(settings)


def opened() -> tuple[Settings, Store]:
    """For pages: the settings, and the store with the rights of the page's visitor."""
    settings, store = installed()
    return settings, replace(store, database=bound_to(store.database, visitor()))


def installed() -> tuple[Settings, Store]:
    """For the server itself: the settings and the whole store. The database is upgraded when it is first opened."""
    settings = load_settings()
    return settings, _store(settings.database_url, settings.artifacts, str(settings.home), settings)


@st.cache_resource(show_spinner=False)
def _store(database_url: str, artifacts: str, home: str, _settings: Settings) -> Store:
    return open_home(_settings)
