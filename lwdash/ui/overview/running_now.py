"""Running work of all experiments with its progress, redrawn every second while there is any."""

import time

import streamlit as st

from lwdash.ui.shared import page_paths
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import seconds
from storage.statistics import active_steps
from storage.store import Store

MAX_SHOWN = 4
MAX_COUNTED = 10_000
SEEN = "overview:active"


def show_running(store: Store) -> None:
    """A box with the running steps; hidden if there are none. The page is redrawn when an experiment ends."""
    with st.container():  # a separate container, so that nothing below moves when it disappears
        if active_steps(store.database, 1):
            _running(store)


@st.fragment(run_every=1.0)
def _running(_store: Store) -> None:
    active = active_steps(_store.database, MAX_COUNTED)
    busy = {step.experiment for step in active}
    before = st.session_state.get(SEEN, busy)
    st.session_state[SEEN] = busy
    if not active or before - busy:
        st.session_state.pop(SEEN)
        st.rerun()
    running = [step for step in active if step.state == "running"]
    with st.container(border=True):
        st.markdown(f"**Now: {len(running)} running, {len(active) - len(running):,} waiting**")
        for step in running[:MAX_SHOWN]:
            clock = f" · {seconds(time.time() - step.started_at)}" if step.started_at else ""
            what = f"**{plain(step.recipe or 'a run of somebody else')}**"
            where = f" of {plain(step.experiment)}" if step.experiment else ""
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.progress(
                    min(1.0, max(0.0, step.progress)),
                    text=f"{what}{where} · {plain(step.doing or 'starting')}{clock}",
                )
                if step.recipe:
                    st.page_link(
                        page_paths.RUN,
                        label="Open",
                        icon=":material/layers:",
                        query_params={"run": str(step.run_id)},
                    )
        if len(running) > MAX_SHOWN:
            st.caption(f"and {len(running) - MAX_SHOWN} more")
