"""The graph and the weight histograms of a run's file, read in a child process and kept for the next look."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from lwdash.engine.file_inspection import ask_child
from lwdash.settings import Settings
from lwdash.ui.shared.markdown_text import plain
from storage import run_rows
from storage.errors import MissingArtifact
from storage.store import Store

KEPT = 200
"""How many files' answers stay in memory; some kB each."""


def dissected(
    settings: Settings, store: Store, run_id: int, experiment: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What `analyses.graph_data.dissect` says of a succeeded run; None, with the reason shown, where it cannot be had."""
    run = run_rows.get_run(store.database, run_id) or {}
    names = tuple(layer["path"] for layer in (experiment.get("model_facts") or {}).get("layers", ()))
    try:
        with st.spinner("Reading the file…", show_time=True):
            return _dissect(settings, store, run["tflite_sha256"], run["baseline_sha256"], names)
    except (MissingArtifact, Unreadable) as error:
        st.warning(plain(f"This file cannot be looked into: {error}"), icon=":material/warning:")
        return None


class Unreadable(Exception):
    """The child's words on a file that it could not read; not kept, so that the next look tries again."""


@st.cache_data(max_entries=KEPT, show_spinner=False)
def _dissect(
    _settings: Settings, _store: Store, tflite: str, baseline: str, layer_names: tuple[str, ...]
) -> dict[str, Any]:
    paths = {
        which: str(_store.artifacts.local_path(sha256))
        for which, sha256 in (("tflite", tflite), ("baseline", baseline))
    }
    answer = ask_child(_settings, "dissect", {**paths, "layer_names": list(layer_names)})
    if "dissected" not in answer:
        raise Unreadable(answer.get("error", "the process said nothing"))
    return answer["dissected"]
