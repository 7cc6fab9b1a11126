"""The draft of a new experiment, kept in the address and in the session, so that the page can be left.

Each choice is a widget's value under its key in the session; the address has those that differ from the default. A
page that is opened cold takes the address, one that is come back to takes what was left.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from lwdash.engine import submit
from lwdash.ui.new.uploader import Uploaded, forget_upload, recall_upload, restore_upload
from lwdash.ui.shared.recipe_editor import clear_recipes
from lwdash.ui.shared.search_form import NO_GOAL, RUNS
from storage import experiments
from storage.store import Store

FOUND = "found from the data"
"""A choice that is left to what the file tells."""
KEPT = "new:draft"
FILES = {"model": "model", "data": "data", "evaluation": "data", "calibration": "data"}
"""Name in the address → kind of file; the uploader's key is `upload:<name>`."""
RECIPES = "recipes"
SEARCH = "search"
MOST_CHARACTERS = 4000
"""What is longer is kept in the session only."""


@dataclass(frozen=True)
class Choice:
    """One widget: its key in the session, its value when nothing was chosen, and the type its text is read as."""

    key: str
    default: Any
    kind: type = str


CHOICES: Mapping[str, Choice] = {
    "label": Choice("data:label", FOUND),
    "ignored": Choice("data:ignored", [], list),
    "seed": Choice("data:seed", 0, int),
    "header": Choice("data:header", FOUND),
    "delimiter": Choice("data:delimiter", FOUND),
    "classes": Choice("data:classes", ""),
    "task": Choice("data:task", FOUND),
    "preprocess": Choice("data:preprocess", ""),
    "size_bytes": Choice("limit:size_bytes", None, float),
    "accuracy_drop": Choice("limit:accuracy_drop", None, float),
    "latency_ms": Choice("limit:latency_ms", None, float),
    "arena_bytes": Choice("limit:arena_bytes", None, float),
    "threads": Choice("new:threads", 1, int),
    "name": Choice("new:name", ""),
    "goal": Choice(f"{SEARCH}:goal", NO_GOAL),
    "goal_runs": Choice(f"{SEARCH}:runs", RUNS, int),
    "goal_integer": Choice(f"{SEARCH}:integer", False, bool),
    "goal_without": Choice(f"{SEARCH}:left_out", [], list),
    "recipes": Choice(f"{RECIPES}:kept", "\n".join(submit.STANDARD_SWEEP)),
}
"""Name in the address → choice."""


def restore_draft(store: Store) -> None:
    """At the top of the page: what the address or an earlier visit says is put where the widgets look for it."""
    left: Mapping[str, Any] = st.session_state.get(KEPT, {})
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
                restore_upload(f"upload:{name}", Uploaded(row["sha256"], row["size_bytes"], row["name"]))


def keep_draft() -> None:
    """At the end of the page, and before it stops early: writes the address, and the session for a later visit."""
    left: dict[str, Any] = dict(st.session_state.get(KEPT, {}))
    for name, choice in CHOICES.items():
        if choice.key in st.session_state:
            left[name] = st.session_state[choice.key]
    st.session_state[KEPT] = left
    address = {
        name: _text(left[name])
        for name, choice in CHOICES.items()
        if left.get(name, choice.default) != choice.default and len(_text(left[name])) <= MOST_CHARACTERS
    }
    for name in FILES:
        sent = recall_upload(f"upload:{name}")
        if sent is not None:
            address[name] = sent.sha256
    others = {key: value for key, value in st.query_params.items() if key not in CHOICES and key not in FILES}
    if st.query_params.to_dict() != {**others, **address}:
        st.query_params.from_dict({**others, **address})


def has_draft() -> bool:
    """Whether anything was chosen that could be thrown away."""
    return any(recall_upload(f"upload:{name}") for name in FILES)


def clear_draft() -> None:
    """Throws all choices away, files included; the uploaded files themselves stay in the store."""
    for choice in CHOICES.values():
        st.session_state.pop(choice.key, None)
    st.session_state.pop(KEPT, None)
    clear_recipes(RECIPES)
    for name in FILES:
        forget_upload(f"upload:{name}")
    st.query_params.clear()


def _read(text: str | None, choice: Choice) -> Any:
    """The value of an address's text; None where there is none, or none that can be."""
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
    return value if choice.kind is str or 0 <= value < 2**31 else None


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return f"{value:.12g}" if isinstance(value, float) else str(value)
