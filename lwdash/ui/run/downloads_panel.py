"""Downloads of a run: the .tflite, a C array, its tables, a capsule."""

import streamlit as st

from lwdash.ui.shared import addresses


def show_takeaway(run_id: int, *, may_change: bool) -> None:
    """The main download, and the others behind a button."""
    st.link_button(
        "Download .tflite", addresses.download_url(run_id), icon=":material/download:", type="primary"
    )
    with st.popover("More downloads", icon=":material/inventory_2:"):
        st.markdown("**C array** for TensorFlow Lite Micro")
        st.caption("The file as an array aligned to 16 bytes, with its length; for C11 and C++11.")
        with st.container(horizontal=True):
            st.link_button("Source (.cc)", addresses.c_source_url(run_id), icon=":material/code:")
            st.link_button("Header (.h)", addresses.c_header_url(run_id), icon=":material/code:")
        st.markdown("**Tables**: all that was measured")
        st.caption("Figures, layers, bytes, classes, stages, sensitivity, in bytes, ms, dB and shares of 1.")
        with st.container(horizontal=True):
            st.link_button("Tables (JSON)", addresses.json_url(run_id), icon=":material/table_view:")
            st.link_button("Tables (CSV, zipped)", addresses.tables_url(run_id), icon=":material/table_view:")
        st.markdown("**Capsule**: all that the run can be made again from")
        st.caption(
            "A zip with the .tflite, the recipe, settings, hashes, seed, library versions and expected figures, a script "
            "that makes the file again, and one that checks the quality figure with NumPy and LiteRT alone. "
            "`python -m lwdash verify` makes it again and says what differs."
        )
        with st.container(horizontal=True):
            st.link_button("Capsule (.zip)", addresses.capsule_url(run_id), icon=":material/package_2:")
            if may_change:
                st.link_button(
                    "With model and data",
                    addresses.capsule_url(run_id, with_originals=True),
                    icon=":material/folder_zip:",
                    help="The original model and the CSV files are inside: whoever gets the zip has them",
                )
