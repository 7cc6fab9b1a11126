"""The frame around every page: navigation, and what the engine is doing."""

import streamlit as st

from lwdash.ui import places
from lwdash.ui.context import opened
from storage.frames import count_states

st.set_page_config(page_title="lwdash", page_icon=":material/compress:", layout="wide")

page = st.navigation(
    [
        st.Page(places.OVERVIEW, title="Experiments", icon=":material/science:", default=True),
        st.Page(places.NEW, title="New experiment", icon=":material/add_circle:", url_path="new"),
        st.Page(places.EXPERIMENT, title="Results", icon=":material/scatter_plot:", url_path="experiment"),
        st.Page(places.RUN, title="Run", icon=":material/layers:", url_path="run"),
    ],
    position="top",
)
counts = count_states(opened()[1].database)
if counts["queued"] or counts["running"]:
    st.caption(f":material/progress_activity: {counts['running']} running, {counts['queued']} waiting")
page.run()
