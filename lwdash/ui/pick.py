"""Which experiment or run a page is about: the `id` in its address."""

import streamlit as st

from lwdash.ui.cards import plain


def chosen_id(fallback: int | None) -> int | None:
    """The `id` of the address; without one, `fallback`, which is then written into the address."""
    text = st.query_params.get("id")
    if text is None:
        if fallback is not None:
            st.query_params["id"] = str(fallback)
        return fallback
    return int(text) if text.isdecimal() and len(text) < 18 else -1


def absent(kind: str) -> str:
    """Why a page has nothing to show, as Markdown: what the address asks for is not there, or nothing is."""
    text = st.query_params.get("id")
    return f"There are no {kind}s yet." if text is None else f"There is no {kind} {plain(text[:40])}."


def write_address(page: str, shown: int) -> None:
    """Writes `shown` into the address where it is another than before: a link from a page to itself changes what is
    shown, and Streamlit leaves the address as it was."""
    if st.session_state.get(f"pick:{page}") != shown:
        st.session_state[f"pick:{page}"] = shown
        st.query_params["id"] = str(shown)
