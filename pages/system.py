"""The state of the installation: engine, queue, workers, storage, versions, log."""

import streamlit as st

from lwdash.ui.shared.context import opened
from lwdash.ui.system.devices_panel import show_devices
from lwdash.ui.system.panels import show_now, show_parts, show_server_log, show_storage, show_versions

settings, store = opened()
st.title("System")
show_now(settings, store)
show_devices(store)
left, right = st.columns(2)
with left:
    show_versions()
with right:
    show_storage(settings, store)
    show_parts()
show_server_log()
st.caption(
    "The same for programs: `/healthz` reports the server's health, `/metrics` has its numbers for "
    "Prometheus."
)
