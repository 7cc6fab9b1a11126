"""The draft of a new experiment, stored in the address and in the session, so that the user can leave the
page.

Each choice is a widget's value under its key in the session. The address has the choices that differ from the
default. A newly opened page uses the address; a page visited again uses the session.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from lwdash.metrics.limits import LIMITS
from lwdash.search.proposals import DEFAULT_SAMPLER
from lwdash.search.sweeps import STANDARD_SWEEP
from lwdash.ui.new.uploader import Uploaded, forget_upload, recall_upload, restore_upload
from lwdash.ui.shared.recipe_editor import clear_recipes
from lwdash.ui.shared.search_form import NO_GOAL, RUNS
from storage import experiments
from storage.store import Store

FOUND = "found from the data"
"""A choice that is derived from the file."""
DRAFT_KEY = "new:draft"
FILES = {"model": "model", "code": "code", "data": "data", "evaluation": "data", "calibration": "data"}
"""Name in the address → kind of file; the uploader's key is `upload:<name>`."""
RECIPES = "recipes"
SEARCH = "search"
MAX_CHARACTERS = 4000
"""Longer texts are stored in the session only."""


@dataclass(frozen=True)
class DraftField:
    """One widget: its key in the session, its default value, and the type of its text. may_be_negative: of a number."""

    key: str
    default: Any
    kind: type = str
    may_be_negative: bool = False


CHOICES: Mapping[str, DraftField] = {
    "aim": DraftField("new:aim", "size"),
    "device": DraftField("new:device", "any"),
    "no_data": DraftField("data:none", False, bool),
    "low": DraftField("data:low", None, float, may_be_negative=True),
    "high": DraftField("data:high", None, float, may_be_negative=True),
    "label": DraftField("data:label", FOUND),
    "ignored": DraftField("data:ignored", [], list),
    "seed": DraftField("data:seed", 0, int),
    "header": DraftField("data:header", FOUND),
    "delimiter": DraftField("data:delimiter", FOUND),
    "classes": DraftField("data:classes", ""),
    "task": DraftField("data:task", FOUND),
    "preprocess": DraftField("data:preprocess", ""),
    **{key: DraftField(f"limit:{key}", None, float) for key in LIMITS},
    "target_limits": DraftField("limit:of_targets", [], list),
    "threads": DraftField("new:threads", 1, int),
    "name": DraftField("new:name", ""),
    "goal": DraftField(f"{SEARCH}:goal", NO_GOAL),
    "goal_runs": DraftField(f"{SEARCH}:runs", RUNS, int),
    "goal_integer": DraftField(f"{SEARCH}:integer", False, bool),
    "goal_without": DraftField(f"{SEARCH}:left_out", [], list),
    "goal_sampler": DraftField(f"{SEARCH}:sampler", DEFAULT_SAMPLER),
    "goal_finish_all": DraftField(f"{SEARCH}:finish_all", False, bool),
    "recipes": DraftField(f"{RECIPES}:kept", "\n".join(STANDARD_SWEEP)),
}
"""Name in the address → choice."""


def restore_draft(store: Store) -> None:
    """At the top of the page: copy the values of the address or of an earlier visit to the widgets' keys."""
    left: Mapping[str, Any] = st.session_state.get(DRAFT_KEY, {})
    for name, choice in CHOICES.items():
        if choice.key in st.session_state:
            continue
        value = _read(st.query_params.get(name), choice)
        value = left.get(name, choice.default) if value is None else value
        if value != choice.default:
            st.session_state[choice.key] = value
    for name, kind in FILES.items():
        sha256 = st.query_params.get(name)
        if recall_upload(f"upload:{name}") is None and sha256:
            row = experiments.get_file(store.database, sha256, kind)
            if row is not None:
                restore_upload(f"upload:{name}", Uploaded(row.sha256, row.size_bytes, row.name))


def keep_draft() -> None:
    """At the end of the page, and before it stops early: write the address, and the session for a later visit."""
    left: dict[str, Any] = dict(st.session_state.get(DRAFT_KEY, {}))
    for name, choice in CHOICES.items():
        if choice.key in st.session_state:
            left[name] = st.session_state[choice.key]
    st.session_state[DRAFT_KEY] = left
    address = {
        name: _text(left[name])
        for name, choice in CHOICES.items()
        if left.get(name, choice.default) != choice.default and len(_text(left[name])) <= MAX_CHARACTERS
    }
    for name in FILES:
        sent = recall_upload(f"upload:{name}")
        if sent is not None:
            address[name] = sent.sha256
    others = {key: value for key, value in st.query_params.items() if key not in CHOICES and key not in FILES}
    if st.query_params.to_dict() != {**others, **address}:
        st.query_params.from_dict({**others, **address})


def has_draft() -> bool:
    """True if the user has made any choice."""
    return any(recall_upload(f"upload:{name}") for name in FILES)


def clear_draft() -> None:
    """Remove all choices, files included; the uploaded files themselves stay in the store."""
    for choice in CHOICES.values():
        st.session_state.pop(choice.key, None)
    for key in [key for key in st.session_state if str(key).startswith("limit:")]:
        del st.session_state[key]
    st.session_state.pop(DRAFT_KEY, None)
    clear_recipes(RECIPES)
    for name in FILES:
        forget_upload(f"upload:{name}")
    st.query_params.clear()


def _read(text: str | None, choice: DraftField) -> Any:
    """The value of an address's text; None if it is missing or invalid."""
    if text is None:
        return None
    if choice.kind is list:
        return [part for part in text.split("\n") if part]
    if choice.kind is bool:
        return text == str(True)
    try:
        value = choice.kind(text)
    except ValueError:
        return None
    if choice.kind is str:
        return value
    lowest = -(2**31) if choice.may_be_negative else 0
    return value if lowest <= value < 2**31 else None


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return f"{value:.12g}" if isinstance(value, float) else str(value)
