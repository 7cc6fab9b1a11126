"""The code file of an experiment, as text for captions."""

from lwdash.ui.shared.markdown_text import plain
from storage.records import StoredExperiment

MAX_SHOWN = 12
"""Characters of a hash that identify a file to people."""


def code_text(experiment: StoredExperiment) -> str:
    """`code layers.py (SHA-256 3f2a9c1e7b12…)`; empty for a model without custom code."""
    code = experiment.code
    if code is None:
        return ""
    found = experiment.model_facts.get("code") or {}
    network = ", run with network access" if found.get("network") else ""
    return f"code {plain(code.name)} (SHA-256 {code.sha256[:MAX_SHOWN]}…{network})"
