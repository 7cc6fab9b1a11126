"""State of the results page (shown runs and selection), stored in the session and in the address, so that a
link shows the same to everybody and the back button undoes the last change.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import pandas as pd
import streamlit as st

from lwdash.errors import UserMistake
from lwdash.metrics.limits import checked_limits

TECHNIQUE = "technique"
"""Colours the points by technique family instead of by a metric."""
POINTS, PARALLEL = "points", "parallel"
MAX_RUNS_IN_ADDRESS = 100
"""Maximum number of selected runs in an address: servers and mail programs cut longer ones."""
FRONT_ONLY = "results:front"
"""True hides runs that another run beats in one of the chart's metrics and equals or beats in the other."""
CHOSEN_BOARDS = "results:boards"
"""Keys of the boards in the matrix; None before any choice."""
OWN_COLUMNS = "results:own_columns"
"""Columns of the table as in a saved view or a link, in order; empty: the user's own."""
SORT, DESCENDING = "results:sort", "results:descending"
"""The column that sorts the table, "" for the order of submission; and whether large values come first."""
PARAMETER_AXES = "results:parameter_axes"
"""Columns of parameters of recipes, and keys of groups, that are axes of the parallel view."""
GROUP, OPEN_GROUPS = "results:group", "results:open_groups"
"""The key of the groups in which the table is listed, "" for none; and the names of those that are open."""
GROUP_VALUES = "results:group_values"
MEDIAN, BEST = "median", "best"
"""The value that stands for a group in each column."""
VIEW_LIMITS = "results:view_limits"
"""Limits that hold on this page instead of those of the experiment; None: the experiment's."""
NO_LIMITS = "none"
_SEEN = "results:seen"
_RUNS = "results:runs"
_DEFAULTS = "results:defaults"
"""In the session: the default of each choice when the page was last drawn."""


@dataclass(frozen=True)
class _Parameter:
    """One choice: its name in the address, and functions that read (None: not valid) and write its text ("":
    the default).
    """

    name: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]
    empty: Any = None


