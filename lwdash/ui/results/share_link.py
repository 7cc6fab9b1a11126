"""Access to an experiment: for all signed-in users or only its owner, and by its share link."""

from urllib.parse import urlsplit

import streamlit as st

from lwdash.settings import Settings
from lwdash.ui.shared.access import can_change, visitor
from lwdash.ui.shared.addresses import share_url
from storage import sharing
from storage.records import StoredExperiment
from storage.store import Store


def show_sharing(settings: Settings, store: Store, experiment: StoredExperiment) -> None:
    """Show owner, visibility and share link of an experiment; nothing if sign-in is disabled, or for a shared
    view.

    experiment: a row of `get_experiment`, read in this run.
    """
    me = visitor()
    if me.is_open or me.shared is not None:
        return
    with st.popover("Share", icon=":material/lock:" if experiment.is_private else ":material/share:"):
        st.text(f"Owner: {experiment.owner or 'nobody'}")
        if not can_change(experiment):
            st.caption("Only the owner can share it or make it private.")
            return
        number = experiment.id
        is_private = st.toggle(
            "Private",
            value=experiment.is_private,
            key=f"private-{number}",
            help="Only its owner and users of its share link see it.",
        )
        if is_private != experiment.is_private:
            sharing.set_private(store.database, number, is_private, me.email or "")
            st.rerun()
        if experiment.share_token_sha256 is None:
            st.caption(
                "A share link shows results, runs and downloads to everybody who has it, without signing in."
            )
            if st.button("Make a share link", icon=":material/add_link:", key=f"share-{number}"):
                _make_link(store, number)
            return
        token = st.session_state.get(_key(number))
        if token and sharing.shared_experiment(store.database, token) == number:
            at = urlsplit(st.context.url or "")
            st.code(f"{at.scheme}://{at.netloc}{share_url(number, token)}", language=None)
            st.caption(
                "Everybody with this link can view and download, but not change anything. Copy it now: "
                "the server keeps only its hash, and cannot show it again."
            )
        else:
            st.caption(
                "There is a share link. The server keeps only its hash and cannot show it again. A new link replaces it."
            )
            if st.button("Replace the link", icon=":material/add_link:", key=f"replace-{number}"):
                _make_link(store, number)
        if st.button("Revoke the link", icon=":material/link_off:", key=f"revoke-{number}"):
            sharing.revoke(store.database, number)
            st.rerun()


def _make_link(store: Store, number: int) -> None:
    """Create the link and store its token for this visit, in which the page shows it."""
    st.session_state[_key(number)] = sharing.share(store.database, number)
    st.rerun()


def _key(number: int) -> str:
    return f"share-token-{number}"
