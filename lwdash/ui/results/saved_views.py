"""Named views of an experiment: the filters, axes, columns, order, limits and boards in its address, stored for the user."""

from collections.abc import Mapping
from contextlib import suppress

import streamlit as st

from lwdash.ui.results.table_columns import CHOSEN_COLUMNS
from lwdash.ui.results.view_state import limits_in_address
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.markdown_text import plain
from storage.annotations import get_preference, set_preference
from storage.store import Store
from storage.visitors import NotAllowed

MAX_VIEWS, MAX_LETTERS = 20, 40
OWN_NAMES = frozenset({"experiment", "runs"})
"""Parameters of the address that are no part of a view: the page's subject, and the selected runs."""


def show_views(store: Store, owner: str, experiment_id: int, limits: Mapping[str, float]) -> None:
    """The menu of saved views: links, and a field that saves the present one. limits: that the page shows."""
    views = saved_views(store, owner, experiment_id)
    with st.popover("Views", icon=":material/bookmark:"):
        if not views:
            st.caption(
                "A view holds the filters, axes, colour, columns, order and limits. Name the present one to save it."
            )
        for name, parameters in views.items():
            with st.container(
                horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
            ):
                st.page_link(
                    page_paths.EXPERIMENT, label=plain(name),
                    query_params={"experiment": str(experiment_id), **parameters},
                )  # fmt: skip
                st.button(
                    "", key=f"results:forget_view:{name}", icon=":material/delete:", help=f"Delete {plain(name)}",
                    on_click=_keep, args=(store, owner, experiment_id, {n: p for n, p in views.items() if n != name}),
                )  # fmt: skip
        st.text_input("Name of the present view", key="results:view_name", max_chars=MAX_LETTERS)
        st.button(
            "Save view", key="results:save_view", icon=":material/bookmark_add:", disabled=len(views) >= MAX_VIEWS,
            on_click=_save, args=(store, owner, experiment_id, views, limits), help=f"At most {MAX_VIEWS} views",
        )  # fmt: skip


def saved_views(store: Store, owner: str, experiment_id: int) -> dict[str, dict[str, str]]:
    """Name → the parameters of the address, in the order in which they were saved."""
    return dict((get_preference(store.database, owner, _key(experiment_id)) or {}).get("views") or {})


def _save(
    store: Store,
    owner: str,
    experiment_id: int,
    views: dict[str, dict[str, str]],
    limits: Mapping[str, float],
) -> None:
    name = str(st.session_state.get("results:view_name") or "").strip()
    if not name:
        st.toast("Give the view a name first.", icon=":material/edit:")
        return
    present = {key: text for key, text in st.query_params.to_dict().items() if key not in OWN_NAMES}
    # These two are in the address only if they differ from the user's and the experiment's own, which may change.
    present |= {"columns": ",".join(st.session_state[CHOSEN_COLUMNS]), "limits": limits_in_address(limits)}
    _keep(store, owner, experiment_id, {**views, name: present})
    st.session_state["results:view_name"] = ""


def _keep(store: Store, owner: str, experiment_id: int, views: dict[str, dict[str, str]]) -> None:
    with suppress(NotAllowed):  # a visitor with a share link cannot write
        set_preference(store.database, owner, _key(experiment_id), {"views": views})


def _key(experiment_id: int) -> str:
    return f"results:views:{experiment_id}"
