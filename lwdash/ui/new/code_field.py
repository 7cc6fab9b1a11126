"""The field for the Python code that a model needs, on servers whose operator allows it."""

import streamlit as st

from lwdash.engine.input_files.file_inspection import inspect_with_code
from lwdash.settings import Settings
from lwdash.ui.new.sent_files import sent_file
from lwdash.ui.shared.markdown_text import plain
from storage.records import StoredFile
from storage.store import Store

MAX_CODE_BYTES = 1 << 20


def with_code(settings: Settings, store: Store, model: StoredFile) -> StoredFile:
    """The model's row: as it is, or with the facts that it has together with a code file to which the visitor consents."""
    with st.expander("Custom layers and functions", icon=":material/code:", expanded=model.error is not None):
        code = sent_file(
            store,
            "code",
            label="Python code",
            accept=(".py",),
            help="The file that defines the model's custom layers and functions. It is needed for Lambda layers too.",
            limit_bytes=MAX_CODE_BYTES,
        )
        if code is None:
            return model
        st.warning(
            f"{plain(code.name)} (SHA-256 {code.sha256[:12]}…) is a program. It will run on the server, in processes "
            "without secrets and, where the system allows it, without network. It can still read files of the server and "
            "disturb other experiments. Run only code that you have read or whose author you trust.",
            icon=":material/warning:",
        )
        # The tick applies only to this file.
        if not st.checkbox("Run this code", key=f"code:allowed:{code.sha256}"):
            return model
    with st.spinner(f"Running {code.name} and loading {model.name}…"):
        return inspect_with_code(settings, store, model, code)
