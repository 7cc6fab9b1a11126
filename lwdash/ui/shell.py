"""The frame of every page: its name, its icon, sign-in, navigation."""

import logging
from base64 import b64encode
from pathlib import Path

import streamlit as st

from lwdash.engine.home import explain_storage
from lwdash.settings import load_settings
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.context import installed
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.sign_in import account_page, admit

FOLDER = Path(__file__).parent


def drawing(name: str) -> str:
    """An SVG file as a data address: Streamlit's media files are only for signed-in users."""
    return f"data:image/svg+xml;base64,{b64encode((FOLDER / name).read_bytes()).decode()}"


st.set_page_config(page_title="lwdash", page_icon=drawing("icon.svg"), layout="wide")
st.logo(drawing("logo.svg"), size="medium")
st.html(FOLDER / "shell.css")

visitor = admit(*installed())
shared = [
    st.Page(page_paths.EXPERIMENT, title="Results", icon=":material/scatter_plot:", url_path="experiment"),
    st.Page(page_paths.COMPARE, title="Compare", icon=":material/compare:", url_path="compare"),
    st.Page(page_paths.RUN, title="Run", icon=":material/layers:", url_path="run"),
]
pages = [
    st.Page(page_paths.OVERVIEW, title="Experiments", icon=":material/science:", default=True),
    st.Page(page_paths.NEW, title="New experiment", icon=":material/add_circle:", url_path="new"),
    *shared,
    st.Page(page_paths.GLOSSARY, title="Glossary", icon=":material/menu_book:", url_path="glossary"),
    st.Page(page_paths.SYSTEM, title="System", icon=":material/monitor_heart:", url_path="system"),
]
if visitor.email:
    pages.append(st.Page(account_page, title="Account", icon=":material/account_circle:", url_path="account"))
page = st.navigation(pages if visitor.is_known else shared, position="top")
try:
    page.run()
except Exception as error:
    if (message := explain_storage(error, load_settings())) is None:
        raise
    logging.getLogger(__name__).exception(
        "a page could not be shown: the disk is full, or the home is not writable"
    )
    st.error(plain(message[:1].upper() + message[1:]) + ".", icon=":material/hard_drive:")
