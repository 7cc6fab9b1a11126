"""A recipe to try in a run's experiment: the button that queues it, or the link to the run that has tried it."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from lwdash.engine import submit
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.markdown_text import plain
from storage.errors import StorageError
from storage.store import Store


def try_recipe(
    store: Store, run: Mapping[str, Any], recipe: str, tried: Mapping[str, int], *, may_start: bool
) -> None:
    """tried: recipe → the run that has tried it, as `runs_of_recipes` finds them in the experiment of `run`."""
    if recipe in tried:
        known = tried[recipe]
        st.page_link(
            page_paths.RUN,
            label=f"Tried in run {known}",
            icon=":material/layers:",
            query_params={"run": str(known)},
        )
        return
    st.button(
        "Run it", key=f"try:{run['id']}:{recipe}", icon=":material/play_arrow:", disabled=not may_start,
        help=f"Queue {plain(recipe)}", on_click=_start, args=(store, run["experiment_id"], recipe),
    )  # fmt: skip


def _start(store: Store, experiment_id: int, recipe: str) -> None:
    try:
        _, [started] = submit.submit_runs(store, experiment_id, [recipe])
    except StorageError as error:
        st.toast(plain(str(error)), icon=":material/error:")
        return
    st.session_state["run:started"] = (started, recipe)


def show_started() -> None:
    """After a click: which run was queued, and the way there."""
    started = st.session_state.pop("run:started", None)
    if started:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/schedule: Run {started[0]} is queued: **{plain(started[1])}**")
            st.page_link(
                page_paths.RUN,
                label="Open it",
                icon=":material/arrow_forward:",
                query_params={"run": str(started[0])},
            )
