"""Storage forms of a run's file: what reads each of them, and the bytes that this run takes in it."""

import pandas as pd
import streamlit as st

from lwdash.recipe import storage_form
from lwdash.ui.shared.number_text import NOTHING, size
from storage.records import StoredRun

READ_BY = {
    "": (
        "Plain .tflite",
        "LiteRT; TensorFlow Lite Micro and NPU compilers, if they support its number format",
    ),
    "sparse": ("Sparse (`sparse`)", "LiteRT on phones and computers"),
    "lut": ("Look-up tables (`lut`)", "TensorFlow Lite Micro"),
    "coded": ("Coded (`coded`)", "nothing: decode it first, with the C or Python decoder of the download"),
    "gzip": ("Gzipped", "nothing: unpack it first"),
}
"""Form, by its step in a recipe → its name as Markdown, and what reads it."""


def show_storage_forms(run: StoredRun) -> None:
    """One row a form. A form that this run does not end in has no bytes: add its step to the recipe."""
    form = storage_form(run.recipe) or ""
    known = {"gzip": run.gzip_bytes, "sparse" if form == "sparse" else "": run.size_bytes}
    if run.stored_sha256:
        known[form] = run.metrics.get("stored_bytes")
    rows = [
        {"Form": name, "Read by": readers, "This run": size(known[key]) if known.get(key) else NOTHING}
        for key, (name, readers) in READ_BY.items()
    ]
    st.header("Storage forms", anchor=False)
    st.caption(
        "The same network in other bytes. A recipe can end in one of them; only measured files have a size."
    )
    st.table(pd.DataFrame(rows), border="horizontal", hide_index=True)
