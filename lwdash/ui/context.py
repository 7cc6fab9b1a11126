"""What every page needs: the settings and the opened store, once a process."""

from pathlib import Path

import streamlit as st

from lwdash.settings import Settings, load_settings
from storage.store import Store, open_store


def opened() -> tuple[Settings, Store]:
    """The settings of this process and its store; the database is upgraded when it is opened first."""
    settings = load_settings()
    return settings, _store(settings.database_url, settings.artifacts, str(settings.home))


@st.cache_resource(show_spinner=False)
def _store(database_url: str, artifacts: str, home: str) -> Store:
    folder = Path(home)
    (folder / "uploads").mkdir(parents=True, exist_ok=True)
    return open_store(database_url, artifacts, folder / "cache")
