"""The visitor of a page, and the rights that decide what the page shows and offers."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from lwdash.errors import UserMistake
from lwdash.server.identity import is_sign_in_on, person
from lwdash.settings import Settings, load_settings
from storage.sharing import shared_experiment
from storage.store import Store
from storage.visitors import EVERYBODY, NOBODY, Visitor

_VISITOR, _TOKEN = "access:visitor", "access:share"


def visitor() -> Visitor:
    """Who looks, as the shell found out at the start of this run."""
    known = st.session_state.get(_VISITOR)
    return known if isinstance(known, Visitor) else _signed_in(load_settings())


def can_change(experiment: Mapping[str, Any]) -> bool:
    """Whether to offer what changes an experiment (a row of `get_experiment`) or its runs: start, cancel, edit.

    The storage refuses it in any case; this is for not showing buttons that cannot work.
    """
    return visitor().can_change(experiment)


def owner() -> str:
    """Under which name the visitor's own preferences are kept: "" where nobody signs in."""
    return visitor().email or ""


def share_token() -> str | None:
    """The token of the share link by which the visitor came, for links to what it shows as well."""
    return st.session_state.get(_TOKEN) if visitor().shared is not None else None


def find_visitor(settings: Settings, store: Store) -> Visitor:
    """Who looks now, remembered for the rest of this run. NOBODY must sign in.

    A share link counts as long as its token does; it stands in the address (`share`) or was there before in this
    session. Raises UserMistake for somebody who signed in and may not come in.
    """
    st.session_state.pop(_VISITOR, None)
    found = _signed_in(settings)
    token = st.query_params.get("share") or st.session_state.get(_TOKEN)
    if token and not found.is_open:
        experiment = shared_experiment(store.database, token)
        st.session_state[_TOKEN] = token if experiment is not None else None
        if experiment is not None:
            found = Visitor(email=found.email, shared=experiment)
    st.session_state[_VISITOR] = found
    return found


def _signed_in(settings: Settings) -> Visitor:
    if not is_sign_in_on(settings.auth):
        return EVERYBODY
    email = person(st.user.to_dict(), settings.auth_allow)
    return Visitor(email=email) if email else NOBODY


__all__ = ["UserMistake", "can_change", "find_visitor", "owner", "share_token", "visitor"]
