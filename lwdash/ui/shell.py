"""The frame around every page: its name, its icon, the navigation."""

from pathlib import Path

import streamlit as st

from lwdash.ui import places

st.set_page_config(page_title="lwdash", page_icon=str(Path(__file__).parent / "icon.svg"), layout="wide")

st.navigation(
    [
        st.Page(places.OVERVIEW, title="Experiments", icon=":material/science:", default=True),
        st.Page(places.NEW, title="New experiment", icon=":material/add_circle:", url_path="new"),
        st.Page(places.EXPERIMENT, title="Results", icon=":material/scatter_plot:", url_path="experiment"),
        st.Page(places.RUN, title="Run", icon=":material/layers:", url_path="run"),
    ],
    position="top",
).run()
