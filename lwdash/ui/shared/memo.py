"""A memo of page parts that did not change since the last run of the page: a selection redraws no chart."""

from collections.abc import Callable
from typing import Any, TypeVar

import pandas as pd
import streamlit as st

from lwdash.targets.result_columns import COLUMNS

Result = TypeVar("Result")


def remembered(name: str, key: tuple[Any, ...], make: Callable[[], Result]) -> Result:
    """The result of `make` for this `key` in this session; computed again if the key differs.

    Frames in the key are compared by identity, everything else by equality.
    """
    kept = st.session_state.get(f"memo:{name}")
    if kept is not None and len(kept[0]) == len(key) and all(map(_is_same, kept[0], key)):
        result: Result = kept[1]
        return result
    result = make()
    st.session_state[f"memo:{name}"] = (key, result)
    return result


def contents(runs: pd.DataFrame) -> tuple[int, int, int, int]:
    """A key for the metrics, titles and tags of finished runs.

    Metrics of a run never change, except those of targets, which are recorded later (lwdash.targets.result_columns).
    """
    text = hash(tuple(runs["title"])), hash(tuple(map(str, runs["tags"])))
    late = runs[[c for c in runs if c in COLUMNS or "." in c]].to_numpy(float)
    return (hash(runs["id"].to_numpy().tobytes()), hash(late.tobytes()), *text)


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, pd.DataFrame) or isinstance(other, pd.DataFrame):
        return one is other
    return bool(one == other)
