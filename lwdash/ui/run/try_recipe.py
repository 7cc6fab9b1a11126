"""A suggested recipe in a run's experiment: the button that queues it, or the link to the run that has tried it."""

from collections.abc import Mapping

import streamlit as st

from lwdash.engine import submit
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.markdown_text import plain
from storage.errors import StorageError
from storage.records import StoredRun
from storage.store import Store


def try_recipe(
    store: Store,
    run: StoredRun,
    recipe: str,
    tried: Mapping[str, int],
    *,
    may_start: bool,
    label: str | None = None,
) -> None:
    """A button that queues a recipe, or a link to the run that has tried it.

    tried: recipe → the run that has tried it, from `runs_of_recipes` in the experiment of `run`. label: of the
    button, where several stand beside one another.
    """
    if recipe in tried:
        known = tried[recipe]
        st.page_link(
            page_paths.RUN,
            label=f"{plain(label)}: run {known}" if label else f"Tried in run {known}",
            icon=":material/layers:",
            query_params={"run": str(known)},
        )
        return
    st.button(
        label or "Run it", key=f"try:{run.id}:{label or ''}{recipe}", icon=":material/play_arrow:", disabled=not may_start,
        help=f"Queue {plain(recipe)}", on_click=_start, args=(store, run.experiment_id, recipe),
    )  # fmt: skip


def _start(store: Store, experiment_id: int, recipe: str) -> None:
    try:
        _, [started] = submit.submit_runs(store, experiment_id, [recipe])
    except StorageError as error:
        st.toast(plain(str(error)), icon=":material/error:")
        return
    st.session_state["run:started"] = (started, recipe)


def show_started() -> None:
    """After a click: the queued run, with a link to it."""
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
