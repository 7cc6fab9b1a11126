"""The experiment or run that a page shows: `experiment` or `run` in its address.

The names differ, because a browser keeps the addresses of both pages in one history, and one page's number
must not be read as the other's. Links of older versions use `id` on both pages; they are read, and rewritten.
"""

import streamlit as st

from lwdash.ui.shared.markdown_text import plain

OLD_NAME = "id"


def chosen_id(name: str, fallback: int | None) -> int | None:
    """The number under `name` in the address; without one, `fallback`. Afterwards it is in the address."""
    text = _text(name)
    chosen = fallback if text is None else int(text) if text.isdecimal() and len(text) < 18 else -1
    if chosen is not None and chosen >= 0:
        _write_address(name, chosen)
    return chosen


def absent(name: str) -> str:
    """Message, as Markdown, for a page without content: the requested item does not exist, or there is none at all."""
    text = _text(name)
    return f"There are no {name}s yet." if text is None else f"There is no {name} {plain(text[:40])}."


def _text(name: str) -> str | None:
    return st.query_params.get(name, st.query_params.get(OLD_NAME))


def _write_address(name: str, shown: int) -> None:
    """Write `shown` into the address if it differs: a link from a page to itself changes the shown item, but
    Streamlit leaves the address unchanged.
    """
    is_told = st.query_params.get(name) == str(shown)
    if not is_told or st.session_state.get(f"pick:{name}") != shown:
        st.session_state[f"pick:{name}"] = shown
        st.query_params[name] = str(shown)
    if OLD_NAME in st.query_params:
        del st.query_params[OLD_NAME]