def _list_of(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def _runs_of(text: str) -> list[int]:
    return list(dict.fromkeys(int(part) for part in text.split(",") if part.isdecimal() and len(part) < 18))


def _names_of(text: str) -> list[str]:
    return [unquote(part) for part in text.split(",") if part]


def _names_in_address(names: Sequence[str]) -> str:
    """Names, which may have commas of their own."""
    return ",".join(quote(name, safe=" ") for name in names)


def _word(text: str) -> str | None:
    return text or None


def _limits_of(text: str) -> dict[str, float] | None:
    """`size_bytes:20000,accuracy_drop:0.01`, or `none`; None if a limit is not valid."""
    pairs = [] if text == NO_LIMITS else [part.rpartition(":") for part in text.split(",")]
    try:
        return checked_limits({key: float(value) for key, _, value in pairs})
    except (ValueError, UserMistake):
        return None


def limits_in_address(limits: Mapping[str, float]) -> str:
    """Limits as text of an address."""
    return ",".join(f"{key}:{value:.10g}" for key, value in limits.items()) or NO_LIMITS


PARAMETERS: Mapping[str, _Parameter] = {
    "results:x": _Parameter("x", _word, str),
    "results:y": _Parameter("y", _word, str),
    "results:colour": _Parameter("colour", _word, str),
    "results:log": _Parameter("log", lambda text: [a for a in "xy" if a in text], "".join, []),
    "results:view": _Parameter("view", lambda text: text if text in (POINTS, PARALLEL) else None, str, POINTS),
    "results:search": _Parameter("q", str, str.strip, ""),
    "results:states": _Parameter("state", _list_of, ",".join, []),
    "results:techniques": _Parameter("with", _list_of, ",".join, []),
    "results:tags": _Parameter("tag", _list_of, ",".join, []),
    "results:fits": _Parameter("fits", lambda text: text == "1", lambda is_on: "1" if is_on else "", False),
    FRONT_ONLY: _Parameter("front", lambda text: text == "1", lambda is_on: "1" if is_on else "", False),
    "results:host": _Parameter("host", _word, str),
    OWN_COLUMNS: _Parameter("columns", _list_of, ",".join, []),
    SORT: _Parameter("sort", str, str, ""),
    DESCENDING: _Parameter("descending", lambda text: text == "1", lambda is_on: "1" if is_on else "", False),
    GROUP: _Parameter("group", str, str, ""),
    OPEN_GROUPS: _Parameter("open", _names_of, _names_in_address, []),
    GROUP_VALUES: _Parameter("values", lambda text: text if text in (MEDIAN, BEST) else None, str, MEDIAN),
    PARAMETER_AXES: _Parameter("parameters", _list_of, ",".join, []),
    VIEW_LIMITS: _Parameter("limits", _limits_of, limits_in_address),
    CHOSEN_BOARDS: _Parameter("boards", _list_of, ",".join),
    _RUNS: _Parameter("runs", _runs_of, lambda runs: ",".join(map(str, runs)), []),
}  # fmt: skip
"""Key in the session (of a widget, or of the selected runs) → its place in the address."""


def adopt_address(experiment_id: int) -> None:
    """Copy the address into the session if another page or the back button wrote it.

    Call it before the widgets are drawn, and only when the whole page runs, as after the back button. A
    fragment that runs alone may get an address that the browser has not yet replaced.
    """
    now = _here()
    if st.session_state.get(_SEEN) == (experiment_id, now) and "results:x" in st.session_state:
        return
    for key, parameter in PARAMETERS.items():
        text = now.get(parameter.name)
        value = parameter.read(text) if text is not None else None
        st.session_state[key] = _copied(parameter.empty) if value is None else value
    st.session_state[_SEEN] = (experiment_id, now)


def settle(key: str, options: Sequence[Any], default: Any) -> None:
    """Make sure that a choice is one of `options` (for a list, each element), before its widget is drawn."""
    value = st.session_state.get(key)
    if isinstance(value, list):
        kept = [one for one in value if one in options]
        if kept != value:
            st.session_state[key] = kept
    elif value not in options:
        st.session_state[key] = default


def follow(key: str, options: Sequence[Any], default: Any) -> None:
    """`settle` for a default that changes as runs are measured: a choice that the user did not make changes with it."""
    defaults: dict[str, Any] = st.session_state.setdefault(_DEFAULTS, {})
    if st.session_state.get(key) == defaults.get(key):
        st.session_state[key] = default
    settle(key, options, default)
    defaults[key] = default


def settle_selection(runs: pd.Series) -> None:
    """Remove selected runs that the experiment does not have."""
    before = selected()
    if before:
        known = set(runs)
        st.session_state[_RUNS] = [run for run in before if run in known]


def write_address(experiment_id: int, defaults: Mapping[str, Any]) -> None:
    """Write into the address the values that differ from the defaults; call it after all widgets are drawn.

    defaults: for the keys whose default depends on the runs, such as the axes.
    """
    before = _here()
    ours = {parameter.name for parameter in PARAMETERS.values()}
    after = {name: text for name, text in before.items() if name not in ours}
    for key, parameter in PARAMETERS.items():
        value = st.session_state.get(key)
        if value is None or value == defaults.get(key, parameter.empty):
            continue
        if key == _RUNS and len(value) > MAX_RUNS_IN_ADDRESS:
            continue
        text = parameter.write(value)
        if text:
            after[parameter.name] = text
    if after != before:
        st.query_params.from_dict(after)
    st.session_state[_SEEN] = (experiment_id, after)


def selected() -> list[int]:
    """The selected runs, in the order of selection."""
    return list(st.session_state.get(_RUNS) or [])


def select(runs: Sequence[int]) -> None:
    """Select these runs; runs that were already selected keep their places."""
    wanted = set(runs)
    before = [run for run in selected() if run in wanted]
    st.session_state[_RUNS] = [*before, *(run for run in dict.fromkeys(runs) if run not in before)]


def _here() -> dict[str, str]:
    return st.query_params.to_dict()


def _copied(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value
