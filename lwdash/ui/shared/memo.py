"""A memo of parts that did not change since the last run of the page: a selection redraws no chart."""

from collections.abc import Callable
from typing import Any, TypeVar

import pandas as pd
import streamlit as st

Made = TypeVar("Made")


def remembered(name: str, key: tuple[Any, ...], make: Callable[[], Made]) -> Made:
    """What `make` gave for this `key` the last time in this session; made anew where the key is another.

    Frames in the key are compared by identity, everything else by equality.
    """
    kept = st.session_state.get(f"memo:{name}")
    if kept is not None and len(kept[0]) == len(key) and all(map(_is_same, kept[0], key)):
        made: Made = kept[1]
        return made
    made = make()
    st.session_state[f"memo:{name}"] = (key, made)
    return made


def contents(runs: pd.DataFrame) -> tuple[int, int, int]:
    """A key for the measured figures, titles and tags of ended runs: figures of a run never change."""
    words = hash(tuple(runs["title"])), hash(tuple(map(str, runs["tags"])))
    return (hash(runs["id"].to_numpy().tobytes()), *words)


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, pd.DataFrame) or isinstance(other, pd.DataFrame):
        return one is other
    return bool(one == other)
