"""Files that a visitor has sent, as records of the database."""

import streamlit as st

from lwdash.ui.new.uploader import uploader
from storage import experiments
from storage.records import StoredFile
from storage.store import Store


def sent_file(
    store: Store,
    kind: str,
    *,
    label: str,
    accept: tuple[str, ...],
    help: str,
    limit_bytes: int,
    key: str | None = None,
) -> StoredFile | None:
    """Show an uploader; return the record of its file, which is not inspected; None without one."""
    sent = uploader(
        label,
        kind=kind,
        accept=accept,
        help=help,
        key=f"upload:{key or kind}",
        limit_bytes=limit_bytes,
    )
    if sent is None:
        return None
    if not store.artifacts.has(sent.sha256):
        st.error("The server no longer has this file. Send it again.", icon=":material/error:")
        return None
    size_bytes = store.artifacts.local_path(sent.sha256).stat().st_size
    experiments.add_file(
        store.database, sha256=sent.sha256, kind=kind, name=sent.name[:255], size_bytes=size_bytes
    )
    return experiments.get_file(store.database, sent.sha256, kind)
