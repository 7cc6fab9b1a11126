"""Downloads of a run: the .tflite, a C array, its tables, a capsule."""

import streamlit as st

from lwdash.recipe import storage_form
from lwdash.ui.shared import addresses
from storage.file_runs import is_file_recipe
from storage.records import StoredRun

READERS = {
    "lut": ("Download .lut.tflite", "For TensorFlow Lite Micro; the .tflite is the same network before it."),
    "coded": (
        "Download coded file",
        "A zip of the coded file and its decoders in C and Python, which give the .tflite.",
    ),
}
"""Storage step of a recipe → the label of its file's download, and what reads it."""


def show_takeaway(run: StoredRun, *, may_change: bool) -> None:
    """The main download, and the others behind a button."""
    run_id = run.id
    form = storage_form(run.recipe)
    if run.stored_sha256 and form in READERS:
        label, help = READERS[form]
        st.link_button(label, addresses.stored_url(run_id), icon=":material/download:", help=help)
    st.link_button(
        "Download .tflite", addresses.download_url(run_id), icon=":material/download:", type="primary"
    )
    with st.popover("More downloads", icon=":material/inventory_2:"):
        st.markdown("**C array** for TensorFlow Lite Micro")
        st.caption("The file as an array aligned to 16 bytes, with its length; for C11 and C++11.")
        with st.container(horizontal=True):
            st.link_button("Source (.cc)", addresses.c_source_url(run_id), icon=":material/code:")
            st.link_button("Header (.h)", addresses.c_header_url(run_id), icon=":material/code:")
        st.markdown("**Project to flash**: a program for TensorFlow Lite Micro")
        st.caption(
            "A zip with the array, a resolver with exactly the operators of the file, the measured arena, and a "
            "main that runs the first evaluation rows and compares the outputs; for CMake and PlatformIO."
        )
        st.link_button("Project (.zip)", addresses.project_url(run_id), icon=":material/developer_board:")
        st.markdown("**Tables**: all measurements")
        st.caption("Metrics, layers, bytes, classes, stages, sensitivity, in bytes, ms, dB and shares of 1.")
        with st.container(horizontal=True):
            st.link_button("Tables (JSON)", addresses.json_url(run_id), icon=":material/table_view:")
            st.link_button("Tables (CSV, zipped)", addresses.tables_url(run_id), icon=":material/table_view:")
        if is_file_recipe(run.recipe):
            st.markdown("**Capsule**: everything needed to check the metric")
            st.caption(
                "A zip with the .tflite, the settings of the data, hashes and expected metrics, and a script that checks "
                "the quality metric without lwdash. The file was made elsewhere, so nothing makes it again."
            )
        else:
            st.markdown("**Capsule**: everything needed to reproduce the run")
            st.caption(
                "A zip with the .tflite, the recipe, settings, hashes, seed, library versions and expected "
                "metrics, a script that makes the file again, and one that checks the quality metric "
                "without lwdash. `python -m lwdash verify` makes it again and reports differences."
            )
        with st.container(horizontal=True):
            st.link_button("Capsule (.zip)", addresses.capsule_url(run_id), icon=":material/package_2:")
            if may_change:
                st.link_button(
                    "With model and data",
                    addresses.capsule_url(run_id, with_originals=True),
                    icon=":material/folder_zip:",
                    help="The zip contains the original model and the data files, for everybody who gets it",
                )
