"""The experiment or run that a page shows: `experiment` or `run` in its address.

Each has a name of its own: a browser keeps addresses of both pages in one history, where one page's number must not be
read as the other's. Links of older versions say `id` on both pages; they are read, and rewritten.
"""

import streamlit as st

from lwdash.ui.shared.markdown_text import plain

OLD_NAME = "id"


def chosen_id(name: str, fallback: int | None) -> int | None:
    """The number that the address has under `name`; without one, `fallback`. The address has it afterwards."""
    text = _text(name)
    chosen = fallback if text is None else int(text) if text.isdecimal() and len(text) < 18 else -1
    if chosen is not None and chosen >= 0:
        _write_address(name, chosen)
    return chosen


def absent(name: str) -> str:
    """Why a page has nothing to show, as Markdown: what the address asks for is not there, or nothing is."""
    text = _text(name)
    return f"There are no {name}s yet." if text is None else f"There is no {name} {plain(text[:40])}."


def _text(name: str) -> str | None:
    return st.query_params.get(name, st.query_params.get(OLD_NAME))


def _write_address(name: str, shown: int) -> None:
    """Writes `shown` into the address where it is another than before: a link from a page to itself changes what is
    shown, and Streamlit leaves the address as it was."""
    is_told = st.query_params.get(name) == str(shown)
    if not is_told or st.session_state.get(f"pick:{name}") != shown:
        st.session_state[f"pick:{name}"] = shown
        st.query_params[name] = str(shown)
    if OLD_NAME in st.query_params:
        del st.query_params[OLD_NAME]
