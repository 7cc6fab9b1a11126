"""The form for an experiment's limits."""

from collections.abc import Mapping

import streamlit as st

from lwdash.engine import submit
from lwdash.metrics.limits import LIMITS
from lwdash.settings import Settings
from lwdash.ui.shared.board_choice import choose_board
from storage.store import Store


def edit_limits(settings: Settings, store: Store, experiment_id: int, limits: Mapping[str, float]) -> None:
    """A menu with a field for each limit; an empty field means no limit."""
    keys = {key: f"results:limit:{experiment_id}:{key}:{limits.get(key)}" for key in LIMITS}
    with st.popover("Limits", icon=":material/rule:"):
        choose_board(settings, store, keys)
        with st.form(f"results:limits:{experiment_id}", border=False):
            values: dict[str, float | None] = {}
            for key, limit in LIMITS.items():
                now = limits.get(key)
                if keys[key] not in st.session_state:
                    st.session_state[keys[key]] = None if now is None else float(now) * limit.factor
                shown = st.number_input(
                    f"{limit.label} ({limit.unit})", min_value=0.0, step=limit.step, format="%.6g",
                    placeholder="no limit", value=None, help=limit.help, key=keys[key], width=300,
                )  # fmt: skip
                values[key] = None if shown is None else shown / limit.factor
            if st.form_submit_button("Save", icon=":material/save:", type="primary"):
                submit.set_limits(store, experiment_id, values)
                st.rerun()
