"""The graph and the weight histograms of a run's file, read in a child process and cached."""

from typing import Any

import streamlit as st

from lwdash.engine.input_files.file_inspection import Unreadable, dissect_file
from lwdash.settings import Settings
from lwdash.ui.shared.markdown_text import plain
from storage.errors import MissingArtifact
from storage.records import RunFiles, StoredExperiment, StoredRun
from storage.store import Store

MAX_CACHED = 200
"""Number of files whose graphs stay in memory; some kB each."""


def dissected(
    settings: Settings, store: Store, run: StoredRun, experiment: StoredExperiment
) -> dict[str, Any] | None:
    """The result of `analyses.graph_data.dissect` for a succeeded run; None, with the reason shown, where it fails."""
    names = tuple(layer["path"] for layer in experiment.model_facts.get("layers", ()))
    try:
        with st.spinner("Reading the file…", show_time=True):
            return _dissect(settings, store, run.files(), names)
    except (MissingArtifact, Unreadable) as error:
        st.warning(plain(f"This file cannot be read: {error}"), icon=":material/warning:")
        return None


@st.cache_data(max_entries=MAX_CACHED, show_spinner=False)
def _dissect(
    _settings: Settings, _store: Store, files: RunFiles, layer_names: tuple[str, ...]
) -> dict[str, Any]:
    """Raises MissingArtifact, Unreadable; an error is not kept, so that the next look tries again."""
    return dissect_file(_settings, _store, files.tflite, files.baseline, layer_names)
