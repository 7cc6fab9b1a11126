"""A menu that brings a .tflite from somewhere else into the experiment, to be measured beside its runs."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from lwdash.engine import submit
from lwdash.engine.input_files.file_inspection import inspect_file
from lwdash.errors import UserMistake
from lwdash.settings import Settings
from lwdash.ui.new.uploader import forget_upload, uploader
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import shape, size
from storage import experiments
from storage.records import StoredFile
from storage.store import Store


def add_file_menu(settings: Settings, store: Store, experiment_id: int) -> None:
    """An uploader, the facts of the file or why it is refused, and the button that starts its measurement."""
    key = f"upload:tflite:{experiment_id}"
    with st.popover("Add a .tflite", icon=":material/upload_file:", width="content"):
        st.caption(
            "A file of the same network that was made elsewhere. It is measured on the same rows as your runs, "
            "and its latency against the same baseline."
        )
        sent = uploader(
            ".tflite file",
            kind=".tflite",
            accept=(".tflite", ".lite"),
            help="It is checked in a process of its own before anything runs it.",
            key=key,
            limit_bytes=settings.max_upload << 20,
        )
        if sent is None:
            return
        if not store.artifacts.has(sent.sha256):
            st.error("The server no longer has this file. Send it again.", icon=":material/error:")
            return
        size_bytes = store.artifacts.local_path(sent.sha256).stat().st_size
        experiments.add_file(
            store.database, sha256=sent.sha256, kind="tflite", name=sent.name[:255], size_bytes=size_bytes
        )
        with st.spinner(f"Reading {sent.name}…"):
            row = inspect_file(settings, store, sent.sha256, "tflite")
        _show_file(row)
        if row.error is None and st.button("Measure it", type="primary", icon=":material/play_arrow:"):
            try:
                submit.submit_file(store, experiment_id, row)
            except UserMistake as error:
                st.error(plain(str(error)), icon=":material/block:")
                return
            forget_upload(key)
            st.rerun()


def _show_file(row: StoredFile) -> None:
    """The facts of the file, or why it is refused."""
    if row.error is not None:
        st.error(plain(row.error), icon=":material/block:")
        return
    facts = row.found_facts()
    lines = [
        f"**{plain(row.name)}** · {size(row.size_bytes)} · {sum(facts['operators'].values()):,} operators"
    ]
    for kind in ("inputs", "outputs"):
        lines += [f"{kind[:-1]} {_port_text(port)}" for port in facts[kind]]
    st.markdown("  \n".join(lines))


def _port_text(port: Mapping[str, Any]) -> str:
    scale = "" if port["scale"] is None else f", scale {port['scale']:.4g}, zero point {port['zero_point']}"
    return f"**{plain(port['name'])}** {plain(shape(port['shape']))} {port['dtype']}{scale}"
