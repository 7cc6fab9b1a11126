"""The visitor of a page, and the rights that determine its content and actions."""

import streamlit as st

from lwdash.errors import UserMistake
from lwdash.serving.accounts import is_sign_in_on, person
from lwdash.settings import Settings, load_settings
from storage.records import StoredExperiment
from storage.sharing import shared_experiment
from storage.store import Store
from storage.visitors import EVERYBODY, NOBODY, Visitor

_VISITOR, _TOKEN = "access:visitor", "access:share"


def visitor() -> Visitor:
    """The visitor, as found by the shell at the start of this run."""
    known = st.session_state.get(_VISITOR)
    return known if isinstance(known, Visitor) else _signed_in(load_settings())


def can_change(experiment: StoredExperiment) -> bool:
    """True if the visitor is offered the actions that change an experiment or its runs: start, cancel, edit.

    The storage refuses forbidden changes in any case; this only hides buttons that cannot work.
    """
    return visitor().can_change(experiment)


def owner() -> str:
    """Key of the visitor's own preferences: "" if sign-in is disabled."""
    return visitor().email or ""


def share_token() -> str | None:
    """The token of the share link that the visitor used, for links inside the shared view."""
    return st.session_state.get(_TOKEN) if visitor().shared is not None else None


def find_visitor(settings: Settings, store: Store) -> Visitor:
    """The present visitor, stored for the rest of this run. NOBODY must sign in.

    A share link is valid as long as its token is. The token is in the address (`share`) or was there earlier
    in this session. Raises UserMistake for a signed-in person who is not allowed.
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
