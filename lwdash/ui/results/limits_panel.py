"""The form for an experiment's limits."""

import streamlit as st

from lwdash.engine import submit
from lwdash.metrics.limits import ACCURACY_DROP, LIMITS
from lwdash.settings import Settings
from lwdash.ui.shared.board_choice import choose_board
from storage.records import StoredExperiment
from storage.store import Store


def edit_limits(settings: Settings, store: Store, experiment: StoredExperiment) -> None:
    """A menu with a field for each limit that the experiment can have; an empty field means no limit."""
    experiment_id, limits = experiment.id, experiment.limits
    possible = {
        key: limit for key, limit in LIMITS.items() if key != ACCURACY_DROP or not experiment.generated
    }
    keys = {key: f"results:limit:{experiment_id}:{key}:{limits.get(key)}" for key in possible}
    with st.popover("Limits", icon=":material/rule:"):
        choose_board(settings, store, keys)
        with st.form(f"results:limits:{experiment_id}", border=False):
            values: dict[str, float | None] = {}
            for key, limit in possible.items():
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
