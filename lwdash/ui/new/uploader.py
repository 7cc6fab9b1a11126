"""A file input that streams to the server's disk; Streamlit's own would hold the file in memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from lwdash.serving.upload_token import upload_token

_FOLDER = Path(__file__).parent
_SHA256 = re.compile(r"[0-9a-f]{64}")

_mount = st.components.v2.component(
    "lwdash_uploader",
    html=(_FOLDER / "uploader.html").read_text(encoding="utf-8"),
    css=(_FOLDER / "uploader.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "uploader.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Uploaded:
    """A file that the server has completely received. `name` is its name on the user's disk: show it, never open it."""

    sha256: str
    size_bytes: int
    name: str


def uploader(
    label: str, *, kind: str, accept: tuple[str, ...], help: str, key: str, limit_bytes: int | None = None
) -> Uploaded | None:
    """Show a drop zone and return the last uploaded file, or None.

    kind: one word for the expected file, as in "Drop a model file here".
    accept: lower-case suffixes with their dot, `(".keras", ".h5")`; `".csv.gz"` works too.
    help: a short sentence below, or "".
    key: unique in the app; the file is stored under it for the session, on other pages as well.
    limit_bytes: largest size, shown before the upload; the server checks its own limit in any case.

    The result comes from the browser: look `sha256` up in the storage before using it.
    """
    memory = f"{key}:uploaded"
    before = recall_upload(key)
    result = _mount(
        key=_mounted(key),
        data={
            "label": label,
            "kind": kind,
            "accept": list(accept),
            "help": help,
            "limit_bytes": limit_bytes,
            "token": upload_token(),
            "current": asdict(before) if before else None,
        },
        on_uploaded_change=lambda: None,
    )
    # Streamlit deletes a widget's state as soon as a page without it is shown.
    st.session_state[memory] = _uploaded(result) or before
    return st.session_state[memory]


def recall_upload(key: str) -> Uploaded | None:
    """The last file that was uploaded with, or set in, the uploader with this key."""
    return _uploaded(st.session_state.get(_mounted(key))) or st.session_state.get(f"{key}:uploaded")


def restore_upload(key: str, uploaded: Uploaded) -> None:
    """Show a file that the server already has as the uploaded one."""
    st.session_state[f"{key}:uploaded"] = uploaded


def forget_upload(key: str) -> None:
    """Empty the uploader with this key; its component is created again."""
    st.session_state.pop(f"{key}:uploaded", None)
    st.session_state[f"{key}:round"] = st.session_state.get(f"{key}:round", 0) + 1


def _mounted(key: str) -> str:
    """The key of the component; a new one after `forget_upload`."""
    turn = st.session_state.get(f"{key}:round", 0)
    return f"{key}:{turn}" if turn else key


def _uploaded(state: Any) -> Uploaded | None:
    """The file in a component's state, if it exists and has the expected form."""
    value = state.get("uploaded") if isinstance(state, Mapping) else None
    if not isinstance(value, Mapping):
        return None
    sha256, size_bytes, name = (value.get(field) for field in ("sha256", "size_bytes", "name"))
    if not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        return None
    if not (isinstance(size_bytes, int) and size_bytes > 0 and isinstance(name, str)):
        return None
    return Uploaded(sha256=sha256, size_bytes=size_bytes, name=name)
