"""Sign-in: access to the pages, and the account page."""

import streamlit as st

from lwdash.errors import UserMistake
from lwdash.serving.accounts import DEFAULT_PROVIDER, providers
from lwdash.settings import Settings
from lwdash.ui.shared.access import find_visitor, visitor
from lwdash.ui.shared.markdown_text import plain
from storage.store import Store
from storage.visitors import Visitor

CHECK_SECONDS = 2.0
"""Seconds until an open page of a revoked share link is blanked."""


def admit(settings: Settings, store: Store) -> Visitor:
    """Check the visitor. A visitor who must sign in first sees the sign-in card, and the run ends."""
    try:
        found = find_visitor(settings, store)
    except UserMistake as refused:
        _card("Access denied", str(refused))
        st.stop()
    if found.shared is not None:
        st.caption(":material/visibility: This experiment was shared with you. You can look and download.")
        _check_again(settings, store)
    elif not found.is_known:
        is_dead = "share" in st.query_params
        _card(
            "Sign in",
            "This share link no longer works: ask for a new one, or sign in."
            if is_dead
            else "Sign in to see the experiments.",
        )
        st.stop()
    return found


@st.fragment(run_every=CHECK_SECONDS)
def _check_again(_settings: Settings, _store: Store) -> None:
    if find_visitor(_settings, _store).shared is None:
        st.rerun()


def _card(title: str, text: str) -> None:
    _, middle, _ = st.columns([1, 1.4, 1])
    with middle.container(border=True):
        st.title(title, anchor=False)
        st.markdown(plain(text))
        if st.user.to_dict().get("is_logged_in"):
            if st.button("Sign out", icon=":material/logout:"):
                st.logout()
            return
        for provider in providers():
            name = "" if provider == DEFAULT_PROVIDER else f" with {provider.capitalize()}"
            if st.button(
                f"Sign in{name}", type="primary", icon=":material/login:", key=f"sign-in-{provider}"
            ):
                st.login(None if provider == DEFAULT_PROVIDER else provider)


def account_page() -> None:
    """The signed-in user, and the sign-out button."""
    st.title("Account")
    st.text(f"You are signed in as {visitor().email}.")
    st.caption(
        "Experiments that you start are yours. Others can see them unless you make them private, and "
        "only you can change them."
    )
    if st.button("Sign out", icon=":material/logout:"):
        st.logout()
