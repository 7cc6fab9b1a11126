"""How the installation is doing: workers, queue, disk, versions, log."""

import streamlit as st

from lwdash.ui.context import opened

settings, store = opened()
st.title("System")
