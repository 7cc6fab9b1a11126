"""The frame around every page: its name, its icon, the door, the navigation."""

from base64 import b64encode
from pathlib import Path

import streamlit as st

from lwdash.ui import places
from lwdash.ui.context import installed
from lwdash.ui.sign_in import account_page, admit

# In the address itself: Streamlit's media files are for those who have signed in.
icon = b64encode((Path(__file__).parent / "icon.svg").read_bytes()).decode()
st.set_page_config(page_title="lwdash", page_icon=f"data:image/svg+xml;base64,{icon}", layout="wide")
st.html(Path(__file__).parent / "shell.css")

visitor = admit(*installed())
shared = [
    st.Page(places.EXPERIMENT, title="Results", icon=":material/scatter_plot:", url_path="experiment"),
    st.Page(places.RUN, title="Run", icon=":material/layers:", url_path="run"),
]
pages = [
    st.Page(places.OVERVIEW, title="Experiments", icon=":material/science:", default=True),
    st.Page(places.NEW, title="New experiment", icon=":material/add_circle:", url_path="new"),
    *shared,
    st.Page(places.GLOSSARY, title="Glossary", icon=":material/menu_book:", url_path="glossary"),
    st.Page(places.SYSTEM, title="System", icon=":material/monitor_heart:", url_path="system"),
]
if visitor.email:
    pages.append(st.Page(account_page, title="Account", icon=":material/account_circle:", url_path="account"))
st.navigation(pages if visitor.is_known else shared, position="top").run()
